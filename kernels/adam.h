// Adam over contiguous ranges (torch.optim.Adam's formula: decay added to the gradient, corrected moments, eps outside
// the root).
#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/clip.h"

namespace nascent::kernels {

template <class T>
struct AdamRange {
    T* w;        // weights
    T* m;        // first moment
    T* v;        // second moment
    const T* g;  // gradient
    std::size_t count;
    std::int64_t step;  // of this range, this one included: 1 is the first
    /// Where the kernel runs: AdamCorrection's rate and root, read instead of computed from lr and `step`.
    const double* correction = nullptr;
};

struct AdamStep {
    double lr, beta1, beta2, eps, decay;
    Clip clip = {};
};

/// Per element: d = g * (clip's factor) + decay * w; m = beta1 * m + (1 - beta1) * d; v = beta2 * v + (1 - beta2) *
/// d^2; w -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps).
template <class T>
void adam(const Stream&, const AdamStep&, std::span<const AdamRange<T>> ranges);

/// The two factors of that formula which depend on a range's step.
struct AdamCorrection {
    double rate, root;
    AdamCorrection(const AdamStep& s, std::int64_t step)
        : rate(s.lr / (1 - std::pow(s.beta1, static_cast<double>(step)))),
          root(std::sqrt(1 - std::pow(s.beta2, static_cast<double>(step)))) {}
};

}  // namespace nascent::kernels
