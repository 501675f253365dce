// Stochastic gradient descent over contiguous ranges (torch.optim.SGD's formula: decay, momentum, Nesterov).
#pragma once
#include "kernels/clip.h"

namespace nascent::kernels {

template <class T>
struct SgdRange {
    T* w;        // weights
    T* v;        // momentum
    const T* g;  // gradient; null: none (only the gap is applied)
    std::size_t count;
    /// Zero-gradient steps missed since the range was last written, as one linear map on (w, v):
    /// w' = m[0] w + m[1] v, v' = m[2] w + m[3] v. Identity where nothing was missed.
    double gap[4] = {1, 0, 0, 1};
};

struct SgdStep {
    double lr, momentum, decay;
    bool nesterov;
    Clip clip = {};
};

/// Per element: (w, v) through `gap`; then, with a gradient, d = g * (clip's factor) + decay * w; v = momentum * v + d;
/// w -= lr * (nesterov ? d + momentum * v : v).
template <class T>
void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<T>> ranges);

}  // namespace nascent::kernels
