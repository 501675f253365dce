#include "nas/algo/constrained_paths.h"

#include <algorithm>
#include <map>

#include "engine/base/error.h"

namespace nascent {
namespace {

constexpr int kProbes = 1 << 15;  // draws that decide for drawing again
constexpr int kHits = 32;         // and how many of them must be legal: then kTries fail with a chance below e^-1000
constexpr int kTries = 1 << 20;
constexpr int kTriesWithin = 1 << 12;
constexpr std::int64_t kNodes = 40'000'000;  // of the search for all legal paths
constexpr std::size_t kListed = 10'000'000;  // choices in the list

std::string nearest(const PathCounts& counts, const Constraint& c) {
    std::string reached;
    if (const auto low = counts.nearest_below(c.range.low)) reached = fmt::format("{} below", *low);
    if (const auto high = counts.nearest_above(c.range.high))
        reached += fmt::format("{}{} above", reached.empty() ? "" : " and ", *high);
    return fmt::format("no architecture has {} {}; the nearest that can be reached: {}", c.name, to_string(c.range),
                       reached);
}

/// Least and most that blocks b, b + 1, ... can add.
struct Bounds {
    std::vector<std::int64_t> least, most;
    explicit Bounds(const PathCosts& costs) : least(static_cast<std::size_t>(costs.blocks()) + 1), most(least.size()) {
        for (int b = costs.blocks(); b-- > 0;) {
            const auto choices = costs.choices(b);
            const auto [low, high] = std::minmax_element(choices.begin(), choices.end());
            const auto i = static_cast<std::size_t>(b);
            least[i] = least[i + 1] + *low;
            most[i] = most[i + 1] + *high;
        }
    }
};

/// Depth first through all prefixes that the bounds leave open.
struct Enumeration {
    const std::vector<Constraint>& constraints;
    std::vector<Bounds> bounds{};
    std::vector<std::vector<std::int64_t>> sums{};  // per constraint and number of blocks chosen
    std::vector<int> path{}, found{};
    std::int64_t nodes = 0;

    explicit Enumeration(const std::vector<Constraint>& all) : constraints(all) {
        const auto n = static_cast<std::size_t>(all.front().costs.blocks());
        for (const Constraint& c : all) {
            bounds.emplace_back(c.costs);
            sums.emplace_back(n + 1);
            sums.back()[0] = c.costs.fixed();
        }
        path.resize(n);
    }
    /// False where it gave up.
    bool go(std::size_t b) {
        if (b == path.size()) {
            found.insert(found.end(), path.begin(), path.end());
            return found.size() <= kListed;
        }
        const auto choices = static_cast<int>(constraints.front().costs.choices(static_cast<int>(b)).size());
        for (int choice = 0; choice < choices; ++choice) {
            if (++nodes > kNodes) return false;
            bool open = true;
            for (std::size_t k = 0; k < constraints.size() && open; ++k) {
                const Constraint& c = constraints[k];
                const std::int64_t sum =
                    sums[k][b] + c.costs.choices(static_cast<int>(b))[static_cast<std::size_t>(choice)];
                sums[k][b + 1] = sum;
                open = sum + bounds[k].least[b + 1] <= c.range.high && sum + bounds[k].most[b + 1] >= c.range.low;
            }
            path[b] = choice;
            if (open && !go(b + 1)) return false;
        }
        return true;
    }
};

}  // namespace

ConstrainedPaths::ConstrainedPaths(std::vector<Constraint> constraints) : constraints_(std::move(constraints)) {
    NASCENT_CHECK(!constraints_.empty(), usage, "paths without a constraint");
    for (std::size_t k = 0; k < constraints_.size(); ++k) {
        const Constraint& c = constraints_[k];
        NASCENT_CHECK(c.costs.blocks() == blocks(), usage, "{} of {} blocks beside {} of {}", c.name, c.costs.blocks(),
                      constraints_.front().name, blocks());
        for (int b = 0; b < blocks(); ++b)
            NASCENT_CHECK(c.costs.choices(b).size() == constraints_.front().costs.choices(b).size(), usage,
                          "{} knows {} choices of block {}, {} knows {}", c.name, c.costs.choices(b).size(), b,
                          constraints_.front().name, constraints_.front().costs.choices(b).size());
        std::shared_ptr<const PathCounts> counts;
        try {
            counts = std::make_shared<const PathCounts>(c.costs);
        } catch (const Error&) {  // too many different sums; another constraint may be exact
            if (constraints_.size() == 1 || (k + 1 == constraints_.size() && !range_)) throw;
            continue;
        }
        PathRange range(counts, c.range);
        NASCENT_CHECK(range.count() > 0, usage, "{}", nearest(*counts, c));
        if (range_ && range.count() >= range_->count()) continue;
        exact_ = k;
        range_ = std::move(range);
    }
    if (constraints_.size() == 1 || probe()) return;
    list_all();
}

bool ConstrainedPaths::meets_others(std::span<const int> path) const {
    for (std::size_t k = 0; k < constraints_.size(); ++k) {
        if (k != exact_ && !constraints_[k].range.holds(constraints_[k].costs.of(path))) return false;
    }
    return true;
}

bool ConstrainedPaths::legal(std::span<const int> path) const {
    return std::all_of(constraints_.begin(), constraints_.end(),
                       [&](const Constraint& c) { return c.range.holds(c.costs.of(path)); });
}

bool ConstrainedPaths::probe() const {
    std::vector<int> path(static_cast<std::size_t>(blocks()));
    int hits = 0;
    for (int i = 0; i < kProbes && hits < kHits; ++i) {
        RandomIndex random(0, RandomStream::search, static_cast<std::uint64_t>(i));
        range_->draw(random, path);
        hits += meets_others(path);
    }
    return hits >= kHits;
}

void ConstrainedPaths::list_all() {
    Enumeration all(constraints_);
    const bool complete = all.go(0);
    std::string names;
    for (const Constraint& c : constraints_)
        names += fmt::format("{}{} {}", names.empty() ? "" : " and ", c.name, to_string(c.range));
    NASCENT_CHECK(complete, runtime,
                  "architectures with {} are too rare to be drawn and too many to be listed; expected wider ranges",
                  names);
    list_ = std::move(all.found);
    listed_ = true;
    if (!list_.empty()) return;
    std::string reached;
    const Constraint& exact = constraints_[exact_];
    for (std::size_t k = 0; k < constraints_.size(); ++k) {
        if (k == exact_) continue;
        const auto r = reachable(exact.costs, exact.range, constraints_[k].costs);
        reached += fmt::format("; with {} {}, {} reaches from {} to {}", exact.name, to_string(exact.range),
                               constraints_[k].name, r->low, r->high);
    }
    fail(ErrorKind::usage, "no architecture has {} together, each alone can be met{}", names, reached);
}

std::vector<int> ConstrainedPaths::draw(std::uint64_t seed, RandomStream stream, std::uint64_t step) const {
    const auto n = static_cast<std::size_t>(blocks());
    std::vector<int> path(n);
    RandomIndex random(seed, stream, step);
    if (listed_) {
        const auto first = static_cast<std::size_t>(random.below(list_.size() / n)) * n;
        std::copy_n(list_.begin() + static_cast<std::ptrdiff_t>(first), n, path.begin());
        return path;
    }
    for (int i = 0; i < kTries; ++i) {
        range_->draw(random, path);
        if (meets_others(path)) return path;
    }
    fail(ErrorKind::runtime, "no legal architecture in {} draws", kTries);
}

std::optional<std::vector<int>> ConstrainedPaths::draw_listed(const std::vector<std::vector<int>>& allowed,
                                                              RandomIndex& random) const {
    const auto n = static_cast<std::size_t>(blocks());
    std::vector<std::size_t> inside;
    for (std::size_t first = 0; first < list_.size(); first += n) {
        bool in = true;
        for (std::size_t b = 0; b < n && in; ++b)
            in = std::binary_search(allowed[b].begin(), allowed[b].end(), list_[first + b]);
        if (in) inside.push_back(first);
    }
    if (inside.empty()) return std::nullopt;
    const auto first =
        list_.begin() + static_cast<std::ptrdiff_t>(inside[static_cast<std::size_t>(random.below(inside.size()))]);
    return std::vector<int>(first, first + static_cast<std::ptrdiff_t>(n));
}

std::optional<std::vector<int>> ConstrainedPaths::draw_within(const std::vector<std::vector<int>>& allowed,
                                                              std::uint64_t seed, RandomStream stream,
                                                              std::uint64_t step) const {
    NASCENT_CHECK(allowed.size() == static_cast<std::size_t>(blocks()), usage, "choices of {} blocks, expected {}",
                  allowed.size(), blocks());
    RandomIndex random(seed, stream, step);
    if (listed_) return draw_listed(allowed, random);
    const Constraint& exact = constraints_[exact_];
    std::vector<std::vector<std::int64_t>> costs;
    for (std::size_t b = 0; b < allowed.size(); ++b) {
        const auto all = exact.costs.choices(static_cast<int>(b));
        std::vector<std::int64_t>& here = costs.emplace_back();
        for (int choice : allowed[b]) {
            NASCENT_CHECK(choice >= 0 && static_cast<std::size_t>(choice) < all.size(), usage,
                          "choice {} of block {}, which has {}", choice, b, all.size());
            here.push_back(all[static_cast<std::size_t>(choice)]);
        }
    }
    const PathRange inside(std::make_shared<const PathCounts>(PathCosts(exact.costs.fixed(), costs)), exact.range);
    if (inside.count() == 0) return std::nullopt;
    std::vector<int> path(allowed.size());
    for (int i = 0; i < kTriesWithin; ++i) {
        inside.draw(random, path);
        for (std::size_t b = 0; b < path.size(); ++b) path[b] = allowed[b][static_cast<std::size_t>(path[b])];
        if (meets_others(path)) return path;
    }
    return std::nullopt;
}

std::optional<PathCount> ConstrainedPaths::count() const {
    if (listed_) return list_.size() / static_cast<std::size_t>(blocks());
    if (constraints_.size() == 1) return range_->count();
    return std::nullopt;
}

std::optional<CostRange> reachable(const PathCosts& counted, const CostRange& range, const PathCosts& other) {
    NASCENT_CHECK(counted.blocks() == other.blocks(), usage, "costs of {} and of {} blocks", counted.blocks(),
                  other.blocks());
    using Extremes = std::map<std::int64_t, CostRange>;  // counted sum: least and largest of the other
    auto extend = [&](const Extremes& from, int block) {
        const auto a = counted.choices(block), b = other.choices(block);
        NASCENT_CHECK(a.size() == b.size(), usage, "{} and {} choices of block {}", a.size(), b.size(), block);
        Extremes to;
        for (const auto& [sum, extremes] : from) {
            for (std::size_t i = 0; i < a.size(); ++i) {
                const CostRange here{extremes.low + b[i], extremes.high + b[i]};
                const auto [at, fresh] = to.try_emplace(sum + a[i], here);
                if (!fresh) at->second = {std::min(at->second.low, here.low), std::max(at->second.high, here.high)};
            }
        }
        NASCENT_CHECK(to.size() <= PathCounts::kMaxEntries, usage, "paths have more than {} different costs",
                      PathCounts::kMaxEntries);
        return to;
    };
    Extremes left{{counted.fixed(), {other.fixed(), other.fixed()}}}, right{{0, {0, 0}}};
    for (int first = 0, last = counted.blocks(); first < last;) {
        if (left.size() <= right.size())
            left = extend(left, first++);
        else
            right = extend(right, --last);
    }
    // For every sum on the left the window of the right ones falls; extremes of windows by a table of powers of two.
    std::vector<std::int64_t> sums;
    std::vector<std::vector<CostRange>> spans(1);
    for (const auto& [sum, extremes] : right) {
        sums.push_back(sum);
        spans[0].push_back(extremes);
    }
    auto join = [](const CostRange& a, const CostRange& b) {
        return CostRange{std::min(a.low, b.low), std::max(a.high, b.high)};
    };
    for (std::size_t length = 1; 2 * length <= sums.size(); length *= 2) {
        const std::vector<CostRange>& half = spans.back();
        std::vector<CostRange> whole;
        for (std::size_t i = 0; i + 2 * length <= sums.size(); ++i) whole.push_back(join(half[i], half[i + length]));
        spans.push_back(std::move(whole));
    }
    std::optional<CostRange> result;
    for (const auto& [sum, extremes] : left) {
        const auto first = std::partition_point(sums.begin(), sums.end(),
                                                [&, known = sum](std::int64_t s) { return known + s < range.low; });
        const auto last = std::partition_point(first, sums.end(),
                                               [&, known = sum](std::int64_t s) { return known + s <= range.high; });
        if (first == last) continue;
        const auto length = static_cast<std::size_t>(last - first), i = static_cast<std::size_t>(first - sums.begin());
        std::size_t level = 0;
        while ((std::size_t{2} << level) <= length) ++level;
        const CostRange window = join(spans[level][i], spans[level][i + length - (std::size_t{1} << level)]);
        const CostRange here{extremes.low + window.low, extremes.high + window.high};
        result = result ? join(*result, here) : here;
    }
    return result;
}

}  // namespace nascent
