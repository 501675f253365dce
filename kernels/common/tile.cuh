// Pixels of NHWC pictures, brought into a block's shared memory through whatever is done to them on the way.
#pragma once
#include <cmath>

#include "kernels/common/pack.cuh"
#include "kernels/common/products.cuh"
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

/// 16 bytes of channels.
template <class T>
using Wide = Pack<T, kWide<T>>;

/// Channels of a picture that a block holds at a time, 64 bytes, and how far pixels lie apart there: 16 bytes more, so
/// that eight neighbours lie in different banks.
template <class T>
inline constexpr int kChunk = 4 * kWide<T>;
template <class T>
inline constexpr int kPitch = 5 * kWide<T>;

/// N channels at p of which `count` are left, zeros behind them. is_wide: all at once, count <= 0 or all.
template <int N, class T>
__device__ Pack<T, N> load_some(const T* p, int count, bool is_wide) {
    Pack<T, N> v = {};
    if (is_wide) {
        if (count > 0) v = load<N>(p);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < count) v.v[i] = p[i];
    }
    return v;
}
template <class T>
__device__ Wide<T> load_channels(const T* p, int count, bool is_wide) {
    return load_some<kWide<T>>(p, count, is_wide);
}
template <class T, int N>
__device__ void store_channels(T* p, const Pack<T, N>& v, int count, bool is_wide) {
    if (is_wide) {
        if (count > 0) store(p, v);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < count) p[i] = v.v[i];
    }
}

/// Divides numbers below 2^16: the quotient is the high word of a product.
struct Divisor {
    unsigned by, inverse;  // 2^32 / by, rounded up
    __device__ explicit Divisor(int d) : by(static_cast<unsigned>(d)), inverse(0xffffffffu / by + 1) {}
    __device__ unsigned quotient(unsigned n) const { return by == 1 ? n : __umulhi(n, inverse); }
};

struct Cell {
    int x, y;
};
/// The place of thread t in a field `across` wide and `down` high; y >= down: outside. Of four neighbours two share a
/// column and two a row, where the field allows it: the shared memory then serves the 16-byte reads of a warp, by
/// column or by row, in half the time.
__device__ inline Cell cell(unsigned t, int across, int down) {
    const unsigned width = static_cast<unsigned>(across);
    if ((across | down) & 1) return {static_cast<int>(t % width), static_cast<int>(t / width)};
    const unsigned quad = t / 4, half = width / 2;
    return {static_cast<int>(quad % half * 2 + (t & 1)), static_cast<int>(quad / half * 2 + (t >> 1 & 1))};
}

/// A source of pixels gives, for 16 bytes of channels as they are computed with: channels(c), what a thread keeps for
/// them; fetch(n, y, x, those), what lies in memory at a pixel of the picture; value(raw, those), what is convolved.
/// This one: x through a prologue.
template <class S, bool IsWide>
struct PrologueSource {
    using T = Compute<S>;
    const S* x;  // (n, h, w, c)
    int h, w, c;
    Prologue<S> prologue;

    struct Channels {
        Wide<T> scale, shift;
        int first;
    };
    using Raw = Wide<T>;
    __device__ Channels channels(int first) const {
        Channels k = {};
        k.first = first;
        if (!prologue.scale) return k;
        k.scale = load_channels(prologue.scale + first, c - first, IsWide);
        k.shift = load_channels(prologue.shift + first, c - first, IsWide);
        return k;
    }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        const std::size_t pixel = (static_cast<std::size_t>(n) * h + row) * w + column;
        return widen(load_some<kGroup<S>>(x + pixel * c + k.first, c - k.first, IsWide));
    }
    /// Before the ReLU.
    __device__ Wide<T> affine(const Raw& raw, const Channels& k) const {
        Wide<T> v = raw;
        if (prologue.scale)
#pragma unroll
            for (int i = 0; i < kWide<T>; i++) v.v[i] = std::fma(v.v[i], k.scale.v[i], k.shift.v[i]);
        return v;
    }
    __device__ Wide<T> value(const Raw& raw, const Channels& k) const {
        Wide<T> v = affine(raw, k);
        if (prologue.relu)
#pragma unroll
            for (int i = 0; i < kWide<T>; i++) v.v[i] = v.v[i] < 0 ? T(0) : v.v[i];  // not-a-number stays
        return v;
    }
};

/// The gradient of z: dy, or with batch-norm's backward folded in.
template <class S, bool IsWide>
struct FoldSource {
    using T = Compute<S>;
    const S* dy;  // (n, h, w, c), like z
    int h, w, c;
    NormFold<S> fold;

    struct Channels {
        Wide<T> scale, slope, shift;
        int first;
    };
    struct Raw {
        Wide<T> dy, z;
    };
    __device__ Channels channels(int first) const {
        Channels k = {};
        k.first = first;
        if (!fold.z) return k;
        k.scale = load_channels(fold.scale + first, c - first, IsWide);
        k.slope = load_channels(fold.slope + first, c - first, IsWide);
        k.shift = load_channels(fold.shift + first, c - first, IsWide);
        return k;
    }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        const std::size_t at = ((static_cast<std::size_t>(n) * h + row) * w + column) * c + k.first;
        Raw raw = {};
        raw.dy = widen(load_some<kGroup<S>>(dy + at, c - k.first, IsWide));
        if (fold.z) raw.z = widen(load_some<kGroup<S>>(fold.z + at, c - k.first, IsWide));
        return raw;
    }
    __device__ Wide<T> value(const Raw& raw, const Channels& k) const {
        Wide<T> v = raw.dy;
        if (fold.z)
#pragma unroll
            for (int i = 0; i < kWide<T>; i++)
                v.v[i] = std::fma(raw.dy.v[i], k.scale.v[i], std::fma(raw.z.v[i], k.slope.v[i], k.shift.v[i]));
        return v;
    }
};

/// Pixels (images, rows, cols) of pictures (count, h, w): from image n, row y and column x on, which may lie outside,
/// `step` apart. Less than 2^16.
struct Window {
    int n, y, x, images, rows, cols, step;
    int count, h, w;
};

/// to[((image * rows + row) * cols + col) * pitch + channel] = the source's `groups` times 16 bytes of channels from c
/// on, at most the block's threads, rounded; zero outside the pictures. By all threads of the block; the barrier is the
/// caller's.
template <class Rounding = AsIs, unsigned Bytes = 64, class T, class Source>
__device__ void load_window(const Source& source, const Window& v, int c, int groups, int pitch, T* to) {
    constexpr unsigned kRaw = sizeof(typename Source::Raw), kBatch = Bytes > kRaw ? Bytes / kRaw : 1;  // under way
    const unsigned across = static_cast<unsigned>(groups), lanes = blockDim.x / across, lane = threadIdx.x / across;
    const int group = static_cast<int>(threadIdx.x % across) * kWide<T>;
    if (lane >= lanes) return;
    const auto channels = source.channels(c + group);
    const Divisor cols(v.cols), rows(v.rows);
    const unsigned count = static_cast<unsigned>(v.images * v.rows * v.cols);
    for (unsigned first = lane; first < count; first += kBatch * lanes) {
        typename Source::Raw raw[kBatch] = {};
        bool inside[kBatch];
#pragma unroll
        for (unsigned b = 0; b < kBatch; b++) {
            const unsigned i = first + b * lanes, line = cols.quotient(i), image = rows.quotient(line);
            const int n = v.n + static_cast<int>(image), y = v.y + static_cast<int>(line - image * rows.by) * v.step,
                      x = v.x + static_cast<int>(i - line * cols.by) * v.step;
            inside[b] = i < count && n < v.count && y >= 0 && y < v.h && x >= 0 && x < v.w;
            if (inside[b]) raw[b] = source.fetch(n, y, x, channels);
        }
#pragma unroll
        for (unsigned b = 0; b < kBatch; b++) {
            const unsigned i = first + b * lanes;
            if (i >= count) continue;
            Wide<T> value = {};
            if (inside[b]) value = Rounding::round(source.value(raw[b], channels));
            store(to + i * static_cast<unsigned>(pitch) + group, value);
        }
    }
}

}  // namespace nascent::kernels::gpu
