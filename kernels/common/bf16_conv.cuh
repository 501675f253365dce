// Convolutions of activations in bf16 with weights, statistics and sums in float: for channels in eights, tensors at
// multiples of 16 bytes. Not reached by the engine yet.
#pragma once
#include <cstdint>

#include "kernels/conv.h"

namespace nascent::kernels::gpu {

struct StoredFold;

/// As conv_forward; the sums are of z as it is stored. `workspace` as bf16_forward_workspace.
void bf16_conv_forward(const Stream&, const ConvShape&, const std::uint16_t* x, const Prologue<float>&, const float* w,
                       std::uint16_t* z, double* sums, void* workspace);
/// As conv_backward; da and dw (float) are overwritten, null: not wanted. `workspace` as bf16_backward_workspace.
void bf16_conv_backward(const Stream&, const ConvShape&, const std::uint16_t* x, const Prologue<float>&, const float* w,
                        const std::uint16_t* dy, const StoredFold&, std::uint16_t* da, float* dw, void* workspace);
std::size_t bf16_forward_workspace(const ConvShape&);
std::size_t bf16_backward_workspace(const ConvShape&);

}  // namespace nascent::kernels::gpu
