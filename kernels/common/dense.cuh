// Convolutions of all channels on tensor cores, for channels in fours: an implicit product of (pixels, taps * channels)
// and the weights. A block's window of the source, rounded, and its weights lie in shared memory; a warp makes 32
// pixels times 16 or 32 channels. Phases, sources and sinks are those of convolve.cuh.
#pragma once
#include <algorithm>
#include <string>
#include <utility>

#include "kernels/common/convolve.cuh"

namespace nascent::kernels::gpu {

inline constexpr unsigned kDenseThreads = 256;  // in a block, at most
inline constexpr int kWarpPixels = 32;

/// A 1x1 convolution of stride 1 knows no rows: all its pixels as one.
inline ConvShape flattened(ConvShape s) {
    if (s.k == 1 && s.stride == 1) s.w *= s.n * s.h, s.n = s.h = 1;
    return s;
}

/// `s.window` is in factors. A block makes `columns` channels, of which a warp has 8 * `of_warp`.
struct DenseTiles {
    ConvTiles s;
    int warps_down, of_warp, columns;
};

struct DensePlan {
    DenseTiles d;
    dim3 grid;
    unsigned threads;
    std::size_t shared_bytes;
    unsigned groups;  // as ConvPlan's
};

/// At most `pixels` of an (n, h, w) lattice: rows as long as leaves the halo of the whole small.
inline TileSize dense_tile(int n, int h, int w, int pixels) {
    auto parts = [](int size, int limit) { return (size + limit - 1) / limit; };
    if (h == 1) return {1, 1, std::min(w, pixels)};
    const int longest = pixels >= 256 ? 32 : pixels >= 128 ? 16 : 8;
    const int columns = parts(w, parts(w, longest)), rows = parts(h, parts(h, std::max(1, pixels / columns)));
    return {rows == h && columns == w ? std::max(1, std::min(n, pixels / (h * w))) : 1, rows, columns};
}

/// Depends on the shape, which is flattened, and the launch alone. As plan_convolution.
template <class P = Tf32>
DensePlan plan_dense(const ConvShape& shape, bool is_gradient, const ConvGroups& launch = {}) {
    using Factor = typename P::Factor;
    const int out_h = shape.out_h(), out_w = shape.out_w(), stride = shape.stride;
    ConvTiles s = {shape.n, shape.h, shape.w, shape.c_in, out_h, out_w, shape.c_out, shape.k, stride,
                   {},      {},      {},      {},         {},    {},    {},          {}};
    if (is_gradient) {
        std::swap(s.in_h, s.out_h);
        std::swap(s.in_w, s.out_w);
        std::swap(s.in_c, s.out_c);
    }
    const int phases = is_gradient ? stride : 1, step = is_gradient || s.k == 1 ? 1 : stride;
    const int taps = (s.k + phases - 1) / phases;
    const int h = (s.out_h + phases - 1) / phases, w = (s.out_w + phases - 1) / phases;
    DensePlan best;
    LeastMoved least;
    auto consider = [&](int of_warp, int across, int pixels) {
        const int columns = 8 * of_warp * across;
        const TileSize tile = dense_tile(s.n, h, w, pixels);
        s.images = tile.images, s.tile_h = tile.h, s.tile_w = tile.w;
        s.tiles_y = (h + tile.h - 1) / tile.h;
        s.tiles_x = (w + tile.w - 1) / tile.w;
        s.window = tile.images * ((tile.h - 1) * step + taps) * ((tile.w - 1) * step + taps) * kPitch<Factor>;
        const std::size_t tiles =
            static_cast<std::size_t>((s.n + tile.images - 1) / tile.images) * s.tiles_y * s.tiles_x;
        if (tiles > 0x7fffffffu) throw simt::Error(std::to_string(tiles) + " tiles for one launch, at most 2^31 - 1");
        const int down = (tile.pixels() + kWarpPixels - 1) / kWarpPixels;
        const std::size_t factors =
            static_cast<std::size_t>(s.window) + taps * taps * kChunk<Factor> * fragment_pitch(columns);
        const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>((s.out_c + columns - 1) / columns),
                        static_cast<unsigned>(phases * phases));
        for (const unsigned groups : {launch.groups, is_gradient ? launch.groups : launch.convs})
            if (least.better(s, is_gradient, grid, columns, {launch.convs, groups}, sizeof(Factor), sizeof(Factor)))
                best = {
                    {s, down, of_warp, columns},
                    grid,
                    static_cast<unsigned>(32 * down * across),
                    std::max(factors * sizeof(Factor), static_cast<std::size_t>(2 * down * columns) * sizeof(double)),
                    groups};
    };
    for (int columns = s.out_c > 32 ? 64 : s.out_c > 16 ? 32 : 16; columns >= 16; columns /= 2) {
        const int across = columns / 32 > 1 ? 2 : 1;
        for (int pixels = 256 / across; pixels >= 64; pixels /= 2) consider(columns / across / 8, across, pixels);
    }
    return best;
}

/// The weights, and perhaps the same rounded to bf16, which only products of bf16 read: 16 bytes at a time.
struct DenseWeights {
    const float* w;
    const BFloat16* rounded;
    DenseWeights(const float* as_are = nullptr, const BFloat16* as_bf16 = nullptr)
        : w(as_are), rounded(reinterpret_cast<std::uintptr_t>(as_bf16) % 16 == 0 ? as_bf16 : nullptr) {}
};

template <class P, int N>
__device__ Pack<typename P::Factor, N> factors(const Pack<float, N>& v) {
    return P::round(v);
}
template <class P, int N>
__device__ Pack<typename P::Factor, N> factors(const Pack<BFloat16, N>& v) {
    Pack<typename P::Factor, N> same;
#pragma unroll
    for (int i = 0; i < N; i++) same.v[i] = v.v[i].bits;
    return same;
}

/// to (taps, channels, pitch) = the weights from the chunk's channels, from c on and filled up with zeros to `count`,
/// to the block's columns from `out` on.
template <class P, bool IsGradient, class W>
__device__ void load_dense_weights(const DenseTiles& d, const Axis& ay, const Axis& ax, const W* w, int c, int count,
                                   int out, typename P::Factor* to, int pitch) {
    constexpr int V = kWide<W>;
    const ConvTiles& s = d.s;
    // Items are (tap, channel, 16 bytes of out); for a gradient, whose weights lie the other way round, (tap, 16 bytes
    // of channels, out).
    const int middle = IsGradient ? count / V : count, inner = IsGradient ? d.columns : d.columns / V;
    const Divisor inners(inner), middles(middle), columns(ax.taps);
    const unsigned items = static_cast<unsigned>(ay.taps * ax.taps) * middles.by * inners.by;
    for (unsigned i = threadIdx.x; i < items; i += blockDim.x) {
        const unsigned line = inners.quotient(i), tap = middles.quotient(line), ty = columns.quotient(tap);
        const int o = static_cast<int>(i - line * inners.by), m = static_cast<int>(line - tap * middles.by);
        const int row = ay.first + static_cast<int>(ty) * ay.delta,
                  column = ax.first + static_cast<int>(tap - ty * columns.by) * ax.delta;
        const W* from = w + static_cast<std::size_t>(row * s.k + column) * s.in_c * s.out_c;
        const int at = static_cast<int>(tap) * count;
        Pack<W, V> v = {};
        if (IsGradient) {
            if (out + o < s.out_c && c + m * V < s.in_c)
                v = load<V>(from + static_cast<std::size_t>(out + o) * s.in_c + c + m * V);
            const auto rounded = factors<P>(v);
#pragma unroll
            for (int j = 0; j < V; j++) to[(at + m * V + j) * pitch + o] = rounded.v[j];
        } else {
            if (c + m < s.in_c && out + o * V < s.out_c)
                v = load<V>(from + static_cast<std::size_t>(c + m) * s.out_c + out + o * V);
            store(to + (at + m) * pitch + o * V, factors<P>(v));
        }
    }
}

/// A block's work; like convolve(), but that the sums of a gradient go to any kind of sink that gives a factor. A
/// thread has UnderWay bytes on their way from memory.
template <class P, int OfWarp, bool IsGradient, unsigned UnderWay = 64, class Source, class Sink>
__device__ void convolve_dense(const DenseTiles& d, const Source& source, DenseWeights w, const Sink& sink,
                               double* partials, int phase, double* memory) {
    using Factor = typename P::Factor;
    constexpr int V = kWide<Factor>, R = kWarpPixels / 16;
    constexpr bool kFactor = kGivesFactor<Sink>;
    const ConvTiles& s = d.s;
    Factor* const window = reinterpret_cast<Factor*>(memory);
    Factor* const weights = window + s.window;
    const int weight_pitch = d.columns + 8;
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

    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int down = warp % d.warps_down, first_column = warp / d.warps_down * 8 * OfWarp;
    const int out = static_cast<int>(blockIdx.y) * d.columns;
    const Factor* from[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
        const Pixel i = pixel(s, down * kWarpPixels + r * 16 + lane % 16);
        from[r] = window + lane / 16 * V;
        if (i.image < s.images) from[r] += ((i.image * rows + i.y * stride) * cols + i.x * stride) * kPitch<Factor>;
    }

    float sum[R][OfWarp][4] = {};
    for (int c = 0; c < s.in_c && ay.taps > 0 && ax.taps > 0; c += kChunk<Factor>) {
        if (c > 0) __syncthreads();  // the chunk before has been read
        const int count = (min(kChunk<Factor>, s.in_c - c) + P::kDepth - 1) / P::kDepth * P::kDepth;
        load_window<P, UnderWay>(source, view, c, count / V, kPitch<Factor>, window);
        if (std::is_same_v<P, Bf16> && w.rounded)
            load_dense_weights<P, IsGradient>(d, ay, ax, w.rounded, c, count, out, weights, weight_pitch);
        else
            load_dense_weights<P, IsGradient>(d, ay, ax, w.w, c, count, out, weights, weight_pitch);
        __syncthreads();
        const Factor* right = weights + first_column;
#pragma unroll 1
        for (int ty = 0; ty < ay.taps; ty++)
#pragma unroll 1
            for (int tx = 0; tx < ax.taps; tx++) {
                const int tap = (ty * cols + tx) * kPitch<Factor>;
                for (int k = 0; k < count; k += P::kDepth, right += P::kDepth * weight_pitch) {
                    unsigned a[R][4];
#pragma unroll
                    for (int r = 0; r < R; r++) P::load_rows(a[r], from[r] + tap + k);
#pragma unroll
                    for (int o = 0; o < OfWarp; o++) {
                        unsigned b[2];
                        P::load_right(b, right + o * 8, weight_pitch);
#pragma unroll
                        for (int r = 0; r < R; r++) P::multiply(sum[r][o], a[r], b);
                    }
                }
            }
    }

    const int apart = IsGradient ? s.stride : 1;
    int to_n[R], to_y[R], to_x[R];
    bool valid[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
        const Pixel i = pixel(s, down * kWarpPixels + r * 16 + own_row_of_16());
        valid[r] = i.image < min(s.images, s.n - n) && i.y < ay.size - y && i.x < ax.size - x;
        to_n[r] = n + i.image, to_y[r] = (y + i.y) * apart + phase_y, to_x[r] = (x + i.x) * apart + phase_x;
    }
    const bool sums = (kFactor || !IsGradient) && partials != nullptr;
    if (sums) __syncthreads();  // shared memory has been read
#pragma unroll
    for (int o = 0; o < OfWarp; o++) {
        const int column = first_column + o * 8;
        double one[4] = {}, two[4] = {};
#pragma unroll
        for (int r = 0; r < R; r++) {
            Wide<float> v = own_row(sum[r][o]);
            if (!valid[r]) continue;
            Wide<float> factor;
            if constexpr (kFactor)
                factor = sink(to_n[r], to_y[r], to_x[r], out + column + own_column_of_8(), v);
            else
                sink(to_n[r], to_y[r], to_x[r], out + column + own_column_of_8(), v), factor = v;
            if (sums)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const double z = static_cast<double>(v.v[i]);
                    one[i] += z, two[i] = std::fma(z, static_cast<double>(factor.v[i]), two[i]);
                }
        }
        if (sums) sum_lanes(one, two, memory + down * 2 * d.columns + column, d.columns);
    }
    if (!sums) return;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < 2 * d.columns; i += static_cast<int>(blockDim.x)) {
        double total = 0;
        for (int warps = 0; warps < d.warps_down; warps++) total += memory[warps * 2 * d.columns + i];
        const int half = i >= d.columns, c = out + i - half * d.columns;
        if (c < s.out_c) partials[(static_cast<std::size_t>(blockIdx.x) * 2 + half) * s.out_c + c] = total;
    }
}

template <class P, int OfWarp, bool IsGradient, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_kernel(DenseTiles d, Source source, DenseWeights w, Sink sink, double* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    convolve_dense<P, OfWarp, IsGradient>(d, source, w, sink, partials, static_cast<int>(blockIdx.z), memory);
}

/// Launches it with as many channels to a warp as the plan wants. partials as convolve()'s.
template <class P, bool IsGradient, class Source, class Sink>
void launch_dense(simt::stream_t stream, const DensePlan& plan, const Source& source, DenseWeights w, const Sink& sink,
                  double* partials, simt::Place where = simt::Place::current()) {
    auto launch = [&](auto of_warp) {
        const auto kernel = dense_kernel<P, of_warp, IsGradient, Source, Sink>;
        if (plan.shared_bytes > kSharedBytes) simt::allow_shared(kernel, plan.shared_bytes);
        simt::launch(kernel, {plan.grid, plan.threads, plan.shared_bytes, stream, where}, plan.d, source, w, sink,
                     partials);
    };
    if (plan.d.of_warp == 2)
        launch(std::integral_constant<int, 2>{});
    else
        launch(std::integral_constant<int, 4>{});
}

}  // namespace nascent::kernels::gpu
