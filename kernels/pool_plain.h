// Pools as in a textbook: what fused ones must equal. Sums in double.
#pragma once
#include <cstdint>

#include "kernels/node.h"

namespace nascent::kernels {

/// Windows of k x k pixels; what of them is padding takes no part.
struct PoolShape {
    Image x;
    int k, stride, padding;
    int out_h() const { return (x.h + 2 * padding - k) / stride + 1; }
    int out_w() const { return (x.w + 2 * padding - k) / stride + 1; }
};

/// The mean over the window's pixels inside the image.
template <class T>
void avg_pool_plain_forward(const Stream&, const PoolShape&, const T* x, T* y);
template <class T>
void avg_pool_plain_backward(const Stream&, const PoolShape&, const T* dy, T* dx, bool accumulate);

/// The largest of the window's pixels inside the image, and `tap`, its place in the window in row order (k at most 15).
/// As torch.nn.MaxPool2d: among equals the first; not-a-number is larger than anything, and of several it is the last.
template <class T>
void max_pool_plain_forward(const Stream&, const PoolShape&, const T* x, T* y, std::uint8_t* tap);
/// dx (+)= dy at the pixels that the taps name, 0 elsewhere.
template <class T>
void max_pool_plain_backward(const Stream&, const PoolShape&, const std::uint8_t* tap, const T* dy, T* dx,
                             bool accumulate);

/// pooled (n, c) = mean over pixels.
template <class S>
void global_avg_pool_forward(const Stream&, const Image&, const S* x, Compute<S>* pooled);
template <class S>
void global_avg_pool_backward(const Stream&, const Image&, const Compute<S>* dpooled, S* dx, bool accumulate);

}  // namespace nascent::kernels
