// The path through a chain of blocks whose weights turned by the largest angle, under a limit on its cost: with a bound
// that proves how far from the optimum it can be at most.
#pragma once
#include <cstdint>
#include <vector>

#include "nas/algo/fraction_optimum.h"

namespace nascent {

/// The sums that the angle between two vectors of weights is made of: dot / sqrt(first x second) is its cosine.
struct AngleValues {
    PathValues dot, first, second;
};

struct AngleOptimum {
    std::vector<int> path;
    double angle;  // of the path, radians
    double bound;  // no path has a larger one; bound - angle is the certified gap
    int steps;     // knapsacks that it took
};

/// Goes on until the gap is below 1e-12 rad, or `most_steps` knapsacks are spent.
///
/// While all dot products are positive: for every t > 0 the cosine is at least 2 dot / (t first + second / t), with
/// equality at t^2 = second / first, so the least of these fractions over all paths bounds all cosines. It is largest
/// at the t where the best path's own t is reached, and then that path is the optimum, or where two paths meet; then a
/// block in which they differ is fixed to each of its choices, and the rests are bounded alike (branch and bound).
/// Where there are negative ones (angles beyond a right one): with u = second / first between u1 and u2, the cosine is
/// at least dot / (a first + b second), the chord of the square root over u1..u2; the interval with the least bound is
/// halved.
///
/// Throws ErrorKind::usage as least_fraction does, with both norms positive.
AngleOptimum largest_angle(const AngleValues& values, const PathCosts& costs, std::int64_t limit,
                           int most_steps = 20'000);

}  // namespace nascent
