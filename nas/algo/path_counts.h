// How many paths through a chain of blocks cost how much, exactly, and the i-th path of a range of costs: uniform draws
// under a constraint without rejection.
//
// The chain is cut in two, and for the first k blocks of the left part and the last k of the right part the sums that
// occur are listed with their numbers of paths. Blocks of equal shape cost the same and costs share large factors, so
// equal sums are many: ShuffleNetV2's 4^20 paths have 12 thousand entries in all, MobileNet's 2 10^17 a quarter of a
// million.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nas/algo/random_index.h"
#include "nas/space/path_costs.h"

namespace nascent {

std::string to_string(PathCount count);

/// Both ends belong to it.
struct CostRange {
    std::int64_t low = std::numeric_limits<std::int64_t>::min(), high = std::numeric_limits<std::int64_t>::max();
    bool holds(std::int64_t cost) const { return low <= cost && cost <= high; }
    bool operator==(const CostRange&) const = default;
};
/// "at most 5", "at least 3", "3 to 5", "any".
std::string to_string(const CostRange& range);

class PathCounts {
  public:
    /// Entries of all tables together; at 16 bytes each.
    static constexpr std::size_t kMaxEntries = std::size_t{1} << 22;

    /// Throws ErrorKind::usage where there are more paths than 2^126, or more different sums than kMaxEntries: costs in
    /// finer units than they are known to.
    explicit PathCounts(const PathCosts& costs);

    const PathCosts& costs() const { return costs_; }
    PathCount paths() const;
    /// Paths with a cost in the range.
    PathCount count(const CostRange& range) const;
    /// The largest cost of a path below `cost`, and the smallest above it.
    std::optional<std::int64_t> nearest_below(std::int64_t cost) const;
    std::optional<std::int64_t> nearest_above(std::int64_t cost) const;
    std::size_t entries() const;

  private:
    friend class PathRange;
    struct Sums {
        std::vector<std::int64_t> sums;     // ascending
        std::vector<std::uint64_t> counts;  // paths with that sum
        std::size_t size() const { return sums.size(); }
    };
    static Sums extend(const Sums& sums, std::span<const std::int64_t> choices);
    /// What is left for the right part; saturates.
    CostRange rest(const CostRange& range, std::int64_t left) const;
    /// Places in the right part's sums, from the first in the range to behind the last.
    std::pair<std::size_t, std::size_t> window(const CostRange& rest) const;
    /// Calls f(left entry, first, last) for every left entry with its window.
    template <class F>
    void for_windows(const CostRange& range, F&& f) const;

    PathCosts costs_;
    std::vector<Sums> left_, right_;        // [k]: of the first, of the last k blocks
    std::vector<std::uint64_t> cumulated_;  // paths of the right part with one of the first i sums
};

/// The paths with a cost in a range, numbered.
class PathRange {
  public:
    PathRange(std::shared_ptr<const PathCounts> counts, const CostRange& range);

    PathCount count() const { return cumulated_.back(); }
    const CostRange& range() const { return range_; }
    const std::shared_ptr<const PathCounts>& counts() const { return counts_; }
    /// Path `index` of count(): a choice per block. Throws ErrorKind::usage for an index that is none.
    void path(PathCount index, std::span<int> path) const;
    /// A path drawn uniformly. Throws ErrorKind::usage where there is none.
    void draw(RandomIndex& random, std::span<int> path) const;

  private:
    std::shared_ptr<const PathCounts> counts_;
    CostRange range_;
    std::vector<PathCount> cumulated_;  // paths with one of the first i sums on the left
};

}  // namespace nascent
