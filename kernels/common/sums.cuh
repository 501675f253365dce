// Sums in a fixed order: a thread's own, then the threads of a block as a tree, then blocks in turn.
#pragma once
#include <algorithm>

#include "kernels/common/pack.cuh"

namespace nascent::kernels::gpu {

/// Pixels in chunks, cut by the shape alone: the sums of the chunks are added in order.
struct PixelChunks {
    std::size_t size, count;
    explicit PixelChunks(std::size_t pixels)
        : size(std::max<std::size_t>(256, (pixels + 127) / 128)), count((pixels + size - 1) / size) {}
};

/// How many threads of a block stand side by side on `groups` groups of channels: a power of two, at most 32.
inline unsigned threads_across(unsigned groups) {
    unsigned across = 1;
    while (across < 32 && across < groups) across *= 2;
    return across;
}

/// Adds the values of threads t, t + across, t + 2 across, ..; thread t < across has the sums. All kThreads threads of
/// a block call it; `part` is shared, kThreads * N. Calls may follow each other: between a call's last barrier and the
/// next one's first a thread touches its own elements alone.
template <int N>
__device__ void add_down(unsigned across, double* part, double (&value)[N]) {
    const unsigned t = threadIdx.x;
    for (int i = 0; i < N; i++) part[i * kThreads + t] = value[i];
    __syncthreads();
    for (unsigned half = kThreads / across / 2; half > 0; half /= 2) {
        if (t / across < half)
            for (int i = 0; i < N; i++) part[i * kThreads + t] += part[i * kThreads + t + half * across];
        __syncthreads();
    }
    for (int i = 0; i < N; i++) value[i] = part[i * kThreads + t];
}

}  // namespace nascent::kernels::gpu
