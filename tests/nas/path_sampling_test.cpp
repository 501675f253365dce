#include "nas/algo/path_sampling.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "engine/base/error.h"
#include "nas/algo/shrink_nb201.h"

using namespace nascent;
using nb201::Op;

TEST_CASE("paths are uniform over the combinations that leave every node an input") {
    const int steps = 4000, cells = 15;
    std::array<std::map<std::vector<Op>, int>, 4> seen;
    bool cells_differ = false;
    for (int s = 0; s < steps; s++) {
        const Nb201Path path = sample_path(3, s, cells, CellSampling::per_cell);
        REQUIRE(path.size() == cells);
        for (const nb201::Architecture& a : path) {
            cells_differ = cells_differ || a != path[0];
            for (int to = 1, edge = 0; to < 4; to++) {
                std::vector<Op> ops(a.ops.begin() + edge, a.ops.begin() + edge + to);
                seen[static_cast<std::size_t>(to)][ops]++;
                edge += to;
            }
        }
    }
    CHECK(cells_differ);
    for (const auto& [to, combinations] : {std::pair{1, 4}, {2, 24}, {3, 124}}) {
        const auto& counts = seen[static_cast<std::size_t>(to)];
        CHECK(static_cast<int>(counts.size()) == combinations);
        CHECK(counts.count(std::vector<Op>(static_cast<std::size_t>(to), Op::none)) == 0);
        // Chi squared of k - 1 degrees of freedom: mean k - 1, deviation sqrt(2 (k - 1)); five of them.
        const double expected = static_cast<double>(steps) * cells / combinations;
        double chi = 0;
        for (const auto& [ops, n] : counts) chi += (n - expected) * (n - expected) / expected;
        CAPTURE(to);
        CHECK(chi < combinations - 1 + 5 * std::sqrt(2.0 * (combinations - 1)));
    }
}

TEST_CASE("a path is a function of seed and step, shared cells are alike") {
    CHECK(sample_path(1, 7, 15, CellSampling::per_cell) == sample_path(1, 7, 15, CellSampling::per_cell));
    CHECK(sample_path(1, 7, 15, CellSampling::per_cell) != sample_path(1, 8, 15, CellSampling::per_cell));
    CHECK(sample_path(1, 7, 15, CellSampling::per_cell) != sample_path(2, 7, 15, CellSampling::per_cell));
    const Nb201Path shared = sample_path(1, 7, 15, CellSampling::shared);
    for (const nb201::Architecture& a : shared) CHECK(a == shared[0]);
    CHECK(shared[0] == sample_path(1, 7, 1, CellSampling::per_cell)[0]);
    CHECK(cell_sampling("shared") == CellSampling::shared);
    CHECK_THROWS_AS(cell_sampling("both"), Error);
}

TEST_CASE("the nodes of all cells are drawn independently of each other") {
    // Of each node of three cells the operator of the last edge, in pairs: Pearson's chi-square against the product of
    // their own frequencies, of 16 degrees of freedom at most; mean, six deviations and more.
    const int steps = 6000, cells = 3;
    constexpr std::size_t slots = 9;
    std::vector<std::array<int, slots>> seen;
    for (int s = 0; s < steps; s++) {
        auto& values = seen.emplace_back();
        const Nb201Path path = sample_path(5, s, cells, CellSampling::per_cell);
        for (std::size_t slot = 0; slot < slots; slot++) {
            constexpr std::size_t last[] = {0, 2, 5};
            values[slot] = static_cast<int>(path[slot / 3].ops[last[slot % 3]]);
        }
    }
    for (std::size_t a = 0; a < slots; a++)
        for (std::size_t b = 0; b < a; b++) {
            CAPTURE(a);
            CAPTURE(b);
            std::array<std::array<double, 5>, 5> both{};
            std::array<double, 5> one{}, other{};
            for (const auto& v : seen) {
                both[static_cast<std::size_t>(v[a])][static_cast<std::size_t>(v[b])]++;
                one[static_cast<std::size_t>(v[a])]++;
                other[static_cast<std::size_t>(v[b])]++;
            }
            double chi = 0;
            for (std::size_t i = 0; i < 5; i++)
                for (std::size_t j = 0; j < 5; j++) {
                    const double expected = one[i] * other[j] / steps;
                    if (expected > 0) chi += std::pow(both[i][j] - expected, 2) / expected;
                }
            CHECK(chi < 16 + 6 * std::sqrt(32.0) + 12);
        }
}

TEST_CASE("paths of a smaller space have its operators alone, uniformly, and of the whole are the same") {
    for (int s = 0; s < 50; s++)
        CHECK(sample_path(3, s, 15, CellSampling::per_cell) ==
              sample_path(3, s, 15, CellSampling::per_cell, nb201_operators()));
    // Node 1 has `none` alone, node 2 four combinations of which one is `none` twice, node 3 one of six without it.
    const OperatorLists few = {{0}, {0, 3}, {0, 4}, {1, 2}, {0, 1, 3}, {2}};
    const int steps = 3000, cells = 3;
    std::array<std::map<std::vector<Op>, int>, 4> seen;
    for (int s = 0; s < steps; s++)
        for (const nb201::Architecture& a : sample_path(8, s, cells, CellSampling::per_cell, few)) {
            CHECK(nb201_within(few, a));
            for (int to = 1, edge = 0; to < 4; edge += to, to++)
                seen[static_cast<std::size_t>(to)][{a.ops.begin() + edge, a.ops.begin() + edge + to}]++;
        }
    CHECK(seen[2].count({Op::none, Op::none}) == 0);
    for (const auto& [to, combinations] : {std::pair{1, 1}, {2, 3}, {3, 6}}) {
        const auto& counts = seen[static_cast<std::size_t>(to)];
        CHECK(static_cast<int>(counts.size()) == combinations);
        // Each count is binomial; six deviations.
        const double n = steps * cells, p = 1.0 / combinations;
        for (const auto& [ops, count] : counts) CHECK(std::fabs(count - n * p) <= 6 * std::sqrt(n * p * (1 - p)));
    }
}
