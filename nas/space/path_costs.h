// What a path through a chain of blocks costs: the sum of what its choices cost.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace nascent {

/// Integer costs (parameters, MACs, microseconds) per block and choice, and those of what is in every network.
class PathCosts {
  public:
    /// Throws ErrorKind::usage for no block, a block without choices, or costs that could add up to 2^62.
    PathCosts(std::int64_t fixed, const std::vector<std::vector<std::int64_t>>& blocks);

    /// Of one choice per block, by number. Throws ErrorKind::usage for a path of another length or a choice that is
    /// none.
    std::int64_t of(std::span<const int> path) const;

    std::int64_t fixed() const { return fixed_; }
    int blocks() const { return static_cast<int>(first_.size()) - 1; }
    std::span<const std::int64_t> choices(int block) const {
        const auto b = static_cast<std::size_t>(block);
        return std::span(costs_).subspan(first_[b], first_[b + 1] - first_[b]);
    }
    /// Of the cheapest and the dearest path.
    std::int64_t low() const { return low_; }
    std::int64_t high() const { return high_; }

  private:
    std::int64_t fixed_, low_, high_;
    std::vector<std::size_t> first_;  // of a block in costs_
    std::vector<std::int64_t> costs_;
};

}  // namespace nascent
