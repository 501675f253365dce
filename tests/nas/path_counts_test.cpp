// Counts of paths by cost against enumeration, and the figures known of the two spaces.
#include "nas/algo/path_counts.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/algo/constrained_paths.h"
#include "nas/metric/chain_cost.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::test;

namespace {

using Costs = std::vector<std::vector<std::int64_t>>;

/// Costs of `blocks` blocks in [low, low + spread), from a seed.
Costs some_costs(int blocks, std::uint32_t spread, std::int64_t low, std::uint64_t seed) {
    RandomIndex random(seed, RandomStream::test, 0);
    Costs costs;
    for (int b = 0; b < blocks; ++b) {
        costs.emplace_back();
        const int n = 1 + static_cast<int>(random.below(4));
        for (int i = 0; i < n; ++i) costs.back().push_back(low + static_cast<std::int64_t>(random.below(spread)));
    }
    return costs;
}

std::vector<std::vector<int>> all_paths(const PathCosts& costs) {
    std::vector<std::vector<int>> paths{{}};
    for (int b = 0; b < costs.blocks(); ++b) {
        std::vector<std::vector<int>> longer;
        for (const auto& p : paths) {
            for (std::size_t c = 0; c < costs.choices(b).size(); ++c) {
                longer.push_back(p);
                longer.back().push_back(static_cast<int>(c));
            }
        }
        paths = std::move(longer);
    }
    return paths;
}

/// Ends from which nothing can be subtracted or nothing added.
constexpr CostRange kNearlyAll{std::numeric_limits<std::int64_t>::min() + 1,
                               std::numeric_limits<std::int64_t>::max() - 1};

/// Share of the paths, in hundredths of a percent.
long share(const PathCounts& c, const CostRange& range) {
    return std::lround(1e4 * static_cast<double>(c.count(range)) / static_cast<double>(c.paths()));
}

}  // namespace

TEST_CASE("counts of paths agree with enumeration, and numbers of paths reach every legal path once") {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        CAPTURE(seed);
        const int blocks = 1 + static_cast<int>(seed % 7);
        const PathCosts costs(static_cast<std::int64_t>(seed) * 3 - 20,
                              some_costs(blocks, seed % 2 ? 6 : 1000, seed % 3 ? 0 : -7, seed));
        const auto counts = std::make_shared<const PathCounts>(costs);
        const auto paths = all_paths(costs);
        CHECK(counts->paths() == paths.size());
        std::multiset<std::int64_t> sums;
        for (const auto& p : paths) sums.insert(costs.of(p));
        CHECK(*sums.begin() == costs.low());
        CHECK(*sums.rbegin() == costs.high());
        const std::int64_t a = *std::next(sums.begin(), static_cast<std::ptrdiff_t>(sums.size() / 4)),
                           b = *std::next(sums.begin(), static_cast<std::ptrdiff_t>(sums.size() / 2));
        for (const CostRange& range : {CostRange{}, CostRange{a, b}, CostRange{a, a}, CostRange{a + 1, b - 1},
                                       CostRange{.high = b}, CostRange{.low = b}, CostRange{.high = costs.low() - 1},
                                       CostRange{.low = costs.high() + 1}, CostRange{b, a - 1}, kNearlyAll}) {
            CAPTURE(to_string(range));
            std::set<std::vector<int>> legal;
            for (const auto& p : paths) {
                if (range.holds(costs.of(p))) legal.insert(p);
            }
            CHECK(counts->count(range) == legal.size());
            const PathRange numbered(counts, range);
            CHECK(numbered.count() == legal.size());
            std::vector<int> path(static_cast<std::size_t>(blocks));
            std::set<std::vector<int>> reached;
            for (PathCount i = 0; i < numbered.count(); ++i) {
                numbered.path(i, path);
                reached.insert(path);
            }
            CHECK(reached == legal);
            CHECK_THROWS_AS(numbered.path(numbered.count(), path), Error);
        }
        for (std::int64_t at = costs.low() - 2; at <= costs.high() + 2; at += 1 + (costs.high() - costs.low()) / 50) {
            const auto above = sums.upper_bound(at), below = sums.lower_bound(at);
            CHECK(counts->nearest_above(at) ==
                  (above == sums.end() ? std::nullopt : std::optional<std::int64_t>(*above)));
            CHECK(counts->nearest_below(at) ==
                  (below == sums.begin() ? std::nullopt : std::optional<std::int64_t>(*std::prev(below))));
        }
    }
    CHECK(to_string(PathCount{0}) == "0");
    CHECK(to_string(PathCount{1} << 100) == "1267650600228229401496703205376");
    CHECK(to_string(CostRange{}) == "any");
    CHECK(to_string(CostRange{.high = 5}) == "at most 5");
    CHECK(to_string(CostRange{.low = 3}) == "at least 3");
    CHECK(to_string(CostRange{3, 5}) == "3 to 5");
}

TEST_CASE("how many paths of ShuffleNetV2 and MobileNet cost how much") {
    using namespace chain;
    const Space s = space("shufflenet");
    const PathCounts shuffle(path_costs(s, all_choices(s), MacConvention::mac));
    CHECK(shuffle.paths() == PathCount{1} << 40);
    // Hundredths of a percent of SPOS's buckets of 10M, and what lies outside.
    const long buckets[] = {109, 644, 1950, 3181, 2716, 1145, 227};
    for (int i = 0; i < 7; ++i) {
        CAPTURE(i);
        CHECK(share(shuffle, {290'000'000 + i * 10'000'000, 300'000'000 + i * 10'000'000}) == buckets[i]);
    }
    CHECK(share(shuffle, {.high = 289'999'999}) == 8);
    CHECK(share(shuffle, {.low = 360'000'001}) == 21);
    CHECK((share(shuffle, {.high = 330'000'000}) + 5) / 10 == 589);
    CHECK(shuffle.entries() < 20'000);

    const Space m = space("mobilenet"), mm = space("mobilenet-mmrazor");
    const PathCounts mobile(path_costs(m, all_choices(m), MacConvention::thop));
    PathCount all = 1;
    for (const Block& b : m.blocks) all *= b.ops.size();
    CHECK(mobile.paths() == all);
    CHECK(to_string(all) == "221502229807900608");  // 6^6 7^15
    CHECK(share(mobile, {.high = 475'000'000}) == 30);
    const PathCounts razor(path_costs(mm, all_choices(mm), MacConvention::mmrazor));
    CHECK(to_string(razor.paths()) == "558545864083284007");  // 7^21
    CHECK(share(razor, {.high = 465'000'000}) == 45);
    CHECK(mobile.entries() < 400'000);
}

TEST_CASE("costs in too fine units are refused") {
    std::vector<std::vector<std::int64_t>> fine;
    RandomIndex random(1, RandomStream::test, 1);
    for (int b = 0; b < 21; ++b) {
        fine.emplace_back();
        for (int c = 0; c < 7; ++c) fine.back().push_back(static_cast<std::int64_t>(random.below(PathCount{1} << 50)));
    }
    CHECK(contains(error_of(ErrorKind::usage, [&] { PathCounts{PathCosts(0, fine)}; }), "coarser units"));
    CHECK(contains(error_of(ErrorKind::usage,
                            [&] {
                                ConstrainedPaths({{"ns", PathCosts(0, fine), {.high = 1}}});
                            }),
                   "coarser units"));
    // Beside one that is not, they are met by drawing again.
    using namespace chain;
    const Space m = space("mobilenet-mmrazor");
    const PathCosts macs = path_costs(m, all_choices(m), MacConvention::mmrazor), ns(0, fine);
    const ConstrainedPaths both(
        {{"latency (ns)", ns, {.high = (ns.low() + ns.high()) / 2}}, {"MACs", macs, {.high = 465'000'000}}});
    for (std::uint64_t i = 0; i < 20; ++i) {
        const auto path = both.draw(3, RandomStream::test, i);
        CHECK(ns.of(path) <= (ns.low() + ns.high()) / 2);
        CHECK(macs.of(path) <= 465'000'000);
    }
    CHECK(!both.count());
}

TEST_CASE("what is reachable of one cost in a range of another") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        const Costs a = some_costs(6, 30, 0, seed);
        Costs b = a;
        RandomIndex random(seed, RandomStream::test, 2);
        for (auto& block : b) {
            for (auto& c : block) c = static_cast<std::int64_t>(random.below(100)) - 30;
        }
        const PathCosts first(5, a), second(-4, b);
        const std::int64_t middle = (first.low() + first.high()) / 2;
        for (const CostRange& range : {CostRange{}, CostRange{.high = middle}, CostRange{middle, middle + 3},
                                       CostRange{.low = first.high() + 1}}) {
            std::optional<CostRange> expected;
            for (const auto& p : all_paths(first)) {
                if (!range.holds(first.of(p))) continue;
                const std::int64_t c = second.of(p);
                expected =
                    expected ? CostRange{std::min(expected->low, c), std::max(expected->high, c)} : CostRange{c, c};
            }
            CHECK(reachable(first, range, second) == expected);
        }
    }
}

TEST_CASE("paths under several constraints are drawn uniformly, whichever way") {
    // Rare enough for the list (a few in 4^9), and frequent enough for drawing again.
    for (const bool rare : {false, true}) {
        CAPTURE(rare);
        Costs a, b;
        for (int i = 0; i < 9; ++i) {
            a.push_back({1, 2, 3 + i % 2, 5});
            b.push_back({9, 4 + i % 3, 2, 1});
        }
        const PathCosts first(10, a), second(0, b);
        const auto every = all_paths(first);
        // Cheap under one is dear under the other: of the cheaper halves under each hardly any path is in both.
        const CostRange r1{.high = rare ? 34 : 42};
        CostRange r2{30, 36};
        auto both = [&](const std::vector<int>& p) { return r1.holds(first.of(p)) && r2.holds(second.of(p)); };
        if (rare)
            for (r2 = {.high = second.low()}; std::count_if(every.begin(), every.end(), both) <= 20;) ++r2.high;
        std::map<std::vector<int>, int> seen;
        for (const auto& p : every) {
            if (both(p)) seen[p] = 0;
        }
        REQUIRE(seen.size() > 20);
        const ConstrainedPaths paths({{"a", first, r1}, {"b", second, r2}});
        CHECK(paths.count().has_value() == rare);
        if (rare) CHECK(*paths.count() == seen.size());
        const int per_path = 12;
        const std::uint64_t draws = per_path * seen.size();
        for (std::uint64_t i = 0; i < draws; ++i) {
            const auto p = paths.draw(17, RandomStream::test, i);
            REQUIRE(seen.count(p) == 1);
            REQUIRE(paths.legal(p));
            ++seen[p];
        }
        double chi = 0;
        for (const auto& [p, n] : seen) chi += (n - per_path) * (n - per_path) / static_cast<double>(per_path);
        const double freedom = static_cast<double>(seen.size()) - 1;
        CHECK(chi < freedom + 5 * std::sqrt(2 * freedom));
        CHECK(chi > freedom - 5 * std::sqrt(2 * freedom));
        CHECK(paths.draw(17, RandomStream::test, 5) == paths.draw(17, RandomStream::test, 5));
    }
}

TEST_CASE("constraints that no architecture meets are answered with the nearest that can be reached") {
    using namespace chain;
    const Space s = space("shufflenet");
    const Choices choices = all_choices(s);
    const PathCosts macs = path_costs(s, choices, MacConvention::mac), params = path_costs(s, choices, std::nullopt);
    std::string m = error_of(ErrorKind::usage, [&] {
        ConstrainedPaths({{"MACs (mac)", macs, {.high = 270'000'000}}});
    });
    CHECK(contains(m, "no architecture has MACs (mac) at most 270000000"));
    CHECK(contains(m, "270359360 above"));
    m = error_of(ErrorKind::usage, [&] { ConstrainedPaths({{"MACs (mac)", macs, {270'359'361, 270'359'362}}}); });
    CHECK(contains(m, "270359360 below and "));
    m = error_of(ErrorKind::usage, [&] { ConstrainedPaths({{"MACs (mac)", macs, {.low = 398'609'217}}}); });
    CHECK(contains(m, "398609216 below"));
    CHECK(!contains(m, "above"));
    // Each alone is met: few MACs go with few parameters, and 3.8M of them need Xception blocks.
    m = error_of(ErrorKind::usage, [&] {
        ConstrainedPaths({{"MACs (mac)", macs, {.high = 280'000'000}}, {"parameters", params, {.low = 3'800'000}}});
    });
    CHECK(contains(m, "together"));
    const auto r = reachable(macs, {.high = 280'000'000}, params);
    const auto r2 = reachable(params, {.low = 3'800'000}, macs);
    REQUIRE((r && r2));
    CHECK((contains(m, fmt::format("parameters reaches from {} to {}", r->low, r->high)) ||
           contains(m, fmt::format("MACs (mac) reaches from {} to {}", r2->low, r2->high))));
    CHECK(r->high < 3'800'000);
    CHECK(error_of(ErrorKind::usage, [&] { ConstrainedPaths({}); }) == "paths without a constraint");
    const PathCosts short_one(0, {{1, 2}});
    CHECK(contains(error_of(ErrorKind::usage,
                            [&] {
                                ConstrainedPaths({{"a", macs, {}}, {"b", short_one, {}}});
                            }),
                   "b of 1 blocks beside a of 20"));
    Costs fewer(20, {1, 2, 3});
    CHECK(contains(error_of(ErrorKind::usage,
                            [&] {
                                ConstrainedPaths({{"a", macs, {}}, {"latency", PathCosts(0, fewer), {}}});
                            }),
                   "latency knows 3 choices of block 0"));
    // Both at once, drawn again.
    const ConstrainedPaths both({{"MACs", macs, {.high = 330'000'000}}, {"parameters", params, {.high = 3'400'000}}});
    for (std::uint64_t i = 0; i < 50; ++i) CHECK(both.legal(both.draw(1, RandomStream::search, i)));
    // A corner with a handful of paths, listed: the fewest parameters and nearly so.
    const ConstrainedPaths corner(
        {{"MACs", macs, {.high = 330'000'000}}, {"parameters", params, {.high = params.low() + 800}}});
    CHECK(corner.legal(corner.draw(1, RandomStream::search, 0)));
}
