// A step of the path supernet whose products are of tf32, against the step in float64.
#include "tests/nas/path_step.h"

using namespace nascent;
using testing::distance;
using testing::PathRun;

// A product's factors are off by at most a part of 2^-11 each. What that does to a network is measured in float64, with
// every weight of its convolutions off by as much in a random direction: the weights' part of the products forward.
// There are six parts: weights and activations forward, weights and gradients backward to the input, activations and
// gradients backward to the weights. No other one does more than the first, of which the same weights are wrong in
// every pixel. Independent, they make sqrt(6) times its root mean square; a draw beyond six of those would not be met
// once in a lifetime.
TEST_CASE("a path step in tf32 is as far from float64's as its roundings make it") {
    auto gpu = testing::gpu_device(), strict_gpu = testing::gpu_device();
    if (!gpu) return;
    constexpr double kRoundoff = 0x1p-11;
    constexpr int kDraws = 8;
    PathRun<double> exact(make_device("cpu", 1));
    const double loss = exact.trainer.step().loss;
    const std::vector<double> gradient = exact.momenta();
    double losses = 0, gradients = 0;
    std::mt19937 random(5);
    for (int i = 0; i < kDraws; i++) {
        PathRun<double> off(make_device("cpu", 1));
        off.for_weights([&](int, double w) { return w * (1 + (random() & 1 ? kRoundoff : -kRoundoff)); });
        const double d = off.trainer.step().loss - loss;
        losses += d * d / kDraws;
        gradients += std::pow(distance(off.momenta(), gradient), 2) / kDraws;
    }
    const double parts = std::sqrt(6.0), loss_bound = 6 * parts * std::sqrt(losses),
                 gradient_bound = 2 * parts * std::sqrt(gradients);

    gpu->kernel_options.precision = Precision::tf32;
    PathRun<float> tf32(std::move(gpu)), strict(std::move(strict_gpu));
    const double loss_error = std::abs(tf32.trainer.step().loss - loss),
                 gradient_error = distance(tf32.momenta(), gradient);
    strict.trainer.step();
    const double strict_error = distance(strict.momenta(), gradient);
    const double length = distance(gradient, std::vector<double>(gradient.size()));
    MESSAGE("loss " << loss << ", off by " << loss_error << " of " << loss_bound << "; gradient " << length
                    << ", off by " << gradient_error << " of " << gradient_bound << ", in float32 by " << strict_error);
    CHECK(loss_error <= loss_bound);
    CHECK(gradient_error <= gradient_bound);
    CHECK(gradient_bound < length / 4);         // or anything would do
    CHECK(gradient_error > 16 * strict_error);  // they are rounded
}
