// Sums of squares that the kernels which end gradients leave (kernels/clip.h): one of each warp, which needs no
// barrier.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/clip.h"
#include "kernels/common/pack.cuh"

namespace nascent::kernels::gpu {

inline constexpr unsigned kWarp = 32;

/// Between hold_squares() and take_squares() of this thread; else there are no slots.
template <class T>
struct HeldSquares {
    std::span<double> slots;
    std::vector<LeftSquares<T>> left;
};
template <class T>
HeldSquares<T>& held_squares() {
    thread_local HeldSquares<T> held;
    return held;
}

/// Where the kernel about to write g (count) leaves `sums` sums of squares of it; null: nowhere.
template <class T>
double* leave_squares(const T* g, std::size_t count, std::size_t sums, bool accumulate) {
    HeldSquares<T>& held = held_squares<T>();
    if (held.slots.empty() || !g) return nullptr;
    // What was left of what g is now added to, or written over, is not its squares any more.
    std::erase_if(held.left, [&](const LeftSquares<T>& l) { return l.g < g + count && g < l.g + l.count; });
    if (accumulate || sums > held.slots.size()) return nullptr;
    double* const squares = held.slots.data();
    held.slots = held.slots.subspan(sums);
    held.left.push_back({g, count, squares, sums});
    return squares;
}

/// squares[0] = the sum over a warp, all threads of which call it.
__device__ inline void store_squares(double square, double* squares) {
    for (int lane = 16; lane > 0; lane /= 2) square += __shfl_xor_sync(~0u, square, lane);
    if (threadIdx.x % kWarp == 0) squares[0] = square;
}

/// What blocks leave whose first `across` threads have a column each of `count`, a sum of each warp that has some.
inline std::size_t squares_of_columns(std::size_t count, unsigned across) {
    return (count + across - 1) / across * ((across + kWarp - 1) / kWarp);
}
/// The same of a thread of the block-th of them, which has stored `value` if it `stores`. Whole warps call it.
template <class T>
__device__ void leave_column_squares(double* squares, std::size_t block, unsigned across, bool stores, T value) {
    if (!squares || threadIdx.x / kWarp * kWarp >= across) return;
    const double v = stores ? static_cast<double>(value) : 0;
    store_squares(v * v, squares + block * ((across + kWarp - 1) / kWarp) + threadIdx.x / kWarp);
}

}  // namespace nascent::kernels::gpu
