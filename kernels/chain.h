// Chains of convolutions that end in a batch-norm and an activation each: the branches of ShuffleNetV2's blocks and of
// MobileNet's. What a norm gives is never stored: it is z with a scale and shift per channel, applied where the next
// link reads. Channels that are split, concatenated or shuffled are index maps of what is read and written. All NHWC;
// sums of pixels in an order fixed by the shapes.
#pragma once
#include <cstddef>

#include "kernels/conv.h"

namespace nascent::kernels {

/// max(0, x); relu6: at most 6 too. Not-a-number passes; gradients pass where 0 < x (< 6), and not-a-number.
enum class Activation { none, relu, relu6 };

/// Channels of pixels that lie in wider ones: channel c of pixel p is x[p * pixel + c * step], step 1 or 2.
template <class T>
struct Channels {
    T* x = nullptr;
    int pixel = 0, step = 1;
};

/// One convolution, without bias: depthwise k x k (k 3, 5 or 7, stride 1 or 2, padding k / 2, c_out = c_in) with
/// weights (k, k, c_in), or else 1x1 of stride 1 with (c_in, c_out).
struct LinkShape {
    int n, h, w, c_in, c_out, k = 1, stride = 1;
    bool depthwise = false;
    int out_h() const { return (h - 1) / stride + 1; }
    int out_w() const { return (w - 1) / stride + 1; }
    std::size_t in_pixels() const { return static_cast<std::size_t>(n) * h * w; }
    std::size_t out_pixels() const { return static_cast<std::size_t>(n) * out_h() * out_w(); }
};

/// activation(x * scale + shift), per channel; null scale and shift: activation(x).
template <class T>
struct Normed {
    Channels<const T> x;
    const T* scale = nullptr;
    const T* shift = nullptr;
    Activation activation = Activation::none;
};

/// z = conv(input), (n, out_h, out_w, c_out), overwritten. With `sums` (2 * c_out doubles) the sums of z per channel,
/// then of z^2. `workspace` as link_forward_workspace, 64-byte aligned.
template <class T>
void link_forward(const Stream&, const LinkShape&, const Normed<T>& input, const T* w, T* z, double* sums,
                  void* workspace);
std::size_t link_forward_workspace(const Stream&, const LinkShape&, std::size_t element);

/// The gradient of a link's norm, y = activation(z * scale + shift): g is that of y, masked where the activation was
/// shut, or (activation none) has been already. z is (pixels, channels); scale and shift null: 1 and 0.
template <class T>
struct NormedGradient {
    Channels<const T> g;
    const T* z = nullptr;
    const T* scale = nullptr;
    const T* shift = nullptr;
    Activation activation = Activation::none;
};

/// sums (2 * c doubles): of g, masked, and of g * z. `workspace` as link_sums_workspace.
template <class T>
void link_sums(const Stream&, std::size_t pixels, int c, const NormedGradient<T>& gradient, double* sums,
               void* workspace);
std::size_t link_sums_workspace(const Stream&, std::size_t pixels, int c);

/// dz (pixels, c) = gradient's g, masked, * fold.scale + z * fold.slope + fold.shift. `fold.z` is not read.
template <class T>
void link_gradient(const Stream&, std::size_t pixels, int c, const NormedGradient<T>& gradient, const NormFold<T>& fold,
                   T* dz);

/// Where the gradient of a link's input goes: da of x * scale + shift (masked by the input's activation, not multiplied
/// by scale), overwritten or accumulated, each pixel once.
template <class T>
struct LinkTarget {
    Channels<T> da;  // x null: not wanted
    bool accumulate = false;
    Channels<const T> skip;  // added to da: what goes round the whole chain; x null: nothing does
    // Other channels of the same pixels, as many as da's: round_da (+)= round_g. Where da's step is 2 they are there,
    // and are the elements before da's: round_da.x + 1 = da.x.
    Channels<T> round_da;
    Channels<const T> round_g;
    // (2 * c_in): of da and of da * x. Only where da is alone and as dense as x: overwritten, no skip, nothing round
    // it.
    double* sums = nullptr;
};

/// dz = gradient's g * fold.scale + z * fold.slope + fold.shift; dw overwritten or accumulated, null: not wanted.
/// `fold.z` is not read. `workspace` as link_backward_workspace, 64-byte aligned.
template <class T>
void link_backward(const Stream&, const LinkShape&, const Normed<T>& input, const T* w,
                   const NormedGradient<T>& gradient, const NormFold<T>& fold, const LinkTarget<T>& target, T* dw,
                   bool accumulate_dw, void* workspace);
std::size_t link_backward_workspace(const Stream&, const LinkShape&, std::size_t element);

/// One half of what a block gives.
template <class T>
struct ChainPart {
    Normed<T> from;
    int c = 0;
};

/// y (pixels, a.c + b.c) = a's channels, then b's (b.c may be 0); `interleaved` (a.c = b.c): channel 2 i is a's i, 2 i
/// + 1 is b's. With `skip` (pixels, a.c), b.c = 0: y = a + skip.
template <class T>
void chain_output(const Stream&, std::size_t pixels, const ChainPart<T>& a, const ChainPart<T>& b, bool interleaved,
                  const T* skip, T* y);

}  // namespace nascent::kernels
