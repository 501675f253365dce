// The largest angle by solving for it: against every candidate of small spaces, against evolution and chance in whole
// ones.
#include "nas/algo/largest_angle.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/algo/chain_optimum.h"
#include "nas/algo/gene_spaces.h"
#include "tests/nas/mobilenet_costs.h"
#include "tests/nas/random_angles.h"

using namespace nascent;
using namespace nascent::test;

namespace {

ChainTable random_chain(std::uint32_t seed, int blocks, int choices, double low = 0.2, double high = 1.4,
                        double spread = 0.5) {
    ChainTable table;
    std::uint32_t drawn = 0;
    table.base = random_sums(seed, drawn, 4, low, high);
    table.base_cost = 1000;
    for (int b = 0; b < blocks; ++b) {
        auto& block = table.blocks.emplace_back();
        for (int c = 0; c < choices; ++c) {
            const auto cost = static_cast<std::int64_t>(1 + 700 * uniform(seed, drawn++));
            block.push_back({c - 1, random_sums(seed, drawn, 1 + c, low, high, spread), c == 0 ? 0 : cost});
        }
    }
    return table;
}

/// RLNAS's MobileNet space with the costs it has and weights drawn at random.
ChainTable random_mobilenet(std::uint32_t seed) {
    ChainTable table = nascent_tests::mobilenet_costs();
    std::uint32_t drawn = 0;
    table.base = random_sums(seed, drawn, 300, 0.2, 0.6);
    for (auto& block : table.blocks) {
        for (ChainChoice& c : block)
            c.sums = c.op < 0 ? AngleSums{32, 32, 32} : random_sums(seed, drawn, 40.0 + 10 * c.op, 0.3, 1.2);
    }
    return table;
}

Best brute_force(const ChainTable& table, std::int64_t limit) {
    Best best;
    std::vector<std::size_t> at(table.blocks.size());
    for (;;) {
        std::vector<int> ops;
        for (std::size_t b = 0; b < at.size(); ++b) ops.push_back(table.blocks[b][at[b]].op);
        if (limit < 0 || cost_of(table, ops) <= limit) {
            const double angle = angle_of(sums_of(table, ops));
            if (angle > best.angle) best = {angle, ops};
        }
        std::size_t b = 0;
        while (b < at.size() && ++at[b] == table.blocks[b].size()) at[b++] = 0;
        if (b == at.size()) return best;
    }
}

}  // namespace

TEST_CASE("the largest angle of a chain is the best of all candidates") {
    int limited = 0, exact = 0;
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
        // With lengths far apart a mean of candidates has a smaller cosine than any of them.
        const ChainTable table = random_chain(seed, 6, 4, 0.2, 1.4, seed % 2 ? 0.5 : 5);
        for (std::int64_t limit : {std::int64_t{-1}, std::int64_t{1000}, std::int64_t{2000}, std::int64_t{3000}}) {
            CAPTURE(seed);
            CAPTURE(limit);
            const Best best = brute_force(table, limit);
            ChainProblem problem(table, limit);
            const LargestAngle found = maximise_angle(problem);
            CHECK(found.exact);
            CHECK(found.genes == best.genes);
            CHECK(found.angle == best.angle);
            CHECK(found.gap() == 0);
            limited += limit > 0 && best.angle < brute_force(table, -1).angle;
            exact += found.listed > 1;
        }
    }
    CHECK(limited > 40);  // the limit mattered
    CHECK(exact > 10);    // and the linear problem alone would not have been proof
}

TEST_CASE("linear problems over chains have the least value of all, and lists what is below a bound") {
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
        const ChainTable table = random_chain(seed, 5, 4);
        std::vector<std::vector<int>> every = {{}};
        for (const auto& block : table.blocks) {
            std::vector<std::vector<int>> longer;
            for (const auto& ops : every)
                for (const ChainChoice& c : block) longer.push_back(ops), longer.back().push_back(c.op);
            every = std::move(longer);
        }
        AngleSums low{1e300, 1e300, 1e300};
        for (const auto& ops : every) {
            const AngleSums s = sums_of(table, ops);
            low = {std::min(low.dot, s.dot), std::min(low.n0, s.n0), std::min(low.n1, s.n1)};
        }
        const AngleSums least = ChainProblem(table, -1).least();
        CHECK(least.dot == doctest::Approx(low.dot).epsilon(1e-13));
        CHECK(least.n0 == doctest::Approx(low.n0).epsilon(1e-13));
        CHECK(least.n1 == doctest::Approx(low.n1).epsilon(1e-13));
        const std::int64_t some = cost_of(table, every[every.size() / 2]);
        for (std::int64_t limit : {cheapest(table), some, std::int64_t{2500}, std::int64_t{-1}})
            for (const LinearWeights& w : {LinearWeights{1, -0.3, -0.2}, {-1, 0.4, 0.1}, {-1, 0, 0}, {0, 1, 0}}) {
                CAPTURE(seed);
                CAPTURE(limit);
                CAPTURE(w.dot);
                std::map<std::vector<int>, double> all;
                std::vector<double> values;
                for (const auto& ops : every)
                    if (limit < 0 || cost_of(table, ops) <= limit)
                        values.push_back(all[ops] = w.of(sums_of(table, ops)));
                std::sort(values.begin(), values.end());
                const double rounding = 1e-12 * (std::fabs(values.front()) + std::fabs(values.back()));
                ChainProblem problem(table, limit);
                const LinearOptimum quick = problem.minimise(w, false), x = problem.minimise(w, true);
                REQUIRE(all.contains(quick.genes));
                CHECK(std::fabs(w.of(quick.sums) - all.at(quick.genes)) <= rounding);
                CHECK(quick.feasible);
                REQUIRE(all.contains(x.genes));
                CHECK(x.feasible);
                CHECK(std::fabs(x.value - values.front()) <= rounding);
                CHECK(std::fabs(w.of(x.sums) - values.front()) <= rounding);
                CHECK(std::fabs(all.at(x.genes) - values.front()) <= rounding);
                std::size_t at = values.size() / 3;  // the widest gap of the middle third
                for (std::size_t i = at; i < values.size() * 2 / 3; ++i)
                    if (values[i + 1] - values[i] > values[at + 1] - values[at]) at = i;
                const double below = values.size() > 2 ? (values[at] + values[at + 1]) / 2 : values.back() + 1;
                std::map<std::vector<int>, double> listed;
                CHECK(problem.list(w, below, 1'000'000, [&](const std::vector<int>& genes, const AngleSums& sums) {
                    CHECK(std::fabs(w.of(sums) - all.at(genes)) <= rounding);
                    CHECK(listed.emplace(genes, all.at(genes)).second);
                }));
                std::erase_if(all, [&](const auto& c) { return !(c.second < below); });
                CHECK(listed == all);
            }
    }
}

TEST_CASE("without a list of candidates the bound still holds") {
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        const ChainTable table = random_chain(seed, 6, 4);
        ChainProblem problem(table, 2500);
        const LargestAngle found = maximise_angle(problem, 0);
        const double best = brute_force(table, 2500).angle;
        CHECK_FALSE(found.exact);
        CHECK(found.bound >= best);
        CHECK(found.angle <= best);
        CHECK(found.gap() >= 0);
    }
}

TEST_CASE("the largest angle under limits that next to nothing keeps to") {
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
        // Costs without a common factor, so that both grids round.
        ChainTable table = random_chain(seed, 6, 4);
        std::uint32_t drawn = 1000;
        for (auto& block : table.blocks) {
            for (ChainChoice& c : block) c.cost = 1'000'000 + static_cast<std::int64_t>(9e6 * uniform(seed, drawn++));
        }
        for (std::int64_t above : {0, 1, 5000, 50'000, 500'000}) {
            CAPTURE(seed);
            CAPTURE(above);
            const std::int64_t limit = cheapest(table) + above;
            ChainProblem problem(table, limit);
            const LargestAngle found = maximise_angle(problem);
            CHECK(found.exact);
            CHECK(cost_of(table, found.genes) <= limit);
            CHECK(found.genes == brute_force(table, limit).genes);
        }
    }
}

TEST_CASE("the largest angle of weights that have not moved") {
    ChainTable table = random_chain(1, 6, 4);
    for (auto& block : table.blocks) {
        for (ChainChoice& c : block) c.sums.dot = c.sums.n1 = c.sums.n0;
    }
    table.base.dot = table.base.n1 = table.base.n0;
    ChainProblem problem(table, 2500);
    const LargestAngle found = maximise_angle(problem);
    CHECK(cost_of(table, found.genes) <= 2500);
    CHECK(found.angle < 1e-7);  // what an arc cosine near 1 can tell
    CHECK(found.bound < 1e-6);
}

TEST_CASE("the largest angle of weights that are no numbers is refused") {
    for (double AngleSums::*sum : {&AngleSums::dot, &AngleSums::n0, &AngleSums::n1}) {
        ChainTable table = random_chain(1, 3, 3);
        table.blocks[1][2].sums.*sum = std::nan("");
        CHECK_THROWS_AS(ChainProblem(table, -1), Error);
        table = random_chain(1, 3, 3);
        table.base.*sum = std::numeric_limits<double>::infinity();
        CHECK_THROWS_AS(ChainProblem(table, -1), Error);
    }
}

TEST_CASE("angles above a right angle are found but not proved") {
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
        const ChainTable table = random_chain(seed, 5, 3, 1.8, 2.6);
        ChainProblem problem(table, -1);
        const LargestAngle found = maximise_angle(problem);
        const double best = brute_force(table, -1).angle;
        CHECK(found.angle > 1.58);
        CHECK_FALSE(found.exact);
        CHECK(found.angle <= best);
        CHECK(found.bound >= best);
    }
}

TEST_CASE("the largest angle of RLNAS's MobileNet space within 475M") {
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
        const ChainTable table = random_mobilenet(seed);
        ChainProblem problem(table, 475'000'000);
        const auto start = std::chrono::steady_clock::now();
        const LargestAngle found = maximise_angle(problem);
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
        MESSAGE("MobileNet: ", found.angle, " rad, gap ", found.gap(), ", ", found.linear_problems,
                " linear problems, listed ", found.listed, ", ", took.count(), " ms");
        CHECK(found.exact);
        CHECK(cost_of(table, found.genes) <= 475'000'000);
        CHECK(found.angle == angle_of(sums_of(table, found.genes)));
        // Neither evolution nor a change in one or two blocks finds better.
        const ChainGenes space(table, 475'000'000);
        Evolution search(space, mobilenet_evolution(), NumpyRandom(seed + 1));
        while (!search.done()) {
            search.step([&](const std::vector<Genes>& all) {
                std::vector<double> scores;
                for (const Genes& g : all) scores.push_back(angle_of(sums_of(table, g)));
                return scores;
            });
        }
        CHECK(search.best().score <= found.angle);
        for (std::size_t a = 0; a < 21; ++a) {
            for (std::size_t b = a; b < 21; ++b) {
                for (const ChainChoice& x : table.blocks[a]) {
                    for (const ChainChoice& y : table.blocks[b]) {
                        std::vector<int> other = found.genes;
                        other[a] = x.op;
                        other[b] = y.op;
                        if (cost_of(table, other) <= 475'000'000)
                            REQUIRE(angle_of(sums_of(table, other)) <= found.angle);
                    }
                }
            }
        }
    }
    const ChainTable table = random_mobilenet(1);
    CHECK_THROWS_AS(ChainProblem(table, 100'000'000), Error);
}
