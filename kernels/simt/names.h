// CUDA's keywords, intrinsics and types over the emulator: what the kernels use of them, no more.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstdint>

#include "kernels/simt/emulator.h"

#define __global__
#define __device__
#define __launch_bounds__(...)
// After a parameter's type, where both compilers take it. Here such a parameter is a reference to what the launch
// copied: each thread is a call, and copies of lists of some KB for every thread were a quarter of the time. Not `const
// T&`, which a kernel must not have and launch refuses.
#define __grid_constant__ &&

using std::max;
using std::min;

// Barriers. A default argument, not a macro, knows the place.

inline void __syncthreads(nascent::simt::Place at = nascent::simt::Place::current()) { nascent::simt::sync_block(at); }
inline void __syncwarp(unsigned mask = ~0u, nascent::simt::Place at = nascent::simt::Place::current()) {
    nascent::simt::exchange(mask, nullptr, 0, "__syncwarp", at);
}
inline void __threadfence() { nascent::simt::fence(); }

// Shuffles and votes.

template <class T>
T __shfl_sync(unsigned mask, T v, int source, nascent::simt::Place at = nascent::simt::Place::current()) {
    return nascent::simt::shuffle(mask, v, static_cast<unsigned>(source) % 32, "__shfl_sync", at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int with, nascent::simt::Place at = nascent::simt::Place::current()) {
    const unsigned l = nascent::simt::lane(), source = l ^ static_cast<unsigned>(with);
    return nascent::simt::shuffle(mask, v, source < 32 ? source : l, "__shfl_xor_sync", at);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, nascent::simt::Place at = nascent::simt::Place::current()) {
    const auto all = nascent::simt::gather(mask, predicate, "__ballot_sync", at);
    unsigned result = 0;
    for (unsigned i = 0; i < 32; i++)
        if (mask >> i & 1 && all[i]) result |= 1u << i;
    return result;
}

// Atomics, of integers alone: sums of floats in no fixed order are not wanted.

template <std::integral T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
    nascent::simt::note_atomic(p);
    return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(std::uint64_t{a} * b >> 32); }

struct alignas(16) float4 {
    float x, y, z, w;
};
