#include "nas/algo/largest_angle.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace nascent {
namespace {

double cosine(const AngleSums& s) { return s.dot / std::sqrt(std::max(s.n0 * s.n1, 1e-16)); }
double ratio(const AngleSums& s) { return std::sqrt(s.n1 / s.n0); }

class Maximiser {
  public:
    explicit Maximiser(AngleProblem& problem) : problem_(problem) {}

    LargestAngle run(std::int64_t budget) {
        // Any start will do; the least dot product is often near.
        solve({1, 0, 0}, false);
        NASCENT_CHECK(sums_.n0 > 0 && sums_.n1 > 0 && std::isfinite(cosine_), data,
                      "the largest angle: the weights of a candidate have no length");
        climb();
        if (cosine_ > 0) balance();
        prove(budget);
        best_.angle = angle_of(sums_);
        best_.bound = std::max(best_.exact ? best_.angle : std::acos(std::clamp(bound_, -1.0, 1.0)), best_.angle);
        return best_;
    }

  private:
    LinearWeights weights(double s) const { return {1, -cosine_ * s / 2, -cosine_ / (2 * s)}; }

    bool consider(const std::vector<int>& genes, const AngleSums& sums) {
        const double c = cosine(sums);
        if (!best_.genes.empty() && !(c < cosine_)) return false;
        cosine_ = c;
        sums_ = sums;
        best_.genes = genes;
        return true;
    }

    LinearOptimum solve(const LinearWeights& w, bool exact) {
        problem_.poll();
        ++best_.linear_problems;
        LinearOptimum x = problem_.minimise(w, exact);
        improved_ = x.feasible && consider(x.genes, x.sums);
        return x;
    }

    /// Dinkelbach's steps with s from the best candidate. Cosines only fall, so it ends.
    void climb() {
        do solve(weights(ratio(sums_)), false);
        while (improved_);
        s_ = ratio(sums_);
    }

    /// The s of the largest least value, which is concave in s: its slope has the sign of the minimiser's ratio less s.
    void balance() {
        auto rises = [&](double u) { return ratio(solve(weights(std::exp(u)), false).sums) > std::exp(u); };
        double low = std::log(s_), high = low;
        const bool up = rises(low);
        for (double step = 1e-4; step < 64; step *= 4) {
            (up ? high : low) = (up ? high : low) + (up ? step : -step);
            if (rises(up ? high : low) != up) break;
            (up ? low : high) = up ? high : low;
        }
        while (high - low > 1e-7) {
            const double middle = (low + high) / 2;
            (rises(middle) ? low : high) = middle;
        }
        s_ = std::exp((low + high) / 2);
    }

    void prove(std::int64_t budget) {
        const AngleSums least = problem_.least();
        const double shortest = std::sqrt(std::max(least.n0 * least.n1, 1e-16));
        if (!(cosine_ > 0)) {
            bound_ = least.dot / shortest;
            return;
        }
        // A better candidate moves t, for which the least value has to be found anew.
        LinearOptimum x;
        LinearWeights w;
        do {
            w = weights(s_);
            x = solve(w, true);
        } while (improved_);
        // Values are sums of some thirty products of about this size.
        const double slack = 4096 * std::numeric_limits<double>::epsilon() *
                             (std::fabs(sums_.dot) + cosine_ * (s_ * sums_.n0 + sums_.n1 / s_));
        bound_ = cosine_ + std::min(0.0, x.value - slack) / shortest;
        best_.exact = problem_.list(w, slack, budget, [&](const std::vector<int>& genes, const AngleSums& sums) {
            ++best_.listed;
            consider(genes, sums);
        });
    }

    AngleProblem& problem_;
    LargestAngle best_;
    AngleSums sums_;
    double cosine_ = 0, s_ = 1, bound_ = -1;
    bool improved_ = false;
};

}  // namespace

LargestAngle maximise_angle(AngleProblem& problem, std::int64_t budget) { return Maximiser(problem).run(budget); }

}  // namespace nascent
