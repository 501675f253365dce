// The convolutions of conv.h on tensor cores: floats alone, channels in fours, every tensor at a multiple of 16 bytes.
// What is otherwise is computed as in strict float32.
#pragma once
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

inline bool has_dense(const Stream& stream, int c_in, int c_out) {
    return stream.precision == Precision::tf32 && c_in % 4 == 0 && c_out % 4 == 0;
}

/// False, with nothing done, where it cannot be.
bool dense_forward(const Stream&, const ConvShape&, const float* x, const Prologue<float>&, const float* w, float* z,
                   double* sums, void* workspace);
/// da (null: not wanted).
bool dense_input_gradient(const Stream&, const ConvShape&, const float* x, const Prologue<float>&, const float* w,
                          const float* dy, const NormFold<float>&, float* da, bool accumulate);
bool dense_weight_gradient(const Stream&, const ConvShape&, const float* x, const Prologue<float>&, const float* dy,
                           const NormFold<float>&, float* dw, bool accumulate, void* workspace);
/// 0 where has_dense() is false.
std::size_t dense_forward_workspace(const Stream&, const ConvShape&);
std::size_t dense_backward_workspace(const Stream&, const ConvShape&);

}  // namespace nascent::kernels::gpu
