// What only the emulator can show of the ops on the gpu; not part of a build with CUDA.
#include <doctest/doctest.h>

#include "kernels/simt/emulator.h"
#include "tests/gpu_device.h"
#include "tests/ops/case_runner.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("ops on the gpu give the same bits in every order of the threads") {
    const auto device = gpu_device();
    Arena step(*device, std::size_t{1} << 30, true);
    for (const OpEntry& op : ops_asked_for())
        for (const Case& c : op.cases())
            for (DType dtype : types_of(c)) {
                if (dtype == DType::f64) continue;
                CAPTURE(std::string(op.name));
                CAPTURE(c.what);
                CAPTURE(name_of(dtype));
                set_precision(*device, dtype);
                const Result first = run_case(c, step, {.dtype = dtype});
                for (auto order : {simt::Order::reverse, simt::Order::shuffled}) {
                    simt::set_order(order, 5);
                    const Result r = run_case(c, step, {.dtype = dtype});
                    simt::set_order(simt::Order::forward);
                    CHECK(r.value == first.value);
                    CHECK(r.gradients == first.gradients);
                }
            }
}
