#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/common/held.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/node_list.h"
#include "kernels/norm_move.h"

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

/// Sum `column` of `count`, in thread y = 0 of those that share it; `part` (runs, across). All threads of a block call
/// it. The order is add_partials_kernel's.
template <class From>
__device__ double add_runs(const From* partials, std::size_t rows, std::size_t count, std::size_t column, bool inside,
                           unsigned down, unsigned x, unsigned y, unsigned across, double* part) {
    double sum = 0;
    if (inside && y < down)
        for (std::size_t i = y; i < rows; i += down) sum += static_cast<double>(partials[i * count + column]);
    if (down > 1) {       // the same for all threads of a block
        __syncthreads();  // others may still read the sum before
        if (y < down) part[y * across + x] = sum;
        __syncthreads();
        for (unsigned i = 1; y == 0 && i < down; i++) sum += part[i * across + x];
    }
    return sum;
}

/// Columns of a block.
inline unsigned across_of(unsigned down) { return kThreads / down; }

/// A block takes an item (its y) and some channels.
template <class T>
__global__ void __launch_bounds__(kThreads) finish_all_kernel(const __grid_constant__ Items<NormFinish<T>> norms) {
    SIMT_SHARED(double, part, [kThreads]);
    const NormFinish<T>& n = norms.of[blockIdx.y];
    const unsigned down = n.sums.down, across = kThreads / down, x = threadIdx.x % across, y = threadIdx.x / across;
    const int channels = n.shape.channels, c = static_cast<int>(blockIdx.x * across + x);
    const std::size_t width = static_cast<std::size_t>(channels);
    double sums[2];
    for (int k = 0; k < 2; k++)
        sums[k] =
            add_runs(n.sums.partials, n.sums.rows, 2 * width, k * width + c, c < channels, down, x, y, across, part);
    if (y > 0 || c >= channels) return;
    const double count = static_cast<double>(n.shape.count), m = sums[0] / count;
    // Rounding may leave a constant channel's variance a little below zero.
    const double raw = sums[1] / count - m * m, var = raw > 0 ? raw : 0.0;
    const double r = 1 / std::sqrt(var + n.shape.eps);
    const double a = n.gamma ? n.gamma[c] * r : r;
    n.mean[c] = m;
    n.rstd[c] = r;
    n.scale[c] = static_cast<T>(a);
    n.shift[c] = static_cast<T>((n.beta ? static_cast<double>(n.beta[c]) : 0.0) - m * a);
    if (n.running_mean) move_running(n.shape, m, var, n.running_mean[c], n.running_var[c]);
}

/// As finish_all_kernel; `first`: the place of the launch's first item among all `terms`.
template <class T>
__global__ void __launch_bounds__(kThreads)
    fold_all_kernel(HeldSums sums, int first, int terms, const __grid_constant__ Items<NormFoldOf<T>> norms) {
    SIMT_SHARED(double, part, [kThreads]);
    const NormFoldOf<T>& f = norms.of[blockIdx.y];
    const unsigned down = sums.down, across = kThreads / down, x = threadIdx.x % across, y = threadIdx.x / across;
    const int channels = f.shape.channels, c = static_cast<int>(blockIdx.x * across + x);
    const std::size_t width = static_cast<std::size_t>(channels), count = (1 + terms) * width;
    const std::size_t product = (1 + first + blockIdx.y) * width;
    const double s = add_runs(sums.partials, sums.rows, count, c, c < channels, down, x, y, across, part);
    const double sz = add_runs(sums.partials, sums.rows, count, product + c, c < channels, down, x, y, across, part);
    if (y > 0 || c >= channels) return;
    const double n = static_cast<double>(f.shape.count);
    const double g_xhat = (sz - f.mean[c] * s) * f.rstd[c];
    const double a = f.gamma ? f.gamma[c] * f.rstd[c] : f.rstd[c];
    const double b = -a * f.rstd[c] * g_xhat / n;
    f.scale[c] = static_cast<T>(a);
    f.slope[c] = static_cast<T>(b);
    f.shift[c] = static_cast<T>(-a * s / n - b * f.mean[c]);
    if (f.dgamma) f.dgamma[c] = static_cast<T>(g_xhat + (f.accumulate_dgamma ? static_cast<double>(f.dgamma[c]) : 0.0));
    if (f.dbeta) f.dbeta[c] = static_cast<T>(s + (f.accumulate_dbeta ? static_cast<double>(f.dbeta[c]) : 0.0));
}

/// Blocks [first[i], first[i + 1]) take item i.
template <class T>
struct Gradients {
    typename HeldPartials<T, T>::Item of[kItems];
    unsigned down[kItems], first[kItems + 1];
};
template <class T>
__global__ void __launch_bounds__(kThreads) add_all_kernel(const __grid_constant__ Gradients<T> gradients) {
    SIMT_SHARED(double, part, [kThreads]);
    unsigned i = 0;
    while (blockIdx.x >= gradients.first[i + 1]) i++;
    const auto& g = gradients.of[i];
    const unsigned down = gradients.down[i], across = kThreads / down, x = threadIdx.x % across,
                   y = threadIdx.x / across;
    const std::size_t column = static_cast<std::size_t>(blockIdx.x - gradients.first[i]) * across + x;
    const double sum = add_runs(g.partials, g.chunks, g.count, column, column < g.count, down, x, y, across, part);
    if (y > 0 || column >= g.count) return;
    g.out[column] = static_cast<T>(g.accumulate ? static_cast<double>(g.out[column]) + sum : sum);
}

unsigned blocks_of(int channels, unsigned across) { return (static_cast<unsigned>(channels) + across - 1) / across; }

}  // namespace

void hold_sums(const Stream&) {
    held_partials<double, double>() = {true, {}};
    held_chunks() = {.on = true};
}

HeldSums take_sums(const Stream&, const double* sums) {
    const HeldPartials<double, double> held = std::exchange(held_partials<double, double>(), {});
    const HeldChunks chunks = std::exchange(held_chunks(), {});
    if (chunks.sums == sums && chunks.rows > 0) return {chunks.partials, chunks.rows, 1};
    for (const auto& i : held.items)
        if (i.out == sums) return {i.partials, i.chunks, partial_runs(i.chunks)};
    return {sums};  // written already
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

template <class T>
void norms_finish(const Stream& stream, std::span<const NormFinish<T>> norms) {
    auto collides = [](const NormFinish<T>& a, const NormFinish<T>& b) {
        return (a.running_mean && a.running_mean == b.running_mean) || a.shape.channels != b.shape.channels;
    };
    for_runs(norms, collides, [&](const Items<NormFinish<T>>& run, unsigned count) {
        unsigned most = 1;
        for (unsigned i = 0; i < count; i++) most = std::max(most, run.of[i].sums.down);
        simt::launch(finish_all_kernel<T>,
                     blocks(stream, dim3(blocks_of(run.of[0].shape.channels, across_of(most)), count)), run);
    });
}

template <class T>
void norms_fold(const Stream& stream, const HeldSums& sums, std::span<const NormFoldOf<T>> norms) {
    auto collides = [](const NormFoldOf<T>& a, const NormFoldOf<T>& b) {
        return (a.dgamma && a.dgamma == b.dgamma) || (a.dbeta && a.dbeta == b.dbeta);
    };
    int first = 0;
    const int terms = static_cast<int>(norms.size());
    for_runs(norms, collides, [&](const Items<NormFoldOf<T>>& run, unsigned count) {
        simt::launch(fold_all_kernel<T>,
                     blocks(stream, dim3(blocks_of(run.of[0].shape.channels, across_of(sums.down)), count)), sums,
                     first, terms, run);
        first += static_cast<int>(count);
    });
}

#define NASCENT_NODE_LIST(T)                                                   \
    template void hold_gradients<T>(const Stream&);                            \
    template void add_gradients<T>(const Stream&);                             \
    template void forget_gradients<T>(const Stream&);                          \
    template void norms_finish(const Stream&, std::span<const NormFinish<T>>); \
    template void norms_fold(const Stream&, const HeldSums&, std::span<const NormFoldOf<T>>);
NASCENT_NODE_LIST(float)
NASCENT_NODE_LIST(double)
#undef NASCENT_NODE_LIST

}  // namespace nascent::kernels::gpu
