// Loads and stores of several elements at once, and sizes of grids.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "kernels/simt/simt.h"
#include "kernels/stream.h"

namespace nascent::kernels::gpu {

inline constexpr unsigned kThreads = 256;

template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
    T v[N];
};
template <int N, class T>
__device__ Pack<T, N> load(const T* p) {
    return *simt::aligned<Pack<T, N>>(p);
}
template <int N, class T>
__device__ void store(T* p, const Pack<T, N>& x) {
    *simt::aligned<Pack<T, N>>(p) = x;
}

/// How many T make 16 bytes.
template <class T>
inline constexpr int kWide = 16 / sizeof(T);

/// Whether all of (.., c) tensors can be read 16 bytes at a time.
template <class T>
bool wide(int c, std::initializer_list<const T*> tensors) {
    bool all = c % kWide<T> == 0;
    for (const T* p : tensors) all = all && reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
    return all;
}

/// Calls f with N, as a constant, for accesses of N elements: 16 bytes or one.
template <class T, class F>
void with_width(bool is_wide, F&& f) {
    if (is_wide)
        f(std::integral_constant<int, kWide<T>>{});
    else
        f(std::integral_constant<int, 1>{});
}

/// `count` items as 32 bits (indices of 64 bits divide slowly). Throws simt::Error for 2^32 - 256 and more.
inline unsigned items(std::size_t count) {
    if (count > 0xffffffffu - kThreads)
        throw simt::Error(std::to_string(count) + " items for one launch, at most 2^32 - 257");
    return static_cast<unsigned>(count);
}
/// A thread for each of `count` items.
inline simt::Launch items(const Stream& stream, std::size_t count, simt::Place where = simt::Place::current()) {
    return {dim3((items(count) + kThreads - 1) / kThreads), dim3(kThreads), 0,
            static_cast<simt::stream_t>(stream.handle), where};
}
/// Blocks of kThreads threads.
inline simt::Launch blocks(const Stream& stream, dim3 grid, simt::Place where = simt::Place::current()) {
    return {grid, dim3(kThreads), 0, static_cast<simt::stream_t>(stream.handle), where};
}
__device__ inline unsigned item() { return blockIdx.x * kThreads + threadIdx.x; }

}  // namespace nascent::kernels::gpu
