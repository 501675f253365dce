// The architecture with the largest angle, exactly: instead of breeding candidates, solve for them.
//
// The cosine of a candidate is N / sqrt(A B) with N, A and B its sums <w0, w1>, |w0|^2 and |w1|^2. For any t >= 0 and
// s > 0, t sqrt(A B) <= t (s A + B / s) / 2, with equality where s = sqrt(B / A). So if N - t (s A + B / s) / 2 >= f
// for all candidates, which is a linear problem in the sums, then no cosine is below t + f / sqrt(A B). Dinkelbach's
// iteration (Management Science 13, 1967) takes t from the best candidate so far; s is chosen where f is largest. What
// f then lacks to 0 is closed by listing every candidate whose linear value is below 0: all better ones are among them.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "nas/metric/angle.h"

namespace nascent {

/// Weights of the three sums; a candidate's value is their weighted sum.
struct LinearWeights {
    double dot = 0, n0 = 0, n1 = 0;
    double of(const AngleSums& s) const { return dot * s.dot + n0 * s.n0 + n1 * s.n1; }
};

struct LinearOptimum {
    std::vector<int> genes;
    AngleSums sums;
    double value = 0;      // no candidate within the limit is below it; of the candidate itself where feasible
    bool feasible = true;  // within the limit; false only where costs had to be rounded down
};

/// A space of candidates with a limit on their costs, in which linear functions of the sums can be minimised.
class AngleProblem {
  public:
    virtual ~AngleProblem() = default;
    /// With `exact` the least value of all; else a candidate within the limit that is close to it, faster.
    virtual LinearOptimum minimise(const LinearWeights& weights, bool exact) = 0;
    using Found = std::function<void(const std::vector<int>& genes, const AngleSums& sums)>;
    /// Every candidate within the limit whose value is below `below`. False where that took more than `budget` steps.
    /// Called after minimise(weights, true).
    virtual bool list(const LinearWeights& weights, double below, std::int64_t budget, const Found& found) = 0;
    /// For each of the sums a number that no candidate's is below.
    virtual AngleSums least() const = 0;
    /// Called between linear problems and now and then while candidates are listed; may throw to stop.
    std::function<void()> poll = [] {};
};

struct LargestAngle {
    std::vector<int> genes;
    double angle = 0;
    /// No candidate within the limit has a larger angle; `angle` itself where `exact`, up to rounding (about 1e-12).
    double bound = 0;
    bool exact = false;
    std::int64_t linear_problems = 0, listed = 0;
    double gap() const { return bound - angle; }
};

/// Throws ErrorKind::usage where no candidate is within the limit, ErrorKind::data where every angle is undefined
/// (weights without length). An angle above a right angle is found by the same steps but not proved: its bound is what
/// the least sums allow.
LargestAngle maximise_angle(AngleProblem& problem, std::int64_t budget = 20'000'000);

}  // namespace nascent
