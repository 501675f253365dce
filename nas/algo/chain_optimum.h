// Chains of blocks under a limit on costs: a knapsack with one choice a block, by dynamic programming over the budget.
#pragma once
#include <cstdint>
#include <vector>

#include "nas/algo/largest_angle.h"
#include "nas/metric/chain_angle.h"

namespace nascent {

class ChainProblem : public AngleProblem {
  public:
    /// `table` must outlive this. max_cost -1: no limit. Throws ErrorKind::usage for a limit below the cheapest chain.
    ChainProblem(const ChainTable& table, std::int64_t max_cost);
    LinearOptimum minimise(const LinearWeights& weights, bool exact) override;
    bool list(const LinearWeights& weights, double below, std::int64_t budget, const Found& found) override;
    AngleSums least() const override;

  private:
    /// Costs in units: `least_[b][f]` is the least value of blocks b... within f units.
    struct Grid {
        std::int64_t unit = 1;
        std::size_t bins = 0;  // the budget
        bool up = false;       // costs rounded up
        std::vector<std::vector<double>> least;
        std::size_t units(std::int64_t cost) const {
            return static_cast<std::size_t>(up ? (cost + unit - 1) / unit : cost / unit);
        }
    };
    void fill(Grid& grid, const LinearWeights& weights) const;
    LinearOptimum trace(const Grid& grid, const LinearWeights& weights) const;
    /// Of cheapest ones the least.
    LinearOptimum cheapest_chain(const LinearWeights& weights) const;

    const ChainTable& table_;
    std::int64_t budget_ = 0;  // for the blocks
    bool limited_ = true;
    Grid quick_, bound_;
};

}  // namespace nascent
