// How well scores rank architectures. Two lists in the same (enumeration) order: the truth and a score, bigger is
// better in both. Pairs with a NaN score are dropped first, as RLNAS does; a NaN truth is an error (ErrorKind::data),
// as are lists of different lengths (ErrorKind::usage).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace nascent {

/// A coefficient and the pairs it is of. NaN where it is not defined: fewer than two pairs or a constant list.
struct Correlation {
    double value = 0;
    std::int64_t used = 0;
    std::int64_t dropped = 0;  // NaN scores
};

/// Kendall's tau as RLNAS computes it: both lists become ordinal ranks by a stable descending sort, which breaks ties
/// by enumeration order in both alike, then tau of the two permutations. O(n log n).
Correlation kendall_tau_ordinal(std::span<const double> truth, std::span<const double> score);

/// Kendall's tau-b, ties counted as ties (Knight 1966, O(n log n)).
Correlation kendall_tau_b(std::span<const double> truth, std::span<const double> score);

/// Spearman's rho: Pearson's correlation of average ranks.
Correlation spearman_rho(std::span<const double> truth, std::span<const double> score);

/// Positions by descending value, equal ones in list order, NaN behind all others in list order.
std::vector<int> rank_descending(std::span<const double> values);

/// What the k best scored hold.
struct TopK {
    int k = 0;                 // at most the number of pairs
    double regret = 0;         // best truth minus best truth among them
    std::int64_t overlap = 0;  // how many of the k truly best are among them; ties as in rank_descending
    double precision = 0;      // overlap / k
    std::int64_t dropped = 0;
};
/// Throws ErrorKind::usage unless k >= 1 and a pair is left.
TopK top_k(std::span<const double> truth, std::span<const double> score, int k);

}  // namespace nascent
