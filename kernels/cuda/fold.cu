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

template <bool Fold, class S, class Folded>
__global__ void move_kernel(unsigned size, FoldedShape s, S* x, int x_pixel, Folded* folded) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.seen), c = item() % static_cast<unsigned>(s.seen);
    S& of_state = x[static_cast<std::size_t>(pixel) * x_pixel + c];
    Folded& of_folded = folded[folded_at(s, pixel).channel(static_cast<int>(c))];
    if constexpr (Fold)
        of_folded = of_state;
    else
        of_state = of_folded;
}

/// As many as fit into a launch's arguments.
template <class S>
struct Arounds {
    static constexpr int kMost = 16;
    int count;
    Around<S> of[kMost];
    __device__ Compute<S> channel(std::size_t pixel, int c) const {
        using T = Compute<S>;
        T sum = 0;
        for (int i = 0; i < count; i++)
            sum = fma(widen(of[i].x[static_cast<std::ptrdiff_t>(pixel * of[i].pixel) + (c - of[i].first)]),
                      of[i].weight ? of[i].weight[0] : T(1), sum);
        return sum;
    }
};
template <class S>
Arounds<S> arounds(std::span<const Around<S>> all) {
    Arounds<S> a{static_cast<int>(all.size()), {}};
    if (all.size() > Arounds<S>::kMost)
        throw simt::Error(std::to_string(all.size()) + " states go round a node, at most 16");
    std::copy(all.begin(), all.end(), a.of);
    return a;
}

template <class S>
__global__ void join_kernel(unsigned size, FoldedShape s, ChannelOrder order, const S* folded, Arounds<S> around, S* y,
                            int y_pixel, S* next) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.c);
    const int c = static_cast<int>(item() % static_cast<unsigned>(s.c));
    const int from = source_of(s, order, c);
    const FoldedPixel f = folded_at(s, pixel);
    const S value = from < s.seen ? folded[f.channel(from)] : narrow<S>(around.channel(pixel, from));
    y[static_cast<std::size_t>(pixel) * y_pixel + c] = value;
    if (next && c < s.seen) next[f.channel(c)] = value;
}

template <class S>
__global__ void part_kernel(unsigned size, FoldedShape s, ChannelOrder order, const S* dy, int dy_pixel, const S* next,
                            Arounds<S> around, S* dx, int dx_pixel, S* folded) {
    if (item() >= size) return;
    const unsigned pixel = item() / static_cast<unsigned>(s.c);
    const int c = static_cast<int>(item() % static_cast<unsigned>(s.c)), to = source_of(s, order, c);
    const FoldedPixel f = folded_at(s, pixel);
    using T = Compute<S>;
    T sum = dy ? widen(dy[static_cast<std::size_t>(pixel) * dy_pixel + c]) : T(0);
    if (next) {
        const T more = c < s.seen ? widen(next[f.channel(c)]) : around.channel(pixel, c);
        sum = dy ? sum + more : more;
    }
    const S value = narrow<S>(sum);
    dx[static_cast<std::size_t>(pixel) * dx_pixel + to] = value;
    if (to < s.seen) folded[f.channel(to)] = value;
}

ChannelOrder order_of(const FoldedShape& s) { return s.order ? *s.order : ChannelOrder{}; }

}  // namespace

template <class S>
void fold_channels(const Stream& stream, const FoldedShape& s, const S* x, int x_pixel, S* folded) {
    const std::size_t size = product({s.n, s.pixels, s.seen});
    simt::launch(move_kernel<true, const S, S>, items(stream, size), items(size), s, x, x_pixel, folded);
}
template <class S>
void unfold_channels(const Stream& stream, const FoldedShape& s, const S* folded, S* x, int x_pixel) {
    const std::size_t size = product({s.n, s.pixels, s.seen});
    simt::launch(move_kernel<false, S, const S>, items(stream, size), items(size), s, x, x_pixel, folded);
}
template <class S>
void join_folded(const Stream& stream, const FoldedShape& s, const S* folded, std::span<const Around<S>> around, S* y,
                 int y_pixel, S* next) {
    const std::size_t size = product({s.n, s.pixels, s.c});
    simt::launch(join_kernel<S>, items(stream, size), items(size), s, order_of(s), folded, arounds(around), y, y_pixel,
                 next);
}
template <class S>
void part_folded(const Stream& stream, const FoldedShape& s, const S* dy, int dy_pixel, const S* next,
                 std::span<const Around<S>> around, S* dx, int dx_pixel, S* folded) {
    const std::size_t size = product({s.n, s.pixels, s.c});
    simt::launch(part_kernel<S>, items(stream, size), items(size), s, order_of(s), dy, dy_pixel, next, arounds(around),
                 dx, dx_pixel, folded);
}

#define NASCENT_FOLD(S)                                                                                               \
    template void fold_channels(const Stream&, const FoldedShape&, const S*, int, S*);                                \
    template void unfold_channels(const Stream&, const FoldedShape&, const S*, S*, int);                              \
    template void join_folded(const Stream&, const FoldedShape&, const S*, std::span<const Around<S>>, S*, int, S*);  \
    template void part_folded(const Stream&, const FoldedShape&, const S*, int, const S*, std::span<const Around<S>>, \
                              S*, int, S*);
NASCENT_FOLD(float)
NASCENT_FOLD(double)
NASCENT_FOLD(BFloat16)
#undef NASCENT_FOLD

}  // namespace nascent::kernels::gpu
