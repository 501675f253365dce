// What the passes of a mixed cell share: sums over blocks, tiles of a state in shared
// memory, and the depthwise convolution there.
#pragma once
#include "kernels/common/last_block.cuh"
#include "kernels/common/plain.cuh"
#include "kernels/common/tile.cuh"
#include "kernels/mixed.h"

namespace nascent::kernels::gpu {

/// load_channels and store_channels of four channels as they are stored, 8 bytes of BFloat16; IsWide as there.
template <class S>
__device__ Wide<Compute<S>> load_stored(const S* p, int count, bool is_wide) {
    return widen(load_some<kGroup<S>>(p, count, is_wide));
}
/// Leaves in v what was stored: sums are of that.
template <class S>
__device__ void store_stored(S* p, Wide<Compute<S>>& v, int count, bool is_wide) {
    const auto rounded = narrow<S>(v);
    store_channels(p, rounded, count, is_wide);
    v = widen(rounded);
}

/// threads_across, on the device.
__device__ inline unsigned side_by_side(int groups) {
    unsigned across = 1;
    while (across < 32 && across < static_cast<unsigned>(groups)) across *= 2;
    return across;
}

/// f(column, sums): sums[k] is that of p[row * pitch + k * stride + column] over the rows, in an order that the counts
/// fix. All threads of the block call it; `part` is shared, N * kThreads, and calls may follow each other.
template <int N, class From, class F>
__device__ void add_rows(const From* p, unsigned rows, std::size_t pitch, std::size_t stride, unsigned columns,
                         double* part, F&& f) {
    unsigned across = 32;
    while (across < kThreads && across < columns) across *= 2;
    const unsigned x = threadIdx.x % across, y = threadIdx.x / across;
    for (unsigned first = 0; first < columns; first += across) {
        const unsigned column = first + x;
        double sum[N] = {};
        if (column < columns)
#pragma unroll 4
            for (unsigned row = y; row < rows; row += kThreads / across)
                for (int k = 0; k < N; k++) sum[k] += static_cast<double>(p[row * pitch + k * stride + column]);
        add_down<N>(across, part, sum);
        if (y == 0 && column < columns) f(column, sum);
    }
}

/// The gradients of gamma and beta at channel c, of the sums of g and of g * xhat.
template <class T>
__device__ void put_affine(const GammaBetaGradient<T>& to, int c, double s, double normed) {
    if (to.gamma) to.gamma[c] = static_cast<T>(to.accumulate_gamma ? to.gamma[c] + normed : normed);
    if (to.beta) to.beta[c] = static_cast<T>(to.accumulate_beta ? to.beta[c] + s : s);
}

/// The sum of g * xhat, xhat being (z - mean) * rstd, or with a null mean (evaluation) z * scale + shift.
template <class T>
__device__ double normed_sum(const double* mean, const double* rstd, const T* scale, const T* shift, int c, double s,
                             double sz) {
    if (mean) return rstd[c] * (sz - mean[c] * s);
    return std::fma(sz, static_cast<double>(scale[c]), s * static_cast<double>(shift[c]));
}

/// Batch-norm's gradient as a map, from s = sum of g and sz = sum of g * z over n pixels: with a = weight * rstd, of
/// a * (g - s / n - xhat * sum(g * xhat) / n), xhat = (z - mean) * rstd.
template <class T>
__device__ void fold(const NormMap<T>& map, int c, double weight, double mean, double rstd, double n, double s,
                     double sz) {
    const double a = weight * rstd, b = -a * rstd * (sz - mean * s) * rstd / n;
    map.scale[c] = static_cast<T>(a);
    map.slope[c] = static_cast<T>(b);
    map.shift[c] = static_cast<T>(-a * s / n - b * mean);
}

/// How the windows of a branch lie: tap t of output p is on pixel p * stride + offset + (t - k / 2) * dilation.
struct Taps {
    int k, dilation, stride, offset;
};

/// Pixels of a source that a block takes: sides are powers of two, at least 2, so that an even pixel begins each.
struct MixedTile {
    int h_log, w_log;
    int pixels() const { return 1 << (h_log + w_log); }
};
/// The largest tile of sides of at most 16, no larger than the picture needs, that fits; at least 2 x 2.
template <class Fits>
MixedTile largest_tile(int h, int w, Fits&& fits) {
    auto log = [](int size) {
        int l = 1;
        while (l < 4 && (1 << l) < size) l++;
        return l;
    };
    MixedTile tile{log(h), log(w)};
    while (tile.h_log + tile.w_log > 2 && !fits(tile)) (tile.h_log < tile.w_log ? tile.w_log : tile.h_log)--;
    return tile;
}
inline constexpr std::size_t kMixedShared = 112 * 1024;  // two blocks on a multiprocessor of sm_90

/// Pixels from row to row of a tile's window: where a tile is as wide as the picture, a row's halo is the next one's
/// too.
inline int window_cols(const MixedTile& t, int halo, int w) {
    return (1 << t.w_log) + (1 << t.w_log >= w ? halo : 2 * halo);
}

/// a = x * scale + shift, with gamma and beta (x * scale + shift) * gamma + beta, or its ReLU, as a source of
/// load_window.
template <class S, bool IsWide>
struct StateSource {
    using T = Compute<S>;
    const S* x;
    const T *scale, *shift;
    GammaBeta<T> affine;
    int h, w, c, pixel;
    bool relu;

    __device__ StateSource(const Source<S>& s, bool with_relu)
        : x(s.x),
          scale(s.scale),
          shift(s.shift),
          affine(s.affine),
          h(s.h),
          w(s.w),
          c(s.c),
          pixel(s.pixel),
          relu(with_relu) {}

    struct Channels {
        Wide<T> scale, shift;
        int first;
    };
    using Raw = Wide<T>;
    __device__ Channels channels(int first) const {
        Channels k = {};
        k.first = first;
        if (!scale) return k;
        k.scale = load_channels(scale + first, c - first, IsWide);
        k.shift = load_channels(shift + first, c - first, IsWide);
        if (!affine.gamma) return k;
        const Wide<T> gamma = load_channels(affine.gamma + first, c - first, IsWide),
                      beta = load_channels(affine.beta + first, c - first, IsWide);
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) {
            k.scale.v[i] *= gamma.v[i];
            k.shift.v[i] = std::fma(k.shift.v[i], gamma.v[i], beta.v[i]);
        }
        return k;
    }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        const std::size_t at = (static_cast<std::size_t>(n) * h + row) * w + column;
        return load_stored(x + at * pixel + k.first, c - k.first, IsWide);
    }
    __device__ Wide<T> value(const Raw& raw, const Channels& k) const {
        Wide<T> v = raw;
#pragma unroll
        for (int i = 0; i < kWide<T>; i++) {
            if (scale) v.v[i] = std::fma(raw.v[i], k.scale.v[i], k.shift.v[i]);
            if (relu && v.v[i] < 0) v.v[i] = 0;  // not-a-number stays
        }
        return v;
    }
};

/// A tile in shared memory: pixel (y, x) of the tile, with `halo` around, at ((y + halo) * cols + x + halo) * pitch.
template <class T>
struct HaloTile {
    T* at;
    int halo, cols, pitch;
};

/// The halo behind the last of `rows` rows, for `groups` times 16 bytes of channels: where rows share it.
template <class T>
__device__ void clear_end(const HaloTile<T>& a, int rows, int groups) {
    for (int i = static_cast<int>(threadIdx.x); i < a.halo * groups; i += static_cast<int>(kThreads))
        store(a.at + (rows * a.cols + i / groups) * a.pitch + i % groups * kWide<T>, Wide<T>{});
}

/// d[p * d_pitch + channel] = the depthwise convolution at output p of the tile's 2^(h_log + w_log) outputs, for
/// `groups` times 16 bytes of channels from `first` on, `left` of which are; without weights the pixel itself. By all
/// threads of the block. weights (k, k, c).
template <class T, bool IsWide>
__device__ void depthwise(const Taps& taps, const T* weights, int c, int first, int groups, const HaloTile<T>& a,
                          int h_log, int w_log, T* d, int d_pitch) {
    constexpr int V = kWide<T>, R = 4;  // pixels that share a weight
    const int outputs = 1 << (h_log + w_log), reach = taps.k / 2 * taps.dilation;
    const Divisor by(groups);
    const unsigned items = static_cast<unsigned>((outputs + R - 1) / R * groups);
    for (unsigned item = threadIdx.x; item < items; item += kThreads) {
        const unsigned run = by.quotient(item);
        const int group = static_cast<int>(item - run * by.by) * V, p = static_cast<int>(run) * R;
        const T* from[R];
#pragma unroll
        for (int r = 0; r < R; r++) {
            const int o = min(p + r, outputs - 1), y = (o >> w_log) * taps.stride + taps.offset - reach + a.halo,
                      x = (o & ((1 << w_log) - 1)) * taps.stride + taps.offset - reach + a.halo;
            from[r] = a.at + (y * a.cols + x) * a.pitch + group;
        }
        Wide<T> sum[R] = {};
        if (weights) {
            const T* weight = weights + first + group;
            for (int ky = 0; ky < taps.k; ky++)
#pragma unroll 1
                for (int kx = 0; kx < taps.k; kx++, weight += c) {
                    const Wide<T> w = load_channels(weight, c - first - group, IsWide);
                    const int tap = (ky * a.cols + kx) * taps.dilation * a.pitch;
#pragma unroll
                    for (int r = 0; r < R; r++) {
                        const Wide<T> v = load<V>(from[r] + tap);
#pragma unroll
                        for (int i = 0; i < V; i++) sum[r].v[i] = std::fma(v.v[i], w.v[i], sum[r].v[i]);
                    }
                }
        } else {
#pragma unroll
            for (int r = 0; r < R; r++) sum[r] = load<V>(from[r]);
        }
#pragma unroll
        for (int r = 0; r < R; r++)
            if (p + r < outputs) store(d + (p + r) * d_pitch + group, sum[r]);
    }
}

}  // namespace nascent::kernels::gpu
