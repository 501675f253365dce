// The space S1 of DARTS (Liu, Simonyan and Yang, ICLR 2019): operators, genotypes and their text.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nascent::darts {

/// The eight primitives of the search in the order of the columns of alpha, then the two operators that only the
/// NASNet and AmoebaNet cells use.
enum class Op : std::uint8_t {
    none,
    max_pool_3x3,
    avg_pool_3x3,
    skip_connect,
    sep_conv_3x3,
    sep_conv_5x5,
    dil_conv_3x3,
    dil_conv_5x5,
    sep_conv_7x7,
    conv_7x1_1x7,
};

inline constexpr int kOps = 10;
inline constexpr int kPrimitives = 8;
inline constexpr std::array<std::string_view, kOps> kOpNames = {
    "none",         "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3",
    "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7"};

/// Throws ErrorKind::usage for a number that is no operator.
std::string_view op_name(Op op);
/// Throws ErrorKind::usage with the nearest name for a name that is none of the ten.
Op op_from_name(std::string_view name);

/// States of a cell: 0 is the output of the cell before the previous one, 1 that of the previous cell, 2 + i node i.
inline constexpr int kInputs = 2;
/// Nodes of a cell that text may have; published cells have four or five.
inline constexpr int kMaxNodes = 64;

/// An operator and the state it reads.
struct Gene {
    Op op;
    int from;
    auto operator<=>(const Gene&) const = default;
};

/// Two cells. Genes 2i and 2i + 1 are the inputs of node i; the concat lists name the states that are concatenated to
/// the output, in order.
struct Genotype {
    std::vector<Gene> normal;
    std::vector<int> normal_concat;
    std::vector<Gene> reduce;
    std::vector<int> reduce_concat;
    bool operator==(const Genotype&) const = default;
};

/// Reads `Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)` as
/// people paste it: what precedes `Genotype(` is skipped; without it the fields may stand bare, in `( )` or as a dict
/// in `{ }`; fields in any order or without names; quotes of any kind or none; pairs in round or square brackets, on
/// their own or grouped by node; ranges, lists and tuples of states; line breaks, `<br>` and trailing commas. Throws
/// ErrorKind::usage naming the text, the line and column (from 1) and what was expected.
Genotype parse_genotype(std::string_view text);
/// As Python prints the named tuple; concat lists that count up by one print as `range(2, 6)`, all others as lists.
/// One text per genotype.
std::string to_string(const Genotype& genotype);
/// Throws ErrorKind::usage, as parse_genotype does, for a genotype that its text could not have.
void validate(const Genotype& genotype);

/// Operators of recurrent cells, in the order of the columns of their alpha.
inline constexpr std::array<std::string_view, 5> kRecurrentOpNames = {"none", "tanh", "relu", "sigmoid", "identity"};

/// An operator (a place in kRecurrentOpNames) and the state it reads.
struct RecurrentGene {
    int op;
    int from;
    bool operator==(const RecurrentGene&) const = default;
};
/// One gene per node: gene i makes state i + 1 from one of the states 0..i.
struct RecurrentGenotype {
    std::vector<RecurrentGene> recurrent;
    std::vector<int> concat;
    bool operator==(const RecurrentGenotype&) const = default;
};
/// As parse_genotype, for `Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))`.
RecurrentGenotype parse_recurrent(std::string_view text);
std::string to_string(const RecurrentGenotype& genotype);

}  // namespace nascent::darts
