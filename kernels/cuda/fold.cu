// A thread per element of a state (of its first channels where only those move). Cells on this device read a state's
// channels where they lie and fold nothing; the passes are there for whoever does.
#include "kernels/common/plain.cuh"
#include "kernels/fold.h"

namespace nascent::kernels::gpu {
namespace {

/// Where channel c of a shuffled state comes from. The order is the device's copy of the shape's.
__device__ int source_of(const FoldedShape& s, const ChannelOrder& order, int c) {
    return order.c > 0 ? order.at[c] : c % s.groups * (s.c / s.groups) + c / s.groups;
}

/// Where picture n's channel 0 of a pixel lies folded.
__device__ std::size_t folded_at(const FoldedShape& s, unsigned pixel) {
    const unsigned pixels = static_cast<unsigned>(s.pixels), fold = static_cast<unsigned>(s.fold);
    const unsigned n = pixel / pixels;
    return ((static_cast<std::size_t>(n / fold) * pixels + pixel % pixels) * fold + n % fold) *
           static_cast<std::size_t>(s.seen);
}

template <bool Fold, class T, class Folded>
__global__ void move_kernel(unsigned size, FoldedShape s, T* x, int x_pixel, Folded* folded) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.seen), c = item() % static_cast<unsigned>(s.seen);
    T& of_state = x[static_cast<std::size_t>(pixel) * x_pixel + c];
    Folded& of_folded = folded[folded_at(s, pixel) + c];
    if constexpr (Fold)
        of_folded = of_state;
    else
        of_state = of_folded;
}

template <class T>
__global__ void join_kernel(unsigned size, FoldedShape s, ChannelOrder order, const T* folded, const T* x, int x_pixel,
                            T* y, int y_pixel, T* next) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.c);
    const int c = static_cast<int>(item() % static_cast<unsigned>(s.c));
    const int from = source_of(s, order, c);
    const std::size_t f = folded_at(s, pixel), at = pixel;
    const T value = from < s.seen ? folded[f + from] : x[at * x_pixel + from];
    y[at * y_pixel + c] = value;
    if (next && c < s.seen) next[f + c] = value;
}

template <class T>
__global__ void part_kernel(unsigned size, FoldedShape s, ChannelOrder order, const T* dy, int dy_pixel, const T* next,
                            const T* more, int more_pixel, T* dx, int dx_pixel, T* folded) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.c);
    const int c = static_cast<int>(item() % static_cast<unsigned>(s.c)), to = source_of(s, order, c);
    const std::size_t f = folded_at(s, pixel), at = pixel;
    T value = dy[at * dy_pixel + c];
    if (next) value += c < s.seen ? next[f + c] : more[at * more_pixel + c];
    dx[at * dx_pixel + to] = value;
    if (to < s.seen) folded[f + to] = value;
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
void join_folded(const Stream& stream, const FoldedShape& s, const T* folded, const T* x, int x_pixel, T* y,
                 int y_pixel, T* next) {
    const std::size_t size = product({s.n, s.pixels, s.c});
    simt::launch(join_kernel<T>, items(stream, size), items(size), s, order_of(s), folded, x, x_pixel, y, y_pixel,
                 next);
}
template <class T>
void part_folded(const Stream& stream, const FoldedShape& s, const T* dy, int dy_pixel, const T* next, const T* more,
                 int more_pixel, T* dx, int dx_pixel, T* folded) {
    const std::size_t size = product({s.n, s.pixels, s.c});
    simt::launch(part_kernel<T>, items(stream, size), items(size), s, order_of(s), dy, dy_pixel, next, more, more_pixel,
                 dx, dx_pixel, folded);
}

#define NASCENT_FOLD(T)                                                                                 \
    template void fold_channels(const Stream&, const FoldedShape&, const T*, int, T*);                  \
    template void unfold_channels(const Stream&, const FoldedShape&, const T*, T*, int);                \
    template void join_folded(const Stream&, const FoldedShape&, const T*, const T*, int, T*, int, T*); \
    template void part_folded(const Stream&, const FoldedShape&, const T*, int, const T*, const T*, int, T*, int, T*);
NASCENT_FOLD(float)
NASCENT_FOLD(double)
#undef NASCENT_FOLD

}  // namespace nascent::kernels::gpu
