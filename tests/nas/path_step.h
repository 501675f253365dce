// Steps of a small path supernet, which tests disturb and compare.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "nas/algo/supernet_trainer.h"
#include "tests/gpu_device.h"
#include "tests/nas/synthetic_pictures.h"

namespace nascent::testing {

/// So many pixels that a batch's statistics hold still.
inline const Dataset& pictures() {
    static const Dataset set = test::synthetic_pictures(16, 32, 10);
    return set;
}

template <class T>
struct PathRun {
    std::unique_ptr<Device> device;
    Nb201Supernet net;
    Loader<T> loader;
    SupernetTrainer trainer;
    explicit PathRun(std::unique_ptr<Device> d, bool capture = true)
        : device(std::move(d)),
          net(*device, dtype_of<T>(), {10, 16, 16, 1}),
          loader(pictures().train, {}, 10, normalisation("half", pictures()), options()),
          trainer(net, loader, training(capture)) {
        net.initialise(4);
        for_weights([](int, float w) { return w; });  // those of floats
    }
    static LoaderOptions options() {
        LoaderOptions o;
        o.seed = 4;
        o.batch_size = 16;
        return o;
    }
    static SupernetTraining training(bool capture) {
        SupernetTraining t;
        t.epochs = 4;
        t.seed = 9;
        t.capture = capture;
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

inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(sum);
}

/// How far one step is off float64's, and how far its roundings may take it.
struct StepErrors {
    double loss, loss_bound, gradient, gradient_bound;
    double length;  // of the gradient
    double strict;  // the gradient's in float32
};

/// `parts`: how many roundings act at one time, none of which does more than `error()` of each weight of the
/// convolutions, as a share of it, in a float64 step; what several such draws do is measured. Independent, they make
/// the root of that number times its root mean square; a draw beyond six of those would not be met once in a lifetime.
/// Both runs take a step.
template <class Error>
StepErrors step_errors(PathRun<float>& rounded, PathRun<float>& strict, int parts, Error&& error) {
    constexpr int kDraws = 8;
    PathRun<double> exact(make_device("cpu", 1));
    const double loss = exact.trainer.step().loss;
    const std::vector<double> gradient = exact.momenta();
    double losses = 0, gradients = 0;
    for (int i = 0; i < kDraws; i++) {
        PathRun<double> off(make_device("cpu", 1));
        off.for_weights([&](int, double w) { return w * (1 + error()); });
        const double d = off.trainer.step().loss - loss;
        losses += d * d / kDraws;
        gradients += std::pow(distance(off.momenta(), gradient), 2) / kDraws;
    }
    StepErrors e{};
    e.loss = std::abs(rounded.trainer.step().loss - loss);
    e.loss_bound = 6 * std::sqrt(parts * losses);
    e.gradient = distance(rounded.momenta(), gradient);
    e.gradient_bound = 2 * std::sqrt(parts * gradients);
    e.length = distance(gradient, std::vector<double>(gradient.size()));
    strict.trainer.step();
    e.strict = distance(strict.momenta(), gradient);
    MESSAGE("loss " << loss << ", off by " << e.loss << " of " << e.loss_bound << "; gradient " << e.length
                    << ", off by " << e.gradient << " of " << e.gradient_bound << ", in float32 by " << e.strict);
    CHECK(e.loss <= e.loss_bound);
    CHECK(e.gradient <= e.gradient_bound);
    return e;
}

}  // namespace nascent::testing
