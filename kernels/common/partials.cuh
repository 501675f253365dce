// The second stage of sums over blocks: what each block left is added in an order that the counts fix.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/common/squares.cuh"

namespace nascent::kernels::gpu {

/// out[j] (+)= the sum of partials (chunks, count) over the chunks. `down` threads share a column. squares (null: not
/// wanted): as leave_column_squares().
template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    add_partials_kernel(const From* partials, std::size_t chunks, std::size_t count, unsigned down, To* out,
                        bool accumulate, double* squares) {
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
    const bool stores = y == 0 && column < count;
    const To value = static_cast<To>(accumulate && stores ? static_cast<double>(out[column]) + sum : sum);
    if (stores) out[column] = value;
    leave_column_squares(squares, blockIdx.x, across, stores, value);
}

/// How many threads add a column's chunks: so many that none adds more than 16, unless there are very many.
inline unsigned partial_runs(std::size_t chunks) {
    unsigned down = 1;
    while (down < 32 && 16 * down < chunks) down *= 2;
    return down;
}

/// Columns of a block of add_all_kernel (kernels/cuda/node_list.cu).
inline unsigned across_of(unsigned down) { return kThreads / down; }

/// What add_partials() of this thread has left to do while `on` (kernels/node_list.h).
template <class From, class To>
struct HeldPartials {
    struct Item {
        const From* partials;
        std::size_t chunks, count;
        To* out;
        bool accumulate;
        double* squares;
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
    const unsigned down = partial_runs(chunks);
    if (auto& held = held_partials<From, To>(); held.on) {
        double* const squares = leave_squares(out, count, squares_of_columns(count, across_of(down)), accumulate);
        held.items.push_back({partials, chunks, count, out, accumulate, squares});
        return;
    }
    const std::size_t across = std::min<std::size_t>(kThreads / down, (count + 31) / 32 * 32);
    double* const squares =
        leave_squares(out, count, squares_of_columns(count, static_cast<unsigned>(across)), accumulate);
    simt::launch(add_partials_kernel<From, To>,
                 {dim3(static_cast<unsigned>((count + across - 1) / across)),
                  dim3(static_cast<unsigned>(across * down)), 0, stream, where},
                 partials, chunks, count, down, out, accumulate, squares);
}

}  // namespace nascent::kernels::gpu
