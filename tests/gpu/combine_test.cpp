// The GPU's linear combinations have the CPU's bits, on the emulator in three orders of the threads.
#include "kernels/combine.h"

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("gpu combine", T, float, double) {
    for (std::size_t ranges : {1, 9, 70}) {
        CAPTURE(ranges);
        Numbers numbers(static_cast<unsigned>(ranges));
        std::vector<Guarded<T>> a, b, c;
        for (std::size_t r = 0; r < ranges; r++)
            for (auto* to : {&a, &b, &c}) to->push_back(numbers.uniform<T>(r == 2 ? 4099 : 1 + 3 * r));
        for (const kernels::CombineFactors& f : {kernels::CombineFactors{{1, -0.025, 3e-4}}, {{0, 0.5, 0}}})
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> y = a;  // its own first term
                std::vector<kernels::CombineRange<T>> list;
                for (std::size_t r = 0; r < ranges; r++)
                    list.push_back({y[r].data(), {y[r].data(), b[r].data(), c[r].data()}, y[r].size()});
                kernels::combine<T>(where(on_gpu), f, list);
                return y;
            });
    }
}

}  // namespace
}  // namespace nascent::test
