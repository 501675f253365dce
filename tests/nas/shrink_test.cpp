// Shrinking of search spaces: the drop rules and the schedules of AngleNAS, worked out by hand.
#include "nas/algo/shrink.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/base/error.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/shrink_json.h"
#include "nas/algo/shrink_nb201.h"
#include "tests/nas/digest.h"
#include "tests/nas/mobilenet_costs.h"
#include "tests/texts.h"

using namespace nascent;
using namespace nascent::test;
using Kind = DropRule::Kind;

namespace {

std::vector<OperatorScore> scored(const OperatorLists& lists, const std::vector<double>& values) {
    std::vector<OperatorScore> scores;
    for (LayerOperator which : droppable(lists)) scores.push_back({which, values[scores.size()], 1});
    return scores;
}

}  // namespace

TEST_CASE("the lowest operators of all go, but the last of a layer") {
    OperatorLists lists = {{0, 1, 2}, {3}, {0, 1}, {5, -1}};
    CHECK(space_size(lists) == 12);
    CHECK(droppable(lists).size() == 7);
    // Ascending: (2,1) .1, (2,0) .2, (0,2) .3, (3,-1) .4, (0,0) .5, (0,1) .6, (3,5) .9
    const auto scores = scored(lists, {.5, .6, .3, .2, .1, .9, .4});
    OperatorLists three = lists;
    // (2,0) is the best of what layer 2 has left and stays.
    CHECK(drop_operators(three, scores, {Kind::lowest, 3}) == std::vector<LayerOperator>{{2, 1}, {0, 2}, {3, -1}});
    CHECK(three == OperatorLists{{0, 1}, {3}, {0}, {5}});
    OperatorLists all = lists;
    CHECK(drop_operators(all, scores, {Kind::lowest, 100}).size() == 4);
    CHECK(all == OperatorLists{{1}, {3}, {0}, {5}});
}

TEST_CASE("one operator of each layer goes") {
    OperatorLists lists = {{0, 1, 2}, {3}, {0, 1}, {5, -1}};
    CHECK(drop_operators(lists, scored(lists, {.5, .6, .5, .2, .1, .9, .4}), {Kind::one_per_layer, 0}) ==
          std::vector<LayerOperator>{{0, 0}, {2, 1}, {3, -1}});  // of equals the earlier
    CHECK(lists == OperatorLists{{1, 2}, {3}, {0}, {5}});
    OperatorLists other = {{0, 1}};
    CHECK_THROWS_AS(drop_operators(other, {{{0, 7}, 0, 1}}, {Kind::one_per_layer, 0}), Error);
    CHECK_THROWS_AS(drop_operators(other, {{{0, 0}, std::nan(""), 1}, {{0, 1}, 0, 1}}, {Kind::lowest, 1}), Error);
}

TEST_CASE("scores are means over shared architectures") {
    // A space of eight architectures, all of which get drawn: means over halves of it.
    const OperatorLists lists = {{0, 1}, {0, 1}, {4}, {0, 1}};
    ChainTable free;
    for (const auto& ops : lists) {
        auto& block = free.blocks.emplace_back();
        for (int op : ops) block.push_back({op, {}, op});
    }
    const UniformSampler sampler(free, -1);
    NumpyRandom random(1);
    auto value = [](const Genes& g) { return 1.0 * g[0] + 10 * g[1] + 100 * g[3]; };
    int calls = 0;
    const auto scores = score_operators(
        lists, sampler,
        [&](const std::vector<Genes>& all) {
            ++calls;
            CHECK(std::set<Genes>(all.begin(), all.end()).size() == all.size());
            CHECK(all.size() == 8);
            std::vector<double> values;
            for (const Genes& g : all) values.push_back(value(g));
            return values;
        },
        1000, random);
    CHECK(calls == 1);
    CHECK(scores.size() == 6);
    for (const OperatorScore& s : scores) {
        CHECK(s.count == 4);
        const double base = 55.5, step = s.which.layer == 0 ? 0.5 : s.which.layer == 1 ? 5 : 50;
        CHECK(s.score == base + (s.which.op ? step : -step));
    }
    // With a limit on costs, architectures of cost 4 + 2 and less; those with two ones and more are illegal.
    const UniformSampler limited(free, 5);
    const auto few = score_operators(
        lists, limited, [](const std::vector<Genes>& all) { return std::vector<double>(all.size(), 1.0); }, 3, random);
    for (const OperatorScore& s : few) CHECK(s.count == (s.which.op == 0 ? 3 : 1));
}

TEST_CASE("only the first samples of an operator count") {
    const OperatorLists lists = {{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}};
    ChainTable free;
    for (const auto& ops : lists) {
        auto& block = free.blocks.emplace_back();
        for (int op : ops) block.push_back({op, {}, 0});
    }
    const UniformSampler sampler(free, -1);
    NumpyRandom random(5);
    std::vector<Genes> drawn;
    const auto scores = score_operators(
        lists, sampler,
        [&](const std::vector<Genes>& all) {
            drawn = all;
            std::vector<double> values;
            for (std::size_t i = 0; i < all.size(); ++i) values.push_back(static_cast<double>(i));
            return values;
        },
        4, random);
    for (const OperatorScore& s : scores) {
        double sum = 0;
        int n = 0;
        for (std::size_t i = 0; i < drawn.size() && n < 4; ++i) {
            if (drawn[i][static_cast<std::size_t>(s.which.layer)] != s.which.op) continue;
            sum += static_cast<double>(i);
            ++n;
        }
        CHECK(s.count == 4);
        CHECK(s.score == sum / n);
    }
    CHECK(drawn[0][0] == 0);  // the first four are drawn for operator 0 of layer 0
    CHECK(drawn[3][0] == 0);
}

TEST_CASE("schedules of the four methods") {
    const ShrinkSchedule spos = shrink_schedule("spos");
    ShrinkState state{nascent_tests::mobilenet_operators()};
    CHECK(space_size(state.operators) == std::pow(6.0, 6) * std::pow(7.0, 15));
    int epochs = 0, stage = 0;
    while (!shrink_done(state, spos)) {
        epochs += shrink_epochs(state, spos);
        std::vector<OperatorScore> scores;
        for (LayerOperator o : droppable(state.operators)) scores.push_back({o, -o.op * 100.0 + o.layer, 1});
        const auto& done = shrink_step(state, spos, scores);
        CHECK(done.dropped.size() == 7);
        CHECK(done.base_replaced == (++stage == 8));  // 8 x 7 is the first above 50
    }
    CHECK(epochs == 100 + 5 * (stage - 1));
    CHECK(stage == 14);  // 98 of 141 operators gone: 43 left in 21 layers
    CHECK_THROWS_AS(shrink_step(state, spos, {}), Error);

    const ShrinkSchedule fairnas = shrink_schedule("fairnas");
    ShrinkState fair{OperatorLists(19, {0, 1, 2, 3, 4, 5})};
    std::vector<bool> replaced;
    while (!shrink_done(fair, fairnas)) {
        std::vector<OperatorScore> scores;
        for (LayerOperator o : droppable(fair.operators)) scores.push_back({o, 1.0 * o.op, 1});
        replaced.push_back(shrink_step(fair, fairnas, scores).base_replaced);
    }
    CHECK(replaced == std::vector<bool>{false, false, true, false});  // 2^19 is below a million
    CHECK(fair.operators == OperatorLists(19, {4, 5}));

    const ShrinkSchedule darts_like = shrink_schedule("darts");
    ShrinkState cell{darts::all_operators()};
    int darts_epochs = 0;
    while (!shrink_done(cell, darts_like)) {
        darts_epochs += shrink_epochs(cell, darts_like);
        std::vector<OperatorScore> scores;
        for (LayerOperator o : droppable(cell.operators)) scores.push_back({o, 1.0 * o.op, 1});
        CHECK_FALSE(shrink_step(cell, darts_like, scores).base_replaced);
    }
    CHECK(cell.stages.size() == 6);  // 3^14 is above a million, 2^14 below
    CHECK(darts_epochs == 150 + 20 * 5);
    CHECK(shrink_schedule("nasbench201").rule == DropRule{Kind::lowest, 20});
    CHECK_THROWS_AS(shrink_schedule("spoz"), Error);
}

TEST_CASE("nodes of NAS-Bench-201 are dropped by means and magnitudes") {
    // A score that is a sum over edges: means rank the operators of an edge by their part.
    std::vector<double> scores(nb201::kArchitectures), accuracy(nb201::kArchitectures);
    for (int id = 0; id < nb201::kArchitectures; ++id) {
        const auto arch = nb201::Architecture::from_id(id);
        for (std::size_t e = 0; e < nb201::kEdges; ++e) {
            const double op = static_cast<double>(arch.ops[e]), edge = static_cast<double>(e);
            scores[static_cast<std::size_t>(id)] += op * (edge + 1);
            accuracy[static_cast<std::size_t>(id)] += (4 - op) * 10 + edge / 100 * op;
        }
    }
    OperatorLists lists = nb201_operators();
    const auto means = nb201_mean_scores(lists, scores);
    CHECK(means.size() == 30);
    const double all = 2 * 21;  // the mean over everything: two for each edge, times its weight
    for (const OperatorScore& s : means) {
        CHECK(s.count == 3125);
        CHECK(std::fabs(s.score - (all + (s.which.op - 2) * (s.which.layer + 1))) < 1e-9);
    }
    const auto dropped = nb201_drop(lists, means, accuracy, shrink_schedule("nasbench201").rule);
    CHECK(dropped.size() == 20);
    CHECK(dropped[0].which == LayerOperator{5, 0});  // 42 - 2 x 6
    CHECK(dropped[1].which == LayerOperator{4, 0});
    // Truly operator 0 is ahead on all edges, by 20 - edge / 50 of the mean.
    CHECK(dropped[0].true_rank == 6);
    CHECK(dropped[1].true_rank == 5);
    std::set<int> ranks;
    for (const auto& d : dropped) ranks.insert(d.true_rank);
    CHECK(ranks.size() == 20);
    for (const auto& ops : lists) CHECK_FALSE(ops.empty());
    std::size_t left = 0;
    for (const auto& ops : lists) left += ops.size();
    CHECK(left == 10);
    // Remaining lists restrict the means to their architectures.
    const auto second = nb201_mean_scores({{0, 1}, {2}, {2}, {2}, {2}, {2}}, scores);
    CHECK(second.size() == 2);
    CHECK(second[0].count == 1);

    std::vector<double> alphas(30);
    for (std::size_t i = 0; i < 30; ++i) alphas[i] = static_cast<double>(i % 5) * std::log(2.0);
    const auto magnitudes = nb201_magnitudes(nb201_operators(), alphas);
    for (const OperatorScore& s : magnitudes) CHECK(std::fabs(s.score - std::pow(2.0, s.which.op) / 31) < 1e-15);
    CHECK_THROWS_AS(nb201_mean_scores(nb201_operators(), std::vector<double>(3)), Error);
    CHECK_THROWS_AS(nb201_magnitudes(nb201_operators(), std::vector<double>(3)), Error);

    // Equal scores: in the order of true ranks, as published.
    OperatorLists two = {{0, 1}, {2}, {2}, {2}, {2}, {0, 1}};
    const auto tied =
        nb201_drop(two, {{{0, 0}, 1, 1}, {{0, 1}, 1, 1}, {{5, 0}, 1, 1}, {{5, 1}, 1, 1}}, accuracy, {Kind::lowest, 1});
    CHECK(tied[0].true_rank == 1);
}

TEST_CASE("shrunk spaces go through files") {
    const ShrinkSchedule spos = shrink_schedule("spos");
    const OperatorLists full = nascent_tests::mobilenet_operators();
    ShrinkState state{full};
    for (int i = 0; i < 9; ++i) {
        std::vector<OperatorScore> scores;
        for (LayerOperator o : droppable(state.operators)) scores.push_back({o, std::sin(o.op * 7 + o.layer), 3});
        shrink_step(state, spos, scores);
    }
    const std::string text = shrunk_space_json("mobilenet", state);
    const ShrinkState read = read_shrunk_space(text, "space.json", "mobilenet", full);
    CHECK(read.operators == state.operators);
    CHECK(read.stages.size() == 9);
    CHECK(read.stages[7].base_replaced);
    CHECK(read.stages[3].dropped == state.stages[3].dropped);
    CHECK(shrunk_space_json("mobilenet", read) == text);

    auto message = [&](const std::string& changed) {
        return error_of(ErrorKind::data, [&] { read_shrunk_space(changed, "space.json", "mobilenet", full); });
    };
    auto with = [&](const std::string& from, const std::string& to) {
        std::string changed = text;
        const std::size_t at = changed.find(from);
        REQUIRE(at != std::string::npos);
        return changed.replace(at, from.size(), to);
    };
    CHECK(message(text).empty());
    CHECK(contains(message(with("\"mobilenet\"", "\"darts\"")), "not of 'mobilenet'"));
    CHECK(contains(message(with("\"version\":1", "\"version\":2")), "version 2"));
    CHECK(contains(message(with("nascent shrunk", "nascent")), "format"));
    CHECK(contains(message(with("\"layers\":[[", "\"layers\":[[99,")), "operator 99"));
    CHECK(contains(message(with("\"layers\":[[", "\"layers\":[[],[")), "layer 0 has no operator"));
    CHECK(contains(message(with("]],\"stages\"", "],[0]],\"stages\"")), "more than the space's 21 layers"));
    CHECK(message(with("\"stages\":[{", "\"stages\":[],\"were\":[{")).empty());  // a space without its history
    CHECK(contains(message(with("\"dropped\":[[", "\"dropped\":[[77,1,0.5,3],[")), "stage 0"));
    CHECK(contains(message(with("\"layers\":[[", "\"layers\":[7,[")), "a layer is no list"));
    // 4294967296 is 0 in 32 bits.
    CHECK(contains(message(with("\"layers\":[[", "\"layers\":[[4294967296,")), "4294967296"));
    CHECK(contains(message(with("\"layers\":[[", "\"layers\":[[0.5,")), "0.5"));
    // 2^64 - 1 is -1, the identity, as a signed number.
    CHECK(contains(message(with(",-1]", ",18446744073709551615]")), "18446744073709551615"));
    // Lists so deep that writing them out would take all of the stack.
    const std::string deep = std::string(300'000, '[') + std::string(300'000, ']');
    CHECK(contains(message(with("\"layers\":[[", "\"layers\":[[" + deep + ",")), "array where an operator"));
    CHECK(contains(message(with("\"version\":1", "\"version\":" + deep)), "version array"));
    CHECK(contains(message("{"), "space.json"));
    CHECK(contains(message("[]"), "format"));
    // Nothing that a flipped byte makes of it crashes or passes for another space of the same stages.
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (char c : {'\0', '9', '[', '"', '-'}) {
            std::string broken = text;
            broken[i] = c;
            try {
                const ShrinkState other = read_shrunk_space(broken, "x", "mobilenet", full);
                CHECK(other.operators == state.operators);
            } catch (const Error&) {
            }
        }
    }
}
