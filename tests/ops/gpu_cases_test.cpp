// Every op and case on the gpu against the cpu, and captured against as it is.
#include <doctest/doctest.h>

#include "tests/gpu_device.h"
#include "tests/ops/compare.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("the gpu computes what the cpu computes") {
    const auto gpu = gpu_device(), cpu = make_device("cpu", 1);
    if (!gpu) return;
    Arena gpu_step(*gpu, std::size_t{1} << 30, true), cpu_step(*cpu, std::size_t{1} << 30, true);
    for (const OpEntry& op : ops_asked_for())
        for (const Case& c : op.cases())
            for (DType dtype : {DType::f64, DType::f32}) {
                CAPTURE(std::string(op.name));
                CAPTURE(c.what);
                CAPTURE(name_of(dtype));
                const Result a = run_case(c, gpu_step, {.dtype = dtype}), b = run_case(c, cpu_step, {.dtype = dtype});
                CHECK(distance(a.value, b.value) <= bound(c, dtype, largest(b.value)));
                REQUIRE(a.gradients.size() == b.gradients.size());
                for (const auto& [i, g] : b.gradients) {
                    CAPTURE(i);
                    CHECK(distance(a.gradients.at(i), g) <= bound(c, dtype, largest(g)));
                }
            }
}

TEST_CASE("captured and replayed equals eager to the bit") {
    const auto device = gpu_device();
    if (!device) return;
    Arena step(*device, std::size_t{1} << 30, true), kept(*device, std::size_t{1} << 30, true);
    for (const OpEntry& op : ops_asked_for())
        for (const Case& c : op.cases())
            for (DType dtype : types_of(c)) {
                CAPTURE(std::string(op.name));
                CAPTURE(c.what);
                CAPTURE(name_of(dtype));
                set_precision(*device, dtype);
                const Result eager = run_case(c, step, {.dtype = dtype, .kept = &kept});
                Segments segments(*device);
                for (int i = 0; i < 4; i++) {  // as it is, captured, replayed twice
                    const Result r = run_case(c, step, {.dtype = dtype, .kept = &kept, .segments = &segments});
                    CAPTURE(i);
                    CHECK(r.value == eager.value);
                    CHECK(r.gradients == eager.gradients);
                }
                CHECK(segments.replays() >= 2 * static_cast<std::int64_t>(segments.size()));
                CHECK(segments.size() >= 1);
                CHECK(segments.replayed_nodes() > 0);
            }
}
