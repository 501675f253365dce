// CUDA's keywords, intrinsics and types over the emulator: what the kernels use of them, no more.
#pragma once
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

#include "kernels/simt/emulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

using std::max;
using std::min;
inline constexpr int warpSize = 32;

// Barriers. A default argument, not a macro, knows the place.

inline void __syncthreads(nascent::simt::Place at = nascent::simt::Place::current()) {
    nascent::simt::sync_block(false, at);
}
inline int __syncthreads_count(int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::sync_block(predicate != 0, at);
}
inline int __syncthreads_or(int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::sync_block(predicate != 0, at) > 0;
}
inline int __syncthreads_and(int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::sync_block(predicate == 0, at) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, nascent::simt::Place at = nascent::simt::Place::current()) {
    nascent::simt::exchange(mask, nullptr, 0, "__syncwarp", at);
}
inline void __threadfence() { nascent::simt::fence(); }

// Shuffles within groups of `width` lanes.

template <class T>
T __shfl_sync(unsigned mask, T v, int source, int width = 32,
              nascent::simt::Place at = nascent::simt::Place::current()) {
    const unsigned l = nascent::simt::lane(), inside = static_cast<unsigned>(width - 1);
    return nascent::simt::shuffle(mask, v, (l & ~inside) | (static_cast<unsigned>(source) & inside), "__shfl_sync", at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32,
                  nascent::simt::Place at = nascent::simt::Place::current()) {
    const unsigned l = nascent::simt::lane(), s = l ^ static_cast<unsigned>(with), w = static_cast<unsigned>(width);
    // A lane of an earlier group may be read, one of a later group may not.
    return nascent::simt::shuffle(mask, v, s / w <= l / w ? s : l, "__shfl_xor_sync", at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32,
                   nascent::simt::Place at = nascent::simt::Place::current()) {
    const unsigned l = nascent::simt::lane(), w = static_cast<unsigned>(width);
    return nascent::simt::shuffle(mask, v, l % w + by < w ? l + by : l, "__shfl_down_sync", at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32,
                 nascent::simt::Place at = nascent::simt::Place::current()) {
    const unsigned l = nascent::simt::lane(), w = static_cast<unsigned>(width);
    return nascent::simt::shuffle(mask, v, l % w >= by ? l - by : l, "__shfl_up_sync", at);
}

// Votes and reductions over the lanes of a mask.

inline unsigned __ballot_sync(unsigned mask, int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    const auto all = nascent::simt::gather(mask, predicate, "__ballot_sync", at);
    unsigned result = 0;
    for (unsigned i = 0; i < 32; i++)
        if (mask >> i & 1 && all[i]) result |= 1u << i;
    return result;
}
inline int __any_sync(unsigned mask, int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    return __ballot_sync(mask, predicate != 0, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    return __ballot_sync(mask, predicate == 0, at) == 0;
}

namespace nascent::simt {
template <class T, class F>
T reduce(unsigned mask, T v, const char* what, const Place& at, F join) {
    static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
    const auto all = gather(mask, v, what, at);
    const unsigned first = static_cast<unsigned>(std::countr_zero(mask));
    unsigned result = static_cast<unsigned>(all[first]);
    for (unsigned i = first + 1; i < 32; i++)
        if (mask >> i & 1) result = static_cast<unsigned>(join(static_cast<T>(result), all[i]));
    return static_cast<T>(result);
}
}  // namespace nascent::simt

template <class T>
T __reduce_add_sync(unsigned mask, T v, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::reduce(mask, v, "__reduce_add_sync", at, [](T a, T b) { return unsigned(a) + unsigned(b); });
}
template <class T>
T __reduce_min_sync(unsigned mask, T v, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::reduce(mask, v, "__reduce_min_sync", at, [](T a, T b) { return min(a, b); });
}
template <class T>
T __reduce_max_sync(unsigned mask, T v, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::reduce(mask, v, "__reduce_max_sync", at, [](T a, T b) { return max(a, b); });
}

// Atomics, of integers alone: sums of floats in no fixed order are not wanted.

template <std::integral T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <std::integral T>
T atomicSub(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).fetch_sub(v, std::memory_order_relaxed);
}
template <std::integral T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).fetch_and(v, std::memory_order_relaxed);
}
template <std::integral T>
T atomicOr(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).fetch_or(v, std::memory_order_relaxed);
}
template <std::integral T>
T atomicExch(T* p, std::type_identity_t<T> v) {
    return std::atomic_ref<T>(*p).exchange(v, std::memory_order_relaxed);
}
template <std::integral T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
    std::atomic_ref<T>(*p).compare_exchange_strong(expected, v, std::memory_order_relaxed);
    return expected;
}
template <std::integral T>
T atomicMax(T* p, std::type_identity_t<T> v) {
    T old = std::atomic_ref<T>(*p).load(std::memory_order_relaxed);
    while (old < v && !std::atomic_ref<T>(*p).compare_exchange_weak(old, v, std::memory_order_relaxed)) {
    }
    return old;
}
template <std::integral T>
T atomicMin(T* p, std::type_identity_t<T> v) {
    T old = std::atomic_ref<T>(*p).load(std::memory_order_relaxed);
    while (v < old && !std::atomic_ref<T>(*p).compare_exchange_weak(old, v, std::memory_order_relaxed)) {
    }
    return old;
}

// Loads with a cache hint, bits, vectors, bf16.

template <class T>
T __ldg(const T* p) {
    return *p;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(std::uint64_t{a} * b >> 32); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }

struct alignas(8) int2 {
    int x, y;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

/// Storage and conversion, to nearest even: kernels compute in float.
struct __nv_bfloat16 {
    std::uint16_t bits;
    __nv_bfloat16() = default;
    explicit __nv_bfloat16(float x) {
        const unsigned u = std::bit_cast<unsigned>(x);
        bits =
            (u & 0x7fffffffu) > 0x7f800000u ? 0x7fff : static_cast<std::uint16_t>((u + 0x7fffu + (u >> 16 & 1)) >> 16);
    }
    explicit operator float() const { return std::bit_cast<float>(static_cast<unsigned>(bits) << 16); }
};
inline __nv_bfloat16 __float2bfloat16(float x) { return __nv_bfloat16(x); }
inline float __bfloat162float(__nv_bfloat16 x) { return static_cast<float>(x); }
