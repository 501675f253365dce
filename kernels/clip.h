// Clipping by the global norm of all gradients, without the host: the sum of squares stays where the gradients are.
#pragma once
#include <cstddef>
#include <span>

#include "kernels/stream.h"

namespace nascent::kernels {

template <class T>
struct GradientRange {
    const T* g;  // null: none, adds nothing
    std::size_t count;
};

/// sum[0] = sum of squares of g over all ranges in double, in an order fixed by the counts. `workspace` as
/// sum_of_squares_workspace.
template <class T>
void sum_of_squares(const Stream&, std::span<const GradientRange<T>> ranges, double* sum, void* workspace);

/// Bytes of workspace for sum_of_squares.
template <class T>
std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>> ranges);

/// What an optimizer's kernel multiplies gradients by: min(1, norm / (sqrt(squares[0]) + 1e-6)), as
/// torch.nn.utils.clip_grad_norm_; not-a-number stays.
struct Clip {
    double norm = 0;
    const double* squares = nullptr;  // from sum_of_squares, on the device; null: no clipping
};

}  // namespace nascent::kernels
