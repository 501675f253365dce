// A network's first layer on the pictures of a data set as they lie on the device: crop, mirror and normalisation are
// done where the convolution reads.
#pragma once
#include "ops/norm_args.h"

namespace nascent {

struct PictureInput {
    Tensor pictures;  // (count, h, w, 3), bytes
    Tensor draws;     // (n, 4) int32: which picture, the crop's first row and column in the padded one, mirrored or not
    Tensor table;     // (256, 3): what each byte of each channel becomes
    int pad_y = 0, pad_x = 0;  // rows and columns of bytes 0 around a picture
    bool operator==(const PictureInput&) const = default;
};

/// (n, h, w, 3) of the activations' type (activation_type of the table's), in the current arena: what the network sees.
/// Throws Error(runtime) where the shapes do not fit each other. What a draw names must exist: callers check.
Tensor picture_input(const PictureInput& in);

/// batch_norm(conv2d(picture_input(in), w), gamma, beta) with w (3, 3, 3, c_out), of the activations' type; keeps no
/// picture for the backward. In bf16 the pictures are as exact as the table: they are never stored.
Tensor picture_stem(const PictureInput& in, const Tensor& w, const Tensor& gamma, const Tensor& beta,
                    const NormArgs& norm);

/// Pictures x that a network gets as they are: x itself, or a copy of the activations' type in the current arena. They
/// are not on the tape: throws Error(runtime) where a gradient is wanted and they are copied.
Tensor as_activations(const Tensor& x);

}  // namespace nascent
