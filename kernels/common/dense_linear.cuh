// The classifier's three products on tensor cores: floats alone, inputs and outputs in fours, every tensor at a
// multiple of 16 bytes, and enough products that it matters. What is otherwise is computed as in strict float32.
#pragma once
#include "kernels/stream.h"

namespace nascent::kernels::gpu {

/// y (n, out) = x (n, in) * w (out, in)^T + bias. False, with nothing done, where it cannot be; so the others.
bool dense_linear_forward(const Stream&, int n, int in, int out, const float* x, const float* w, const float* bias,
                          float* y);
/// dx (+)= dy * w.
bool dense_linear_dx(const Stream&, int n, int in, int out, const float* w, const float* dy, float* dx,
                     bool accumulate);
/// dw (+)= dy^T * x.
bool dense_linear_dw(const Stream&, int n, int in, int out, const float* x, const float* dy, float* dw,
                     bool accumulate);

}  // namespace nascent::kernels::gpu
