// A block of ShuffleNetV2's space, Shuffle 3x3, 5x5, 7x7 or Xception (SPOS, arXiv 1904.00420, section 4;
// megvii-model/SinglePathOneShot, src/Supernet/blocks.py).
#pragma once
#include "ops/chain.h"

namespace nascent {

/// How channels are mixed between blocks.
enum class ShuffleOrder {
    parity,  // the original: even channels of a stride-1 block's input go round the branch, odd ones through it; y is
             // (round or projection, branch) side by side
    halves,  // mmrazor: the first half goes round, the second through the branch; y's halves are interleaved, of blocks
             // of stride 2 too
};

/// `main` is Shuffle k: 1x1, ReLU; depthwise k x k; 1x1, ReLU (three convolutions, each with its batch-norm before the
/// ReLU), or Xception: depthwise 3x3; 1x1, ReLU; and so twice more (six). The first depthwise convolution has the
/// block's stride. Stride 1: `projection` is empty; x (n, h, w, 2 c) to (n, h, w, c + c_out) with halves as in `order`.
/// Stride 2: `projection` is depthwise; 1x1, ReLU (two); both read all of x.
/// Any number of channels in the middle. Splitting, concatenating and shuffling are index maps: no pass only moves
/// channels. Kept for the backward: each convolution's output before its batch-norm, and vectors of channels.
/// Throws Error(runtime) for shapes that do not fit, or with ShuffleOrder::halves branches of other widths than the
/// rest.
Tensor shuffle_block(const Tensor& x, ShuffleOrder order, int stride, std::span<const NormedConv> main,
                     std::span<const NormedConv> projection);

}  // namespace nascent
