#include <algorithm>
#include <utility>

#include "kernels/common/last_block.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/node_list.h"

namespace nascent::kernels::gpu {
namespace {

constexpr std::size_t kItems = 16;  // of a launch

template <class Item>
struct Items {
    Item of[kItems];
};
/// f(items, count) for runs of the list, cut before an item that `collides` with one of its run.
template <class Item, class Collides, class F>
void for_runs(std::span<const Item> list, Collides&& collides, F&& f) {
    while (!list.empty()) {
        Items<Item> run = {};
        std::size_t count = 0;
        auto free = [&](const Item& next) {
            for (std::size_t i = 0; i < count; i++)
                if (collides(run.of[i], next)) return false;
            return true;
        };
        while (count < kItems && count < list.size() && free(list[count])) {
            run.of[count] = list[count];
            count++;
        }
        f(run, static_cast<unsigned>(count));
        list = list.subspan(count);
    }
}

/// Sum `column` of `count`, in thread y = 0 of those that share it; `part` (runs, across), which nobody reads any more.
/// All threads of a block call it. The order is add_partials_kernel's.
template <class From>
__device__ double add_runs(const From* partials, std::size_t rows, std::size_t count, std::size_t column, bool inside,
                           unsigned down, unsigned x, unsigned y, unsigned across, double* part) {
    double sum = 0;
    if (inside && y < down)
        for (std::size_t i = y; i < rows; i += down) sum += static_cast<double>(partials[i * count + column]);
    if (down > 1) {  // the same for all threads of a block
        if (y < down) part[y * across + x] = sum;
        __syncthreads();
        for (unsigned i = 1; y == 0 && i < down; i++) sum += part[i * across + x];
    }
    return sum;
}

/// Blocks [first[i], first[i + 1]) take item i.
template <class T>
struct Gradients {
    typename HeldPartials<T, T>::Item of[kItems];
    unsigned down[kItems], first[kItems + 1];
};
template <class T>
__global__ void __launch_bounds__(kThreads) add_all_kernel(const Gradients<T> __grid_constant__ gradients) {
    SIMT_SHARED(double, part, [kThreads]);
    unsigned i = 0;
    while (blockIdx.x >= gradients.first[i + 1]) i++;
    const auto& g = gradients.of[i];
    const unsigned down = gradients.down[i], across = kThreads / down, x = threadIdx.x % across,
                   y = threadIdx.x / across;
    const std::size_t block = blockIdx.x - gradients.first[i], column = block * across + x;
    const double sum = add_runs(g.partials, g.chunks, g.count, column, column < g.count, down, x, y, across, part);
    const bool stores = y == 0 && column < g.count;
    const T value = static_cast<T>(g.accumulate && stores ? static_cast<double>(g.out[column]) + sum : sum);
    if (stores) g.out[column] = value;
    leave_column_squares(g.squares, block, across, stores, value);
}

}  // namespace

template <class T>
void offer_finish(const Stream&, const double* sums, const NormFinish<T>& norm) {
    offers<T>().finish_for = sums;
    offers<T>().finish = norm;
}
template <class T>
bool finish_taken(const Stream&) {
    return !std::exchange(offers<T>().finish_for, nullptr);
}
template <class T>
void offer_folds(const Stream&, const double* sums, std::span<const NormFoldOf<T>> folds) {
    offers<T>().folds_for = sums;
    offers<T>().folds = folds;
}
template <class T>
bool folds_taken(const Stream&) {
    return !std::exchange(offers<T>().folds_for, nullptr);
}

template <class T>
void hold_gradients(const Stream&) {
    held_partials<T, T>() = {true, {}};
}

template <class T>
void forget_gradients(const Stream&) {
    held_partials<T, T>() = {};
}

template <class T>
void add_gradients(const Stream& stream) {
    using Item = typename HeldPartials<T, T>::Item;
    const HeldPartials<T, T> held = std::exchange(held_partials<T, T>(), {});
    auto collides = [](const Item& a, const Item& b) { return a.out == b.out; };
    for_runs(std::span<const Item>(held.items), collides, [&](const Items<Item>& run, unsigned count) {
        Gradients<T> list = {};
        for (unsigned i = 0; i < count; i++) {
            const Item& g = list.of[i] = run.of[i];
            const unsigned across = across_of(list.down[i] = partial_runs(g.chunks));
            list.first[i + 1] = list.first[i] + items((g.count + across - 1) / across);
        }
        simt::launch(add_all_kernel<T>, blocks(stream, dim3(list.first[count])), list);
    });
}

#define NASCENT_NODE_LIST(T)                                                                 \
    template void hold_gradients<T>(const Stream&);                                          \
    template void add_gradients<T>(const Stream&);                                           \
    template void forget_gradients<T>(const Stream&);                                        \
    template void offer_finish(const Stream&, const double*, const NormFinish<T>&);          \
    template bool finish_taken<T>(const Stream&);                                            \
    template void offer_folds(const Stream&, const double*, std::span<const NormFoldOf<T>>); \
    template bool folds_taken<T>(const Stream&);
NASCENT_NODE_LIST(float)
NASCENT_NODE_LIST(double)
#undef NASCENT_NODE_LIST

}  // namespace nascent::kernels::gpu
