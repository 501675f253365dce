// Architectures of the DARTS space as single-path searches write them: an operator number for each of the 14 edges of
// the normal and of the reduction cell, 0 where there is no edge.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nas/space/darts.h"
#include "nas/space/darts_derive.h"

namespace nascent::darts {

inline constexpr int kNodes = 4;
inline constexpr int kEdges = edge_count(kNodes);  // 14
inline constexpr int kNodeInputs = 2;              // of the edges into a node, how many a valid cell uses

/// Edge edge_index(node, from): state `from` into node `node`, which is state 2 + node.
struct EdgePlace {
    std::int8_t node, from;
};
inline constexpr std::array<EdgePlace, kEdges> kEdgePlaces = [] {
    std::array<EdgePlace, kEdges> all{};
    for (int node = 0; node < kNodes; ++node) {
        for (int from = 0; from < kInputs + node; ++from)
            all[static_cast<std::size_t>(edge_index(node, from))] = {static_cast<std::int8_t>(node),
                                                                     static_cast<std::int8_t>(from)};
    }
    return all;
}();

/// Numbers of primitives (darts::Op below kPrimitives) by edge. There are 1 x 3 x 6 x 10 = 180 choices of two inputs
/// for each node, and 7^8 of operators on them.
using CellCode = std::array<std::uint8_t, kEdges>;

struct Code {
    CellCode normal{}, reduce{};
    const CellCode& cell(bool reduction) const { return reduction ? reduce : normal; }
    CellCode& cell(bool reduction) { return reduction ? reduce : normal; }
    auto operator<=>(const Code&) const = default;
};

/// True where every node has exactly two edges.
bool valid(const CellCode& cell);
bool valid(const Code& code);

/// The 28 numbers, normal cell first. Throws ErrorKind::data unless there are 28 of 0..7.
Code code_from(std::span<const int> numbers);
std::vector<int> to_numbers(const Code& code);

/// `5 4 6 0 ... | 5 6 4 0 ...`, canonical.
std::string to_string(const Code& code);
/// 28 numbers of 0..7 with anything out of spaces, commas, bars, semicolons, brackets and line breaks between them, or
/// the published name or the text of a genotype. Throws ErrorKind::usage naming what was expected.
Code parse_code(std::string_view text);

/// Each node's two edges by rising source; the concat is all four nodes. Throws ErrorKind::usage naming the node for a
/// code that is not valid().
Genotype to_genotype(const Code& code);
/// Throws ErrorKind::usage for a genotype that has no code: other than four nodes, an operator that is no primitive or
/// is `none`, two edges from one state into one node, or a concat other than all nodes.
Code to_code(const Genotype& genotype);

/// Codes of papers, and the names of their genotypes among published_cells().
struct PublishedCode {
    std::string_view name;
    Code code;
};
std::span<const PublishedCode> published_codes();

}  // namespace nascent::darts
