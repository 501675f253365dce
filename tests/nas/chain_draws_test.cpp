// The paths that RLNAS and AngleNAS train their MobileNets on.
#include "nas/algo/chain_draws.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "nas/data/labels.h"

using namespace nascent;

namespace {

OperatorLists mobilenet() {
    OperatorLists all;
    for (int b = 0; b < 21; b++) {
        all.push_back({0, 1, 2, 3, 4, 5});
        if (b % 4 != 0) all.back().push_back(-1);
    }
    return all;
}

}  // namespace

TEST_CASE("RLNAS's paths through MobileNet go on where the random labels of ImageNet end") {
    NumpyRandom random(0);
    random_labels(random, 1000, 1281167);
    ChainDraws draws = ChainDraws::stream(mobilenet(), random);
    const std::vector<int> first{5, -1, 3, 5, 5, 4, 2, 2, 5, 2, -1, 2, 2, 0, -1, -1, 0, -1, 2, 3, 1};
    const std::vector<int> second{3, -1, 5, 0, 1, 1, 1, 3, 3, -1, 2, 3, 1, 4, 3, 4, 1, 3, 4, 2, 4};
    CHECK(draws.path(0) == first);
    CHECK(draws.path(1) == second);
    const std::vector<int> far = draws.path(500);
    CHECK(draws.path(1) == second);  // back again
    CHECK(draws.path(500) == far);
    ChainDraws other = ChainDraws::stream(mobilenet(), random);
    CHECK(other.path(500) == far);  // as a run that was stopped there asks
}

TEST_CASE("AngleNAS's paths are the first numbers after seeds that count on") {
    const OperatorLists all = mobilenet();
    ChainDraws draws = ChainDraws::reseeded(all, 5);
    for (int step : {0, 1, 77}) {
        const std::vector<int> path = draws.path(step);
        for (std::size_t b = 0; b < all.size(); b++) {
            const auto seed = static_cast<std::uint32_t>(5 + 21 * step + static_cast<int>(b));
            CHECK(path[b] ==
                  all[b][static_cast<std::size_t>(NumpyRandom(seed).below(static_cast<int>(all[b].size())))]);
        }
    }
}

TEST_CASE("paths of a shrunk chain are uniform over what is left, whoever draws them") {
    OperatorLists left = mobilenet();
    left[0] = {4};
    left[1] = {2, -1};
    left[20] = {1, 3, 5};
    constexpr int steps = 6000;
    ChainDraws ways[] = {ChainDraws::stream(left, NumpyRandom(3)), ChainDraws::reseeded(left, 3),
                         ChainDraws::counters(left, 3)};
    for (ChainDraws& draws : ways) {
        std::vector<std::vector<int>> count;
        for (const auto& ops : left) count.emplace_back(ops.size());
        for (int s = 0; s < steps; s++) {
            const std::vector<int> path = draws.path(s);
            REQUIRE(path.size() == left.size());
            for (std::size_t b = 0; b < left.size(); b++) {
                const auto at = std::find(left[b].begin(), left[b].end(), path[b]);
                REQUIRE(at != left[b].end());
                count[b][static_cast<std::size_t>(at - left[b].begin())]++;
            }
        }
        for (std::size_t b = 0; b < left.size(); b++) {
            const double p = 1.0 / static_cast<double>(left[b].size()), sigma = std::sqrt(steps * p * (1 - p));
            // 136 counts of three ways: beyond five sigmas one in a million would be.
            for (int n : count[b]) CHECK(std::abs(n - steps * p) <= 5 * sigma);
        }
    }
    CHECK(ways[2].path(9) == ChainDraws::counters(left, 3).path(9));
    CHECK(ways[2].path(9) != ways[2].path(10));
    CHECK_THROWS_AS(ChainDraws::counters({}, 1), Error);
    CHECK_THROWS_AS(ChainDraws::reseeded({{1}, {}}, 1), Error);
}
