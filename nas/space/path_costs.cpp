#include "nas/space/path_costs.h"

#include <algorithm>
#include <cstdlib>

#include "engine/base/error.h"

namespace nascent {

PathCosts::PathCosts(std::int64_t fixed, const std::vector<std::vector<std::int64_t>>& blocks)
    : fixed_(fixed), low_(fixed), high_(fixed), first_{0} {
    NASCENT_CHECK(!blocks.empty(), usage, "costs of paths without blocks");
    constexpr std::int64_t kMost = std::int64_t{1} << 62;
    std::int64_t magnitude = 0;  // of any sum over any of the blocks
    auto add = [&](std::int64_t low, std::int64_t high) {
        NASCENT_CHECK(low > -kMost && high < kMost, usage, "a cost of {}; expected less than 2^62",
                      low < 0 ? low : high);
        magnitude += std::max(std::abs(low), std::abs(high));
        NASCENT_CHECK(magnitude < kMost, usage, "the costs of a path add up to 2^62 or more");
    };
    add(fixed, fixed);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        NASCENT_CHECK(!blocks[b].empty(), usage, "block {} has no choice", b);
        costs_.insert(costs_.end(), blocks[b].begin(), blocks[b].end());
        first_.push_back(costs_.size());
        const auto [least, most] = std::minmax_element(blocks[b].begin(), blocks[b].end());
        add(*least, *most);
        low_ += *least;
        high_ += *most;
    }
}

std::int64_t PathCosts::of(std::span<const int> path) const {
    NASCENT_CHECK(path.size() + 1 == first_.size(), usage, "a path of {} choices through {} blocks", path.size(),
                  blocks());
    std::int64_t sum = fixed_;
    for (std::size_t b = 0; b < path.size(); ++b) {
        const auto choice = static_cast<std::size_t>(path[b]);  // a negative number becomes a huge one
        NASCENT_CHECK(choice < first_[b + 1] - first_[b], usage, "block {} has no choice {}", b, path[b]);
        sum += costs_[first_[b] + choice];
    }
    return sum;
}

}  // namespace nascent
