// Settings of SPOS's runs: published ones, and what they become.
#include "nas/algo/spos_config.h"

#include <doctest/doctest.h>

using namespace nascent;

TEST_CASE("published trainings of chains have their numbers") {
    SposConfig c = spos_preset("spos/shufflenet");
    c.data.source = "folder:/pictures";
    resolve(c);
    ChainTraining t = training_of(c, 1252);
    CHECK(t.steps == 150'000);
    CHECK(learning_rate(t, 0) == 0.5);
    CHECK(c.train.batch == 1024);
    CHECK(t.label_smoothing == 0.1);
    CHECK(t.sgd.momentum == 0.9);
    CHECK_FALSE(t.sgd.nesterov);
    CHECK(t.sgd.weight_decay == 4e-5);
    CHECK(t.sgd.inactive == SgdOptions::Inactive::skip);
    const chain::Space space = space_of(c, 1000, 224);
    const chain::Net net = supernet_of(c, space);
    CHECK_FALSE(net.style.affine);
    CHECK(net.style.dropout == 0.1);
    CHECK(chain::parameter_count(net.layers) == 8388176);
    CHECK(sampling_of(c, 1252).buckets.tries == 500);
    CHECK(start_of(c, space) == ChainStart::spos);

    c = spos_preset("spos/shufflenet-mmrazor");
    c.data.source = "folder:/pictures";
    resolve(c);
    t = training_of(c, 1252);
    CHECK(t.steps == 300 * 1252);
    CHECK(sampling_of(c, 1252).law == ChainSampling::Law::uniform);
    CHECK(c.train.flops == "mmrazor");
    CHECK(chain::parameter_count(supernet_of(c, space_of(c, 1000, 224)).layers) == 8488600);

    c = spos_preset("spos/mobilenet");
    c.data.source = "folder:/pictures";
    resolve(c);
    t = training_of(c, 2404);
    CHECK(t.steps == 100 * 2404);
    CHECK(t.sgd.clip_value == 5);
    CHECK(c.train.order == "replacement");
    CHECK(learning_rate(t, 0) == doctest::Approx(0.25 * (1 - 1.0 / 240'400)).epsilon(1e-12));
    CHECK(chain::parameter_count(supernet_of(c, space_of(c, 1000, 224)).layers) == 27684320);
    CHECK(start_of(c, space_of(c, 1000, 224)) == ChainStart::torch);

    c = spos_preset("spos/shufflenet-channels");
    c.data.source = "folder:/pictures";
    resolve(c);
    CHECK(sampling_of(c, 1000).widen_from == 60'000);
    CHECK(sampling_of(c, 1000).widen_steps == 1000);
    for (const std::string& name : spos_preset_names()) {
        SposConfig any = spos_preset(name);
        CHECK(any.preset == name);
        if (any.data.source.empty()) any.data.source = any.data.pipeline == "none" ? "synthetic" : "folder:/pictures";
        resolve(any);
        const int classes = name == "smoke/spos-cifar" ? 10 : 1000;  // its limits are those of CIFAR's network
        if (any.data.size > 0) (void)chain_paths(space_of(any, classes, any.data.size), sampling_of(any, 100));
    }
    CHECK_THROWS_WITH(spos_preset("spos/shuflenet"), doctest::Contains("spos/shufflenet"));
}

TEST_CASE("search settings of published programs are those of their code") {
    const auto preset = [](const char* name) {
        nascent::SposConfig c = nascent::spos_preset(name);
        c.data.source = "folder:/none";
        nascent::resolve(c);
        return c.search;
    };
    for (const std::string& name : nascent::spos_preset_names()) {
        if (name == "none") continue;
        CAPTURE(name);
        CHECK_NOTHROW(nascent::check(preset(name.c_str())));
    }
    const auto spos_search = preset("spos/shufflenet"), mmrazor = preset("spos/shufflenet-mmrazor"),
               angle = preset("spos/mobilenet");
    for (const auto& s : {spos_search, mmrazor, angle}) {
        CHECK(s.population == 50);
        CHECK(s.select == 10);
        CHECK(s.mutation == 25);
        CHECK(s.crossover == 25);
    }
    CHECK(spos_search.max_flops == 330'000'000);
    CHECK(spos_search.generations == 21);
    CHECK(spos_search.calibration == 200 * 128);
    CHECK(spos_search.pictures == 40 * 200);
    CHECK(mmrazor.norms == "batch");
    CHECK(mmrazor.batch == 128);
    CHECK(mmrazor.generations == 20);
    CHECK(angle.m_prob == 0.5);
    CHECK(angle.max_flops == 475'000'000);
    CHECK(angle.calibration == 20'000);
    CHECK(angle.calibration_batch == 64);
}
