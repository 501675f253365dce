// What AngleNAS's samplers draw while a space shrinks.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/base/error.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/shrink.h"
#include "nas/algo/shrink_nb201.h"
#include "tests/nas/digest.h"
#include "tests/nas/mobilenet_costs.h"

using namespace nascent;
using nascent_tests::mobilenet_operators;

TEST_CASE("samplers draw what the original code draws") {
    // From the shrinking programs of AngleNAS (c4cb189) under NumPy 1.24.2 after seed(5), 40 architectures an operator,
    // the angle replaced by the sum below: CRC-32 of the architectures scored, of the operators left, the next draw.
    struct Row {
        const char* method;
        OperatorLists lists;
        std::size_t drawn;
        const char *architectures, *left;
        std::int64_t next;
    };
    OperatorLists part = mobilenet_operators(), cell = darts::all_operators();
    part[1] = {-1};
    part[2] = {3};
    part[5] = {1, 4, -1};
    part[9] = {0, -1};
    cell[2] = {0, 4};
    cell[7] = {5, 6, 7};
    cell[9] = {3};
    const ChainTable table = nascent_tests::mobilenet_costs();
    const SposSampler spos(table, 600'000'000);
    const UniformSampler fairnas(table, 600'000'000);
    const DartsCellSampler darts_cell;
    auto bytes = [](const std::vector<Genes>& all) {
        std::string text;
        for (const Genes& g : all) {
            for (int op : g) text += static_cast<char>(op);
        }
        return text;
    };
    for (const Row& row :
         {Row{"spos", mobilenet_operators(), 787, "867bbfdd", "5e56c248", 3669359384},
          Row{"spos", part, 688, "a09778af", "8b52e478", 1367980680},
          Row{"fairnas", OperatorLists(21, {0, 1, 2, 3, 4, 5}), 474, "5a889598", "dfb30dd1", 845498171},
          Row{"darts", darts::all_operators(), 733, "0c25b3c3", "6785ceda", 1686499879},
          Row{"darts", cell, 732, "1eca82f0", "ff86ee81", 1014822385}}) {
        CAPTURE(row.architectures);
        const std::string method = row.method;
        const OperatorSampler& sampler = method == "spos"      ? static_cast<const OperatorSampler&>(spos)
                                         : method == "fairnas" ? static_cast<const OperatorSampler&>(fairnas)
                                                               : darts_cell;
        NumpyRandom random(5);
        OperatorLists lists = row.lists;
        const auto scores = score_operators(
            lists, sampler,
            [&](const std::vector<Genes>& all) {
                CHECK(all.size() == row.drawn);
                CHECK(nascent_tests::crc32(bytes(all)) == row.architectures);
                std::vector<double> values;
                for (const Genes& g : all) {
                    int v = 0;
                    for (std::size_t i = 0; i < g.size(); ++i)
                        v = (v * 7 + (static_cast<int>(i) + 3) * (g[i] + 2)) % 1009;
                    values.push_back(v / 1009.0);
                }
                return values;
            },
            40, random);
        drop_operators(lists, scores, shrink_schedule(method).rule);
        CHECK(nascent_tests::crc32(bytes(lists)) == row.left);
        CHECK(random.randint(0, std::int64_t{1} << 32) == row.next);
    }
}

TEST_CASE("samplers keep the forced operator") {
    const ChainTable table = nascent_tests::mobilenet_costs();
    OperatorLists lists = mobilenet_operators();
    NumpyRandom random(2);
    const SposSampler spos(table, 600'000'000);
    const UniformSampler uniform(table, -1);
    const DartsCellSampler cell;
    lists[3] = {-1};
    lists[5] = {2};
    for (int i = 0; i < 200; ++i) {
        for (LayerOperator forced : {LayerOperator{0, 5}, LayerOperator{1, -1}, LayerOperator{2, 3}}) {
            const Genes a = spos.draw(lists, forced, random), b = uniform.draw(lists, forced, random);
            CHECK(a[static_cast<std::size_t>(forced.layer)] == forced.op);
            CHECK(b[static_cast<std::size_t>(forced.layer)] == forced.op);
            for (const Genes& g : {a, b}) {
                CHECK(g[3] == -1);
                CHECK(g[5] == 2);
                CHECK_NOTHROW(cost_of(table, g));
            }
        }
        const Genes c = cell.draw(darts::all_operators(), {6, 3}, random);
        CHECK(c[6] == 3);
    }
    // A limit of nothing is a limit.
    const Genes some = uniform.draw(lists, {0, 5}, random);
    CHECK(uniform.legal(some));
    CHECK_FALSE(UniformSampler(table, 0).legal(some));
    CHECK(UniformSampler(table, cost_of(table, some)).legal(some));
    CHECK_FALSE(SposSampler(table, cost_of(table, some) - 1).legal(some));
    // Where no layer but the forced one may be skipped, none is.
    const OperatorLists one = {{0, 1, -1}, {2, 3}};
    for (int i = 0; i < 50; ++i) CHECK(spos.draw(one, {0, 1}, random)[0] == 1);
    std::swap(lists[1].front(), lists[1].back());
    CHECK_THROWS_AS(spos.draw(lists, {0, 5}, random), Error);
}

TEST_CASE("where architectures are rare, a hundred draws are made for each that is missing") {
    struct Counted : OperatorSampler {
        mutable int draws = 0;
        mutable std::vector<LayerOperator> forced;
        int fits = 0;  // the first so many draws
        Genes draw(const OperatorLists&, LayerOperator which, NumpyRandom&) const override {
            forced.push_back(which);
            return {draws++ % 1000, 0};
        }
        bool legal(const Genes& genes) const override { return genes[0] < fits; }
    };
    const OperatorLists lists = {{0, 1}, {0, 1}};
    NumpyRandom random(1);
    auto ones = [](const std::vector<Genes>& all) { return std::vector<double>(all.size(), 1.0); };
    Counted none;
    for (const OperatorScore& s : score_operators(lists, none, ones, 3, random)) {
        CHECK(s.count == 0);
        CHECK(s.score == 0);
    }
    CHECK(none.draws == 4 * 300);
    CHECK(std::count(none.forced.begin(), none.forced.end(), LayerOperator{1, 0}) == 300);
    // Two fit, {0, 0} and {1, 0}: one is missing of operator 0 of layer 1, two of layer 0's, three of the last.
    Counted two;
    two.fits = 2;
    const auto scores = score_operators(lists, two, ones, 3, random);
    CHECK(scores[0].count == 1);
    CHECK(scores[1].count == 1);
    CHECK(scores[2].count == 2);
    CHECK(scores[3].count == 0);
    CHECK(two.draws == 300 + 200 + 100 + 300);
}

TEST_CASE("the base is replaced where more operators were counted than the limit, and once") {
    ShrinkSchedule s = shrink_schedule("spos");
    s.drops_per_stage = 25;
    s.replace_base_above = 50;
    s.rule.count = 1;
    ShrinkState state{nascent_tests::mobilenet_operators()};
    std::vector<bool> replaced;
    for (int stage = 0; stage < 4; ++stage) {
        std::vector<OperatorScore> scores;
        for (LayerOperator o : droppable(state.operators)) scores.push_back({o, 1.0 * o.op, 1});
        replaced.push_back(shrink_step(state, s, scores).base_replaced);
    }
    CHECK(replaced == std::vector<bool>{false, false, true, false});  // 25, 50, 75, 100
}

TEST_CASE("operators that are truly alike rank in their order") {
    const auto ranks = nb201_true_ranks(nb201_operators(), std::vector<double>(nb201::kArchitectures, 70.0));
    REQUIRE(ranks.size() == 30);
    for (const auto& [which, rank] : ranks) CHECK(rank == which.layer * 5 + which.op + 1);
}
