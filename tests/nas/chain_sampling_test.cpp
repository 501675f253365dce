// Draws of paths for training: their laws.
#include "nas/algo/chain_sampling.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "engine/base/error.h"
#include "nas/metric/chain_cost.h"

using namespace nascent;

namespace {

/// The law of a bucket draw for one block, from counts of paths with each of its choices fixed.
std::vector<double> marginal(const PathCosts& costs, const Buckets& buckets, const BucketPaths& paths, int block) {
    const std::size_t n = costs.choices(block).size();
    std::vector<double> law(n);
    for (std::size_t choice = 0; choice < n; ++choice) {
        std::vector<std::vector<std::int64_t>> blocks;
        for (int b = 0; b < costs.blocks(); ++b) blocks.emplace_back(costs.choices(b).begin(), costs.choices(b).end());
        auto& own = blocks[static_cast<std::size_t>(block)];
        own = {own[choice]};
        const PathCounts fixed(PathCosts(costs.fixed(), blocks));
        for (std::size_t i = 0; i < paths.buckets(); ++i) {
            const double in_bucket = static_cast<double>(fixed.count(paths.bucket(i).range())) /
                                     static_cast<double>(paths.bucket(i).count());
            const double miss = buckets.tries ? paths.miss(i) : 0;
            law[choice] +=
                ((1 - miss) * in_bucket + miss / static_cast<double>(n)) / static_cast<double>(paths.buckets());
        }
    }
    return law;
}

double chi_square(const std::vector<int>& seen, const std::vector<double>& law, int draws) {
    double chi = 0;
    for (std::size_t i = 0; i < seen.size(); ++i) {
        const double expected = law[i] * draws;
        chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    return chi;
}
/// Six deviations above the mean of a chi-square variable and more for few degrees of freedom: below 1e-6 by chance.
double bound(double freedom) { return freedom + 6 * std::sqrt(2 * freedom) + 12; }

}  // namespace

TEST_CASE("paths drawn from SPOS's buckets follow its law") {
    using namespace chain;
    const Space s = space("shufflenet");
    const PathCosts costs = path_costs(s, all_choices(s), MacConvention::mac);
    const Buckets original{.tries = 500};
    const BucketPaths paths(costs, original);
    REQUIRE(paths.buckets() == 7);
    CHECK(std::lround(paths.miss(0) * 1e4) == 42);  // 0.42 %
    for (std::size_t i = 1; i < 7; ++i) CHECK(paths.miss(i) < 2e-5);
    const double draws_expected[] = {92, 15.5, 5.1, 3.1, 3.7, 8.7, 44};
    for (std::size_t i = 0; i < 7; ++i) CHECK(std::fabs(1 / paths.hit(i) - draws_expected[i]) < 0.51);
    // Measured on the original with 4 million draws: half a unit of the last digit, and five deviations.
    const double noise = 0.0005 + 5 * std::sqrt(0.25 * 0.75 / 4e6);
    const std::map<int, std::array<double, 4>> known = {{4, {.228, .229, .246, .297}},
                                                        {8, {.216, .221, .232, .331}},
                                                        {16, {.221, .223, .228, .328}},
                                                        {0, {.252, .240, .252, .255}}};
    const int draws = 21'000;
    std::vector<std::vector<int>> seen(20, std::vector<int>(4));
    std::vector<int> in_bucket(7);
    int outside = 0;
    for (int step = 0; step < draws; ++step) {
        const auto path = paths.path(11, static_cast<std::uint64_t>(step));
        const std::int64_t cost = costs.of(path);
        bool inside = false;
        for (std::size_t i = 0; i < 7 && !inside; ++i) {
            inside = paths.bucket(i).range().holds(cost);
            in_bucket[i] += inside;
        }
        outside += !inside;
        for (std::size_t b = 0; b < 20; ++b) ++seen[b][static_cast<std::size_t>(path[b])];
    }
    for (int b = 0; b < 20; ++b) {
        CAPTURE(b);
        const std::vector<double> law = marginal(costs, original, paths, b);
        CHECK(std::fabs(law[0] + law[1] + law[2] + law[3] - 1) < 1e-12);
        for (std::size_t op = 0; op < 4; ++op) {
            if (known.count(b))
                CHECK(std::fabs(law[op] - known.at(b)[op]) < noise);
            else
                CHECK((law[op] > .241 - noise && law[op] < .262 + noise));
        }
        CHECK(chi_square(seen[static_cast<std::size_t>(b)], law, draws) < bound(3));
    }
    // A seventh each, but for the few paths of the first bucket's fallback.
    std::vector<double> law(7, 1.0 / 7);
    CHECK(chi_square(in_bucket, law, draws) < bound(6));
    CHECK(outside <= 3);  // expected: 21000 / 7 x 0.42 % x 0.29 %
    // Without the fallback every path is in a bucket.
    const BucketPaths strict(costs, {});
    for (std::uint64_t step = 0; step < 2000; ++step) {
        const std::int64_t cost = costs.of(strict.path(5, step));
        CHECK((cost >= 290'000'000 && cost <= 360'000'000));
    }
    CHECK(strict.path(5, 9) == strict.path(5, 9));
    CHECK(strict.path(5, 9) != strict.path(6, 9));
}

TEST_CASE("buckets that cannot be are refused") {
    using namespace chain;
    const Space s = space("shufflenet");
    const PathCosts costs = path_costs(s, all_choices(s), MacConvention::mac);
    CHECK_THROWS_AS(BucketPaths(costs, {.low = 5, .high = 5}), Error);
    CHECK_THROWS_AS(BucketPaths(costs, {.width = 0}), Error);
    CHECK_THROWS_AS(BucketPaths(costs, {.width = 30'000'000}), Error);
    CHECK_THROWS_AS(BucketPaths(costs, {.tries = -1}), Error);
    std::string m;
    try {
        BucketPaths(costs, {.low = 260'000'000});
    } catch (const Error& e) {
        m = e.what();
    }
    CHECK(m.find("260000000 to 270000000") != std::string::npos);
    CHECK(m.find("270359360 above") != std::string::npos);
    CHECK_NOTHROW(BucketPaths(costs, {.low = 260'000'000, .tries = 500}));
    // Neighbours of an empty bucket, of which neither is in it.
    CHECK_THROWS_WITH_AS(BucketPaths(PathCosts(0, {{5, 100}}), {0, 40, 20, 0}),
                         doctest::Contains("5 below and 100 above"), Error);
}

TEST_CASE("strictly fair paths: each choice of a block once a round") {
    const std::vector<int> choices = {4, 4, 7, 6, 3, 1};
    const FairPaths paths(choices);
    std::vector<std::vector<int>> drawn;
    const int steps = 84 * 6;
    for (int step = 0; step < steps; ++step) drawn.push_back(paths.path(3, static_cast<std::uint64_t>(step)));
    for (std::size_t b = 0; b < choices.size(); ++b) {
        for (int from = 0; from < steps; from += choices[b]) {
            std::set<int> round;
            for (int i = 0; i < choices[b]; ++i) round.insert(drawn[static_cast<std::size_t>(from + i)][b]);
            CHECK(round.size() == static_cast<std::size_t>(choices[b]));
            CHECK((*round.begin() == 0 && *round.rbegin() == choices[b] - 1));
        }
    }
    // All orders of a block are equally frequent, those of two blocks independent.
    const FairPaths three({3, 3});
    std::vector<int> pairs(36);
    const int rounds = 7200;
    for (int round = 0; round < rounds; ++round) {
        int code = 0;
        for (std::size_t b = 0; b < 2; ++b) {
            const int x = three.path(8, static_cast<std::uint64_t>(3 * round))[b],
                      y = three.path(8, static_cast<std::uint64_t>(3 * round + 1))[b];
            code = code * 6 + x * 2 + (y - (y > x));
        }
        ++pairs[static_cast<std::size_t>(code)];
    }
    CHECK(chi_square(pairs, std::vector<double>(36, 1.0 / 36), rounds) < bound(35));
    CHECK_THROWS_AS(FairPaths({}), Error);
    CHECK_THROWS_AS(FairPaths({2, 0}), Error);
    CHECK_THROWS_AS(UniformPaths({257}), Error);
}

TEST_CASE("uniform paths are uniform") {
    const UniformPaths paths({2, 3, 5});
    std::vector<int> seen(30);
    const int draws = 30'000;
    for (int i = 0; i < draws; ++i) {
        const auto p = paths.path(1, static_cast<std::uint64_t>(i));
        ++seen[static_cast<std::size_t>(p[0] + 2 * p[1] + 6 * p[2])];
    }
    CHECK(chi_square(seen, std::vector<double>(30, 1.0 / 30), draws) < bound(29));
    // Bounds that are no power of two and leave 64 bits.
    const PathCount n = (PathCount{3} << 90) + 7;
    std::vector<int> thirds(3);
    for (int i = 0; i < 3000; ++i) {
        RandomIndex random(4, RandomStream::test, static_cast<std::uint64_t>(i));
        const PathCount drawn = random.below(n);
        REQUIRE(drawn < n);
        ++thirds[static_cast<std::size_t>(drawn / (n / 3 + 1))];
    }
    CHECK(chi_square(thirds, std::vector<double>(3, 1.0 / 3), 3000) < bound(2));
}

TEST_CASE("an index takes one element where nothing can be rejected, its lowest bits from the last word") {
    auto element = [](std::uint32_t e) { return Random(9, RandomStream::test, 5, e); };
    RandomIndex random(9, RandomStream::test, 5);
    CHECK(random.below(1) == 0);
    CHECK(random.below(4) == element(1).word(3) % 4);
    CHECK(random.below(PathCount{1} << 32) == element(2).word(3));
    CHECK(random.below(PathCount{1} << 96) ==
          (PathCount{element(3).word(1)} << 64 | PathCount{element(3).word(2)} << 32 | element(3).word(3)));
    CHECK(random.uniform() == element(4).uniform(0));
    RandomIndex most(9, RandomStream::test, 5);
    const PathCount all = ~PathCount{0};  // one number of 2^128 is rejected
    CHECK(most.below(all) == (PathCount{element(0).word(0)} << 96 | PathCount{element(0).word(1)} << 64 |
                              PathCount{element(0).word(2)} << 32 | element(0).word(3)));
    // Of 3 a quarter of the draws are rejected: the third number is that of the first elements that fit.
    RandomIndex three(9, RandomStream::test, 5);
    std::uint32_t next = 0;
    for (int i = 0; i < 50; ++i) {
        while (element(next).word(3) % 4 == 3) ++next;
        CHECK(three.below(3) == element(next++).word(3) % 4);
    }
}
