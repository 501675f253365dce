#include "nas/algo/path_counts.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"

namespace nascent {
namespace {

constexpr auto kLowest = std::numeric_limits<std::int64_t>::min(), kHighest = std::numeric_limits<std::int64_t>::max();

/// a - b, held at the ends of the range.
std::int64_t minus(std::int64_t a, std::int64_t b) {
    std::int64_t result;
    if (!__builtin_sub_overflow(a, b, &result)) return result;
    return b > 0 ? kLowest : kHighest;
}

}  // namespace

std::string to_string(PathCount count) {
    std::string digits;
    do {
        digits += static_cast<char>('0' + static_cast<int>(count % 10));
        count /= 10;
    } while (count > 0);
    return {digits.rbegin(), digits.rend()};
}

std::string to_string(const CostRange& r) {
    if (r.low == kLowest) return r.high == kHighest ? "any" : fmt::format("at most {}", r.high);
    return r.high == kHighest ? fmt::format("at least {}", r.low) : fmt::format("{} to {}", r.low, r.high);
}

PathCounts::Sums PathCounts::extend(const Sums& from, std::span<const std::int64_t> choices) {
    Sums result;
    for (std::int64_t cost : choices) {
        // Two ascending lists into one.
        Sums merged;
        merged.sums.reserve(result.size() + from.size());
        merged.counts.reserve(result.size() + from.size());
        std::size_t a = 0, b = 0;
        while (a < result.size() || b < from.size()) {
            const std::int64_t x = a < result.size() ? result.sums[a] : kHighest;
            const std::int64_t y = b < from.size() ? from.sums[b] + cost : kHighest;
            merged.sums.push_back(std::min(x, y));
            merged.counts.push_back((x <= y ? result.counts[a] : 0) + (y <= x ? from.counts[b] : 0));
            a += x <= y;
            b += y <= x;
        }
        result = std::move(merged);
        NASCENT_CHECK(result.size() <= kMaxEntries, usage,
                      "paths have more than {} different costs; expected coarser units (microseconds for latencies)",
                      kMaxEntries);
    }
    result.sums.shrink_to_fit();
    result.counts.shrink_to_fit();
    return result;
}

PathCounts::PathCounts(const PathCosts& costs) : costs_(costs), left_(1), right_(1) {
    left_[0] = right_[0] = {{0}, {1}};
    int first = 0, last = costs_.blocks();
    double left_paths = 1, right_paths = 1;
    while (first < last) {  // the shorter list grows
        const bool left = left_.back().size() <= right_.back().size();
        const auto choices = costs_.choices(left ? first++ : --last);
        (left ? left_paths : right_paths) *= static_cast<double>(choices.size());
        NASCENT_CHECK(left_paths < 0x1p63 && right_paths < 0x1p63, usage, "more than 2^126 paths");
        auto& side = left ? left_ : right_;
        side.push_back(extend(side.back(), choices));
        NASCENT_CHECK(entries() <= kMaxEntries, usage,
                      "paths have more than {} different costs; expected coarser units (microseconds for latencies)",
                      kMaxEntries);
    }
    cumulated_.push_back(0);
    for (std::uint64_t n : right_.back().counts) cumulated_.push_back(cumulated_.back() + n);
}

std::size_t PathCounts::entries() const {
    std::size_t n = 0;
    for (const auto* side : {&left_, &right_}) {
        for (const Sums& s : *side) n += s.size();
    }
    return n;
}

CostRange PathCounts::rest(const CostRange& range, std::int64_t left) const {
    const std::int64_t known = costs_.fixed() + left;
    return {range.low == kLowest ? kLowest : minus(range.low, known),
            range.high == kHighest ? kHighest : minus(range.high, known)};
}

std::pair<std::size_t, std::size_t> PathCounts::window(const CostRange& rest) const {
    const auto& sums = right_.back().sums;
    const auto first = std::lower_bound(sums.begin(), sums.end(), rest.low);
    const auto last = std::upper_bound(first, sums.end(), rest.high);
    return {static_cast<std::size_t>(first - sums.begin()), static_cast<std::size_t>(last - sums.begin())};
}

template <class F>
void PathCounts::for_windows(const CostRange& range, F&& f) const {
    const auto &left = left_.back(), &right = right_.back();
    std::size_t first = right.size(), last = right.size();  // sums on the left grow, so both fall
    for (std::size_t i = 0; i < left.size(); ++i) {
        const CostRange r = rest(range, left.sums[i]);
        while (first > 0 && right.sums[first - 1] >= r.low) --first;
        while (last > 0 && right.sums[last - 1] > r.high) --last;
        f(i, first, std::max(first, last));
    }
}

PathCount PathCounts::paths() const { return count({}); }

PathCount PathCounts::count(const CostRange& range) const {
    PathCount n = 0;
    for_windows(range, [&](std::size_t i, std::size_t first, std::size_t last) {
        n += PathCount{left_.back().counts[i]} * (cumulated_[last] - cumulated_[first]);
    });
    return n;
}

std::optional<std::int64_t> PathCounts::nearest_below(std::int64_t cost) const {
    std::optional<std::int64_t> best;
    if (cost == kLowest) return best;
    for_windows({kLowest, cost - 1}, [&](std::size_t i, std::size_t, std::size_t last) {
        if (last == 0) return;
        const std::int64_t sum = costs_.fixed() + left_.back().sums[i] + right_.back().sums[last - 1];
        if (!best || sum > *best) best = sum;
    });
    return best;
}

std::optional<std::int64_t> PathCounts::nearest_above(std::int64_t cost) const {
    std::optional<std::int64_t> best;
    if (cost == kHighest) return best;
    for_windows({cost + 1, kHighest}, [&](std::size_t i, std::size_t first, std::size_t) {
        if (first == right_.back().size()) return;
        const std::int64_t sum = costs_.fixed() + left_.back().sums[i] + right_.back().sums[first];
        if (!best || sum < *best) best = sum;
    });
    return best;
}

PathRange::PathRange(std::shared_ptr<const PathCounts> counts, const CostRange& range)
    : counts_(std::move(counts)), range_(range), cumulated_{0} {
    const PathCounts& c = *counts_;
    cumulated_.reserve(c.left_.back().size() + 1);
    c.for_windows(range, [&](std::size_t i, std::size_t first, std::size_t last) {
        cumulated_.push_back(cumulated_.back() +
                             PathCount{c.left_.back().counts[i]} * (c.cumulated_[last] - c.cumulated_[first]));
    });
}

void PathRange::path(PathCount index, std::span<int> path) const {
    const PathCounts& c = *counts_;
    NASCENT_CHECK(index < count(), usage, "path {} of {}", to_string(index), to_string(count()));
    NASCENT_CHECK(path.size() == static_cast<std::size_t>(c.costs_.blocks()), usage,
                  "room for a path of {} blocks; expected {}", path.size(), c.costs_.blocks());
    const auto entry = static_cast<std::size_t>(std::upper_bound(cumulated_.begin(), cumulated_.end(), index) -
                                                cumulated_.begin() - 1);
    index -= cumulated_[entry];
    const std::int64_t left_sum = c.left_.back().sums[entry];
    const auto [first, last] = c.window(c.rest(range_, left_sum));
    const std::uint64_t in_window = c.cumulated_[last] - c.cumulated_[first];
    auto left_index = static_cast<std::uint64_t>(index / in_window);
    const std::uint64_t place = c.cumulated_[first] + static_cast<std::uint64_t>(index % in_window);
    const auto right = static_cast<std::size_t>(std::upper_bound(c.cumulated_.begin(), c.cumulated_.end(), place) -
                                                c.cumulated_.begin() - 1);
    std::uint64_t right_index = place - c.cumulated_[right];

    // Block by block, from the cut to the ends: which choice does the index fall to?
    auto step = [&](const PathCounts::Sums& before, int block, std::int64_t& sum, std::uint64_t& i) {
        const auto choices = c.costs_.choices(block);
        for (std::size_t choice = 0; choice < choices.size(); ++choice) {
            const std::int64_t wanted = sum - choices[choice];
            const auto at = std::lower_bound(before.sums.begin(), before.sums.end(), wanted);
            if (at == before.sums.end() || *at != wanted) continue;
            const std::uint64_t n = before.counts[static_cast<std::size_t>(at - before.sums.begin())];
            if (i < n) {
                path[static_cast<std::size_t>(block)] = static_cast<int>(choice);
                sum = wanted;
                return;
            }
            i -= n;
        }
    };
    std::int64_t sum = left_sum;
    for (std::size_t k = c.left_.size() - 1; k > 0; --k) step(c.left_[k - 1], static_cast<int>(k) - 1, sum, left_index);
    sum = c.right_.back().sums[right];
    for (std::size_t k = c.right_.size() - 1; k > 0; --k)
        step(c.right_[k - 1], c.costs_.blocks() - static_cast<int>(k), sum, right_index);
}

void PathRange::draw(RandomIndex& random, std::span<int> path) const {
    NASCENT_CHECK(count() > 0, usage, "no path costs {}", to_string(range_));
    this->path(random.below(count()), path);
}

}  // namespace nascent
