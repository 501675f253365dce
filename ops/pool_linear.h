// A network's end behind its last activation: global average pool, dropout, linear.
#pragma once
#include "engine/tensor/tensor.h"

namespace nascent {

/// What a dropout mask is a function of, besides the element: engine/base/rng.h's counters (stream dropout). Elements
/// are numbered from `first` on.
struct DropoutKey {
    std::uint64_t seed = 0, step = 0;
    std::uint32_t first = 0;
};

/// A mask in the current arena, a constant for the tape: each element 0 with probability `p`, else 1 / (1 - p), as
/// torch.nn.Dropout's factor. The same on every device. Throws Error(runtime) unless 0 <= p < 1.
Tensor dropout_mask(const Shape& shape, DType dtype, double p, const DropoutKey& key);

/// Logits (n, classes) of x (n, h, w, c): linear(masked(global_avg_pool(x), mask), weight, bias); mask (n, c) and bias
/// (classes) may be undefined. weight is (classes, c). Keeps the pooled features.
Tensor pool_linear(const Tensor& x, const Tensor& mask, const Tensor& weight, const Tensor& bias);

}  // namespace nascent
