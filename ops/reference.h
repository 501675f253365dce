// Primitive ops, one thing each, on slow and plain kernels: what fused ops must equal is composed of these alone.
#pragma once
#include <span>

#include "ops/norm_args.h"

namespace nascent {

/// max(0, x).
Tensor relu(const Tensor& x);
/// min(6, max(0, x)); the gradient passes where 0 < x < 6, as torch.nn.ReLU6's.
Tensor relu6(const Tensor& x);
/// a + b, same shapes.
Tensor add(const Tensor& a, const Tensor& b);
/// x (n, h, w, c_in) with w (k, k, c_in, c_out), k 1 or 3, stride 1 or 2, padding k / 2, no bias.
Tensor conv2d(const Tensor& x, const Tensor& w, int stride = 1);
/// x (n, h, w, c_in) with w (taps of h, taps of w, c_in, c_out) and any window: uneven kernels (1 x 7:
/// {same_axis(1), same_axis(7)}), no padding ({{2}, {2}}), the second path of DARTS's FactorizedReduce, which begins at
/// the second row and column ({{1, 2, 1, -1}, {1, 2, 1, -1}}).
Tensor conv2d(const Tensor& x, const Tensor& w, const kernels::Window& at);
/// x (n, h, w, c) with w (k, k, c), k odd, every channel by itself; padding (k - 1) / 2 * dilation, no bias.
Tensor depthwise(const Tensor& x, const Tensor& w, int stride = 1, int dilation = 1);
/// Batch-norm over (n, h, w); gamma and beta (c), or both undefined.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const NormArgs& args);
/// k x k average, padding (at most k / 2) left out of the mean.
Tensor avg_pool(const Tensor& x, int k, int stride, int padding);
/// k x k maximum, as torch.nn.MaxPool2d: the gradient goes to the first of equals; not-a-numbers win.
Tensor max_pool(const Tensor& x, int k, int stride, int padding);
/// (n, h, w, c) to (n, c).
Tensor global_avg_pool(const Tensor& x);
/// Parts (n, h, w, c_i), of one n, h, w, to (n, h, w, sum of c_i), in order; one may stand there twice.
Tensor concat(std::span<const Tensor> parts);
/// Channels [first, first + count) of x (n, h, w, c).
Tensor slice_channels(const Tensor& x, int first, int count);
/// Parts (n_i, ...), alike in all extents but the first, to (sum of n_i, ...), in order; one may stand there twice.
Tensor stack(std::span<const Tensor> parts);
/// Pictures [first, first + count) of x (n, ...).
Tensor slice_pictures(const Tensor& x, int first, int count);
/// DARTS's `none`: 0 * x, of every stride-th row and column from the first; (n, h, w, c) to (n, ceil(h / stride),
/// ceil(w / stride), c).
Tensor zero(const Tensor& x, int stride = 1);
/// x times element `index` of the weights (any shape, counted through), with a gradient for both: a mixed op's alpha.
Tensor weighted(const Tensor& x, const Tensor& weights, int index);
/// Of every row of x (rows, columns).
Tensor softmax(const Tensor& x);
/// Channels in `groups` groups, interleaved: channel i * groups + g of the result is channel g * (c / groups) + i of x.
Tensor channel_shuffle(const Tensor& x, int groups);
/// Channel i of the result is channel order[i]. Throws Error(runtime) unless that is an order of x's channels.
Tensor channel_permute(const Tensor& x, std::span<const std::uint16_t> order);
/// Throws Error(runtime) unless `order` has each of `channels` (at most 512) once.
void check_order(std::span<const std::uint16_t> order, std::int64_t channels);
/// PC-DARTS's edge normalisation (arXiv 1907.05737, section 3.2): weights (edges, operators) of a cell whose node i has
/// `first` + i edges, betas (edges) or (edges, 1). The result (edges, operators + 1): the softmax of a node's betas
/// times its edges' weights, and in the last column that softmax itself.
Tensor edge_weights(const Tensor& weights, const Tensor& betas, int nodes, int first = 2);
/// x times mask, element by element; same shapes. The mask has no gradient.
Tensor masked(const Tensor& x, const Tensor& mask);
/// x (n, in), w (out, in), bias (out) or undefined.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias);
/// Mean cross-entropy (a scalar of shape (1)) of logits (n, classes) with labels (n) int32 in [0, classes), as
/// torch.nn.functional.cross_entropy with label_smoothing. A label out of range: throws Error(runtime) on the CPU; on
/// other devices, where looking would mean waiting, the loss is not-a-number.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double smoothing = 0);

}  // namespace nascent
