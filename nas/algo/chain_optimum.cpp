#include "nas/algo/chain_optimum.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine/base/error.h"

namespace nascent {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Bounds from costs rounded down to this many bins leave few candidates to list, in far less time than exact ones.
constexpr std::int64_t kQuickBins = 1024, kBoundBins = 1 << 14;

}  // namespace

ChainProblem::ChainProblem(const ChainTable& table, std::int64_t max_cost) : table_(table) {
    check(table);
    NASCENT_CHECK(max_cost < 0 || cheapest(table) <= max_cost, usage,
                  "the largest angle: the limit {} is below the {} of the cheapest candidate", max_cost,
                  cheapest(table));
    std::int64_t common = 0, most = 0;
    for (const auto& choices : table.blocks) {
        std::int64_t dearest = 0;
        for (const ChainChoice& c : choices) {
            common = std::gcd(common, c.cost);
            dearest = std::max(dearest, c.cost);
        }
        most += dearest;
    }
    budget_ = max_cost - table.base_cost;
    limited_ = max_cost >= 0 && budget_ < most;
    if (!limited_) {  // one bin, every cost nothing
        budget_ = most;
        quick_.unit = bound_.unit = most + 1;
        return;
    }
    quick_.unit = std::max(common, (budget_ + kQuickBins - 1) / kQuickBins);
    quick_.up = true;
    // In units of what divides all costs nothing is rounded.
    bound_.unit = budget_ / common <= kBoundBins ? common : (budget_ + kBoundBins - 1) / kBoundBins;
    quick_.bins = static_cast<std::size_t>(budget_ / quick_.unit);
    bound_.bins = static_cast<std::size_t>(budget_ / bound_.unit);
}

void ChainProblem::fill(Grid& grid, const LinearWeights& weights) const {
    const std::size_t blocks = table_.blocks.size(), bins = grid.bins + 1;
    grid.least.resize(blocks + 1);
    grid.least[blocks].assign(bins, 0.0);
    for (std::size_t b = blocks; b-- > 0;) {
        std::vector<double>& to = grid.least[b];
        to.assign(bins, kInfinity);
        const double* next = grid.least[b + 1].data();
        const std::vector<ChainChoice>& choices = table_.blocks[b];
        for (const ChainChoice& c : choices) {
            const double value = weights.of(c.sums);
            const bool beaten = std::any_of(choices.begin(), choices.end(), [&](const ChainChoice& o) {
                const double other = weights.of(o.sums);
                return o.cost <= c.cost && other <= value && (o.cost < c.cost || other < value || o.op < c.op);
            });
            const std::size_t units = grid.units(c.cost);
            if (beaten || units >= bins) continue;
            double* at = to.data() + units;
            for (std::size_t f = 0; f < bins - units; ++f) {
                const double sum = value + next[f];
                at[f] = sum < at[f] ? sum : at[f];
            }
        }
    }
}

LinearOptimum ChainProblem::trace(const Grid& grid, const LinearWeights& weights) const {
    LinearOptimum x;
    x.sums = table_.base;
    x.value = weights.of(table_.base) + grid.least[0][grid.bins];
    std::size_t left = grid.bins;
    std::int64_t cost = 0;
    for (std::size_t b = 0; b < table_.blocks.size(); ++b) {
        const ChainChoice* taken = nullptr;
        double best = kInfinity;
        for (const ChainChoice& c : table_.blocks[b]) {
            const std::size_t units = grid.units(c.cost);
            if (units > left) continue;
            const double sum = weights.of(c.sums) + grid.least[b + 1][left - units];
            if (!taken || sum < best) taken = &c, best = sum;
        }
        x.genes.push_back(taken->op);
        x.sums += taken->sums;
        cost += taken->cost;
        left -= grid.units(taken->cost);
    }
    x.feasible = cost <= budget_;
    return x;
}

LinearOptimum ChainProblem::cheapest_chain(const LinearWeights& weights) const {
    LinearOptimum x;
    x.sums = table_.base;
    for (const auto& choices : table_.blocks) {
        const ChainChoice& taken =
            *std::min_element(choices.begin(), choices.end(), [&](const ChainChoice& a, const ChainChoice& b) {
                return a.cost != b.cost ? a.cost < b.cost : weights.of(a.sums) < weights.of(b.sums);
            });
        x.genes.push_back(taken.op);
        x.sums += taken.sums;
    }
    x.value = weights.of(x.sums);
    return x;
}

LinearOptimum ChainProblem::minimise(const LinearWeights& weights, bool exact) {
    if (!exact) {
        fill(quick_, weights);
        // With costs rounded up a tight limit may leave nothing.
        if (quick_.least[0][quick_.bins] < kInfinity) return trace(quick_, weights);
    }
    fill(bound_, weights);
    LinearOptimum x = trace(bound_, weights);
    // With costs rounded down it may be above the limit; what is in any case below it is a start.
    return exact || x.feasible ? x : cheapest_chain(weights);
}

bool ChainProblem::list(const LinearWeights& weights, double below, std::int64_t budget, const Found& found) {
    const std::size_t blocks = table_.blocks.size();
    std::vector<int> genes(blocks);
    std::int64_t steps = 0;
    auto descend = [&](auto& self, std::size_t b, std::int64_t left, double value, const AngleSums& sums) -> bool {
        if (b == blocks) {
            found(genes, sums);
            return true;
        }
        for (const ChainChoice& c : table_.blocks[b]) {
            if (c.cost > left) continue;
            if (++steps > budget) return false;
            if (steps % 65536 == 0) poll();
            const double with = value + weights.of(c.sums);
            const auto units = static_cast<std::size_t>((left - c.cost) / bound_.unit);
            if (!(with + bound_.least[b + 1][std::min(units, bound_.bins)] < below)) continue;
            genes[b] = c.op;
            AngleSums more = sums;
            more += c.sums;
            if (!self(self, b + 1, left - c.cost, with, more)) return false;
        }
        return true;
    };
    return descend(descend, 0, budget_, weights.of(table_.base), table_.base);
}

AngleSums ChainProblem::least() const {
    AngleSums sums = table_.base;
    for (const auto& choices : table_.blocks) {
        AngleSums low = choices[0].sums;
        for (const ChainChoice& c : choices) {
            low.dot = std::min(low.dot, c.sums.dot);
            low.n0 = std::min(low.n0, c.sums.n0);
            low.n1 = std::min(low.n1, c.sums.n1);
        }
        sums += low;
    }
    return sums;
}

}  // namespace nascent
