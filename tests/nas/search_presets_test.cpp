// Presets of searches by gradients against the papers' rows.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "nas/algo/search_pictures.h"
#include "nas/algo/search_run.h"
#include "tests/nas/run_testing.h"
#include "tests/nas/search_testing.h"

using namespace nascent;
using namespace nascent::test;

namespace {

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
        CHECK(error_of(ErrorKind::usage, [&] { check(c); }).find("--data") != std::string::npos);
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
    CHECK(error_of(ErrorKind::usage, [] { preset("darts/cifar-1st"); }).find("darts/cifar10-1st") != std::string::npos);
    CHECK(preset("none").preset == "none");
}
