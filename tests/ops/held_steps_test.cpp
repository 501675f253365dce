// Optimizers whose step is captured: what changes from step to step comes from the device's memory, as HostValues sends
// it. The cpu runs the same step without a capture.
#include <doctest/doctest.h>

#include "ops/optim/adam.h"
#include "ops/optim/sgd.h"
#include "tests/ops/optimizer_bench.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// Steps of one optimizer as it is and of its twin with held numbers: the same bits in all weights.
template <class Make>
void check_held(const Make& make) {
    for (DType dtype : {DType::f64, DType::f32}) {
        CAPTURE(name_of(dtype));
        Bench plain(4, dtype), bench(4, dtype);
        auto eager = make(plain.store), held = make(bench.store);
        HostValues values(*bench.device, std::size_t{1} << 12);
        held.hold(values);
        for (int s = 0; s < 12; s++) {
            CAPTURE(s);
            std::vector<int> on{0};
            for (int r = 1; r < 4; r++)
                if (on_path(r, s)) on.push_back(r);
            plain.step(eager, on);
            held.prepare();
            values.send();
            bench.step(held, on);
            CHECK(held.step_number() == s + 1);
            for (int r = 0; r < 4; r++) CHECK(to_host(bench.store.raw(r)) == to_host(plain.store.raw(r)));
        }
        // A step that nothing was sent for has the numbers of the one before: they do come from the device.
        plain.step(eager, {0});
        bench.step(held, {0});
        CHECK(to_host(bench.store.raw(0)) != to_host(plain.store.raw(0)));
        held.count_replayed(held.stepped());
        CHECK(held.step_number() == 14);
    }
}

}  // namespace

TEST_CASE("a held step of sgd has the bits of a step") {
    for (double clip : {0.0, 0.5}) {
        CAPTURE(clip);
        check_held([&](ParameterStore& store) {
            return Sgd(store, {0.9, 5e-2, false, clip, SgdOptions::Inactive::skip}, rate);
        });
    }
}

TEST_CASE("a held step of adam has the bits of a step, and ranges count their own") {
    for (double clip : {0.0, 0.5}) {
        CAPTURE(clip);
        check_held([&](ParameterStore& store) {
            return Adam(store, {.weight_decay = 1e-2, .clip_norm = clip}, rate, {0, 1, 3});  // not 2
        });
    }
    Bench bench(3, DType::f64);
    Adam adam(bench.store, {}, rate);
    HostValues values(*bench.device, std::size_t{1} << 12);
    adam.hold(values);
    adam.prepare();
    values.send();
    bench.step(adam, {0, 2});
    adam.count_replayed(adam.stepped());
    CHECK(adam.state(0).steps == 2);
    CHECK(adam.state(1).steps == 0);
    CHECK(adam.state(2).steps == 2);
}
