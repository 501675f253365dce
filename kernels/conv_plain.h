// Convolutions as in a textbook, dense and depthwise, with any window, without bias, prologue or sums: what fused
// convolutions must equal. Sums in double.
#pragma once
#include "kernels/node.h"
#include "kernels/window.h"

namespace nascent::kernels {

/// x (n, h, w, c_in), w (taps of h, taps of w, c_in, c_out), y (n, windows of h, windows of w, c_out), overwritten.
template <class T>
void conv_plain_forward(const Stream&, const Image&, const Window&, int c_out, const T* x, const T* w, T* y);
/// dx and dw are overwritten or accumulated, or null: not wanted.
template <class T>
void conv_plain_backward(const Stream&, const Image&, const Window&, int c_out, const T* x, const T* w, const T* dy,
                         T* dx, bool accumulate_dx, T* dw, bool accumulate_dw);

/// Every channel by itself: w (taps of h, taps of w, c), y (n, windows of h, windows of w, c).
template <class T>
void depthwise_plain_forward(const Stream&, const Image&, const Window&, const T* x, const T* w, T* y);
template <class T>
void depthwise_plain_backward(const Stream&, const Image&, const Window&, const T* x, const T* w, const T* dy, T* dx,
                              bool accumulate_dx, T* dw, bool accumulate_dw);

}  // namespace nascent::kernels
