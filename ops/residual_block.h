// NAS-Bench-201's reduction: a stride-2 residual block (drnas_nb201 facts, xautodl ResNetBasicblock).
#pragma once
#include "ops/norm_args.h"

namespace nascent {

struct ResidualWeights {
    Tensor conv_a, gamma_a, beta_a;  // (3, 3, c, d), (d), (d); stride 2
    Tensor conv_b, gamma_b, beta_b;  // (3, 3, d, d), (d), (d)
    Tensor shortcut;                 // (1, 1, c, d), no batch-norm
};

/// BN_b(conv_b(relu(BN_a(conv_a(relu(x)))))) + shortcut(avg_pool_2x2(x)); x (n, h, w, c) with even h and w, the result
/// (n, h/2, w/2, d). No ReLU after the sum.
Tensor residual_block(const Tensor& x, const ResidualWeights& weights, const NormArgs& norm_a, const NormArgs& norm_b);

}  // namespace nascent
