// AngleNAS's growing DARTS supernet: its topology, and what an inserted cell leaves of the others.
#include "nas/supernet/darts_grow.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "engine/base/error.h"
#include "nas/algo/darts_path_trainer.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_darts.h"
#include "nas/algo/rlnas_shrink.h"
#include "nas/supernet/darts_state_dict.h"
#include "nas/supernet/initialise.h"

using namespace nascent;
using darts::Net;

namespace {

darts::NetConfig small(int cells, bool growing) {
    return {.stem = darts::Stem::imagenet,
            .classes = 5,
            .input_size = 32,
            .channels = 4,
            .layers = cells,
            .stem_multiplier = 1,
            .growing = growing};
}

/// Two pictures of zeros.
Tensor blank(DType dtype) {
    Tensor x = empty({2, 32, 32, 3}, dtype);
    const std::vector<std::byte> zero(x.bytes());
    x.device->copy_in(x.data, zero.data(), x.bytes());
    return x;
}

std::vector<double> logits(DartsNet& net, const darts::Code& path, Arena& arena) {
    arena.reset();
    ExecutionScope execution(arena);
    Tensor x = empty({2, 32, 32, 3}, DType::f64);
    std::vector<double> pixels(x.size());
    for (std::size_t i = 0; i < pixels.size(); i++) pixels[i] = std::sin(0.37 * static_cast<double>(i));
    x.device->copy_in(x.data, pixels.data(), x.bytes());
    const Tensor y = net.forward(x, path, false);
    std::vector<double> host(y.size());
    y.device->copy_out(host.data(), y.data, y.bytes());
    return host;
}

}  // namespace

TEST_CASE("cells are inserted before the second reduction cell, at the end and before the first, in turn") {
    // By hand: N R R -> N R N R -> N R N R N -> N N R N R N, and again.
    std::string cells = "NRR";
    for (int n = 3; n < 20; n++) {
        CAPTURE(n);
        const darts::Growth g = darts::growth_of(n);
        REQUIRE(cells.size() == static_cast<std::size_t>(n));
        CHECK(g.reductions[0] == static_cast<int>(cells.find('R')));
        CHECK(g.reductions[1] == static_cast<int>(cells.rfind('R')));
        const int expected = n % 3 == 0 ? g.reductions[1] : n % 3 == 1 ? n : g.reductions[0];
        CHECK(g.insert == expected);
        cells.insert(static_cast<std::size_t>(g.insert), "N");
    }
    CHECK_THROWS_AS(darts::growth_of(2), Error);
    CHECK(darts::growth_of(14).reductions[0] == 14 / 3);  // of ImageNet's network
    CHECK(darts::growth_of(14).reductions[1] == 2 * 14 / 3);
}

TEST_CASE("a grown network is the usual one and before that reduction cells may read the previous cell twice") {
    for (int n : {8, 11, 14}) {
        const Net grown = darts::search_net(small(n, true), {.affine = true}),
                  usual = darts::search_net(small(n, false), {.affine = true});
        REQUIRE(grown.layers.size() == usual.layers.size());
        for (std::size_t l = 0; l < usual.layers.size(); l++) {
            CHECK(grown.layers[l].name == usual.layers[l].name);
            CHECK(grown.layers[l].in == usual.layers[l].in);
            CHECK(grown.layers[l].out == usual.layers[l].out);
            CHECK(grown.layers[l].in_size == usual.layers[l].in_size);
        }
        for (const darts::Cell& c : grown.cells) CHECK(!c.twice);
    }
    // The published program's shapes of three cells: 48 channels out of the stems there, 4 here.
    const Net three = darts::search_net(small(3, true), {.affine = true});
    const bool twice[] = {false, true, true};
    for (int i : {0, 1, 2}) CHECK(three.cells[static_cast<std::size_t>(i)].twice == twice[i]);
    CHECK(three.cells[1].before_channels == 16);
    CHECK(three.cells[2].before_channels == 32);
    for (const darts::StateEntry& e : darts::state_entries(three)) {
        if (e.name == "cells.1.preprocess0.op.1.weight") CHECK(e.shape == std::vector<std::int64_t>{8, 16, 1, 1});
        if (e.name == "cells.2.preprocess0.op.1.weight") CHECK(e.shape == std::vector<std::int64_t>{16, 32, 1, 1});
    }
}

TEST_CASE("an inserted cell is new and the others keep weights, statistics and counts") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    auto net = std::make_unique<DartsNet>(*device, DType::f64, darts::search_net(small(3, true), {.affine = true}));
    initialise(net->store(), 3, GammaStart::ones, WeightStart::kaiming);
    std::set<std::vector<double>> new_weights;
    for (int cells = 4; cells <= 8; cells++) {
        CAPTURE(cells);
        const darts::Code path = darts::training_path(1, cells);
        {  // statistics and counts move
            arena.reset();
            ExecutionScope execution(arena);
            (void)net->forward(blank(DType::f64), path, true);
        }
        const StateDict before = state_dict(*net);
        const int at = darts::growth_of(cells - 1).insert;
        auto grown =
            std::make_unique<DartsNet>(*device, DType::f64, darts::search_net(small(cells, true), {.affine = true}));
        insert_cell(before, *grown, 3);
        const StateDict after = state_dict(*grown);
        std::size_t kept = 0;
        for (const auto& [name, entry] : before.entries()) {
            std::string now = name;
            int cell = 0;
            if (std::sscanf(name.c_str(), "cells.%d.", &cell) == 1 && cell >= at)
                now = "cells." + std::to_string(cell + 1) + name.substr(name.find('.', 6));
            CAPTURE(name);
            CHECK(after.at(now).values == entry.values);
            kept++;
        }
        CHECK(kept == before.entries().size());
        const std::string cell = "cells." + std::to_string(at) + ".";
        CHECK(after.at(cell + "preprocess1.op.2.num_batches_tracked").values[0] == 0);
        const auto& w = after.at(cell + "preprocess1.op.1.weight");
        CHECK(new_weights.insert(w.values).second);  // each cell's own
        double squares = 0;
        for (double v : w.values) squares += v * v;
        // Normal with deviation sqrt(2 / c_out): the mean of n squares is off by sqrt(2 / n) of itself, here by six
        // times.
        const auto n = static_cast<double>(w.values.size());
        CHECK(std::fabs(squares / n / (2 / static_cast<double>(w.shape[0])) - 1) < 6 * std::sqrt(2 / n));
        net = std::move(grown);
    }
    for (double v : logits(*net, darts::training_path(1, 0), arena)) CHECK(std::isfinite(v));
}

TEST_CASE("num_batches_tracked counts the forwards that went through a norm") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    for (bool affine : {true, false}) {
        DartsNet net(*device, DType::f32, darts::search_net(small(3, false), {.affine = affine}));
        initialise(net.store(), 1);
        std::map<std::string, std::int64_t> expected;
        for (int step = 0; step < 6; step++) {
            const darts::Code path = darts::training_path(9, step);
            arena.reset();
            ExecutionScope execution(arena);
            (void)net.forward(blank(DType::f32), path, true);
            (void)net.forward(blank(DType::f32), path, false);  // moves nothing
            for (const darts::Layer& l : net.net().layers) {
                if (l.kind != darts::LayerKind::batch_norm) continue;
                const bool on =
                    l.part != darts::Part::edge || path.cell(net.net()
                                                                 .cells[static_cast<std::size_t>(l.cell)]
                                                                 .reduction)[static_cast<std::size_t>(l.place)] == l.op;
                expected[l.name] += on;
            }
        }
        const StateDict state = state_dict(net);
        CHECK(expected.at("stem0.1") == 6);
        for (const auto& [name, count] : expected) {
            CAPTURE(name);
            CHECK(state.at(name + ".num_batches_tracked").values == std::vector<double>{static_cast<double>(count)});
        }
        // All that PyTorch's strict loading wants, and nothing else.
        std::set<std::string> names;
        for (const darts::StateEntry& e : darts::state_entries(net.net())) {
            names.insert(e.name);
            CHECK(state.at(e.name).shape == e.shape);
        }
        CHECK(state.entries().size() == names.size());
    }
}

TEST_CASE("paths of one cell are AngleNAS's, draw by draw") {
    // What the published program's sampling and repair give with NumPy, seed 5.
    const darts::EdgeOperators all = darts::all_operators();
    const darts::CellCode expected[] = {{3, 2, 7, 3, 0, 0, 1, 3, 0, 0, 0, 0, 7, 2},
                                        {5, 3, 1, 5, 0, 2, 0, 5, 0, 1, 0, 0, 2, 0},
                                        {4, 1, 1, 5, 0, 1, 0, 6, 0, 0, 0, 4, 3, 0}};
    const int next[] = {664, 771, 411};  // randint(1000) afterwards
    for (int step : {0, 1, 2}) {
        NumpyRandom left(0);
        CHECK(darts::numpy_training_cell(5, step, all, &left) == expected[step]);
        CHECK(left.below(1000) == next[step]);
    }
    darts::EdgeOperators few;
    for (int e = 0; e < 14; e++) few.push_back(e % 2 ? std::vector<int>{0, 3, 5} : std::vector<int>{1, 4, 6, 7});
    CHECK(darts::numpy_training_cell(5, 0, few) == darts::CellCode{7, 5, 7, 0, 6, 3, 0, 0, 6, 0, 0, 3, 7, 0});
    CHECK(darts::numpy_training_cell(5, 1, few) == darts::CellCode{4, 5, 4, 0, 7, 5, 0, 3, 0, 0, 0, 0, 6, 3});
    // The largest seed there is, and the one above.
    CHECK_NOTHROW(darts::numpy_training_cell(0xffffffffu - 13, 0, all));
    CHECK_THROWS_AS(darts::numpy_training_cell(0xffffffffu - 12, 0, all), Error);
    CHECK_THROWS_AS(darts::numpy_training_path(0xffffffffu - 26, 0, all), Error);
}

TEST_CASE("rates fall on a line by steps: RLNAS's ImageNet training") {
    DartsPathTraining t;
    t.schedule = DartsPathTraining::Schedule::linear;
    t.lr = 0.1;
    t.lr_min = 5e-4;
    t.linear_steps = 125'100;
    t.lr_step = DartsPathTraining::LrStep::after_epoch;
    CHECK(learning_rate(t, 0, 2503) == 0.1);
    CHECK(learning_rate(t, 62'550, 2503) == doctest::Approx(0.05025).epsilon(1e-14));
    CHECK(learning_rate(t, 125'149, 2503) == 5e-4);
    // The specification's number of steps is rounded by at most 0.005: 0.1 x 0.005 / 125728 of the rate.
    for (std::int64_t s : {1, 1000, 125'099})
        CHECK(std::fabs(learning_rate(t, s, 2503) - 0.1 * (1 - static_cast<double>(s) / 125728.64)) < 4e-9);
    t.lr_step = DartsPathTraining::LrStep::before_epoch;
    CHECK(learning_rate(t, 62'549, 2503) == doctest::Approx(0.05025).epsilon(1e-14));
}

TEST_CASE("presets of ImageNet's DARTS supernet and of AngleNAS hold the specification's numbers") {
    RlnasConfig c = rlnas_preset("rlnas/darts-imagenet");
    c.data.source = "folder:pictures";
    resolve(c, true);
    CHECK(c.data.labels == "fixed-random");
    CHECK(c.data.label_seed == 0);
    CHECK(c.data.pipeline == "rlnas");
    CHECK(c.data.order == "one-shuffle");
    CHECK(c.data.classes == 0);
    CHECK(c.run.seed == 5);
    CHECK(c.search.seed == 1);
    CHECK(c.search.max_flops == 600'000'000);
    CHECK(!c.search.mutate_none);
    const DartsPathTraining t = darts_training_of(c, 1'281'167);
    CHECK(t.epochs == 50);
    CHECK(t.linear_steps == 2502 * 50);
    CHECK(learning_rate(t, 62'550, 2503) == doctest::Approx(0.05025).epsilon(1e-14));
    CHECK(t.label_smoothing == 0.1);
    CHECK(t.sgd.momentum == 0.9);
    CHECK(!t.sgd.nesterov);
    CHECK(t.sgd.weight_decay == 4e-5);
    CHECK(t.sgd.decays);
    CHECK(t.sgd.clip_norm == 0);
    CHECK(t.sgd.clip_value == 5);
    CHECK(t.sgd.inactive == SgdOptions::Inactive::coast);
    CHECK(darts_start(c) == WeightStart::kaiming);
    Dataset set;
    set.classes = 1000;
    set.train.height = set.train.width = 224;
    const Net net = darts::search_net(darts_net_config(c, set), {.affine = c.net.affine});
    CHECK(darts::parameter_count(net) == 25'624'288);
    CHECK(net.cells[4].reduction);
    CHECK(net.cells[9].reduction);

    c = rlnas_preset("anglenas/darts");
    c.data.source = "folder:pictures";
    resolve(c, true);
    CHECK(c.data.labels == "true");
    CHECK(c.data.hold_out == 50);
    const DartsPathTraining a = darts_training_of(c, 1'231'167);
    CHECK(a.linear_steps == 2404 * 400);
    CHECK(learning_rate(a, 0, 2404) == doctest::Approx(0.2 - (0.2 - 5e-4) / (2404 * 400)).epsilon(1e-14));
    CHECK(a.sgd.inactive == SgdOptions::Inactive::skip);
    const ShrinkSchedule mine = shrink_schedule(c), published = shrink_schedule("darts");
    CHECK(mine.rule == published.rule);
    CHECK(mine.first_epochs == published.first_epochs);
    CHECK(mine.other_epochs == published.other_epochs);
    CHECK(mine.max_stages == published.max_stages);
    CHECK(mine.stop_at == published.stop_at);
    CHECK(mine.samples == published.samples);
    CHECK(mine.max_cost == published.max_cost);
    CHECK(mine.base == published.base);
    CHECK(mine.replace_base_above == published.replace_base_above);
    CHECK(mine.warm_up_cells == published.warm_up_cells);
    CHECK(mine.warm_up_epochs == published.warm_up_epochs);

    c = rlnas_preset("anglenas/nasbench201");
    c.data.source = "synthetic";
    resolve(c, true);
    const SupernetTraining n = nb201_training_of(c);
    CHECK(n.epochs == 100);
    CHECK(cosine_lr(n, 0) == 0.025);
    CHECK(cosine_lr(n, 249) == doctest::Approx(0.00100095).epsilon(1e-5));
    CHECK(n.sgd.inactive == SgdOptions::Inactive::coast);
    CHECK(c.data.labels == "true");
}
