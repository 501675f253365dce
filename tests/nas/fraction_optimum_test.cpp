// Optima of fractions and angles over paths against enumeration.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/algo/angle_optimum.h"
#include "nas/algo/path_counts.h"
#include "nas/algo/random_index.h"
#include "nas/metric/chain_cost.h"

using namespace nascent;

namespace {

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

/// Uniform values in [low, high) for every choice of the costs.
PathValues some(const PathCosts& costs, RandomIndex& random, double low, double high) {
    PathValues v{low + (high - low) * random.uniform(), {}};
    for (int b = 0; b < costs.blocks(); ++b) {
        v.blocks.emplace_back();
        for (std::size_t c = 0; c < costs.choices(b).size(); ++c)
            v.blocks.back().push_back(low + (high - low) * random.uniform());
    }
    return v;
}

PathCosts some_costs(int blocks, RandomIndex& random, unsigned spread) {
    std::vector<std::vector<std::int64_t>> costs;
    for (int b = 0; b < blocks; ++b) {
        costs.emplace_back();
        for (int c = 0; c < 1 + b % 4; ++c) costs.back().push_back(static_cast<std::int64_t>(random.below(spread)) - 3);
    }
    return PathCosts(7, costs);
}

/// What weights do that moved a little, or a lot: dot and norms as of vectors of some hundred numbers per choice.
AngleValues some_weights(const PathCosts& costs, RandomIndex& random, double moved) {
    AngleValues v{some(costs, random, 0, 0), some(costs, random, 0, 0), some(costs, random, 0, 0)};
    auto fill = [&](double& dot, double& first, double& second) {
        const double size = 50 + 500 * random.uniform(), step = moved * random.uniform(),
                     along = random.uniform() - 0.7;
        first = size;
        dot = size * (1 + step * along);
        second = size * (1 + 2 * step * along + step * step);
    };
    fill(v.dot.fixed, v.first.fixed, v.second.fixed);
    for (std::size_t b = 0; b < v.dot.blocks.size(); ++b) {
        for (std::size_t c = 0; c < v.dot.blocks[b].size(); ++c)
            fill(v.dot.blocks[b][c], v.first.blocks[b][c], v.second.blocks[b][c]);
    }
    return v;
}

double angle(const AngleValues& v, std::span<const int> path) {
    return std::acos(std::clamp(v.dot.of(path) / std::sqrt(v.first.of(path) * v.second.of(path)), -1.0, 1.0));
}

}  // namespace

TEST_CASE("the least fraction over paths under a limit") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        RandomIndex random(seed, RandomStream::test, 3);
        const PathCosts costs = some_costs(1 + static_cast<int>(seed % 9), random, seed % 2 ? 5 : 1000);
        const PathValues numerator = some(costs, random, -2, 3), denominator = some(costs, random, 0.01, 1);
        const auto paths = all_paths(costs);
        for (const double part : {0.0, 0.1, 0.5, 1.0}) {
            const std::int64_t limit =
                costs.low() + static_cast<std::int64_t>(part * static_cast<double>(costs.high() - costs.low()));
            double least = std::numeric_limits<double>::infinity(), sum = least;
            for (const auto& p : paths) {
                if (costs.of(p) > limit) continue;
                least = std::min(least, numerator.of(p) / denominator.of(p));
                sum = std::min(sum, numerator.of(p));
            }
            const FractionOptimum found = least_fraction(numerator, denominator, costs, limit);
            CHECK(costs.of(found.path) <= limit);
            CHECK(found.value == numerator.of(found.path) / denominator.of(found.path));
            // Equal but for the rounding of the fractions themselves.
            CHECK(std::fabs(found.value - least) <= 1e-14 * (1 + std::fabs(least)) / denominator.fixed);
            CHECK(found.bound <= least);
            CHECK(found.value - found.bound < 1e-11);
            const auto cheapest = cheapest_values(numerator, costs, limit);
            CHECK(costs.of(cheapest) <= limit);
            CHECK(std::fabs(numerator.of(cheapest) - sum) < 1e-13);
        }
    }
}

TEST_CASE("the largest angle over paths under a limit") {
    double widest = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        RandomIndex random(seed, RandomStream::test, 4);
        const PathCosts costs = some_costs(2 + static_cast<int>(seed % 8), random, seed % 2 ? 5 : 1000);
        const AngleValues v = some_weights(costs, random, seed % 3 ? 1.2 : 0.1);
        for (const double part : {0.1, 0.5, 1.0}) {
            const std::int64_t limit =
                costs.low() + static_cast<std::int64_t>(part * static_cast<double>(costs.high() - costs.low()));
            double largest = 0;
            for (const auto& p : all_paths(costs)) {
                if (costs.of(p) <= limit) largest = std::max(largest, angle(v, p));
            }
            const AngleOptimum found = largest_angle(v, costs, limit);
            CHECK(costs.of(found.path) <= limit);
            CHECK(std::fabs(found.angle - angle(v, found.path)) < 1e-12);
            CHECK(std::fabs(found.angle - largest) < 2e-12);
            CHECK(found.bound >= largest);
            widest = std::max(widest, found.bound - found.angle);
        }
    }
    CHECK(widest < 1.1e-12);
    // Weights that have not moved: every path is the best, to what an arc cosine near 1 can tell.
    RandomIndex still(2, RandomStream::test, 4);
    const PathCosts few = some_costs(6, still, 50);
    const AngleValues unmoved = some_weights(few, still, 0);
    const AngleOptimum none = largest_angle(unmoved, few, few.high());
    CHECK(none.angle < 1e-7);
    CHECK(none.bound < 1e-6);
    CHECK(none.steps < 20'000);
    // With too few steps the gap says so.
    RandomIndex random(1, RandomStream::test, 4);
    const PathCosts costs = some_costs(9, random, 1000);
    const AngleValues v = some_weights(costs, random, 1.2);
    const AngleOptimum whole = largest_angle(v, costs, costs.high()), hasty = largest_angle(v, costs, costs.high(), 1);
    CHECK(hasty.bound >= whole.angle);
    CHECK(hasty.angle <= whole.angle);
}

TEST_CASE("the largest angle beyond a right one") {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        CAPTURE(seed);
        RandomIndex random(seed, RandomStream::test, 5);
        const PathCosts costs = some_costs(2 + static_cast<int>(seed % 7), random, 100);
        AngleValues v = some_weights(costs, random, 0.8);
        const double size = v.dot.of(std::vector<int>(static_cast<std::size_t>(costs.blocks()), 0));
        v.dot.fixed -= size * (0.9 + 0.5 * random.uniform());
        const std::int64_t limit = (costs.low() + costs.high()) / 2;
        double largest = 0;
        for (const auto& p : all_paths(costs)) {
            if (costs.of(p) <= limit) largest = std::max(largest, angle(v, p));
        }
        const AngleOptimum found = largest_angle(v, costs, limit);
        CHECK(costs.of(found.path) <= limit);
        CHECK(std::fabs(found.angle - largest) < 1e-11);
        CHECK(found.bound >= largest - 1e-13);
        CHECK(found.bound - found.angle < 1e-11);
    }
}

TEST_CASE("the largest angle in the MobileNet space is found exactly") {
    using namespace chain;
    const Space s = space("mobilenet");
    const PathCosts macs = path_costs(s, all_choices(s), MacConvention::thop);
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        RandomIndex random(seed, RandomStream::test, 6);
        const AngleValues v = some_weights(macs, random, 0.8);
        const AngleOptimum found = largest_angle(v, macs, 475'000'000);
        CHECK(macs.of(found.path) <= 475'000'000);
        CHECK(found.bound - found.angle < 1.1e-12);
        CHECK(found.bound >= found.angle);
        // No path drawn under the limit, and none that differs in two blocks, is better.
        const PathRange legal(std::make_shared<const PathCounts>(macs), {.high = 475'000'000});
        std::vector<int> path(21);
        for (int i = 0; i < 300; ++i) {
            legal.draw(random, path);
            CHECK(angle(v, path) <= found.bound);
        }
        for (std::size_t a = 0; a < 21; ++a) {
            for (std::size_t b = 0; b < a; ++b) {
                for (int x = 0; x < 6; ++x) {
                    for (int y = 0; y < 6; ++y) {
                        path = found.path;
                        path[a] = x, path[b] = y;
                        if (macs.of(path) <= 475'000'000) REQUIRE(angle(v, path) <= found.bound);
                    }
                }
            }
        }
    }
}

TEST_CASE("optima of what cannot be are refused") {
    const PathCosts costs(1, {{1, 2}, {3, 4}});
    const PathValues good{0, {{1, 2}, {1, 2}}};
    CHECK_THROWS_AS(cheapest_values(good, costs, 4), Error);
    CHECK_NOTHROW(cheapest_values(good, costs, 5));
    CHECK_THROWS_AS(cheapest_values({0, {{1, 2}}}, costs, 9), Error);
    CHECK_THROWS_AS(cheapest_values({0, {{1, 2}, {1}}}, costs, 9), Error);
    CHECK_THROWS_AS(cheapest_values({0, {{1, 2}, {1, std::nan("")}}}, costs, 9), Error);
    CHECK_THROWS_AS(least_fraction(good, {0, {{1, 2}, {-1, 2}}}, costs, 9), Error);
    CHECK_THROWS_AS(largest_angle({good, good, {-2, {{1, 2}, {1, 2}}}}, costs, 9), Error);
}
