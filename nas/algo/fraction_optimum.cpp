#include "nas/algo/fraction_optimum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/base/error.h"

namespace nascent {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr int kMaxSteps = 200;

void check(const PathValues& v, const PathCosts& costs) {
    NASCENT_CHECK(v.blocks.size() == static_cast<std::size_t>(costs.blocks()), usage,
                  "values of {} blocks beside costs of {}", v.blocks.size(), costs.blocks());
    NASCENT_CHECK(std::isfinite(v.fixed), usage, "a value that is not finite");
    for (int b = 0; b < costs.blocks(); ++b) {
        const auto& block = v.blocks[static_cast<std::size_t>(b)];
        NASCENT_CHECK(block.size() == costs.choices(b).size(), usage, "{} values for {} choices of block {}",
                      block.size(), costs.choices(b).size(), b);
        for (double x : block) NASCENT_CHECK(std::isfinite(x), usage, "block {} has a value that is not finite", b);
    }
}

/// a x + b y, choice by choice.
PathValues combine(double a, const PathValues& x, double b, const PathValues& y) {
    PathValues result{a * x.fixed + b * y.fixed, x.blocks};
    for (std::size_t i = 0; i < x.blocks.size(); ++i) {
        for (std::size_t j = 0; j < x.blocks[i].size(); ++j)
            result.blocks[i][j] = a * x.blocks[i][j] + b * y.blocks[i][j];
    }
    return result;
}

double least(const PathValues& v) {
    double sum = v.fixed;
    for (const auto& block : v.blocks) sum += *std::min_element(block.begin(), block.end());
    return sum;
}

/// The largest magnitude of a sum, of which roundings are a few epsilons per block.
double magnitude(const PathValues& v) {
    double sum = std::fabs(v.fixed);
    for (const auto& block : v.blocks) {
        double most = 0;
        for (double x : block) most = std::max(most, std::fabs(x));
        sum += most;
    }
    return sum;
}
double rounding(const PathValues& v) { return 4 * kEpsilon * static_cast<double>(v.blocks.size() + 4) * magnitude(v); }

struct State {
    std::int64_t cost;
    double value;
    std::uint32_t parent;
    int choice;
};

/// Two lists with rising costs and falling values into one.
std::vector<State> merge_front(const std::vector<State>& a, const std::vector<State>& b) {
    std::vector<State> result;
    result.reserve(a.size() + b.size());
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
        const bool first =
            j == b.size() ||
            (i < a.size() && (a[i].cost < b[j].cost || (a[i].cost == b[j].cost && a[i].value <= b[j].value)));
        const State& next = first ? a[i++] : b[j++];
        if (next.value >= best) continue;
        best = next.value;
        result.push_back(next);
    }
    return result;
}

}  // namespace

double PathValues::of(std::span<const int> path) const {
    double sum = fixed;
    for (std::size_t b = 0; b < path.size(); ++b) sum += blocks[b][static_cast<std::size_t>(path[b])];
    return sum;
}

std::vector<int> cheapest_values(const PathValues& values, const PathCosts& costs, std::int64_t limit) {
    check(values, costs);
    NASCENT_CHECK(limit >= costs.low(), usage, "no architecture costs at most {}; the cheapest costs {}", limit,
                  costs.low());
    // What the blocks behind one cost at least.
    std::vector<std::int64_t> rest(static_cast<std::size_t>(costs.blocks()) + 1);
    for (int b = costs.blocks(); b-- > 0;) {
        const auto choices = costs.choices(b);
        rest[static_cast<std::size_t>(b)] =
            rest[static_cast<std::size_t>(b) + 1] + *std::min_element(choices.begin(), choices.end());
    }
    std::vector<std::vector<State>> fronts{{{costs.fixed(), values.fixed, 0, -1}}};
    for (int b = 0; b < costs.blocks(); ++b) {
        const auto i = static_cast<std::size_t>(b);
        const auto choices = costs.choices(b);
        // Pairwise, so that a state is moved a few times only.
        std::vector<std::vector<State>> lists;
        for (std::size_t c = 0; c < choices.size(); ++c) {
            std::vector<State> list;
            list.reserve(fronts.back().size());
            for (std::size_t p = 0; p < fronts.back().size(); ++p) {
                const State& s = fronts.back()[p];
                const std::int64_t cost = s.cost + choices[c];
                if (cost + rest[i + 1] > limit) break;
                list.push_back(
                    {cost, s.value + values.blocks[i][c], static_cast<std::uint32_t>(p), static_cast<int>(c)});
            }
            // Adding may round different values to equal ones.
            lists.push_back(merge_front(list, {}));
        }
        while (lists.size() > 1) {
            std::vector<std::vector<State>> fewer;
            for (std::size_t k = 0; k + 1 < lists.size(); k += 2) fewer.push_back(merge_front(lists[k], lists[k + 1]));
            if (lists.size() % 2) fewer.push_back(std::move(lists.back()));
            lists = std::move(fewer);
        }
        fronts.push_back(std::move(lists.front()));
    }
    std::vector<int> path(static_cast<std::size_t>(costs.blocks()));
    std::size_t at = fronts.back().size() - 1;  // the last is the best
    for (std::size_t b = path.size(); b > 0; --b) {
        const State& s = fronts[b][at];
        path[b - 1] = s.choice;
        at = s.parent;
    }
    return path;
}

FractionOptimum least_fraction(const PathValues& numerator, const PathValues& denominator, const PathCosts& costs,
                               std::int64_t limit) {
    check(numerator, costs);
    check(denominator, costs);
    const double least_denominator = least(denominator);
    NASCENT_CHECK(least_denominator > 0, usage, "a path's denominator is {}; expected a positive one",
                  least_denominator);
    FractionOptimum best{cheapest_values(numerator, costs, limit), 0, 0, 1};
    best.value = numerator.of(best.path) / denominator.of(best.path);
    for (;; ++best.steps) {
        const PathValues difference = combine(1, numerator, -best.value, denominator);
        std::vector<int> path = cheapest_values(difference, costs, limit);
        const double value = numerator.of(path) / denominator.of(path);
        if (value < best.value && best.steps < kMaxSteps) {
            best.path = std::move(path);
            best.value = value;
            continue;
        }
        // No path's difference is less than this, so no fraction is less than the present one by more than what the
        // least denominator makes of it.
        const double difference_bound = difference.of(path) - rounding(difference) - kEpsilon * magnitude(numerator);
        best.bound = best.value + std::min(0.0, difference_bound) / least_denominator;
        ++best.steps;
        return best;
    }
}

}  // namespace nascent
