// Dense convolution, NHWC, fused with what stands before it (scale, shift, ReLU on load) and after it (batch-norm
// sums).
#pragma once
#include <cstddef>

#include "kernels/element.h"
#include "kernels/stream.h"

namespace nascent::kernels {

/// x is (n, h, w, c_in), weights are (k, k, c_in, c_out), padding k/2, no bias. k is 1 or 3, stride 1 or 2.
/// With `fold` > 1 (the cpu only) the channels of 2, 4 or 8 pictures lie side by side (kernels/fold.h): n counts what
/// is folded, x is (n, h, w, c_in * fold) and z (n, out_h, out_w, c_out * fold); vectors that x and z are scaled with
/// are as long, alike in each picture's part; the sums are those of all pictures, c_out channels.
struct ConvShape {
    int n, h, w, c_in, c_out, k, stride;
    int fold = 1;
    int in() const { return c_in * fold; }  // elements of a pixel
    int out() const { return c_out * fold; }
    int out_h() const { return (h + 2 * (k / 2) - k) / stride + 1; }
    int out_w() const { return (w + 2 * (k / 2) - k) / stride + 1; }
    std::size_t pixels() const { return static_cast<std::size_t>(n) * out_h() * out_w(); }
};

/// What is done to x as it is read: a = x * scale + shift per channel (null: a = x), then ReLU if asked for.
/// Padding is zero after the prologue. Not-a-number passes the ReLU, forward and backward.
template <class S>
struct Prologue {
    const Compute<S>* scale = nullptr;
    const Compute<S>* shift = nullptr;
    bool relu = false;
};

/// The gradient of z as it is read: dz = dy * scale + z * slope + shift per channel of c_out, which is batch-norm's
/// backward with its sums folded in. With z null, dz = dy.
template <class S>
struct NormFold {
    const S* z = nullptr;
    const Compute<S>* scale = nullptr;
    const Compute<S>* slope = nullptr;
    const Compute<S>* shift = nullptr;
};

/// A convolution's weights as they are and, where somebody keeps them, rounded to the nearest bf16 too
/// (kernels/copy.h): what the gpu's tensor cores multiply of BFloat16, in half the bytes. Results are the same bits.
template <class S>
struct ConvWeights {
    const Compute<S>* w;
    const BFloat16* rounded;
    ConvWeights(const Compute<S>* as_are, const BFloat16* as_bf16 = nullptr) : w(as_are), rounded(as_bf16) {}
};

/// z = conv(prologue(x), w), (n, out_h, out_w, c_out), overwritten. With `sums` (2 * c_out doubles) it gets the sum of
/// z per channel, then the sum of z^2, in an order fixed by the shape; of z as it is stored. `workspace` as
/// conv_forward_workspace, 64-byte aligned. With channels in eights and tensors at multiples of 16 bytes the factors of
/// BFloat16's products are rounded to bf16 and multiplied on tensor cores; else they are floats.
template <class S>
void conv_forward(const Stream&, const ConvShape&, const S* x, Prologue<S>, ConvWeights<S> w, S* z, double* sums,
                  void* workspace);

/// da: gradient of the prologue's affine output x * scale + shift (that is, masked by the ReLU, not multiplied by
/// scale), overwritten or accumulated; dw likewise. Either may be null: not wanted.
template <class S>
void conv_backward(const Stream&, const ConvShape&, const S* x, Prologue<S>, ConvWeights<S> w, const S* dy, NormFold<S>,
                   S* da, bool accumulate_da, Compute<S>* dw, bool accumulate_dw, void* workspace);

/// Bytes of workspace for an element of `element` bytes (on the gpu 2, 4 or 8; on the cpu 4 or 8).
std::size_t conv_forward_workspace(const Stream&, const ConvShape&, std::size_t element);
std::size_t conv_backward_workspace(const Stream&, const ConvShape&, std::size_t element);

}  // namespace nascent::kernels
