// Convolution, batch-norm and ReLU or ReLU6: the stem and the last convolution of ShuffleNetV2's and MobileNet's
// spaces.
#pragma once
#include "ops/chain.h"

namespace nascent {

/// activation(batch_norm(conv2d(x, w, stride))); x (n, h, w, c_in), w (k, k, c_in, c_out) with k 1 or 3, stride 1 or 2.
/// Kept for the backward: the convolution's output, and vectors of channels. Throws Error(runtime) for shapes that do
/// not fit.
Tensor conv_act(const Tensor& x, const NormedConv& conv, kernels::Activation activation, int stride = 1);

}  // namespace nascent
