// Convolution and batch-norm, without ReLU: NAS-Bench-201's stem.
#pragma once
#include "ops/norm_args.h"

namespace nascent {

/// Batch-norm of conv2d(x, w, stride); x (n, h, w, c_in), w (k, k, c_in, c_out), gamma and beta (c_out).
Tensor conv_norm(const Tensor& x, const Tensor& w, const Tensor& gamma, const Tensor& beta, const NormArgs& norm,
                 int stride = 1);

}  // namespace nascent
