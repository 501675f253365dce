// Primitive ops, one thing each, on slow and plain kernels: what fused ops must equal is composed of these alone.
#pragma once
#include "ops/norm_args.h"

namespace nascent {

/// max(0, x).
Tensor relu(const Tensor& x);
/// a + b, same shapes.
Tensor add(const Tensor& a, const Tensor& b);
/// x (n, h, w, c_in) with w (k, k, c_in, c_out), k 1 or 3, stride 1 or 2, padding k / 2, no bias.
Tensor conv2d(const Tensor& x, const Tensor& w, int stride = 1);
/// Batch-norm over (n, h, w); gamma and beta (c), or both undefined.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const NormArgs& args);
/// k x k average, padding left out of the mean.
Tensor avg_pool(const Tensor& x, int k, int stride, int padding);
/// (n, h, w, c) to (n, c).
Tensor global_avg_pool(const Tensor& x);
/// x (n, in), w (out, in), bias (out).
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias);
/// Mean cross-entropy (a scalar of shape (1)) of logits (n, classes) with labels (n) int32 in [0, classes), as
/// torch.nn.functional.cross_entropy with label_smoothing. A label out of range: throws Error(runtime) on the CPU; on
/// other devices, where looking would mean waiting, the loss is not-a-number.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double smoothing = 0);

}  // namespace nascent
