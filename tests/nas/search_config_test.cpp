// Settings of searches by gradients that do not go together.
#include "nas/algo/search_config.h"

#include <doctest/doctest.h>

#include <functional>

#include "tests/nas/run_testing.h"

using namespace nascent;
using namespace nascent::test;

TEST_CASE("settings that do not go together are refused") {
    auto refused = [](const std::function<void(SearchConfig&)>& change, const char* of = "smoke/nb201-1st") {
        SearchConfig c = preset(of);
        change(c);
        return error_of(ErrorKind::usage, [&] { check(c); });
    };
    CHECK(contains(refused([](auto& c) { c.arch.order = 2; }, "smoke/drnas"), "arch.order"));
    CHECK(contains(refused([](auto& c) { c.arch.order = 2, c.arch.turn = "together"; }), "together"));
    CHECK(contains(refused([](auto& c) { c.space = "darts"; }, "smoke/gdas"), "bare_sums"));
    CHECK(contains(refused([](auto& c) { c.net.stem = "imagenet"; }), "net.stem"));
    CHECK(contains(refused([](auto& c) { c.net.random_order = true; }, "smoke/darts-1st"), "net.random_order"));
    CHECK(contains(refused([](auto& c) { c.net.random_order = true, c.net.shuffle = false; }, "smoke/pcdarts"),
                   "net.random_order"));
    CHECK(refused([](auto& c) { c.net.random_order = true; }, "smoke/pcdarts").empty());
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
    CHECK(refused([](auto& c) { c.arch.kl = 1e-3; }, "smoke/drnas").empty());
    CHECK(refused([](auto& c) { c.space = "nasbench201"; }, "smoke/pcdarts").empty());
    CHECK(refused([](auto& c) { c.net.partial = 2; }).empty());
    CHECK(contains(refused([](auto& c) { c.net.partial = 3; }), "net.partial = 3 does not divide net.channels = 4"));
    CHECK(contains(refused([](auto& c) { c.net.none = false; }), "always an operator"));
    auto stages = [&](const std::string& text) {
        return refused([&](auto& c) { c.arch.stages = text; }, "smoke/drnas-progressive");
    };
    CHECK(stages("").empty());
    CHECK(stages("1:4:5").empty());
    CHECK(stages("1:2:4,2:1:1").empty());
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
    CHECK(darts_stages("1:2:1", false).empty());
    CHECK(darts_stages("1:2:2", true).empty());
    CHECK(contains(darts_stages("1:2:1", true), "`none` alone may be left"));
    CHECK(
        contains(refused([](auto& c) { c.arch.begin = 1; }, "smoke/drnas-progressive"), "the stage from epoch 0 to 1"));
    CHECK(contains(refused([](auto& c) { c.train.lr_step = "before"; }, "smoke/drnas-progressive"), "train.lr_step"));
    CHECK(contains(refused([](auto& c) { c.arch.stages = "1:1:3"; }), "arch.stages is of drnas"));
    CHECK(contains(refused([](auto& c) { c.arch.stages = "1:4:3"; }, "smoke/pcdarts"), "arch.stages is of drnas"));
    CHECK(contains(refused([](auto& c) { c.net.partial = 3; }, "smoke/pcdarts"),
                   "net.partial = 3 does not divide net.channels = 8"));
    CHECK(refused([](auto& c) { c.net.partial = 8; }, "smoke/pcdarts").empty());
    CHECK(refused([](auto& c) { c.net.channels = 3; }).empty());
    CHECK(contains(refused([](auto& c) { c.arch.begin = 3; }, "smoke/pcdarts"), "arch.begin"));
    CHECK(refused([](auto& c) { c.arch.order = 2; }, "smoke/pcdarts").empty());
}
