// Paths of single-path training in the DARTS space.
#include "nas/algo/darts_paths.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/algo/gene_spaces.h"

using namespace nascent;
using namespace nascent::darts;

namespace {
CellCode cell(std::initializer_list<int> ops) {
    CellCode c{};
    std::copy(ops.begin(), ops.end(), c.begin());
    return c;
}
}  // namespace

TEST_CASE("training paths of the published DARTS code") {
    const Code one{cell({5, 2, 2, 2, 0, 2, 0, 0, 6, 1, 0, 0, 0, 3}), cell({6, 1, 7, 0, 5, 0, 0, 5, 3, 2, 0, 0, 0, 1})};
    const Code two{cell({5, 5, 2, 7, 0, 1, 0, 5, 0, 0, 0, 6, 0, 6}), cell({4, 4, 3, 0, 7, 0, 2, 0, 6, 0, 1, 7, 0, 0})};
    const Code five{cell({3, 2, 7, 3, 0, 1, 0, 3, 0, 3, 0, 0, 0, 2}), cell({5, 3, 0, 5, 3, 0, 4, 0, 3, 1, 5, 0, 0, 0})};
    CHECK(numpy_training_path(1, 0) == one);
    CHECK(numpy_training_path(1, 1) == two);
    CHECK(numpy_training_path(5, 0) == five);
    CHECK(numpy_training_path(29, 0) == two);
    CHECK_THROWS_AS(numpy_training_path(0xffffffffu, 0), Error);
    CHECK_THROWS_AS(numpy_training_path(std::uint64_t{1} << 40, 0), Error);
    CHECK_NOTHROW(numpy_training_path(0xffffffffu - 27, 0));
}

TEST_CASE("one cell for all: each edge by the first draw after a seed of its own, repaired by the last generator") {
    EdgeOperators operators = all_operators();
    operators[4] = {0, 2, 7};
    for (int step : {0, 3}) {
        CellCode want{};
        NumpyRandom random(0);
        for (std::size_t e = 0; e < kEdges; ++e) {
            random = NumpyRandom(static_cast<std::uint32_t>(6 + 14 * step + static_cast<int>(e)));
            const auto& ops = operators[e];
            want[e] =
                static_cast<std::uint8_t>(ops[static_cast<std::size_t>(random.below(static_cast<int>(ops.size())))]);
        }
        repair(want, operators, random);
        NumpyRandom left(99);
        CHECK(numpy_training_cell(6, step, operators, &left) == want);
        CHECK(left.state() == random.state());
        CHECK(numpy_training_cell(6, step, operators) == want);
    }
}

TEST_CASE("first candidates of the published DARTS search") {
    // Ten candidates of 28 genes are drawn before the first is repaired.
    const DartsGenes space(DartsGenes::cifar10(), {});
    const Evolution search(space, darts_evolution(), NumpyRandom(1));
    const Code first{cell({5, 3, 4, 0, 7, 1, 0, 5, 0, 0, 0, 1, 0, 7}),
                     cell({5, 4, 6, 0, 2, 4, 6, 0, 0, 0, 3, 0, 0, 4})};
    const Code second{cell({5, 6, 2, 4, 0, 7, 0, 0, 7, 6, 0, 0, 5, 0}),
                      cell({1, 7, 0, 5, 6, 0, 1, 0, 4, 0, 0, 0, 5, 3})};
    CHECK(code_from(search.state().visited[0].genes) == first);
    CHECK(code_from(search.state().visited[1].genes) == second);
}

TEST_CASE("paths are uniform over two inputs and seven operators") {
    // Both draws obey the same law: in node j every edge is `none` with probability j / (j + 2), every pair of edges
    // alike, and the other operators alike. Pearson's chi-square against the law over pairs of edges and over
    // operators; the bound is the mean plus six standard deviations of chi-square.
    constexpr int kDraws = 20000;
    for (bool numpy : {true, false}) {
        std::array<std::map<int, int>, kNodes> pairs;
        std::array<std::array<int, kPrimitives>, kEdges> ops{};
        for (int step = 0; step < kDraws / 2; ++step) {
            const Code code = numpy ? numpy_training_path(1, step) : training_path(1, step);
            REQUIRE(valid(code));
            for (bool reduction : {false, true}) {
                for (int node = 0; node < kNodes; ++node) {
                    int used = 0;
                    for (int from = 0; from < kInputs + node; ++from) {
                        const auto e = static_cast<std::size_t>(edge_index(node, from));
                        const int op = code.cell(reduction)[e];
                        ++ops[e][static_cast<std::size_t>(op)];
                        used |= (op != 0) << from;
                    }
                    ++pairs[static_cast<std::size_t>(node)][used];
                }
            }
        }
        auto near = [](double chi, int freedom) { return chi < freedom + 6 * std::sqrt(2.0 * freedom); };
        for (int node = 0; node < kNodes; ++node) {
            const int edges = kInputs + node, count = edges * (edges - 1) / 2;
            const auto& seen = pairs[static_cast<std::size_t>(node)];
            CHECK(seen.size() == static_cast<std::size_t>(count));
            double chi = 0;
            for (const auto& [used, n] : seen)
                chi += std::pow(n - double{kDraws} / count, 2) / (double{kDraws} / count);
            CHECK(near(chi, std::max(1, count - 1)));
            for (int from = 0; from < edges; ++from) {
                const auto& of = ops[static_cast<std::size_t>(edge_index(node, from))];
                const double expected = kDraws * 2.0 / edges / (kPrimitives - 1);
                double spread = 0;
                for (int op = 1; op < kPrimitives; ++op)
                    spread += std::pow(of[static_cast<std::size_t>(op)] - expected, 2) / expected;
                CHECK(near(spread, kPrimitives - 1));
            }
        }
    }
}

TEST_CASE("operators of all inputs of all nodes of both cells are drawn independently") {
    // Of each node of each cell the operators of its two inputs, in pairs: 49 combinations alike, chi-square of 48
    // degrees of freedom; mean, six deviations and more.
    constexpr int kDraws = 6000;
    constexpr std::size_t kSlots = 4 * kNodes;
    std::vector<std::array<int, kSlots>> seen;
    for (int step = 0; step < kDraws; ++step) {
        auto& values = seen.emplace_back();
        const Code code = training_path(2, step);
        std::size_t slot = 0;
        for (bool reduction : {false, true})
            for (int node = 0; node < kNodes; ++node)
                for (int from = 0; from < kInputs + node; ++from)
                    if (const int op = code.cell(reduction)[static_cast<std::size_t>(edge_index(node, from))])
                        values.at(slot++) = op - 1;
        REQUIRE(slot == kSlots);
    }
    for (std::size_t a = 0; a < kSlots; ++a)
        for (std::size_t b = 0; b < a; ++b) {
            CAPTURE(a);
            CAPTURE(b);
            std::array<int, 49> both{};
            for (const auto& v : seen) ++both[static_cast<std::size_t>(v[a] * 7 + v[b])];
            double chi = 0;
            for (int n : both) chi += std::pow(n - kDraws / 49.0, 2) / (kDraws / 49.0);
            CHECK(chi < 48 + 6 * std::sqrt(96.0) + 12);
        }
}

TEST_CASE("a choice without replacement takes a draw for each place but the last") {
    std::map<std::vector<int>, int> seen;
    for (std::uint64_t step = 0; step < 6000; ++step) {
        PhiloxDraws random(3, RandomStream::test, step);
        ++seen[random.choice(4, 2)];
        const Random fourth(3, RandomStream::test, step, 3);  // after the elements 0 to 2
        CHECK(random.below(1000) == static_cast<int>(fourth.below(0, 1000)));
    }
    CHECK(seen.size() == 12);  // ordered pairs, 500 expected of each, deviation 21.4
    for (const auto& [pair, n] : seen) CHECK(std::abs(n - 500) < 6 * 21.4);
}

TEST_CASE("repair in shrunk spaces") {
    EdgeOperators operators = all_operators();
    operators[2] = {0};  // only `none`
    operators[3] = {4, 6};
    operators[4] = {5};
    CHECK_NOTHROW(check_operators(operators));
    for (std::int64_t step = 0; step < 300; ++step) {
        const Code code = training_path(11, step, operators);
        for (bool reduction : {false, true}) {
            const CellCode& c = code.cell(reduction);
            CHECK(c[2] == 0);
            // Node 1 needs one `none`; edge 2 is it, so the others stay what they were drawn as.
            CHECK((c[3] == 4 || c[3] == 6));
            CHECK(c[4] == 5);
        }
    }
    // Where every edge is `none`, the quirk of the published code shows: never the first operator of a list.
    NumpyRandom random(3);
    EdgeOperators two(kEdges, {3, 4});
    for (int i = 0; i < 50; ++i) {
        CellCode c{};
        repair(c, two, random);
        CHECK(valid(c));
        for (int op : c) CHECK((op == 0 || op == 4));
    }
    operators[0] = {};
    CHECK_THROWS_AS(check_operators(operators), Error);
    operators[0] = {3, 3};
    CHECK_THROWS_AS(check_operators(operators), Error);
    operators[0] = {8};
    CHECK_THROWS_AS(check_operators(operators), Error);
    CHECK_THROWS_AS(check_operators({}), Error);
}
