// Clipping by the global norm of all gradients, without the host: the sum of squares stays where the gradients are.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "kernels/stream.h"

namespace nascent::kernels {

template <class T>
struct GradientRange {
    const T* g;  // null: none, adds nothing
    std::size_t count;
    const double* squares = nullptr;  // not null: `count` sums of squares, in place of g
};

/// sum[0] = sum of squares of g over all ranges in double, in an order fixed by the counts. `workspace` as
/// sum_of_squares_workspace.
template <class T>
void sum_of_squares(const Stream&, std::span<const GradientRange<T>> ranges, double* sum, void* workspace);

/// Bytes of workspace for sum_of_squares.
template <class T>
std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>> ranges);

/// Sums of squares that add up to that of g (count).
template <class T>
struct LeftSquares {
    const T* g;
    std::size_t count;
    const double* squares;
    std::size_t sums;
};
/// From now on kernels of this thread that end gradients of weights may leave the sums of their squares in `slots`, of
/// which squares_slots() are enough, so that no pass needs to read the gradients again. On a CPU none does.
template <class T>
void hold_squares(const Stream&, std::span<double> slots);
/// Ends it, with what was left, which the kernels launched so far will have written. A gradient to which such a kernel
/// has added is not among it; whether another kind of kernel has is for the caller to know.
template <class T>
void take_squares(const Stream&, std::vector<LeftSquares<T>>& left);
/// For gradients of so many numbers in so many parts; 0 where none are left.
std::size_t squares_slots(const Stream&, std::size_t count, std::size_t parts);

/// What an optimizer's kernel multiplies gradients by: min(1, norm / (sqrt(squares[0]) + 1e-6)), as
/// torch.nn.utils.clip_grad_norm_; not-a-number stays.
struct Clip {
    double norm = 0;
    const double* squares = nullptr;  // from sum_of_squares, on the device; null: no clipping
};

}  // namespace nascent::kernels
