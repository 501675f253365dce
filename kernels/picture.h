// A network's input where the pictures of a data set lie on the device as bytes: cropped, mirrored and normalised as
// they are read, so that no batch of floats is ever written.
#pragma once
#include <cstdint>

#include "kernels/conv.h"

namespace nascent::kernels {

/// Which picture stands at a place of the batch, and which part of it: the crop starts `top` rows and `left` columns
/// into the picture with its padding, after it was mirrored if `flip` is not 0.
struct PictureDraw {
    std::int32_t index, top, left, flip;
};

template <class S>
struct PictureBatch {
    const std::uint8_t* pictures;  // (count, h, w, 3)
    const PictureDraw* draws;      // (n); indices below count, 0 <= top <= 2 pad_y, 0 <= left <= 2 pad_x: callers check
    const Compute<S>* table;       // (256, 3): what each byte of each channel becomes; padding is bytes of 0
    int pad_y, pad_x;
};

/// x (n, h, w, 3) as the network sees it; n, h and w are the shape's.
template <class S>
void picture_input(const Stream&, const ConvShape&, PictureBatch<S>, S* x);

/// conv_forward and conv_backward (without da) whose x is picture_input's, which is not written (nor rounded to S). k
/// and c_in are 3.
template <class S>
void picture_conv_forward(const Stream&, const ConvShape&, PictureBatch<S>, const Compute<S>* w, S* z, double* sums,
                          void* workspace);
template <class S>
void picture_conv_backward(const Stream&, const ConvShape&, PictureBatch<S>, const S* dy, NormFold<S>, Compute<S>* dw,
                           bool accumulate_dw, void* workspace);

/// Bytes of workspace for an element of `element` bytes (on the gpu 2, 4 or 8; on the cpu 4 or 8).
std::size_t picture_conv_forward_workspace(const Stream&, const ConvShape&, std::size_t element);
std::size_t picture_conv_backward_workspace(const Stream&, const ConvShape&, std::size_t element);

}  // namespace nascent::kernels
