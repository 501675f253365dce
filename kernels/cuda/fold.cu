// A thread per element of a state (of its first channels where only those move). Cells on this device read a state's
// channels where they lie and fold nothing; the passes are there for whoever does.
#include <algorithm>
#include <string>

#include "kernels/common/plain.cuh"
#include "kernels/fold.h"

namespace nascent::kernels::gpu {
namespace {

/// Where channel c of a shuffled state comes from. The order is the device's copy of the shape's.
__device__ int source_of(const FoldedShape& s, const ChannelOrder& order, int c) {
    return order.c > 0 ? order.at[c] : c % s.groups * (s.c / s.groups) + c / s.groups;
}

/// Where a state's channel 0 lies folded, and how far apart its channels are.
struct FoldedPixel {
    std::size_t at;
    int step;
    __device__ std::size_t channel(int c) const { return at + static_cast<std::size_t>(c) * step; }
};
__device__ FoldedPixel folded_at(const FoldedShape& s, unsigned pixel) {
    const unsigned pixels = static_cast<unsigned>(s.pixels), fold = static_cast<unsigned>(s.fold);
    const unsigned n = pixel / pixels;
    return {(static_cast<std::size_t>(n / fold) * pixels + pixel % pixels) * fold * static_cast<std::size_t>(s.seen) +
                n % fold,
            s.fold};
}

template <bool Fold, class T, class Folded>
__global__ void move_kernel(unsigned size, FoldedShape s, T* x, int x_pixel, Folded* folded) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.seen), c = item() % static_cast<unsigned>(s.seen);
    T& of_state = x[static_cast<std::size_t>(pixel) * x_pixel + c];
    Folded& of_folded = folded[folded_at(s, pixel).channel(static_cast<int>(c))];
    if constexpr (Fold)
        of_folded = of_state;
    else
        of_state = of_folded;
}

/// As many as fit into a launch's arguments.
template <class T>
struct Arounds {
    static constexpr int kMost = 16;
    int count;
    Around<T> of[kMost];
    __device__ T channel(std::size_t pixel, int c) const {
        T sum = 0;
        for (int i = 0; i < count; i++)
            sum = fma(of[i].x[static_cast<std::ptrdiff_t>(pixel * of[i].pixel) + (c - of[i].first)],
                      of[i].weight ? of[i].weight[0] : T(1), sum);
        return sum;
    }
};
template <class T>
Arounds<T> arounds(std::span<const Around<T>> all) {
    Arounds<T> a{static_cast<int>(all.size()), {}};
    if (all.size() > Arounds<T>::kMost)
        throw simt::Error(std::to_string(all.size()) + " states go round a node, at most 16");
    std::copy(all.begin(), all.end(), a.of);
    return a;
}

template <class T>
__global__ void join_kernel(unsigned size, FoldedShape s, ChannelOrder order, const T* folded, Arounds<T> around, T* y,
                            int y_pixel, T* next) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.c);
    const int c = static_cast<int>(item() % static_cast<unsigned>(s.c));
    const int from = source_of(s, order, c);
    const FoldedPixel f = folded_at(s, pixel);
    const T value = from < s.seen ? folded[f.channel(from)] : around.channel(pixel, from);
    y[static_cast<std::size_t>(pixel) * y_pixel + c] = value;
    if (next && c < s.seen) next[f.channel(c)] = value;
}

template <class T>
__global__ void part_kernel(unsigned size, FoldedShape s, ChannelOrder order, const T* dy, int dy_pixel, const T* next,
                            Arounds<T> around, T* dx, int dx_pixel, T* folded) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.c);
    const int c = static_cast<int>(item() % static_cast<unsigned>(s.c)), to = source_of(s, order, c);
    const FoldedPixel f = folded_at(s, pixel);
    T value = dy ? dy[static_cast<std::size_t>(pixel) * dy_pixel + c] : T(0);
    if (next) {
        const T more = c < s.seen ? next[f.channel(c)] : around.channel(pixel, c);
        value = dy ? value + more : more;
    }
    dx[static_cast<std::size_t>(pixel) * dx_pixel + to] = value;
    if (to < s.seen) folded[f.channel(to)] = value;
}

ChannelOrder order_of(const FoldedShape& s) { return s.order ? *s.order : ChannelOrder{}; }

}  // namespace

template <class T>
void fold_channels(const Stream& stream, const FoldedShape& s, const T* x, int x_pixel, T* folded) {
    const std::size_t size = product({s.n, s.pixels, s.seen});
    simt::launch(move_kernel<true, const T, T>, items(stream, size), items(size), s, x, x_pixel, folded);
}
template <class T>
void unfold_channels(const Stream& stream, const FoldedShape& s, const T* folded, T* x, int x_pixel) {
    const std::size_t size = product({s.n, s.pixels, s.seen});
    simt::launch(move_kernel<false, T, const T>, items(stream, size), items(size), s, x, x_pixel, folded);
}
template <class T>
void join_folded(const Stream& stream, const FoldedShape& s, const T* folded, std::span<const Around<T>> around, T* y,
                 int y_pixel, T* next) {
    const std::size_t size = product({s.n, s.pixels, s.c});
    simt::launch(join_kernel<T>, items(stream, size), items(size), s, order_of(s), folded, arounds(around), y, y_pixel,
                 next);
}
template <class T>
void part_folded(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next,
                 std::span<const Around<T>> around, T* dx, int dx_pixel, T* folded) {
    const std::size_t size = product({s.n, s.pixels, s.c});
    simt::launch(part_kernel<T>, items(stream, size), items(size), s, order_of(s), dy, dy_pixel, next, arounds(around),
                 dx, dx_pixel, folded);
}

#define NASCENT_FOLD(T)                                                                                               \
    template void fold_channels(const Stream&, const FoldedShape&, const T*, int, T*);                                \
    template void unfold_channels(const Stream&, const FoldedShape&, const T*, T*, int);                              \
    template void join_folded(const Stream&, const FoldedShape&, const T*, std::span<const Around<T>>, T*, int, T*);  \
    template void part_folded(const Stream&, const FoldedShape&, const T*, int, const T*, std::span<const Around<T>>, \
                              T*, int, T*);
NASCENT_FOLD(float)
NASCENT_FOLD(double)
#undef NASCENT_FOLD

}  // namespace nascent::kernels::gpu
