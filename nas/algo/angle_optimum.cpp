#include "nas/algo/angle_optimum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/base/error.h"

namespace nascent {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kGap = 1e-12;

double angle_of(double cosine) { return std::acos(std::clamp(cosine, -1.0, 1.0)); }

/// a x + b y, choice by choice.
PathValues combine(double a, const PathValues& x, double b, const PathValues& y) {
    PathValues result{a * x.fixed + b * y.fixed, x.blocks};
    for (std::size_t i = 0; i < x.blocks.size(); ++i) {
        for (std::size_t j = 0; j < x.blocks[i].size(); ++j)
            result.blocks[i][j] = a * x.blocks[i][j] + b * y.blocks[i][j];
    }
    return result;
}

/// A part of the paths: some blocks fixed to a choice (else -1).
struct Part {
    std::vector<int> fixed;
    double bound = 0;             // of the cosines in it, from below
    std::vector<int> one, other;  // two paths at the best t, equal where nothing is to be gained by branching
};

class Search {
  public:
    Search(const AngleValues& values, const PathCosts& costs, std::int64_t limit, int most_steps)
        : all_(values), costs_(costs), limit_(limit), most_steps_(most_steps) {}

    AngleOptimum run() {
        const std::vector<int> dots = cheapest_values(all_.dot, costs_, limit_);
        ++steps_;
        meet(dots);
        const double bound = all_.dot.of(dots) > 0 ? branch() : halve();
        // The cosine's rounding, and the arc cosine's.
        AngleOptimum best{best_, angle_of(best_cosine_), 0, steps_};
        best.bound = std::max(best.angle, angle_of(bound - 16 * kEpsilon) * (1 + 4 * kEpsilon));
        return best;
    }

  private:
    double cosine(std::span<const int> path) const {
        return all_.dot.of(path) / std::sqrt(all_.first.of(path) * all_.second.of(path));
    }
    double ratio(std::span<const int> path) const { return std::sqrt(all_.second.of(path) / all_.first.of(path)); }
    void meet(const std::vector<int>& path) {
        const double c = cosine(path);
        if (!best_.empty() && c >= best_cosine_) return;
        best_ = path;
        best_cosine_ = c;
    }
    bool done(double bound) const { return angle_of(bound) - angle_of(best_cosine_) < kGap || steps_ >= most_steps_; }

    PathValues restricted(const PathValues& v, const std::vector<int>& fixed) const {
        PathValues result = v;
        for (std::size_t b = 0; b < fixed.size(); ++b) {
            if (fixed[b] >= 0) result.blocks[b] = {v.blocks[b][static_cast<std::size_t>(fixed[b])]};
        }
        return result;
    }
    /// None where no path of the part keeps to the limit.
    std::optional<PathCosts> restricted_costs(const std::vector<int>& fixed) const {
        std::vector<std::vector<std::int64_t>> blocks;
        for (std::size_t b = 0; b < fixed.size(); ++b) {
            const auto choices = costs_.choices(static_cast<int>(b));
            blocks.emplace_back(choices.begin(), choices.end());
            if (fixed[b] >= 0) blocks[b] = {choices[static_cast<std::size_t>(fixed[b])]};
        }
        PathCosts part(costs_.fixed(), blocks);
        if (part.low() > limit_) return std::nullopt;
        return part;
    }

    /// The best bound over t, from the paths that are least at its sides.
    bool bound(Part& part) {
        const std::optional<PathCosts> costs = restricted_costs(part.fixed);
        if (!costs) return false;
        const PathValues dot = restricted(combine(2, all_.dot, 0, all_.dot), part.fixed),
                         first = restricted(all_.first, part.fixed), second = restricted(all_.second, part.fixed);
        struct Side {
            double t;
            std::vector<int> path;
        };
        std::optional<Side> low, high;
        double t = ratio(best_);
        for (int i = 0; i < 60; ++i) {
            FractionOptimum f = least_fraction(dot, combine(t, first, 1 / t, second), *costs, limit_);
            steps_ += f.steps;
            for (std::size_t b = 0; b < part.fixed.size(); ++b) {
                if (part.fixed[b] >= 0) f.path[b] = part.fixed[b];
            }
            meet(f.path);
            part.bound = std::max(part.bound, f.bound);
            const double own = ratio(f.path);
            part.one = f.path;
            part.other = own > t ? (high ? high->path : f.path) : (low ? low->path : f.path);
            // Nothing better in the part, or the path that t belongs to: its cosine is the bound.
            if (done(part.bound) || std::fabs(own / t - 1) < 4 * kEpsilon) return true;
            (own > t ? low : high) = Side{t, f.path};
            if (!low || !high) {
                t = own;
                continue;
            }
            if (high->t / low->t < 1 + 1e-14) return true;
            const double meeting = crossing(low->path, high->path);
            // Both paths were already met at this t and neither was beaten: no t has a better bound.
            if (std::fabs(meeting / t - 1) < 4 * kEpsilon) return true;
            t = meeting > low->t && meeting < high->t ? meeting : std::sqrt(low->t * high->t);
        }
        return true;
    }
    /// The t at which two paths' fractions are equal.
    double crossing(std::span<const int> p, std::span<const int> q) const {
        const double dp = all_.dot.of(p), dq = all_.dot.of(q);
        return std::sqrt((dq * all_.second.of(p) - dp * all_.second.of(q)) /
                         (dp * all_.first.of(q) - dq * all_.first.of(p)));
    }

    double branch() {
        std::vector<Part> open(1);
        open[0].fixed.assign(static_cast<std::size_t>(costs_.blocks()), -1);
        bound(open[0]);
        double closed = best_cosine_;
        for (;;) {
            closed = std::min(closed, best_cosine_);
            // The part with the least bound; the first of equals, so that runs repeat.
            const auto worst = std::min_element(open.begin(), open.end(),
                                                [](const Part& a, const Part& b) { return a.bound < b.bound; });
            if (worst == open.end()) return closed;
            if (done(worst->bound)) return std::min(worst->bound, closed);
            const Part part = std::move(*worst);
            open.erase(worst);
            if (std::find(part.fixed.begin(), part.fixed.end(), -1) == part.fixed.end()) {
                closed = std::min(closed, part.bound);  // a single path: the gap is rounding
                continue;
            }
            const std::size_t block = differing(part);
            for (std::size_t c = 0; c < costs_.choices(static_cast<int>(block)).size(); ++c) {
                Part child = part;
                child.fixed[block] = static_cast<int>(c);
                if (bound(child) && child.bound < best_cosine_) open.push_back(std::move(child));
            }
        }
    }
    /// The free block in which the part's two paths differ most; any free one where they do not.
    std::size_t differing(const Part& part) const {
        std::size_t best = 0;
        double most = -1;
        for (std::size_t b = 0; b < part.fixed.size(); ++b) {
            if (part.fixed[b] >= 0) continue;
            double difference = 0;
            for (const PathValues* v : {&all_.dot, &all_.first, &all_.second})
                difference += std::fabs(v->blocks[b][static_cast<std::size_t>(part.one[b])] -
                                        v->blocks[b][static_cast<std::size_t>(part.other[b])]);
            if (difference > most) most = difference, best = b;
        }
        return best;
    }

    double halve() {
        struct Interval {
            double low, high, bound;
        };
        auto chord = [&](double low, double high) {
            const double sum = std::sqrt(low) + std::sqrt(high);
            const FractionOptimum f = least_fraction(
                all_.dot, combine(std::sqrt(low) * std::sqrt(high) / sum, all_.first, 1 / sum, all_.second), costs_,
                limit_);
            steps_ += f.steps;
            meet(f.path);
            return Interval{low, high, f.bound};
        };
        const FractionOptimum least = least_fraction(all_.second, all_.first, costs_, limit_),
                              most = least_fraction(all_.first, all_.second, costs_, limit_);
        std::vector<Interval> open{chord(least.bound * (1 - 4 * kEpsilon), 1 / most.bound * (1 + 4 * kEpsilon))};
        for (;;) {
            const auto worst = std::min_element(open.begin(), open.end(),
                                                [](const Interval& a, const Interval& b) { return a.bound < b.bound; });
            const double middle = std::sqrt(worst->low * worst->high);
            if (done(worst->bound) || middle <= worst->low || middle >= worst->high)
                return std::min(worst->bound, best_cosine_);
            const Interval left = chord(worst->low, middle), right = chord(middle, worst->high);
            *worst = left;
            open.push_back(right);
        }
    }

    const AngleValues& all_;
    const PathCosts& costs_;
    std::int64_t limit_;
    int most_steps_, steps_ = 0;
    std::vector<int> best_;
    double best_cosine_ = 0;
};

}  // namespace

AngleOptimum largest_angle(const AngleValues& values, const PathCosts& costs, std::int64_t limit, int most_steps) {
    (void)least_fraction(values.dot, values.first, costs, limit);  // refuses what cannot be
    (void)least_fraction(values.dot, values.second, costs, limit);
    return Search(values, costs, limit, most_steps).run();
}

}  // namespace nascent
