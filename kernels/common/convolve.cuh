// Implicit convolution: a block's window of the source and its weights lie in shared memory, a thread has kPixels
// pixels times 16 bytes of channels in registers. Forward, and backwards as the gradient of what was convolved, where
// the pixels (py + i stride, px + j stride) meet the same taps: each such phase is a dense convolution of dz, so no
// product with a zero is formed.
#pragma once
#include <cmath>

#include "kernels/common/conv_plan.cuh"

namespace nascent::kernels::gpu {

/// Rows, or columns, of a phase: `size` of them; row i meets rows i * step + origin + j of the source with the kernel's
/// row first + j * delta, for j in [0, taps).
struct Axis {
    int size, taps, first, delta, origin;
};
template <bool IsGradient>
__device__ Axis axis(const ConvTiles& s, int phase, int size) {
    const int pad = s.k / 2;
    if (!IsGradient) return {size, s.k, 0, 1, -pad};
    const int lowest = (phase + pad) % s.stride, taps = lowest < s.k ? (s.k - 1 - lowest) / s.stride + 1 : 0;
    const int last = lowest + (taps - 1) * s.stride;
    return {(size - phase + s.stride - 1) / s.stride, taps, last, -s.stride, (phase + pad - last) / s.stride};
}

struct Pixel {
    int image, y, x;
};
/// Pixel i of a tile; one past its end has an image past its end.
__device__ inline Pixel pixel(const ConvTiles& s, int i) {
    const Divisor cols(s.tile_w), rows(s.tile_h);
    const unsigned index = static_cast<unsigned>(i), line = cols.quotient(index), image = rows.quotient(line);
    return {static_cast<int>(image), static_cast<int>(line - image * rows.by),
            static_cast<int>(index - line * cols.by)};
}

/// to (taps, channels, across * V) = the weights from the chunk's channels, from c on and filled up with zeros to
/// `groups` times 16 bytes, to those from `out` on.
template <bool IsGradient, class T>
__device__ void load_weights(const ConvTiles& s, const Axis& ay, const Axis& ax, const T* w, bool is_wide, int c,
                             int groups, int out, T* to) {
    constexpr int V = kWide<T>;
    const unsigned taps = static_cast<unsigned>(ay.taps * ax.taps);
    // Items are (tap, channel, 16 bytes of out); for a gradient, whose weights lie the other way round, (tap, 16 bytes
    // of channels, out).
    const int middle = IsGradient ? groups : groups * V, inner = IsGradient ? s.across * V : s.across;
    const Divisor inners(inner), middles(middle), columns(ax.taps);
    for (unsigned i = threadIdx.x; i < taps * middles.by * inners.by; i += blockDim.x) {
        const unsigned line = inners.quotient(i), tap = middles.quotient(line), ty = columns.quotient(tap);
        const int o = static_cast<int>(i - line * inners.by), m = static_cast<int>(line - tap * middles.by);
        const int row = ay.first + static_cast<int>(ty) * ay.delta,
                  column = ax.first + static_cast<int>(tap - ty * columns.by) * ax.delta;
        const std::size_t from = static_cast<std::size_t>(row * s.k + column) * s.in_c * s.out_c;
        Wide<T> v = {};
        if (IsGradient) {
            if (out + o < s.out_c)
                v = load_channels(w + from + static_cast<std::size_t>(out + o) * s.in_c + c + m * V, s.in_c - c - m * V,
                                  is_wide);
#pragma unroll
            for (int j = 0; j < V; j++) to[((static_cast<int>(tap) * groups + m) * V + j) * inner + o] = v.v[j];
        } else {
            if (c + m < s.in_c)
                v = load_channels(w + from + static_cast<std::size_t>(c + m) * s.out_c + out + o * V,
                                  s.out_c - out - o * V, is_wide);
            store(to + i * V, v);
        }
    }
}

/// sum[p] += window (pixels, kPitch) at base[p] and the taps beside it, times w (taps, channels, pitch).
template <class T>
__device__ void multiply(const T* window, const int (&base)[kPixels], int line, int taps_y, int taps_x, int groups,
                         const T* w, int pitch, Wide<T> (&sum)[kPixels]) {
    constexpr int V = kWide<T>;
#pragma unroll 1
    for (int ty = 0; ty < taps_y; ty++)
#pragma unroll 1
        for (int tx = 0; tx < taps_x; tx++) {
            const T* from = window + ty * line + tx * kPitch<T>;
#pragma unroll 1
            for (int g = 0; g < groups; g++, from += V) {
                Wide<T> a[kPixels];
#pragma unroll
                for (int p = 0; p < kPixels; p++) a[p] = load<V>(from + base[p]);
#pragma unroll
                for (int j = 0; j < V; j++, w += pitch) {
                    const Wide<T> b = load<V>(w);
#pragma unroll
                    for (int p = 0; p < kPixels; p++)
#pragma unroll
                        for (int o = 0; o < V; o++) sum[p].v[o] = std::fma(a[p].v[j], b.v[o], sum[p].v[o]);
                }
            }
        }
}

/// partials (blocks in x, 2, out_c) = sums of the block's pixels and of their products with `factor`. `memory` is
/// (down, 2, channels of the block), and may hold what other threads still read.
template <class T>
__device__ void sum_pixels(const ConvTiles& s, const Cell& at, int out, const Wide<T> (&sum)[kPixels],
                           const Wide<T> (&factor)[kPixels], const bool (&valid)[kPixels], double* memory,
                           double* partials) {
    constexpr int V = kWide<T>;
    const int width = s.across * V;
    __syncthreads();
    if (at.y < s.down)
#pragma unroll
        for (int o = 0; o < V; o++) {
            double one = 0, two = 0;
#pragma unroll
            for (int p = 0; p < kPixels; p++) {
                const double z = static_cast<double>(sum[p].v[o]);
                if (valid[p]) one += z, two = std::fma(z, static_cast<double>(factor[p].v[o]), two);
            }
            memory[2 * at.y * width + at.x * V + o] = one;
            memory[(2 * at.y + 1) * width + at.x * V + o] = two;
        }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < 2 * width; i += static_cast<int>(blockDim.x)) {
        double total = 0;
        for (int y = 0; y < s.down; y++) total += memory[2 * y * width + i];
        const int half = i >= width, c = out + i - half * width;
        if (c < s.out_c) partials[(static_cast<std::size_t>(blockIdx.x) * 2 + half) * s.out_c + c] = total;
    }
}

/// Sinks that return what the value is multiplied with for its second sum, which is the value otherwise. Any sink may
/// change the value that it is given; sums are of what it leaves.
template <class Sink>
inline constexpr bool kGivesFactor = false;

/// A block's work. sink(n, y, x, c, value) gets 16 bytes of channels of each pixel. Sums of the values and of their
/// squares, or of products with what the sink gives, go to partials (null: not wanted) as sum_pixels; of a gradient,
/// only with such a sink and of stride 1.
template <bool IsGradient, class T, class Source, class Sink>
__device__ void convolve(const ConvTiles& s, const Source& source, const T* w, bool is_wide, const Sink& sink,
                         double* partials, int phase, double* memory) {
    constexpr int V = kWide<T>;
    T* const window = reinterpret_cast<T*>(memory);
    T* const weights = window + s.window;
    const int phase_y = IsGradient ? phase / s.stride : 0, phase_x = IsGradient ? phase % s.stride : 0;
    const Axis ay = axis<IsGradient>(s, phase_y, s.out_h), ax = axis<IsGradient>(s, phase_x, s.out_w);
    const int tile_line = static_cast<int>(blockIdx.x) / s.tiles_x;
    const int n = tile_line / s.tiles_y * s.images, y = tile_line % s.tiles_y * s.tile_h,
              x = (static_cast<int>(blockIdx.x) - tile_line * s.tiles_x) * s.tile_w;
    if (y >= ay.size || x >= ax.size) return;  // a later phase may have fewer pixels

    // Pixels of the window are `step` source pixels apart, those of the output `stride` window pixels.
    const int step = !IsGradient && s.k == 1 ? s.stride : 1, stride = IsGradient || s.k == 1 ? 1 : s.stride;
    const int rows = (s.tile_h - 1) * stride + ay.taps, cols = (s.tile_w - 1) * stride + ax.taps;
    const int source_stride = IsGradient ? 1 : s.stride;
    const Window view = {
        n,     y * source_stride + ay.origin, x * source_stride + ax.origin, s.images, rows, cols, step, s.n, s.in_h,
        s.in_w};

    const Cell at = cell(threadIdx.x, s.across, s.down);
    const int out = static_cast<int>(blockIdx.y) * s.across * V;
    int base[kPixels];
#pragma unroll
    for (int p = 0; p < kPixels; p++) {
        const Pixel i = pixel(s, at.y + p * s.down);
        base[p] = i.image < s.images ? ((i.image * rows + i.y * stride) * cols + i.x * stride) * kPitch<T> : 0;
    }

    Wide<T> sum[kPixels] = {};
    for (int c = 0; c < s.in_c && ay.taps > 0 && ax.taps > 0; c += kChunk<T>) {
        if (c > 0) __syncthreads();  // the chunk before has been read
        const int groups = (min(kChunk<T>, s.in_c - c) + V - 1) / V;
        load_window(source, view, c, groups, kPitch<T>, window);
        load_weights<IsGradient>(s, ay, ax, w, is_wide, c, groups, out, weights);
        __syncthreads();
        multiply(window, base, cols * kPitch<T>, ay.taps, ax.taps, groups, weights + at.x * V, s.across * V, sum);
    }
    bool valid[kPixels];
    constexpr bool kFactor = kGivesFactor<Sink>;
    Wide<T> factor[kFactor ? kPixels : 1] = {};
#pragma unroll
    for (int p = 0; p < kPixels; p++) {
        const Pixel i = pixel(s, at.y + p * s.down);
        valid[p] = at.y < s.down && i.image < min(s.images, s.n - n) && i.y < ay.size - y && i.x < ax.size - x;
        if (!valid[p]) continue;
        const int apart = IsGradient ? s.stride : 1;
        const int to_y = (y + i.y) * apart + phase_y, to_x = (x + i.x) * apart + phase_x;
        if constexpr (kFactor)
            factor[p] = sink(n + i.image, to_y, to_x, out + at.x * V, sum[p]);
        else
            sink(n + i.image, to_y, to_x, out + at.x * V, sum[p]);
    }
    if constexpr (kFactor)
        sum_pixels(s, at, out, sum, factor, valid, memory, partials);
    else if (!IsGradient && partials)
        sum_pixels(s, at, out, sum, sum, valid, memory, partials);
}

template <bool IsGradient, class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 2)
    convolve_kernel(ConvTiles s, Source source, const T* w, bool is_wide, Sink sink, double* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    convolve<IsGradient>(s, source, w, is_wide, sink, partials, static_cast<int>(blockIdx.z), memory);
}

/// Where a convolution's output goes. Leaves in `v` what was stored: sums are of that.
template <class S>
struct StoreZ {
    S* z;
    int h, w, c;
    bool is_wide;
    __device__ void operator()(int n, int y, int x, int channel, Wide<Compute<S>>& v) const {
        const std::size_t pixel = (static_cast<std::size_t>(n) * h + y) * w + x;
        const auto stored = narrow<S>(v);
        store_channels(z + pixel * c + channel, stored, c - channel, is_wide);
        v = widen(stored);
    }
};

}  // namespace nascent::kernels::gpu
