// Settings, schedules and states of searches by gradients.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "engine/autograd/execution.h"
#include "nas/algo/schedules.h"
#include "nas/algo/search_pictures.h"
#include "nas/algo/search_run.h"
#include "nas/space/darts_derive.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/nasbench201_mixed.h"
#include "nas/supernet/training_state.h"
#include "ops/constants.h"
#include "tests/nas/run_testing.h"

using namespace nascent;
using namespace nascent::test;

namespace {

/// As many pictures as a data set has, of one pixel.
Dataset as_large_as(const std::string& name, int classes, int count) {
    Dataset set;
    set.name = name;
    set.classes = classes;
    set.train.height = set.train.width = 1;
    for (int i = 0; i < count; i++) set.train.labels.push_back(i % classes);
    set.train.pixels.resize(set.train.count() * 3);
    return set;
}
Dataset as_cifar10() { return as_large_as("cifar10", 10, 50'000); }

std::size_t weight_count(const SearchConfig& c, int classes, int size) {
    auto device = make_device("cpu", 1);
    const SearchSpace& space = space_of(c);
    auto net = space.make_net(*device, DType::f32, settings_of(c, classes, size));
    std::size_t count = net->store().parameter_count();
    for (const AlphaMatrix& m : space.matrices()) count -= m.size();
    return count;
}

/// What a paper's row is, in numbers that its text or code has.
struct PresetRow {
    const char* name;
    const char* data;  // name of the set
    int classes, pictures, steps, last;
    std::size_t weights;
    int epochs;
    double second_lr, last_lr, decay;  // learning rates of epochs 1 and the last, weight decay
    bool nesterov, weights_first, single_level, clip_with_alphas;
    Algo algo;
    double first_lr = 0.025, arch_lr = 3e-4;
    int begin = 0, partial = 1, validations = 0;
    std::size_t last_weights = 0;  // of the network in the last stage, where there are several
    int held_out = 0;              // pictures of the alphas in a folder of their own; the others are the weights'
    double arch_clip = 0;
};
constexpr PresetRow preset_rows[] = {
    {"darts/cifar10-1st", "cifar10", 10, 50'000, 391, 40, 1'930'618, 50, 0.02497632074113926, 0.0010236792588607412,
     3e-4, false, false, false, false, Algo::darts},
    {"darts/cifar10-2nd", "cifar10", 10, 50'000, 391, 40, 1'930'618, 50, 0.02497632074113926, 0.0010236792588607412,
     3e-4, false, false, false, false, Algo::darts},
    {"darts/nb201-1st", "cifar10", 10, 50'000, 391, 40, 1'686'106, 50, 0.02497632074113926, 0.0010236792588607412, 5e-4,
     true, true, false, true, Algo::darts},
    {"darts/nb201-2nd", "cifar10", 10, 50'000, 391, 40, 1'686'106, 50, 0.02497632074113926, 0.0010236792588607412, 5e-4,
     true, false, false, true, Algo::darts},
    {"drnas/nb201-cifar10", "cifar10", 10, 50'000, 391, 40, 1'686'106, 100, 0.02499407872438878, 0.0010059212756112208,
     3e-4, false, false, false, true, Algo::drnas},
    {"drnas/nb201-cifar100", "cifar100", 100, 50'000, 391, 40, 1'691'956, 100, 0.02499407872438878,
     0.0010059212756112208, 3e-4, false, false, false, true, Algo::drnas},
    {"drnas/nb201-imagenet16", "imagenet16", 120, 151'700, 1186, 10, 1'693'256, 100, 0.02499407872438878,
     0.0010059212756112208, 3e-4, false, false, false, true, Algo::drnas},
    {"gdas/nb201", "cifar10", 10, 50'000, 391, 40, 1'686'106, 250, 0.024999052530445796, 0.0010009474695542066, 5e-4,
     true, true, false, true, Algo::gdas},
    {"rsps/nb201", "cifar10", 10, 50'000, 391, 40, 1'686'106, 250, 0.024999052530445796, 0.0010009474695542066, 5e-4,
     true, true, false, false, Algo::rsps, 0.025, 3e-4, 250},
    {"snas/nb201", "cifar10", 10, 50'000, 391, 40, 1'686'106, 100, 0.02499407872438878, 0.0010059212756112208, 3e-4,
     false, false, false, true, Algo::snas},
    {"snas/cifar10", "cifar10", 10, 50'000, 391, 40, 1'930'618, 150, 0.024997368201698147, 0.001002631798301854, 3e-4,
     false, false, true, false, Algo::snas},
    {"pcdarts/cifar10",
     "cifar10",
     10,
     50'000,
     98,
     168,
     299'578,
     50,
     0.09990133642141358,
     9.866357858642206e-05,
     3e-4,
     false,
     false,
     false,
     false,
     Algo::darts,
     0.1,
     6e-4,
     15,
     4,
     1},
    {"drnas/nb201-progressive",
     "cifar10",
     10,
     50'000,
     391,
     40,
     174'106,
     100,
     0.02499407872438878,
     0.0010118425512224416,
     3e-4,
     false,
     false,
     false,
     true,
     Algo::drnas,
     0.025,
     3e-4,
     10,
     4,
     0,
     476'506},
    {"drnas/cifar10",
     "cifar10",
     10,
     50'000,
     391,
     40,
     2'221'750,
     50,
     0.09990133642141358,
     0.0001973271571728441,
     3e-4,
     false,
     false,
     false,
     false,
     Algo::drnas,
     0.1,
     6e-4,
     10,
     6,
     0,
     2'986'462},
    // 10 % and 2.5 % of 1000 classes of 1280 pictures each; ImageNet's have 732 to 1300.
    {"drnas/imagenet",
     "folder",
     1000,
     128'000,
     250,
     512,
     3'642'896,
     50,
     0.2,
     0.0009866357858642205,
     3e-4,
     false,
     false,
     false,
     false,
     Algo::drnas,
     0.1,
     6e-3,
     10,
     6,
     3,
     5'739'344,
     32'000,
     5},
    {"pcdarts/imagenet",
     "folder",
     1000,
     128'000,
     125,
     1024,
     956'512,
     50,
     0.2,
     0.0004933178929321103,
     3e-4,
     false,
     false,
     false,
     false,
     Algo::darts,
     0.1,
     6e-3,
     35,
     2,
     3,
     0,
     32'000,
     5},
};

}  // namespace

TEST_CASE("presets are the papers' rows: parameters, steps, learning rates") {
    std::set<std::string> unknown(preset_names().begin(), preset_names().end());
    for (const PresetRow& row : preset_rows) {
        CAPTURE(row.name);
        REQUIRE(unknown.erase(row.name) == 1);
        Dataset set = as_large_as(row.data, row.classes, row.pictures);
        set.test = as_large_as(row.data, row.classes, row.held_out).train;
        SearchConfig c = preset(row.name);
        CHECK(c.preset == row.name);
        const BilevelTraining t = training_of(c);
        CHECK(t.second_order == std::string(row.name).ends_with("2nd"));
        CHECK(c.data.source == "");
        CHECK(message(ErrorKind::usage, [&] { check(c); }).find("--data") != std::string::npos);
        const Halves halves = halves_of(c, set);
        const auto half = static_cast<std::size_t>(row.pictures) / (row.held_out > 0 ? 1 : 2);
        CHECK(halves.held_out == (row.held_out > 0));
        CHECK(c.data.pipeline == (row.held_out > 0 ? "imagenet" : "none"));
        if (row.held_out > 0) {  // all batches are random resized crops
            CHECK(c.valid.augment);
            CHECK(c.data.size == 224);
            CHECK(c.data.norm == "imagenet");
        }
        CHECK(halves.train.size() == half);
        CHECK(halves.valid.size() == (row.held_out > 0 ? static_cast<std::size_t>(row.held_out) : half));
        std::set<std::uint32_t> both(halves.train.begin(), halves.train.end());
        if (!halves.held_out) both.insert(halves.valid.begin(), halves.valid.end());
        CHECK(both.size() == static_cast<std::size_t>(row.pictures));
        LoaderOptions o;
        o.batch_size = c.train.batch;
        o.workers = 0;
        const Loader<float> loader(set.train, halves.train, row.classes, normalisation("half", set), o);
        CHECK(loader.steps_per_epoch() == row.steps);
        CHECK(loader.batch_count(static_cast<std::uint64_t>(row.steps) - 1) == row.last);
        CHECK(t.epochs == row.epochs);
        CHECK(learning_rate(t, 0) == doctest::Approx(row.first_lr).epsilon(1e-12));
        CHECK(learning_rate(t, 1) == doctest::Approx(row.second_lr).epsilon(1e-12));
        CHECK(learning_rate(t, row.epochs - 1) == doctest::Approx(row.last_lr).epsilon(1e-12));
        CHECK(t.sgd.momentum == 0.9);
        CHECK(t.sgd.clip_norm == 5);
        CHECK(t.sgd.weight_decay == row.decay);
        CHECK(t.sgd.nesterov == row.nesterov);
        CHECK(t.arch_lr == row.arch_lr);
        CHECK(t.begin == row.begin);
        CHECK(c.net.partial == row.partial);
        CHECK(c.net.shuffle);
        CHECK(c.valid.last == row.validations);
        CHECK(t.arch.beta1 == 0.5);
        CHECK(t.arch.beta2 == 0.999);
        CHECK(t.arch.weight_decay == 1e-3);
        auto weights = [&](const SearchConfig& of) {
            return weight_count(of, row.classes, row.classes == 1000 ? c.data.size : row.classes == 120 ? 16 : 32);
        };
        CHECK(weights(c) == row.weights);
        CHECK(t.arch.clip_norm == row.arch_clip);
        const std::vector<Stage> stages = stages_of(c);
        CHECK((stages.size() == 2) == (row.last_weights > 0));
        CHECK(t.lr_restarts == (stages.size() == 2));
        if (stages.size() == 2) {
            const bool darts = c.space == "darts";
            CHECK(stages[0] == Stage{0, darts ? 6 : 4, darts ? 7 : 5});
            CHECK(stages[1] == Stage{row.epochs / 2, row.held_out > 0 ? 3 : darts ? 4 : 2, darts ? 4 : 3});
            CHECK(t.stages == std::vector{row.epochs / 2});
            SearchConfig last = c;
            last.net.partial = stages[1].partial;
            CHECK(weights(last) == row.last_weights);
        }
        CHECK(t.weights_first == row.weights_first);
        CHECK(t.single_level == row.single_level);
        CHECK(t.clip_with_alphas == row.clip_with_alphas);
        CHECK(t.sgd.others_in_norm == row.clip_with_alphas);
        CHECK(t.rule.algo == row.algo);
        CHECK(t.rule.kl == 0);
        if (c.space == "darts" || row.algo == Algo::drnas) {
            CHECK(halves.train.back() == half - 1);  // in index order
            CHECK(halves.valid.front() == (row.held_out > 0 ? 0 : half));
        }
        (void)normalisation(c.data.norm, set);
        const bool gdas = row.algo == Algo::gdas;
        const bool one_path = gdas || row.algo == Algo::rsps;
        CHECK((t.sgd.inactive == SgdOptions::Inactive::coast) == one_path);
        CHECK(t.rule.bare_sums == gdas);
        if (gdas) CHECK((t.rule.temperature.at(0) == 10 && std::abs(t.rule.temperature.at(249) - 0.1) < 1e-12));
        if (row.algo == Algo::snas) {  // from 10 in steps of 9 / epochs, or from 1 to 0.03
            CHECK(t.rule.temperature.at(0) ==
                  (row.single_level ? doctest::Approx(1 - 0.97 / 150) : doctest::Approx(10)));
            CHECK(t.rule.temperature.at(row.epochs - 1) ==
                  doctest::Approx(row.single_level ? 0.03 : 10 - 99 * 0.09).epsilon(1e-12));
        }
        CHECK(c.net.track == !one_path);
        CHECK(c.valid.augment == !(row.nesterov));
    }
    for (const std::string& name : unknown) {
        CAPTURE(name);
        CHECK(name.starts_with("smoke/"));
        const SearchConfig c = preset(name);
        CHECK(c.data.source == "synthetic");
        check(c);
    }
    CHECK(message(ErrorKind::usage, [] { preset("darts/cifar-1st"); }).find("darts/cifar10-1st") != std::string::npos);
    CHECK(preset("none").preset == "none");
}

TEST_CASE("settings that do not go together are refused") {
    auto refused = [](const std::function<void(SearchConfig&)>& change, const char* of = "smoke/nb201-1st") {
        SearchConfig c = preset(of);
        change(c);
        return message(ErrorKind::usage, [&] { check(c); });
    };
    CHECK(contains(refused([](auto& c) { c.arch.order = 2; }, "smoke/drnas"), "arch.order"));
    CHECK(contains(refused([](auto& c) { c.arch.order = 2, c.arch.turn = "together"; }), "together"));
    CHECK(contains(refused([](auto& c) { c.space = "darts"; }, "smoke/gdas"), "bare_sums"));
    CHECK(contains(refused([](auto& c) { c.net.stem = "imagenet"; }), "net.stem"));
    CHECK(contains(refused([](auto& c) { c.net.random_order = true; }, "smoke/darts-1st"), "net.random_order"));
    CHECK(contains(refused([](auto& c) { c.net.random_order = true, c.net.shuffle = false; }, "smoke/pcdarts"),
                   "net.random_order"));
    CHECK(refused([](auto& c) { c.net.random_order = true; }, "smoke/pcdarts") == "no error");
    CHECK(contains(refused([](auto& c) { c.train.warmup = c.train.epochs + 1; }), "train.warmup"));
    CHECK(contains(refused([](auto& c) { c.space = "darts"; }, "smoke/rsps"), "nasbench201"));
    CHECK(contains(refused([](auto& c) { c.arch.begin = 1; }, "smoke/rsps"), "rsps has no alphas"));
    CHECK(contains(refused([](auto& c) { c.arch.in_clip = true; }, "smoke/rsps"), "rsps has no alphas"));
    CHECK(contains(refused([](auto& c) { c.arch.turn = "together"; }, "smoke/rsps"), "rsps has no alphas"));
    CHECK(contains(refused([](auto& c) { c.arch.kl = 1e-3; }), "arch.kl"));
    CHECK(contains(refused([](auto& c) { c.arch.kl = 1e-3, c.arch.turn = "together"; }, "smoke/drnas"), "arch.kl"));
    CHECK(contains(refused([](auto& c) { c.arch.bare_sums = true; }), "bare_sums"));
    CHECK(contains(refused([](auto& c) { c.train.inactive = "coast"; }), "coast"));
    CHECK(contains(refused([](auto& c) { c.arch.tau = 0.01; }, "smoke/snas"), "arch.tau_last"));
    CHECK(refused([](auto& c) { c.arch.kl = 1e-3; }, "smoke/drnas") == "no error");
    CHECK(refused([](auto& c) { c.space = "nasbench201"; }, "smoke/pcdarts") == "no error");
    CHECK(refused([](auto& c) { c.net.partial = 2; }) == "no error");
    CHECK(contains(refused([](auto& c) { c.net.partial = 3; }), "net.partial = 3 does not divide net.channels = 4"));
    CHECK(contains(refused([](auto& c) { c.net.none = false; }), "always an operator"));
    auto stages = [&](const std::string& text) {
        return refused([&](auto& c) { c.arch.stages = text; }, "smoke/drnas-progressive");
    };
    CHECK(stages("") == "no error");
    CHECK(stages("1:4:5") == "no error");
    CHECK(stages("1:2:4,2:1:1") == "no error");
    for (const char* text : {"1", "1:2", "1:2:", "1:2:3:4", "1:2:3,", ",", "a:2:3", "1:2:3 ", "1:2:99999999999"})
        CHECK(contains(stages(text), "expected EPOCH:K:OPERATORS"));
    CHECK(contains(stages("0:2:3"), "epoch 0 after one at 0"));
    CHECK(contains(stages("2:2:3,1:1:2"), "epoch 1 after one at 2"));
    CHECK(contains(stages("1:3:3"), "K = 3 does not divide net.channels = 8"));
    CHECK(contains(stages("1:0:3"), "K = 0"));
    CHECK(contains(stages("1:8:3"), "K = 8 after 4"));
    CHECK(contains(stages("1:2:6"), "6 operators are to be left of an edge's 5"));
    CHECK(contains(stages("1:2:0"), "0 operators are to be left of an edge's 5"));
    CHECK(contains(stages("1:2:3,2:1:4"), "4 operators are to be left of an edge's 3"));
    CHECK(contains(stages("3:2:3"), "a stage from epoch 3 on, but train.epochs = 3"));
    CHECK(contains(stages("1:2:3,7:1:3"), "a stage from epoch 7 on, but train.epochs = 3"));
    auto darts_stages = [&](const std::string& text, bool none) {
        return refused([&](auto& c) { c.arch.stages = text, c.net.none = none; }, "smoke/drnas-darts");
    };
    CHECK(darts_stages("1:2:1", false) == "no error");
    CHECK(darts_stages("1:2:2", true) == "no error");
    CHECK(contains(darts_stages("1:2:1", true), "`none` alone may be left"));
    CHECK(
        contains(refused([](auto& c) { c.arch.begin = 1; }, "smoke/drnas-progressive"), "the stage from epoch 0 to 1"));
    CHECK(contains(refused([](auto& c) { c.train.lr_step = "before"; }, "smoke/drnas-progressive"), "train.lr_step"));
    CHECK(contains(refused([](auto& c) { c.arch.stages = "1:1:3"; }), "arch.stages is of drnas"));
    CHECK(contains(refused([](auto& c) { c.arch.stages = "1:4:3"; }, "smoke/pcdarts"), "arch.stages is of drnas"));
    CHECK(contains(refused([](auto& c) { c.net.partial = 3; }, "smoke/pcdarts"),
                   "net.partial = 3 does not divide net.channels = 8"));
    CHECK(refused([](auto& c) { c.net.partial = 8; }, "smoke/pcdarts") == "no error");
    CHECK(refused([](auto& c) { c.net.channels = 3; }) == "no error");
    CHECK(contains(refused([](auto& c) { c.arch.begin = 3; }, "smoke/pcdarts"), "arch.begin"));
    CHECK(refused([](auto& c) { c.arch.order = 2; }, "smoke/pcdarts") == "no error");
}

TEST_CASE("the rate that a second stage begins with") {
    // DrNAS's second stage on NAS-Bench-201: .025 again at epoch 50 of 100, then twice what is above the least rate.
    CHECK(resumed_cosine_lr(0.025, 0.001, 100, 50, 50) == 0.025);
    CHECK(resumed_cosine_lr(0.025, 0.001, 100, 50, 51) == doctest::Approx(0.024246141782124923).epsilon(1e-12));
    CHECK(resumed_cosine_lr(0.025, 0.001, 100, 0, 17) ==
          doctest::Approx(cosine_lr(0.025, 0.001, 100, 17)).epsilon(1e-12));
}

TEST_CASE("the two orders of the learning rate's step") {
    BilevelTraining t;
    t.lr_step = BilevelTraining::LrStep::before;
    CHECK(learning_rate(t, 0) == doctest::Approx(0.0249763).epsilon(1e-6));
    CHECK(learning_rate(t, 48) == doctest::Approx(0.00102368).epsilon(1e-5));
    CHECK(learning_rate(t, 49) == doctest::Approx(0.001).epsilon(1e-12));
}
TEST_CASE("a warmed-up rate: PC-DARTS's on ImageNet, with the scheduler of either age") {
    BilevelTraining t;
    t.lr = 0.5, t.lr_min = 0, t.warmup = 5;
    auto is = [&](std::int64_t epoch, double rate) {
        CAPTURE(epoch);
        CHECK(learning_rate(t, epoch) == doctest::Approx(rate).epsilon(1e-5));
    };
    for (int e = 0; e < 5; e++) is(e, 0.1 * (e + 1));
    is(5, 0.487764), is(34, 0.116043), is(35, 0.103054), is(49, 0.00049332);
    t.lr_step = BilevelTraining::LrStep::before;
    for (int e = 0; e < 5; e++) is(e, 0.1 * (e + 1));
    is(5, 0.494547), is(6, 0.488153), is(34, 0.105639), is(35, 0.092918), is(48, 0.00050569);
    CHECK(std::abs(learning_rate(t, 49)) < 1e-15);
}

TEST_CASE("in two folders the alphas' pictures are those that the weights never see") {
    SearchConfig c = preset("smoke/pcdarts-imagenet");
    c.data.size = 8;
    c.valid.augment = false;
    check(c);
    Pictured pictures(c);
    REQUIRE(pictures.halves.held_out);
    const Pictures& held_out = pictures.set.test;
    double want = 0;
    for (std::uint8_t v : held_out.pixels) want += (v / 255.0 - 0.5) / 0.5;
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    BatchSource train = pictures.train(c), valid = pictures.valid(c), alpha = pictures.alpha(c);
    CHECK(train.steps_per_epoch == 8);
    REQUIRE(valid.steps_per_epoch == 2);
    CHECK(alpha.steps_per_epoch == 2);
    double sum = 0, others = 0;
    for (std::int64_t step = 0; step < 2; step++) {
        for (double v : numbers_of(valid.batch(step).x)) sum += v;
        for (double v : numbers_of(train.batch(step).x)) others += v;
    }
    CHECK(std::abs(sum - want) <= static_cast<double>(held_out.pixels.size()) * 0x1p-24);  // rounded to float
    CHECK(std::abs(others - want) > 1);
    Dataset alone = as_cifar10();
    CHECK(contains(message(ErrorKind::usage, [&] { halves_of(c, alone); }), "data.split = folders"));
}

TEST_CASE("parts of the pictures: explicit, in range, apart") {
    Dataset set = as_cifar10();
    SearchConfig c;
    c.data.split = "parts";
    auto refused = [&](const char* train, const char* valid) {
        c.data.train_part = train;
        c.data.valid_part = valid;
        return message(ErrorKind::usage, [&] { halves_of(c, set); });
    };
    CHECK(contains(refused("0:100", "99:200"), "overlap"));
    CHECK(contains(refused("100:200", "0:101"), "overlap"));
    CHECK(contains(refused("5:6", "5:6"), "overlap"));
    for (const char* wrong : {"", "7", "7:", ":7", "7:7", "8:7", "-1:7", "0:50001", "0:7x", "0x0:7", "0:99999999999"})
        CHECK(contains(refused(wrong, "0:5"), "expected FIRST:LAST"));
    CHECK(refused("0:100", "100:50000") == "no error");
    CHECK(halves_of(c, set).valid.back() == 49'999);
    c = {};
    set.train.labels.resize(7);
    CHECK(halves_of(c, set).train.size() == 3);
    CHECK(halves_of(c, set).valid.size() == 4);
    c.space = "nasbench201";  // auto falls back where the benchmark's halves do not fit
    CHECK(halves_of(c, set).train.size() == 3);
    set.train.labels.resize(1);
    CHECK(contains(message(ErrorKind::usage, [&] { halves_of(c, set); }), "halved"));
}

TEST_CASE("the alphas' batches: of a new shuffle each step, or a draw for each picture of the weights'") {
    Dataset set = as_cifar10();
    const auto norm = normalisation("half", set);
    LoaderOptions o;
    o.workers = 0;
    o.batch_size = 6;
    const std::vector<std::uint32_t> ids{10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
    std::vector<std::array<std::int32_t, 4>> draws;
    std::vector<int> labels;
    auto places = [&](Loader<float>& loader, std::uint64_t step) {
        loader.draws(step, draws, labels);
        std::vector<int> all;
        for (const auto& d : draws) all.push_back(d[0]);
        return all;
    };
    o.order = BatchOrder::first_of_shuffle;
    {
        Loader<float> loader(set.train, ids, 10, norm, o);
        std::vector<int> first = places(loader, 0), second = places(loader, 1);
        CHECK(first.size() == 6);
        CHECK(second.size() == 6);  // and not the 4 that an epoch's second would have
        CHECK(first != second);
        CHECK(std::set<int>(second.begin(), second.end()).size() == 6);  // without replacement
        CHECK(places(loader, 0) == first);
        std::set<int> seen;
        for (std::uint64_t s = 0; s < 50; s++)
            for (int p : places(loader, s)) seen.insert(p);
        CHECK(seen.size() == ids.size());
    }
    o.order = BatchOrder::replacement;
    o.epoch_pictures = 9;
    {
        Loader<float> loader(set.train, ids, 10, norm, o);
        CHECK(loader.steps_per_epoch() == 2);
        CHECK(loader.batch_count(0) == 6);
        CHECK(loader.batch_count(1) == 3);
        CHECK(loader.batch_count(3) == 3);
        std::map<int, int> hits;
        bool twice = false;
        for (std::uint64_t s = 0; s < 1000; s++) {
            const auto p = places(loader, s);
            twice = twice || std::set<int>(p.begin(), p.end()).size() < p.size();
            for (int place : p) hits[place]++;
        }
        CHECK(twice);
        REQUIRE(hits.size() == ids.size());
        // 4500 draws, 450 expected for each, deviation 20.
        for (const auto& [place, count] : hits) CHECK(std::abs(count - 450) < 6 * 20);
    }
    o.order = BatchOrder::epochs;
    CHECK_THROWS_AS(Loader<float>(set.train, ids, 10, norm, o), Error);
}

TEST_CASE("labels are hit in order of the logits") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const float nan = std::nanf("");
    const std::vector<float> rows{0, 1,   2, 3, 4, 5, 6,  //
                                  6, 5,   4, 3, 2, 1, 0,  //
                                  1, 1,   1, 1, 1, 1, 1,  //
                                  0, nan, 0, 0, 0, 0, 0};
    const Tensor logits = empty({4, 7}, DType::f32), labels = empty({4}, DType::i32);
    device->copy_in(logits.data, rows.data(), logits.bytes());
    auto score = [&](std::vector<std::int32_t> wanted) {
        device->copy_in(labels.data, wanted.data(), labels.bytes());
        const Score s = hits(logits, labels);
        CHECK(s.pictures == 4);
        return std::pair(s.top1, s.top5);
    };
    CHECK(score({6, 0, 0, 1}) == std::pair<std::int64_t, std::int64_t>(3, 3));
    CHECK(score({2, 4, 4, 1}) == std::pair<std::int64_t, std::int64_t>(0, 3));
    CHECK(score({1, 5, 5, 1}) == std::pair<std::int64_t, std::int64_t>(0, 0));
}

TEST_CASE("spaces derive, read and write alphas") {
    const SearchSpace& darts = search_space("darts");
    const SearchSpace& nb201 = search_space("nasbench201");
    CHECK(message(ErrorKind::usage, [] { search_space("dart"); }).find("darts") != std::string::npos);
    // NAS-Bench-201: the largest of each edge, `none` too, of equals the first.
    Alphas one{std::vector<double>(30, 0.0)};
    one[0][0 * 5 + 3] = 1;
    one[0][1 * 5 + 1] = 2;
    one[0][2 * 5 + 0] = 1;
    one[0][4 * 5 + 4] = 0.5;
    one[0][5 * 5 + 1] = one[0][5 * 5 + 2] = 3;
    const SearchSpace::Derived d = nb201.derive(one);
    CHECK(d.text == "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|skip_connect~2|");
    CHECK(d.skips == 2);
    Alphas two{std::vector<double>(112), std::vector<double>(112)};
    for (std::size_t i = 0; i < 112; i++)
        two[0][i] = std::sin(1.7 * static_cast<double>(i)), two[1][i] = std::cos(static_cast<double>(i));
    const auto genotype = darts::parse_genotype(darts.derive(two).text);
    CHECK(genotype == darts::derive_genotype(two[0], two[1]));
    CHECK(darts.derive(two).skips == darts::skip_connects(genotype.normal));
    // With betas an edge's weights are multiplied by its share of the node.
    const SearchSpace& weighed = search_space("darts", true);
    Alphas four = two;
    for (int m : {0, 1}) {
        std::vector<double>& betas = four.emplace_back(14);
        for (std::size_t e = 0; e < 14; e++) betas[e] = std::sin(1.1 * static_cast<double>(e) + m);
    }
    CHECK(darts::parse_genotype(weighed.derive(four).text) ==
          darts::genotype_of_weights(darts::weigh_edges(darts::softmax_rows(four[0]), four[2]),
                                     darts::weigh_edges(darts::softmax_rows(four[1]), four[3])));
    CHECK(weighed.derive(four).text != darts.derive(two).text);
    for (const auto& [space, alphas] : {std::pair{&darts, two}, {&nb201, one}, {&weighed, four}}) {
        const SpaceAlphas back = alphas_from_json(alphas_to_json(*space, alphas), "alphas.json");
        CHECK(back.space == space);
        CHECK(back.alphas == alphas);
        const std::string strip = alpha_strip(*space, {alphas, alphas, alphas});
        std::size_t polygons = 0, edges = 0;
        for (std::size_t at = 0; (at = strip.find("<polygon", at)) != std::string::npos; at++) polygons++;
        for (const AlphaMatrix& m : space->matrices())
            if (m.operators.size() > 1) edges += m.size();
        CHECK(polygons == edges);  // a band for each edge and operator
        CHECK(strip.ends_with("</svg>\n"));
        Alphas broken = alphas;
        broken[0][7] = std::nan("");
        CHECK(contains(message(ErrorKind::runtime, [&] { space->derive(broken); }), "nan"));
    }
}

TEST_CASE("networks start as PyTorch's do, with gamma of one or the other age") {
    auto device = make_device("cpu", 1);
    SearchConfig c = preset("smoke/darts-1st");
    auto net = search_space("darts").make_net(*device, DType::f32, settings_of(c, 10, 16));
    for (GammaStart gamma : {GammaStart::ones, GammaStart::uniform}) {
        initialise(net->store(), 7, gamma);
        for (const Parameter& p : net->store().parameters()) {
            CAPTURE(p.name);
            const auto values = net->store().raw(net->store().find(p.name)).span<float>();
            double low = 1e300, high = -1e300, sum = 0, squares = 0;
            for (float v : values) {
                low = std::min<double>(low, v), high = std::max<double>(high, v);
                sum += v, squares += static_cast<double>(v) * v;
            }
            const double n = static_cast<double>(values.size()), mean = sum / n;
            double bound = 0;
            if (p.shape.rank() == 4) bound = 1 / std::sqrt(p.shape[0] * p.shape[1] * p.shape[2]);
            if (p.shape.rank() == 3) bound = 1 / std::sqrt(p.shape[0] * p.shape[1]);
            if (p.name.starts_with("classifier")) bound = 1 / std::sqrt(p.name.ends_with("weight") ? p.shape[1] : 64.0);
            if (p.name.starts_with("alphas")) {
                // 112 draws: the deviation is known to 7 % (one sigma), the mean to 9.5e-5.
                CHECK(std::abs(std::sqrt(squares / n) - 1e-3) < 5 * 0.067e-3);
                CHECK(std::abs(mean) < 5 * 9.5e-5);
            } else if (bound > 0) {
                CHECK(low >= -bound);
                CHECK(high <= bound);
                CHECK(low < high);
                CHECK(std::abs(mean) < 5 * bound / std::sqrt(3 * n));
            } else if (p.name.ends_with(".weight") && gamma == GammaStart::uniform) {
                CHECK(low >= 0);
                CHECK(high < 1);
                CHECK(low < high);
            } else {
                CHECK(low == high);
                CHECK(low == (p.name.ends_with(".weight") ? 1 : 0));
            }
        }
    }
}

TEST_CASE("a training state holds Adam's moments") {
    TemporaryFolder folder;
    auto device = make_device("cpu", 1);
    const SearchSettings settings = settings_of(preset("smoke/nb201-1st"), 10, 8);
    auto make = [&] { return search_space("nasbench201").make_net(*device, DType::f32, settings); };
    auto from = make(), to = make();
    initialise(from->store(), 1);
    initialise(to->store(), 2);
    const int range = static_cast<int>(from->store().ranges().size()) - 1;  // the alphas'
    auto lr = [](std::int64_t) { return 0.1; };
    Sgd sgd(from->store(), {}, lr), sgd2(to->store(), {}, lr);
    Adam adam(from->store(), {}, lr, {range}), adam2(to->store(), {}, lr, {range}), all(to->store(), {}, lr);
    adam.state(range).first.span<float>()[3] = 5;
    adam.state(range).second.span<float>()[29] = 7;
    adam.set_steps(range, 11);
    adam.set_step_number(12);
    const std::string path = folder / "state.safetensors";
    write_safetensors(path, TrainingState::of(from->store(), sgd, nullptr, &adam).tensors());
    const SafeTensors file = SafeTensors::read(path);
    TrainingState::restore(file, to->store(), sgd2, nullptr, &adam2);
    CHECK(adam2.state(range).first.span<float>()[3] == 5);
    CHECK(adam2.state(range).second.span<float>()[29] == 7);
    CHECK(adam2.state(range).steps == 11);
    CHECK(adam2.step_number() == 12);
    for (std::size_t p = 0; p < from->store().parameters().size(); p++) {
        const auto a = from->store().raw(static_cast<int>(p)).span<float>(),
                   b = to->store().raw(static_cast<int>(p)).span<float>();
        CHECK(std::equal(a.begin(), a.end(), b.begin()));
    }
    // Another set of ranges, or none, is another training.
    for (Adam* other : {&all, static_cast<Adam*>(nullptr)})
        CHECK_THROWS_AS(TrainingState::restore(file, to->store(), sgd2, nullptr, other), Error);
}
