// Paths under several constraints that are listed, with lower ends, and drawn within fewer choices.
#include "nas/algo/constrained_paths.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

using namespace nascent;

namespace {

using Costs = std::vector<std::vector<std::int64_t>>;
using Path = std::vector<int>;

constexpr int kBlocks = 9;

/// What is cheap in one is dear in the other.
struct Two {
    PathCosts first, second;
    static Two make() {
        Costs a, b;
        for (int i = 0; i < kBlocks; ++i) {
            a.push_back({5, 4, 3 - i % 2, 1});
            b.push_back({1, 6 - i % 3, 8, 9});
        }
        return {PathCosts(10, a), PathCosts(-3, b)};
    }
};

std::vector<Path> every_path() {
    std::vector<Path> all;
    for (int code = 0; code < 1 << 2 * kBlocks; ++code) {
        Path& p = all.emplace_back();
        for (int b = 0; b < kBlocks; ++b) p.push_back(code >> 2 * b & 3);
    }
    return all;
}

}  // namespace

TEST_CASE("paths that are rare under lower ends, or between two ends, are listed completely") {
    const Two costs = Two::make();
    const std::vector<Path> every = every_path();
    for (const bool upper : {false, true}) {
        CAPTURE(upper);
        const CostRange r1{.low = 40, .high = upper ? std::int64_t{42} : CostRange{}.high};
        CostRange r2{.low = costs.second.high(), .high = upper ? costs.second.high() - 2 : CostRange{}.high};
        std::vector<std::pair<std::int64_t, const Path*>> within;  // by their second costs
        for (const Path& p : every)
            if (r1.holds(costs.first.of(p)) && costs.second.of(p) <= r2.high)
                within.emplace_back(costs.second.of(p), &p);
        std::sort(within.begin(), within.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
        r2.low = within[20].first;
        std::set<Path> legal;
        for (const auto& [cost, p] : within)
            if (cost >= r2.low) legal.insert(*p);
        const ConstrainedPaths paths({{"a", costs.first, r1}, {"b", costs.second, r2}});
        REQUIRE(paths.count());
        CHECK(*paths.count() == legal.size());
        std::set<Path> drawn;
        for (std::uint64_t i = 0; i < 20 * legal.size(); ++i) drawn.insert(paths.draw(3, RandomStream::test, i));
        CHECK(drawn == legal);  // one is missed with a chance of e^-20
        // Within fewer choices: those of the list that have no others.
        const Path& one = *legal.begin();
        std::vector<std::vector<int>> allowed(kBlocks, std::vector<int>{0, 1, 2, 3});
        for (std::size_t b = 0; b < 3; ++b) allowed[b] = {one[b]};
        std::set<Path> inside, found;
        for (const Path& p : legal)
            if (std::equal(p.begin(), p.begin() + 3, one.begin())) inside.insert(p);
        for (std::uint64_t i = 0; i < 20 * inside.size(); ++i) {
            const auto p = paths.draw_within(allowed, 3, RandomStream::test, i);
            REQUIRE(p);
            found.insert(*p);
        }
        CHECK(found == inside);
        // The first choices are the cheapest under the second.
        CHECK_FALSE(paths.draw_within(std::vector<std::vector<int>>(kBlocks, {0}), 3, RandomStream::test, 0));
    }
}
