#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/common/last_block.cuh"
#include "kernels/common/range_list.cuh"
#include "kernels/common/squares.cuh"
#include "kernels/sgd.h"

namespace nascent::kernels::gpu {
namespace {

template <class T>
struct SgdItem {
    T *w, *v;
    const T* g;
    std::size_t count;
    T gap[4];
    T decay;
};
template <class T>
struct SgdNumbers {
    T rate, momentum, largest;
    const double* lr;  // null: rate
    bool nesterov;
    Clip clip;
};

template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(const RangeList<SgdItem<T>, Capacity> __grid_constant__ list, SgdNumbers<T> k) {
    const Part part = part_of_block(list);
    const SgdItem<T> r = list.items[part.item];
    const bool gap = r.gap[0] != T(1) || r.gap[1] != T(0) || r.gap[2] != T(0) || r.gap[3] != T(1);
    const T scale = static_cast<T>(clip_factor(k.clip)), rate = k.lr ? static_cast<T>(-*k.lr) : k.rate;
    for_elements<T>(part, all_aligned(r.w, r.v, r.g), [&](auto width, std::size_t at) {
        constexpr int n = decltype(width)::value;
        Pack<T, n> w = load<n>(r.w + at), v = load<n>(r.v + at);
        if (gap)
            for (int i = 0; i < n; i++) {
                const T old = w.v[i];
                w.v[i] = std::fma(r.gap[1], v.v[i], r.gap[0] * old);
                v.v[i] = std::fma(r.gap[3], v.v[i], r.gap[2] * old);
            }
        if (r.g) {
            const Pack<T, n> g = load<n>(r.g + at);
            for (int i = 0; i < n; i++) {
                const T clamped = g.v[i] > k.largest ? k.largest : g.v[i] < -k.largest ? -k.largest : g.v[i];
                const T d = std::fma(r.decay, w.v[i], clamped * scale);
                v.v[i] = std::fma(k.momentum, v.v[i], d);
                w.v[i] = std::fma(rate, k.nesterov ? std::fma(k.momentum, v.v[i], d) : v.v[i], w.v[i]);
            }
        }
        store(r.w + at, w);
        store(r.v + at, v);
    });
}

unsigned blocks_of(std::size_t count) { return gpu::items((count + kBlockElements - 1) / kBlockElements); }

/// What `all` blocks of one launch or several leave, and where their sum goes.
struct SquaresEnd {
    double *partials, *sum;
    unsigned all, arrival;
};

/// partials (blocks, from `first` on): the sum of squares of each block's part. The last of all blocks adds them up.
template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const RangeList<GradientRange<T>, Capacity> __grid_constant__ list, unsigned first, SquaresEnd end) {
    SIMT_SHARED(double, shared, [kThreads]);
    SIMT_SHARED(bool, last, [1]);
    const Part part = part_of_block(list);
    const GradientRange<T>& range = list.items[part.item];
    double sum[1] = {};
    if (range.squares)
        for (std::size_t at = part.begin + threadIdx.x; at < part.end; at += kThreads) sum[0] += range.squares[at];
    else
        for_elements<T>(part, all_aligned(range.g), [&](auto width, std::size_t at) {
            constexpr int n = decltype(width)::value;
            const Pack<T, n> x = load<n>(range.g + at);
            for (int i = 0; i < n; i++) {
                const double v = x.v[i];
                sum[0] = std::fma(v, v, sum[0]);
            }
        });
    add_down<1>(1, shared, sum);
    if (threadIdx.x == 0) end.partials[first + blockIdx.x] = sum[0];
    arrive(end.arrival, 1, end.all, last);
    if (!last[0]) return;
    sum[0] = 0;
    for (unsigned i = threadIdx.x; i < end.all; i += kThreads) sum[0] += end.partials[i];
    add_down<1>(1, shared, sum);
    if (threadIdx.x == 0) end.sum[0] = sum[0];
}

/// Of nothing.
__global__ void no_squares_kernel(double* sum) {
    if (item() == 0) sum[0] = 0;
}

}  // namespace

template <class T>
void sgd(const Stream& stream, const SgdStep& s, std::span<const SgdRange<T>> ranges) {
    std::vector<SgdItem<T>> items;
    for (const SgdRange<T>& r : ranges) {
        const bool gap = r.gap[0] != 1 || r.gap[1] != 0 || r.gap[2] != 0 || r.gap[3] != 1;
        if (r.count == 0 || (!r.g && !gap)) continue;
        items.push_back({r.w, r.v, r.g, r.count, {}, static_cast<T>(r.decays ? s.decay : 0)});
        for (int i = 0; i < 4; i++) items.back().gap[i] = static_cast<T>(r.gap[i]);
    }
    const SgdNumbers<T> numbers{static_cast<T>(-s.lr),
                                static_cast<T>(s.momentum),
                                s.clip_value > 0 ? static_cast<T>(s.clip_value) : std::numeric_limits<T>::infinity(),
                                s.lr_at,
                                s.nesterov,
                                s.clip};
    for_lists(std::span<const SgdItem<T>>(items), [&]<int N>(const RangeList<SgdItem<T>, N>& list, unsigned grid) {
        simt::launch(sgd_kernel<T, N>, blocks(stream, dim3(grid)), list, numbers);
    });
}

template <class T>
void sum_of_squares(const Stream& stream, std::span<const GradientRange<T>> ranges, double* sum, void* workspace) {
    std::vector<GradientRange<T>> items;
    for (const GradientRange<T>& r : ranges)
        if (r.count > 0 && (r.g || r.squares)) items.push_back(r);
    if (items.empty()) return simt::launch(no_squares_kernel, gpu::items(stream, 1), sum);
    SquaresEnd end{static_cast<double*>(workspace), sum, 0, take_arrivals(1)};
    for (const GradientRange<T>& r : items) end.all += blocks_of(r.count);
    unsigned first = 0;
    for_lists(std::span<const GradientRange<T>>(items),
              [&]<int N>(const RangeList<GradientRange<T>, N>& list, unsigned grid) {
                  simt::launch(squares_kernel<T, N>, blocks(stream, dim3(grid)), list, first, end);
                  first += grid;
              });
}
template <class T>
std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>> ranges) {
    std::size_t count = 0;
    for (const GradientRange<T>& r : ranges)
        if (r.g || r.squares) count += blocks_of(r.count);
    return count * sizeof(double);
}

template <class T>
void hold_squares(const Stream&, std::span<double> slots) {
    held_squares<T>() = {slots, {}};
}
template <class T>
void take_squares(const Stream&, std::vector<LeftSquares<T>>& left) {
    left = std::exchange(held_squares<T>(), {}).left;
}
std::size_t squares_slots(const Stream&, std::size_t count, std::size_t parts) {
    // A sum of eight numbers at least (add_partials), or of a slice of channels.
    return count / 8 + parts * (kThreads / kWarp);
}

#define NASCENT_SGD(T)                                                                               \
    template void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<T>>);                  \
    template void sum_of_squares(const Stream&, std::span<const GradientRange<T>>, double*, void*);  \
    template std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>>); \
    template void hold_squares<T>(const Stream&, std::span<double>);                                 \
    template void take_squares(const Stream&, std::vector<LeftSquares<T>>&);
NASCENT_SGD(float)
NASCENT_SGD(double)
#undef NASCENT_SGD

}  // namespace nascent::kernels::gpu
