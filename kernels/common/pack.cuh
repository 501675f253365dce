// Loads and stores of several elements at once, and sizes of grids.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "kernels/element.h"
#include "kernels/simt/simt.h"
#include "kernels/stream.h"

namespace nascent::kernels::gpu {

inline constexpr unsigned kThreads = 256;

/// For accesses of its size at once, or 16 bytes at a time.
template <class T, int N>
struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Pack {
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

/// What is stored as what is computed with, and back: to the nearest, ties to even; not-a-number and infinities stay.
template <class T>
__device__ T widen(T v) {
    return v;
}
__device__ inline float widen(BFloat16 v) { return simt::from_bits(static_cast<unsigned>(v.bits) << 16); }
template <class S>
__device__ S narrow(Compute<S> v) {
    if constexpr (std::is_same_v<S, BFloat16>)
        return {simt::to_bf16(v)};
    else
        return v;
}
template <class S, int N>
__device__ Pack<Compute<S>, N> widen(const Pack<S, N>& v) {
    Pack<Compute<S>, N> wide;
#pragma unroll
    for (int i = 0; i < N; i++) wide.v[i] = widen(v.v[i]);
    return wide;
}
template <class S, int N>
__device__ Pack<S, N> narrow(const Pack<Compute<S>, N>& v) {
    Pack<S, N> stored;
#pragma unroll
    for (int i = 0; i < N; i++) stored.v[i] = narrow<S>(v.v[i]);
    return stored;
}
/// load and store of N stored elements that are computed with as Compute<S>.
template <int N, class S>
__device__ Pack<Compute<S>, N> read(const S* p) {
    return widen(load<N>(p));
}
template <class S, int N>
__device__ void write(S* p, const Pack<Compute<S>, N>& x) {
    store(p, narrow<S>(x));
}

/// How many T make 16 bytes.
template <class T>
inline constexpr int kWide = 16 / sizeof(T);

/// How many elements are computed with at a time where a thread takes 16 bytes of those: 16 bytes of S, or 8 of bf16.
template <class S>
inline constexpr int kGroup = kWide<Compute<S>>;

/// Whether all of (.., c) tensors can be read N elements at a time: 16 bytes, where nothing else is asked for.
template <class T, int N = kWide<T>>
bool wide(int c, std::initializer_list<const T*> tensors) {
    bool all = c % N == 0;
    for (const T* p : tensors) all = all && reinterpret_cast<std::uintptr_t>(p) % (N * sizeof(T)) == 0;
    return all;
}
/// Whether vectors that go with such tensors can, too: 16 bytes at a time, or two times 16.
template <class T>
bool wide_vectors(std::initializer_list<const T*> vectors) {
    bool all = true;
    for (const T* p : vectors) all = all && reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
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
