// A convolution's register-tiled loop over pixels x output channels (forward and data gradient), compiled once per
// target.
#if defined(NASCENT_KERNELS_CPU_CONV_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CONV_TILES_INL_H_
#undef NASCENT_KERNELS_CPU_CONV_TILES_INL_H_
#else
#define NASCENT_KERNELS_CPU_CONV_TILES_INL_H_
#endif

#include <algorithm>

#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

// Tile sizes: as many accumulators as the registers hold beside operands; enough to hide the multiply-add's latency.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kPixels1 = 16, kPixels2 = 8;  // pixels of a tile 1 and 2 vectors wide
#else
inline constexpr int kPixels1 = 8, kPixels2 = 4;
#endif

/// A 3x3's, and two 1x1s' of other planes.
inline constexpr int kMostTaps = 11;

/// What a row of tiles reads: pixels kBlock apart at `in`, shifted by each tap.
template <class T>
struct Taps {
    int count = 0;
    int channels = 0;            // of the input
    std::size_t block_size = 0;  // from one block of channels to the next
    std::size_t stride = 0;      // of w: from one input channel to the next
    int group = 1;               // pictures side by side: each channel is so many elements (kernels/fold.h)
    int threes = 0;              // of the first taps 0, 1, 2 read neighbouring pixels, 3, 4, 5 too, ...: how many
    const T* start = nullptr;    // (stride): what sums begin with; null: zeros
    std::ptrdiff_t offset[kMostTaps] = {};
    const T* w[kMostTaps] = {};  // (channels, stride), aligned
};

/// z and its sums.
template <class T>
struct StoreZ {
    T* z;              // the row's first pixel
    int pixel, count;  // elements from pixel to pixel; channels
    T* sums;           // (2, padded), or null
    std::size_t padded;

    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int x, int vector) const {
        constexpr int L = kLanes<T>;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            int c = (vector + v) * L;
            T* to = z + static_cast<std::ptrdiff_t>(x) * pixel + c;
            if (count - c >= L) {
#pragma GCC unroll 32
                for (int p = 0; p < P; p++) store<T>(acc[p][v], to + static_cast<std::ptrdiff_t>(p) * pixel);
            } else {
#pragma GCC unroll 32
                for (int p = 0; p < P; p++)
                    store_first<T>(acc[p][v], to + static_cast<std::ptrdiff_t>(p) * pixel, count - c);
            }
            if (!sums) continue;
            // Two chains each, so that additions overlap.
            Vector<T> sum[2] = {load(sums + c), zero<T>()}, square[2] = {load(sums + padded + c), zero<T>()};
#pragma GCC unroll 32
            for (int p = 0; p < P; p++) {
                sum[p % 2] = hn::Add(sum[p % 2], acc[p][v]);
                square[p % 2] = hn::MulAdd(acc[p][v], acc[p][v], square[p % 2]);
            }
            store<T>(hn::Add(sum[0], sum[1]), sums + c);
            store<T>(hn::Add(square[0], square[1]), sums + padded + c);
        }
    }
};

/// The data gradient: masked where the ReLU was shut, stored or added.
template <class T>
struct StoreGradient {
    T* da;             // the row's first pixel
    int pixel, count;  // elements from pixel to pixel; channels
    bool accumulate;
    const T* a;  // the prologue's output at the row's first pixel, kBlock apart; null: no ReLU
    std::size_t block_size;

    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int x, int vector) const {
        constexpr int L = kLanes<T>, B = kBlock<T>;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            int c = (vector + v) * L, left = count - c;
            T* to = da + static_cast<std::ptrdiff_t>(x) * pixel + c;
            const T* mask = a ? a + c / B * block_size + c % B + static_cast<std::ptrdiff_t>(x) * B : nullptr;
#pragma GCC unroll 32
            for (int p = 0; p < P; p++) {
                Vector<T> g = acc[p][v];
                T* q = to + static_cast<std::ptrdiff_t>(p) * pixel;
                if (mask) g = where_positive<T>(load(mask + p * B), g);
                if (accumulate) g = hn::Add(load_first(q, left), g);
                store_first<T>(g, q, left);
            }
        }
    }
};

/// The products of R neighbouring taps: each pixel that is read goes to as many sums. One vector wide, where a load is
/// behind every product, that saves two of three loads.
template <int P, int V, int F, int R, class T>
HWY_INLINE void add_taps(const Taps<T>& taps, int t, const T* in, int x, int vector, Vector<T> (&acc)[P][V]) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const T* w[R];
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) w[r] = taps.w[t + r] + vector * L;
    const T* block = in + taps.offset[t] + static_cast<std::ptrdiff_t>(x) * B;
    for (int left = taps.channels; left > 0; left -= B / F, block += taps.block_size) {
        const T* pixel = block;
        const int channels = std::min(left, B / F);
#pragma GCC unroll 2
        for (int c = 0; c < channels; c++, pixel += F) {
            Vector<T> ww[R][V];
#pragma GCC unroll 3
            for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) ww[r][v] = load(w[r] + v * L);
                w[r] += taps.stride;
            }
#pragma GCC unroll 32
            for (int p = 0; p < P + R - 1; p++) {
                if constexpr (F <= L) {
                    const Vector<T> b = load_group<F>(pixel + p * B, 0);
#pragma GCC unroll 3
                    for (int r = 0; r < R; r++) {
                        if (p < r || p - r >= P) continue;
#pragma GCC unroll 4
                        for (int v = 0; v < V; v++) acc[p - r][v] = hn::MulAdd(b, ww[r][v], acc[p - r][v]);
                    }
                } else {
                    static_assert(R == 1);
#pragma GCC unroll 4
                    for (int v = 0; v < V; v++)
                        acc[p][v] = hn::MulAdd(load_group<F>(pixel + p * B, (vector + v) * L), ww[0][v], acc[p][v]);
                }
            }
        }
    }
}

/// P pixels x V vectors of output channels, all in registers; F is the group, R 3 where taps come by three.
template <int P, int V, int F, int R, class T, class Store>
HWY_INLINE void tile(const Taps<T>& taps, const T* in, int x, int vector, const Store& out) {
    Vector<T> acc[P][V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
        const Vector<T> start = taps.start ? load(taps.start + (vector + v) * kLanes<T>) : zero<T>();
#pragma GCC unroll 32
        for (int p = 0; p < P; p++) acc[p][v] = start;
    }
    int t = 0;
    if constexpr (R == 3)
        for (; t < taps.threes; t += 3) add_taps<P, V, F, 3>(taps, t, in, x, vector, acc);
    for (; t < taps.count; t++) add_taps<P, V, F, 1>(taps, t, in, x, vector, acc);
    out.template operator()<P, V>(acc, x, vector);
}

template <int P, int V, int R = 1, class T, class Store>
HWY_NOINLINE void tiles(const Taps<T>& taps, const T* in, int x, int end, int vector, const Store& out) {
    for (; x + P <= end; x += P) tile<P, V, 1, R>(taps, in, x, vector, out);
    if constexpr (P > 1)
        if (x < end) tiles<P / 2, V, R>(taps, in, x, end, vector, out);
}

/// The same of pictures side by side.
template <int V, int F, int R, class T, class Store>
HWY_NOINLINE void group_tiles(const Taps<T>& taps, const T* in, int end, int vector, const Store& out) {
    constexpr int P = V == 1 ? kPixels1 : kPixels2;
    int x = 0;
    for (; x + P <= end; x += P) tile<P, V, F, R>(taps, in, x, vector, out);
    if constexpr (V == 1)
        for (; x + P / 2 <= end; x += P / 2) tile<P / 2, V, F, R>(taps, in, x, vector, out);
    for (; x < end; x++) tile<1, V, F, R>(taps, in, x, vector, out);
}
template <int F, class T, class Store>
void group_rows(const Taps<T>& taps, const T* in, int width, int vectors, const Store& out) {
    int v = 0;
    for (; v + 3 <= vectors; v += 3) group_tiles<3, F, 1>(taps, in, width, v, out);
    if (v + 2 == vectors) group_tiles<2, F, 1>(taps, in, width, v, out);
    if (v + 1 != vectors) return;
    if constexpr (F <= kLanes<T>)
        if (taps.threes > 0) return group_tiles<1, F, 3>(taps, in, width, v, out);
    group_tiles<1, F, 1>(taps, in, width, v, out);
}

/// One row of `width` pixels, all output channels.
template <class T, class Store>
void gemm_taps(const Taps<T>& taps, const T* in, int width, const Store& out) {
    const int vectors = ceil_div(out.count, kLanes<T>);
    if (taps.group == 2) return group_rows<2>(taps, in, width, vectors, out);
    if (taps.group == 4) return group_rows<4>(taps, in, width, vectors, out);
    if (taps.group == 8) return group_rows<8>(taps, in, width, vectors, out);
    int v = 0;
    for (; v + 2 <= vectors; v += 2) tiles<kPixels2, 2>(taps, in, 0, width, v, out);
    if (v == vectors) return;
    if (taps.threes > 0)
        tiles<kPixels1, 1, 3>(taps, in, 0, width, v, out);
    else
        tiles<kPixels1, 1>(taps, in, 0, width, v, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
