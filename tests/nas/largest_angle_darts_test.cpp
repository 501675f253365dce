// The largest angle in the DARTS space: against every candidate of small parts of it, against evolution and chance in
// the whole.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <string>

#include "engine/base/error.h"
#include "nas/algo/darts_optimum.h"
#include "nas/algo/gene_spaces.h"
#include "nas/algo/largest_angle.h"
#include "tests/nas/random_angles.h"

using namespace nascent;
using namespace nascent::test;
using darts::Code;
using darts::kEdges;
using darts::kPrimitives;

namespace {

darts::AngleParts random_parts(std::uint32_t seed) {
    darts::AngleParts parts;
    std::uint32_t drawn = 0;
    for (int c = 0; c < 4; ++c) {
        auto& cell = parts.cells.emplace_back();
        cell.channels = c < 2 ? 4 : 8;
        cell.reduction = c == 2;
        for (auto& edge : cell.ops) {
            for (std::size_t op = 1; op < kPrimitives; ++op) {
                edge[op].conv = random_sums(seed, drawn, 3.0 + static_cast<double>(op), 0.3, 1.3);
                edge[op].norm_weight = random_sums(seed, drawn, 4, 0.05, 0.3);
                edge[op].norm_bias = {0, 0, uniform(seed, drawn++)};
            }
        }
    }
    parts.fixed_conv = random_sums(seed, drawn, 20, 0.2, 0.9);
    parts.fixed_norm = random_sums(seed, drawn, 10, 0.1, 0.2);
    parts.classifier_weight = random_sums(seed, drawn, 10, 0.5, 1.5);
    parts.classifier_bias = random_sums(seed, drawn, 1, 0.5, 1.5);
    return parts;
}

/// All cells with two inputs a node from the operators of each edge.
std::vector<darts::CellCode> all_cells(const darts::EdgeOperators& operators) {
    std::vector<darts::CellCode> cells = {darts::CellCode{}};
    for (std::size_t e = 0; e < kEdges; ++e) {
        std::vector<darts::CellCode> longer;
        for (const darts::CellCode& cell : cells) {
            for (int op : operators[e]) {
                darts::CellCode with = cell;
                with[e] = static_cast<std::uint8_t>(op);
                longer.push_back(with);
            }
        }
        cells = std::move(longer);
    }
    std::erase_if(cells, [](const darts::CellCode& c) { return !darts::valid(c); });
    return cells;
}

}  // namespace

TEST_CASE("the largest angle in small DARTS spaces is the best of all candidates") {
    darts::EdgeOperators operators(kEdges, std::vector<int>{0});
    for (std::size_t e : {0u, 1u}) operators[e] = {1, 4, 6};
    for (std::size_t e : {2u, 3u, 4u}) operators[e] = {0, 3, 5};
    operators[5] = {2}, operators[7] = {7};
    for (std::size_t e : {11u, 12u, 13u}) operators[e] = {0, 1, 4};
    const std::vector<darts::CellCode> cells = all_cells(operators);
    CHECK(cells.size() == 9u * 12 * 12);  // node by node
    const darts::CodeCosts costs = darts::code_costs({.channels = 4, .layers = 4}, darts::MacConvention::thop);
    for (std::uint32_t seed = 0; seed < 3; ++seed) {
        for (bool last : {false, true}) {
            auto switches = last ? darts::AngleSwitches::anglenas() : darts::AngleSwitches::rlnas_imagenet();
            const darts::Angle angle(random_parts(seed), switches);
            std::int64_t low = costs.of(Code{cells[0], cells[0]}), high = low;
            std::array<std::vector<AngleSums>, 2> sums;
            for (bool reduction : {false, true}) {
                for (const darts::CellCode& c : cells) sums[reduction].push_back(angle.sums(c, reduction));
            }
            std::map<std::int64_t, Best> best;  // by limit
            for (const darts::CellCode& n : cells) {
                for (const darts::CellCode& r : cells) {
                    const std::int64_t cost = costs.base + costs.of(n, false) + costs.of(r, true);
                    low = std::min(low, cost);
                    high = std::max(high, cost);
                }
            }
            CHECK_THROWS_WITH_AS(DartsProblem(angle, costs, low - 1, operators),
                                 doctest::Contains(std::to_string(low).c_str()), Error);
            for (std::int64_t limit : {low, low + (high - low) / 5, low + (high - low) / 2, std::int64_t{-1}})
                best[limit];
            for (std::size_t n = 0; n < cells.size(); ++n) {
                for (std::size_t r = 0; r < cells.size(); ++r) {
                    AngleSums s = angle.fixed();
                    s += sums[0][n];
                    s += sums[1][r];
                    const double value = angle_of(s);
                    const std::int64_t cost = costs.base + costs.of(cells[n], false) + costs.of(cells[r], true);
                    for (auto& [limit, b] : best) {
                        if ((limit < 0 || cost <= limit) && value > b.angle)
                            b = {value, darts::to_numbers({cells[n], cells[r]})};
                    }
                }
            }
            for (const auto& [limit, b] : best) {
                CAPTURE(seed);
                CAPTURE(limit);
                DartsProblem problem(angle, costs, limit, operators);
                const LargestAngle found = maximise_angle(problem);
                const Code code = darts::code_from(found.genes);
                CHECK(found.exact);
                CHECK(darts::valid(code));
                if (limit >= 0) CHECK(costs.of(code) <= limit);
                CHECK(found.angle == angle.angle(code));
                CHECK(std::fabs(found.angle - b.angle) < 1e-12);  // another order of the same sums
            }
        }
    }
    const darts::Angle angle(random_parts(0), {});
    operators[2] = {3};  // repair makes one of node 1's three edges `none`, which they have not
    operators[3] = operators[4] = {5};
    DartsProblem three(angle, costs, -1, operators);
    const LargestAngle found = maximise_angle(three);
    CHECK(found.exact);
    CHECK(darts::valid(darts::code_from(found.genes)));
    operators[2] = operators[3] = {0};  // one input is left
    CHECK_THROWS_AS(DartsProblem(angle, costs, -1, operators), Error);
    CHECK_THROWS_AS(DartsProblem(angle, costs, costs.base - 1), Error);
}

TEST_CASE("linear problems over DARTS cells have the least value of all, and lists what is below a bound") {
    darts::EdgeOperators operators(kEdges, std::vector<int>{0});
    for (std::size_t e : {0u, 1u}) operators[e] = {1, 4};
    for (std::size_t e : {2u, 3u, 4u}) operators[e] = {0, 3, 5};
    operators[5] = {2}, operators[7] = {7}, operators[12] = {4}, operators[13] = {6};
    const std::vector<darts::CellCode> cells = all_cells(operators);
    REQUIRE(cells.size() == 4 * 12);
    const darts::CodeCosts costs = darts::code_costs({.channels = 4, .layers = 4}, darts::MacConvention::thop);
    const darts::Angle angle(random_parts(5), darts::AngleSwitches::rlnas_imagenet());
    std::vector<std::int64_t> by_cost;
    for (const darts::CellCode& n : cells)
        for (const darts::CellCode& r : cells) by_cost.push_back(costs.of(Code{n, r}));
    std::sort(by_cost.begin(), by_cost.end());
    // Without a limit all edges are free, so that the least of each sum is what a candidate has.
    AngleSums low{1e300, 1e300, 1e300};
    for (const darts::CellCode& n : cells)
        for (const darts::CellCode& r : cells) {
            const AngleSums s = angle.sums(Code{n, r});
            low = {std::min(low.dot, s.dot), std::min(low.n0, s.n0), std::min(low.n1, s.n1)};
        }
    const AngleSums least = DartsProblem(angle, costs, -1, operators).least();
    CHECK(least.dot == doctest::Approx(low.dot).epsilon(1e-13));
    CHECK(least.n0 == doctest::Approx(low.n0).epsilon(1e-13));
    CHECK(least.n1 == doctest::Approx(low.n1).epsilon(1e-13));
    for (std::int64_t limit : {by_cost.front(), by_cost[by_cost.size() / 3], by_cost.back(), std::int64_t{-1}})
        for (const LinearWeights& w : {LinearWeights{1, -0.3, -0.2}, {-1, 0.4, 0.1}, {-1, 0, 0}, {0, 1, 0}}) {
            CAPTURE(limit);
            CAPTURE(w.dot);
            std::map<std::vector<int>, double> all;
            std::vector<double> values;
            for (const darts::CellCode& n : cells)
                for (const darts::CellCode& r : cells) {
                    const Code code{n, r};
                    if (limit >= 0 && costs.of(code) > limit) continue;
                    values.push_back(all[darts::to_numbers(code)] = w.of(angle.sums(code)));
                }
            std::sort(values.begin(), values.end());
            DartsProblem problem(angle, costs, limit, operators);
            const LinearOptimum x = problem.minimise(w, true);
            const double rounding = 1e-12 * (std::fabs(values.front()) + std::fabs(values.back()));
            CHECK(std::fabs(x.value - values.front()) <= rounding);
            CHECK(std::fabs(all.at(x.genes) - values.front()) <= rounding);
            // A bound in the widest gap of the middle third, which no rounding closes.
            std::size_t at = values.size() / 3;
            for (std::size_t i = at; i < values.size() * 2 / 3; ++i)
                if (values[i + 1] - values[i] > values[at + 1] - values[at]) at = i;
            const double below = values.size() > 2 ? (values[at] + values[at + 1]) / 2 : values.back() + 1;
            std::map<std::vector<int>, double> listed;
            CHECK(problem.list(w, below, 10'000'000, [&](const std::vector<int>& genes, const AngleSums& sums) {
                CHECK(listed.emplace(genes, w.of(sums)).second);
            }));
            std::erase_if(all, [&](const auto& c) { return !(c.second < below); });
            CHECK(listed == all);
            CHECK_FALSE(problem.list(w, below, 3, [](const std::vector<int>&, const AngleSums&) {}));
        }
}

TEST_CASE("the largest angle in the whole DARTS space") {
    const darts::CodeCosts costs = darts::code_costs({.stem = darts::Stem::imagenet,
                                                      .classes = 1000,
                                                      .input_size = 224,
                                                      .channels = 48,
                                                      .layers = 14,
                                                      .stem_multiplier = 1},
                                                     darts::MacConvention::thop);
    for (std::int64_t limit : {std::int64_t{600'000'000}, std::int64_t{-1}}) {
        const darts::Angle angle(random_parts(8), darts::AngleSwitches::rlnas_imagenet());
        const auto start = std::chrono::steady_clock::now();
        DartsProblem problem(angle, costs, limit);
        const LargestAngle found = maximise_angle(problem);
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
        MESSAGE("DARTS, limit ", limit, ": ", found.angle, " rad, gap ", found.gap(), ", ", found.linear_problems,
                " linear problems, listed ", found.listed, ", ", took.count(), " ms");
        CHECK(found.exact);
        const Code code = darts::code_from(found.genes);
        CHECK(darts::valid(code));
        if (limit >= 0) CHECK(costs.of(code) <= limit);
        CHECK(found.angle == angle.angle(code));
        DartsGenes::Rules rules = DartsGenes::imagenet();
        rules.max_cost = limit;
        const DartsGenes space(rules, costs);
        Evolution search(space, darts_evolution(), NumpyRandom(1));
        while (!search.done()) {
            search.step([&](const std::vector<Genes>& all) {
                std::vector<double> scores;
                for (const Genes& g : all) scores.push_back(angle.angle(darts::code_from(g)));
                return scores;
            });
        }
        CHECK(search.best().score <= found.angle);
        for (std::int64_t i = 0; i < 20000; ++i) {
            const Code other = darts::training_path(4, i);
            if (limit < 0 || costs.of(other) <= limit) REQUIRE(angle.angle(other) <= found.angle);
        }
    }
}
