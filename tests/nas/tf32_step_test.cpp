// A step of the path supernet whose products are of tf32, against the step in float64.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "nas/algo/supernet_trainer.h"
#include "tests/gpu_device.h"
#include "tests/nas/synthetic_pictures.h"

using namespace nascent;

namespace {

/// So many pixels that a batch's statistics hold still.
const Dataset& pictures() {
    static const Dataset set = test::synthetic_pictures(16, 32, 10);
    return set;
}

template <class T>
struct Run {
    std::unique_ptr<Device> device;
    Nb201Supernet net;
    Loader<T> loader;
    SupernetTrainer trainer;
    explicit Run(std::unique_ptr<Device> d)
        : device(std::move(d)),
          net(*device, dtype_of<T>(), {10, 16, 16, 1}),
          loader(pictures().train, {}, 10, normalisation("half", pictures()), options()),
          trainer(net, loader, training()) {
        net.initialise(4);
        for_weights([](int, float w) { return w; });  // those of floats
    }
    static LoaderOptions options() {
        LoaderOptions o;
        o.seed = 4;
        o.batch_size = 16;
        return o;
    }
    static SupernetTraining training() {
        SupernetTraining t;
        t.epochs = 4;
        t.seed = 9;
        return t;
    }
    /// Each weight of a convolution becomes f(parameter, it).
    template <class F>
    void for_weights(F&& f) {
        for (std::size_t p = 0; p < net.store().parameters().size(); p++) {
            if (net.store().parameters()[p].shape.rank() != 4) continue;
            const Tensor t = net.store().raw(static_cast<int>(p));
            std::vector<T> w(static_cast<std::size_t>(t.shape.size()));
            device->copy_out(w.data(), t.data, w.size() * sizeof(T));
            for (T& v : w) v = static_cast<T>(f(static_cast<int>(p), static_cast<float>(v)));
            device->copy_in(t.data, w.data(), w.size() * sizeof(T));
        }
    }
    /// After a step from zero momentum: the gradient, and what decay adds.
    std::vector<double> momenta() {
        std::vector<double> all;
        for (std::size_t p = 0; p < net.store().parameters().size(); p++) {
            const Tensor t = net.store().raw_momentum(static_cast<int>(p));
            std::vector<T> m(static_cast<std::size_t>(t.shape.size()));
            device->copy_out(m.data(), t.data, m.size() * sizeof(T));
            all.insert(all.end(), m.begin(), m.end());
        }
        return all;
    }
};

double distance(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(sum);
}

}  // namespace

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
    Run<double> exact(make_device("cpu", 1));
    const double loss = exact.trainer.step().loss;
    const std::vector<double> gradient = exact.momenta();
    double losses = 0, gradients = 0;
    std::mt19937 random(5);
    for (int i = 0; i < kDraws; i++) {
        Run<double> off(make_device("cpu", 1));
        off.for_weights([&](int, double w) { return w * (1 + (random() & 1 ? kRoundoff : -kRoundoff)); });
        const double d = off.trainer.step().loss - loss;
        losses += d * d / kDraws;
        gradients += std::pow(distance(off.momenta(), gradient), 2) / kDraws;
    }
    const double parts = std::sqrt(6.0), loss_bound = 6 * parts * std::sqrt(losses),
                 gradient_bound = 2 * parts * std::sqrt(gradients);

    gpu->kernel_options.precision = Precision::tf32;
    Run<float> tf32(std::move(gpu)), strict(std::move(strict_gpu));
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
