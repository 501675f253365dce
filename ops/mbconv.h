// MobileNetV2's inverted residual block (arXiv 1801.04381, section 3; AngleNAS, RLNAS and mmrazor's MobileNet spaces).
#pragma once
#include "ops/chain.h"

namespace nascent {

/// x (n, h, w, c_in): 1x1, batch-norm, ReLU6; depthwise k x k with `stride`, batch-norm, ReLU6; 1x1, batch-norm; plus x
/// where stride is 1 and the widths are equal. `convs` are those three, or with expansion 1 the last two. Batch-norms
/// and ReLU6 are applied where the next convolution reads: kept for the backward are each convolution's output before
/// its batch-norm (so one tensor as wide as the expansion of the input's size, and one of the output's) and vectors of
/// channels. Throws Error(runtime) for shapes that do not fit.
Tensor mbconv(const Tensor& x, int stride, std::span<const NormedConv> convs);

}  // namespace nascent
