// The path through a chain of blocks with the least fraction of two sums under a limit on its cost: exact, with a bound
// that proves it.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "nas/space/path_costs.h"

namespace nascent {

/// Real numbers per block and choice, and those of what is in every network.
struct PathValues {
    double fixed = 0;
    std::vector<std::vector<double>> blocks;
    /// Of one choice per block, added in their order. No checks.
    double of(std::span<const int> path) const;
};

/// The path with the least sum of values among those that cost at most `limit`; of equals a cheapest one. A knapsack:
/// block by block all sums are kept that no cheaper and better one makes useless. Throws ErrorKind::usage for values of
/// other blocks or choices than the costs', values that are not finite, and a limit below the cheapest path, which the
/// message tells.
std::vector<int> cheapest_values(const PathValues& values, const PathCosts& costs, std::int64_t limit);

struct FractionOptimum {
    std::vector<int> path;
    double value;  // of the path
    double bound;  // no path has less, rounding included; value - bound is the certified gap
    int steps;     // knapsacks that it took
};
/// The least numerator / denominator (Dinkelbach 1967: the fraction falls with every knapsack of numerator - fraction x
/// denominator, until that has no negative value left). Throws ErrorKind::usage as cheapest_values does, and unless
/// every path's denominator is positive.
FractionOptimum least_fraction(const PathValues& numerator, const PathValues& denominator, const PathCosts& costs,
                               std::int64_t limit);

}  // namespace nascent
