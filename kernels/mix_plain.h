// What mixed ops are put together from, besides convolutions and pools: channels apart and together, the op that gives
// zero, a weight's product, softmax. Sums in double.
#pragma once
#include "kernels/node.h"

namespace nascent::kernels {

/// The first `count` channels: to (pixels, to_channels) (+)= from (pixels, from_channels). Others: pointers that begin
/// further on.
template <class T>
void copy_channels(const Stream&, std::size_t pixels, int count, const T* from, int from_channels, T* to,
                   int to_channels, bool accumulate);
/// The gradient of a slice: dx (pixels, channels) (+)= dy (pixels, count) in the channels from `first` on, 0 elsewhere.
template <class T>
void slice_channels_backward(const Stream&, std::size_t pixels, int channels, int first, int count, const T* dy, T* dx,
                             bool accumulate);

/// y (n, ceil(h / stride), ceil(w / stride), c) = 0 * x of every stride-th row and column from the first: infinities
/// and not-a-numbers become not-a-numbers, as in DARTS's `none`. Image is x's.
template <class T>
void zero_forward(const Stream&, const Image&, int stride, const T* x, T* y);
/// dx (+)= 0 * dy where x was read, 0 elsewhere.
template <class T>
void zero_backward(const Stream&, const Image&, int stride, const T* dy, T* dx, bool accumulate);

/// y = x * weight[0].
template <class T>
void weighted_forward(const Stream&, std::size_t size, const T* x, const T* weight, T* y);
/// For weights (count) of which weights[index] was taken: dx (+)= dy * weights[index]; dweights[index] (+)= sum of
/// dy * x, 0 for the other weights. dx and dweights may be null.
template <class T>
void weighted_backward(const Stream&, std::size_t size, const T* x, const T* weights, int count, int index, const T* dy,
                       T* dx, bool accumulate_dx, T* dweights, bool accumulate_dweights);

/// y = exp(x - max) / sum of exp(x - max) along every row of (rows, columns).
template <class T>
void softmax_forward(const Stream&, int rows, int columns, const T* x, T* y);
/// dx (+)= y * (dy - sum of dy * y).
template <class T>
void softmax_backward(const Stream&, int rows, int columns, const T* y, const T* dy, T* dx, bool accumulate);

}  // namespace nascent::kernels
