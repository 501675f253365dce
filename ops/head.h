// A network's end: batch-norm, ReLU, global average pool, linear.
#pragma once
#include "ops/norm_args.h"

namespace nascent {

struct HeadWeights {
    Tensor gamma, beta;   // (c)
    Tensor weight, bias;  // (classes, c), (classes)
};

/// Logits (n, classes) of x (n, h, w, c). Keeps the pooled features and the statistics for the backward, and nothing
/// else.
Tensor head(const Tensor& x, const HeadWeights& weights, const NormArgs& norm);

}  // namespace nascent
