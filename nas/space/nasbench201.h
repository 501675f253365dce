// The topology space of NAS-Bench-201 (Dong and Yang, ICLR 2020): 4 nodes, 6 edges, 5 operators, 15 625 cells.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nascent::nb201 {

/// Operators in the order of every file format of the benchmark.
enum class Op : std::uint8_t { none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3 };

inline constexpr int kOps = 5;
inline constexpr int kEdges = 6;
inline constexpr int kNodes = 4;
inline constexpr int kArchitectures = 15625;
inline constexpr std::array<std::string_view, kOps> kOpNames = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                                                "avg_pool_3x3"};

/// An edge to<-from. Node 0 is the input of the cell, node 3 its output.
struct Edge {
    int to, from;
};
/// Canonical order: 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2.
inline constexpr std::array<Edge, kEdges> kEdgeList = {{{1, 0}, {2, 0}, {2, 1}, {3, 0}, {3, 1}, {3, 2}}};
/// Position of to<-from in the canonical order, 0 <= from < to <= 3.
constexpr int edge_index(int to, int from) { return to * (to - 1) / 2 + from; }

constexpr std::string_view op_name(Op op) { return kOpNames[static_cast<std::size_t>(op)]; }
/// Throws ErrorKind::usage with the nearest name for a name that is none of the five.
Op op_from_name(std::string_view name);

/// One operator per edge, in canonical edge order.
struct Architecture {
    std::array<Op, kEdges> ops{};
    Op on(int to, int from) const { return ops[static_cast<std::size_t>(edge_index(to, from))]; }
    /// Place in the lexicographic enumeration (first edge slowest), 0..15624.
    int id() const;
    /// The inverse of id(); throws ErrorKind::usage outside 0..15624.
    static Architecture from_id(int id);
    auto operator<=>(const Architecture&) const = default;
};

/// `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.
std::string to_string(const Architecture& arch);
/// `(1,0,4,4,2,2)`: operator numbers in edge order.
std::string to_tuple(const Architecture& arch);
/// Reads the string form, an operator tuple in round or square brackets or bare, or `#index` in the benchmark's order.
/// Spaces, newlines and quotes around it, missing outer bars and edges of a node in any order are forgiven. Throws
/// ErrorKind::usage naming the text, the column (from 1) and what was expected.
Architecture parse_architecture(std::string_view text);

/// Index in the files of NAS-Bench-201 and NATS-Bench (the same in both): the lexicographic list shuffled by CPython's
/// `random` seeded with 88.
int official_index(const Architecture& arch);
/// The inverse; throws ErrorKind::usage outside 0..15624.
Architecture from_official_index(int index);

/// True where a path without `none` leads from node 0 to node 3 (15 284 of the 15 625).
bool is_connected(const Architecture& arch);

/// A cell as its text has it: any number of inputs per node, edges missing or repeated (ResNet-like codes, multi-op
/// genotypes). Node i + 1 is inputs[i].
struct CellText {
    struct Input {
        Op op;
        int source;
        auto operator<=>(const Input&) const = default;
    };
    std::vector<std::vector<Input>> nodes;
    bool operator==(const CellText&) const = default;
};
/// At least one input per node, every source before its node, at most 64 nodes; errors as parse_architecture.
CellText parse_cell(std::string_view text);
std::string to_string(const CellText& cell);
CellText to_cell(const Architecture& arch);
/// Missing edges become `none`. Throws ErrorKind::usage for other than three nodes or an edge with two operators.
Architecture to_architecture(const CellText& cell);

/// How `unique_string` simplifies. Over the space: plain 15 625 distinct strings, skips 12 751, zeros 6 466 (the
/// published count; zero terms stay in the sums, so it counts some equal functions apart).
enum class Simplify { plain, skips, zeros };
/// The benchmark's string for finding cells that compute the same: sorted terms `(source)@op` joined by `+`.
std::string unique_string(const CellText& cell, Simplify mode);
std::string unique_string(const Architecture& arch, Simplify mode);

}  // namespace nascent::nb201
