// Dropout masks: how often an element goes, what the others become, what a draw is a function of.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/autograd/execution.h"
#include "ops/constants.h"
#include "ops/pool_linear.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {
std::vector<double> drawn(Device& device, DType dtype, double p, const DropoutKey& key) {
    Arena arena(device, std::size_t{1} << 28, true);
    ExecutionScope execution(arena);
    return numbers_of(dropout_mask({40, 250}, dtype, p, key));
}
}  // namespace

TEST_CASE("a dropout mask keeps the expectation and is a function of its key") {
    const auto device = make_device("cpu", 2);
    for (double p : {0.0, 0.1, 0.2, 0.75}) {
        const std::vector<double> mask = drawn(*device, DType::f64, p, {5, 3});
        double zeros = 0;
        for (double v : mask) {
            CHECK((v == 0 || v == 1 / (1 - p)));
            zeros += v == 0;
        }
        // Five standard deviations of the binomial distribution.
        const double n = static_cast<double>(mask.size());
        CHECK(std::abs(zeros - p * n) <= 5 * std::sqrt(n * p * (1 - p)));
    }
    const std::vector<double> mask = drawn(*device, DType::f64, 0.5, {5, 3});
    CHECK(mask == drawn(*make_device("cpu", 1), DType::f32, 0.5, {5, 3}));  // 0 and 2 in both
    CHECK(mask != drawn(*device, DType::f64, 0.5, {6, 3}));
    CHECK(mask != drawn(*device, DType::f64, 0.5, {5, 4}));
    const std::vector<double> later = drawn(*device, DType::f64, 0.5, {5, 3, 100});
    CHECK(std::equal(mask.begin() + 100, mask.end(), later.begin()));
    if (const auto gpu = testing::gpu_device()) CHECK(mask == drawn(*gpu, DType::f64, 0.5, {5, 3}));
    for (double p : {-0.1, 1.0, std::nan("")}) CHECK_THROWS_AS(drawn(*device, DType::f64, p, {}), Error);
}
