// The second stage of sums over blocks: what each block left is added in an order that the counts fix.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/common/pack.cuh"

namespace nascent::kernels::gpu {

/// out[j] (+)= the sum of partials (chunks, count) over the chunks. `down` threads share a column.
template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    add_partials_kernel(const From* partials, std::size_t chunks, std::size_t count, unsigned down, To* out,
                        bool accumulate) {
    SIMT_SHARED(double, part, [kThreads]);
    const unsigned across = blockDim.x / down, x = threadIdx.x % across, y = threadIdx.x / across;
    const std::size_t column = static_cast<std::size_t>(blockIdx.x) * across + x;
    double sum = 0;
    if (column < count)
        for (std::size_t i = y; i < chunks; i += down) sum += static_cast<double>(partials[i * count + column]);
    if (down > 1) {
        part[threadIdx.x] = sum;
        __syncthreads();
        for (unsigned i = 1; y == 0 && i < down; i++) sum += part[i * across + x];
    }
    if (y > 0 || column >= count) return;
    out[column] = static_cast<To>(accumulate ? static_cast<double>(out[column]) + sum : sum);
}

/// How many threads add a column's chunks: so many that none adds more than 16, unless there are very many.
inline unsigned partial_runs(std::size_t chunks) {
    unsigned down = 1;
    while (down < 32 && 16 * down < chunks) down *= 2;
    return down;
}

/// What add_partials() of this thread has left to do while `on` (kernels/node_list.h).
template <class From, class To>
struct HeldPartials {
    struct Item {
        const From* partials;
        std::size_t chunks, count;
        To* out;
        bool accumulate;
    };
    bool on = false;
    std::vector<Item> items;
};
template <class From, class To>
HeldPartials<From, To>& held_partials() {
    thread_local HeldPartials<From, To> held;
    return held;
}

/// out (count) (+)= the sum of partials (chunks, count) over the chunks, in double; or it is left for later.
template <class From, class To>
void add_partials(simt::stream_t stream, const From* partials, std::size_t chunks, std::size_t count, To* out,
                  bool accumulate, simt::Place where = simt::Place::current()) {
    if (auto& held = held_partials<From, To>(); held.on) {
        held.items.push_back({partials, chunks, count, out, accumulate});
        return;
    }
    const unsigned down = partial_runs(chunks);
    const std::size_t across = std::min<std::size_t>(kThreads / down, (count + 31) / 32 * 32);
    simt::launch(add_partials_kernel<From, To>,
                 {dim3(static_cast<unsigned>((count + across - 1) / across)),
                  dim3(static_cast<unsigned>(across * down)), 0, stream, where},
                 partials, chunks, count, down, out, accumulate);
}

}  // namespace nascent::kernels::gpu
