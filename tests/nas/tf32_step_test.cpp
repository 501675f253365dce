// A step of the path supernet whose products are of tf32, against the step in float64.
#include "tests/nas/path_step.h"

using namespace nascent;
using testing::PathRun;

// A product's factors are off by at most a part of 2^-11 each. What that does to a network is measured in float64, with
// every weight of its convolutions off by as much in a random direction: the weights' part of the products forward.
// There are six parts: weights and activations forward, weights and gradients backward to the input, activations and
// gradients backward to the weights. No other one does more than the first, of which the same weights are wrong in
// every pixel.
TEST_CASE("a path step in tf32 is as far from float64's as its roundings make it") {
    auto gpu = testing::gpu_device(), strict_gpu = testing::gpu_device();
    if (!gpu) return;
    constexpr double kRoundoff = 0x1p-11;
    gpu->kernel_options.precision = Precision::tf32;
    PathRun<float> tf32(std::move(gpu)), strict(std::move(strict_gpu));
    std::mt19937 random(5);
    const testing::StepErrors e =
        testing::step_errors(tf32, strict, 6, [&] { return random() & 1 ? kRoundoff : -kRoundoff; });
    CHECK(e.gradient_bound < e.length / 4);  // or anything would do
    CHECK(e.gradient > 16 * e.strict);       // they are rounded
}
