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
    bool decays = true;  // whether SgdStep::decay is of these weights
};

struct SgdStep {
    double lr, momentum, decay;
    bool nesterov;
    Clip clip = {};
    double clip_value = 0;  // gradients' elements are clamped to [-clip_value, clip_value]; 0: not
    const double* lr_at =
        nullptr;  // where the kernel runs: read instead of lr, so that captured work can be done again
};

/// Per element: (w, v) through `gap`; then, with a gradient, d = clamped g * (clip's factor) + decay * w, without its
/// last term where the range does not decay; v = momentum * v + d; w -= lr * (nesterov ? d + momentum * v : v).
/// Clamping leaves what is not a number, as torch.nn.utils.clip_grad_value_.
template <class T>
void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<T>> ranges);

}  // namespace nascent::kernels
