// The pieces of the pass back through a state's branches: what a launch is given, dz, and the products with weights.
#pragma once
#include "kernels/common/mixed.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kBackwardOps = 48, kBackwardLinks = 96;  // of a launch

/// A branch, or a half of a reduction: its outputs lie `pitch` apart.
template <class S>
struct BackwardOp {
    using T = Compute<S>;
    BranchKind kind;
    Taps taps;
    int c_out, pitch, out_h, out_w;
    const T *depth, *point;
    const S* z;
    const std::uint8_t* tap;
    T *ddepth, *dpoint;
    bool accumulate_depth, accumulate_point;
    int first_gradient, gradients;
    std::size_t partial;  // of each chunk of channels (rows, depth's k * k * channels, point's channels * c_out)
    __device__ int depth_taps() const { return ddepth ? taps.k * taps.k : 0; }
    __device__ int point_outputs() const { return dpoint ? c_out : 0; }
};
/// A source: blocks [first_block, first_block + rows * chunks).
template <class S>
struct BackwardPart {
    using T = Compute<S>;
    Source<S> source;
    S* da;
    int da_pixel, first_skip, skips;
    const double *mean, *rstd;
    NormMap<T> map;
    GammaBetaGradient<T> affine;
    int first_op, ops, chunks;
    unsigned first_block, rows, tiles, arrival;
    int tiles_y, tiles_x, halo;
    MixedTile tile;
    bool window, wanted;     // a convolution reads the state; its gradient or map is wanted
    bool sums;               // of da and of da * x are needed
    int dz, dd, d, scratch;  // where they lie in shared memory, in elements behind the window
    std::size_t partial;     // (rows, 2, c) sums of da and of da * x
};
template <class S>
struct BackwardList {
    BackwardOp<S> ops[kBackwardOps];
    BackwardPart<S> parts[kBackwardOps];
    BranchGradient<S> gradients[kBackwardLinks];
    Skip<S> skips[kBackwardLinks];
    int count, n;
    unsigned arrival;
};

/// Elements for the sums of groups of threads.
template <class T>
inline constexpr int kScratch = 8 * kChunk<T>* kChunk<T> > static_cast<int>(kThreads) * kWide<T>
                                    ? 8 * kChunk<T>* kChunk<T>
                                    : static_cast<int>(kThreads) * kWide<T>;

/// dz of a branch as a source of load_window.
template <class S, bool IsWide>
struct BranchSource {
    using T = Compute<S>;
    const BackwardOp<S>& op;
    const BranchGradient<S>* gradients;

    struct Channels {
        Wide<T> scale, slope, shift;  // of the first map
        int first;
    };
    using Raw = Wide<T>;
    __device__ Channels map(const NormMap<T>& m, int first) const {
        const int left = op.c_out - first;
        return {load_channels(m.scale + first, left, IsWide), load_channels(m.slope + first, left, IsWide),
                load_channels(m.shift + first, left, IsWide), first};
    }
    __device__ Channels channels(int first) const { return map(gradients[0].map, first); }
    __device__ Raw fetch(int n, int row, int column, const Channels& k) const {
        const std::size_t at = (static_cast<std::size_t>(n) * op.out_h + row) * op.out_w + column;
        const int left = op.c_out - k.first;
        const Wide<T> z = load_stored(op.z + at * op.pitch + k.first, left, IsWide);
        Wide<T> dz = {};
#pragma unroll 1
        for (int i = 0; i < op.gradients; i++) {
            const BranchGradient<S>& from = gradients[i];
            const Channels m = i == 0 ? k : map(from.map, k.first);
            const Wide<T> g = load_stored(from.g + at * from.pixel + k.first, left, IsWide);
#pragma unroll
            for (int j = 0; j < kWide<T>; j++)
                dz.v[j] += std::fma(g.v[j], m.scale.v[j], std::fma(z.v[j], m.slope.v[j], m.shift.v[j]));
        }
        return dz;
    }
    __device__ Wide<T> value(const Raw& raw, const Channels&) const { return raw; }
};

/// The outputs that a tile takes part in, and the tile's own among them: [y, y + 2^h_log) x [x, x + 2^w_log), of which
/// those inside the picture count.
struct Extent {
    int y0, x0, rows, cols;
    int y, x, h_log, w_log, out_h, out_w;
    /// Where own output p lies, or -1 outside the picture.
    __device__ int index(int p) const {
        const int oy = y + (p >> w_log), ox = x + (p & ((1 << w_log) - 1));
        return oy < out_h && ox < out_w ? (oy - y0) * cols + ox - x0 : -1;
    }
};
__device__ inline int first_output(int pixel, const Taps& t) {
    const int low = pixel - t.offset - t.k / 2 * t.dilation;
    return low <= 0 ? 0 : (low + t.stride - 1) / t.stride;
}
__device__ inline int end_output(int pixel_end, const Taps& t, int outputs) {
    return min(outputs, (pixel_end - 1 - t.offset + t.k / 2 * t.dilation) / t.stride + 1);
}
template <class S>
__device__ Extent extent(const BackwardOp<S>& op, const MixedTile& tile, int y, int x) {
    const int half = op.taps.stride == 2, y0 = first_output(y, op.taps), x0 = first_output(x, op.taps);
    return {y0,
            x0,
            end_output(y + (1 << tile.h_log), op.taps, op.out_h) - y0,
            end_output(x + (1 << tile.w_log), op.taps, op.out_w) - x0,
            y >> half,
            x >> half,
            tile.h_log - half,
            tile.w_log - half,
            op.out_h,
            op.out_w};
}

/// dd (+)= dz * point^S: kChunk channels of dz, from co on, to `groups` groups of channels from c0 on. Four pixels a
/// thread share the weights; a thread comes back to the pixels it had.
template <class S, bool IsWide>
__device__ void through_point(const BackwardOp<S>& op, int c, int c0, int groups, int co, int pixels,
                              const Compute<S>* dz, Compute<S>* dd) {
    using T = Compute<S>;
    constexpr int V = kWide<T>, R = 4, kLanes = kThreads / 4;
    const int group = static_cast<int>(threadIdx.x % 4), outputs = min(op.c_out - co, kChunk<T>);
    if (group >= groups) return;
    const int ci = c0 + group * V;
    for (int first = static_cast<int>(threadIdx.x / 4); first < pixels; first += R * kLanes) {
        Wide<T> sum[R] = {};
        if (co > 0)
#pragma unroll
            for (int r = 0; r < R; r++)
                if (first + r * kLanes < pixels) sum[r] = load<V>(dd + (first + r * kLanes) * kPitch<T> + group * V);
#pragma unroll 1
        for (int o = 0; o < outputs; o += V) {
            Wide<T> w[V] = {};
#pragma unroll
            for (int i = 0; i < V; i++)
                if (IsWide || ci + i < c)
                    w[i] = load_channels(op.point + static_cast<std::size_t>(ci + i) * op.c_out + co + o, outputs - o,
                                         IsWide);
#pragma unroll
            for (int r = 0; r < R; r++) {
                const Wide<T> g = load<V>(dz + min(first + r * kLanes, pixels - 1) * kPitch<T> + o);
#pragma unroll
                for (int i = 0; i < V; i++)
#pragma unroll
                    for (int j = 0; j < V; j++) sum[r].v[i] = std::fma(g.v[j], w[i].v[j], sum[r].v[i]);
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++)
            if (first + r * kLanes < pixels) store(dd + (first + r * kLanes) * kPitch<T> + group * V, sum[r]);
    }
}

/// to (channels, c_out) (+)= what the warps left in scratch (warps, kChunk, kChunk), columns from co on.
template <class T>
__device__ void add_warps(int co, int c_out, int channels, const T* scratch, T* to, bool more) {
    constexpr int C = kChunk<T>;
    const int t = static_cast<int>(threadIdx.x);
    __syncthreads();
    if (t >= C * C) return;
    const int ci = t / C, o = co + t % C;
    if (ci >= channels || o >= c_out) return;
    T total = scratch[t];
#pragma unroll
    for (int warp = 1; warp < static_cast<int>(kThreads) / 32; warp++) total += scratch[warp * C * C + t];
    T& element = to[static_cast<std::size_t>(ci) * c_out + o];
    element = more ? element + total : total;
}

/// to (channels, c_out) (+)= the products of d and dz over the tile's own outputs, columns from co on.
template <class T>
__device__ void point_gradient(const Extent& e, int c_out, int co, int channels, const T* d, const T* dz, T* scratch,
                               T* to, bool more) {
    constexpr int V = kWide<T>, C = kChunk<T>;
    const int t = static_cast<int>(threadIdx.x), in = t / 4 % 4 * V, out = t % 4 * V;
    Wide<T> sum[V] = {};
#pragma unroll 1
    for (int p = t / 16; p < 1 << (e.h_log + e.w_log); p += static_cast<int>(kThreads) / 16) {
        const int at = e.index(p);
        if (at < 0) continue;
        const Wide<T> a = load<V>(d + p * kPitch<T> + in), b = load<V>(dz + at * kPitch<T> + out);
#pragma unroll
        for (int i = 0; i < V; i++)
#pragma unroll
            for (int j = 0; j < V; j++) sum[i].v[j] = std::fma(a.v[i], b.v[j], sum[i].v[j]);
    }
#pragma unroll
    for (int i = 0; i < V; i++)
#pragma unroll
        for (int j = 0; j < V; j++) sum[i].v[j] += __shfl_xor_sync(~0u, sum[i].v[j], 16);
    if (t % 32 < 16)
#pragma unroll
        for (int i = 0; i < V; i++) store(scratch + (t / 32 * C + in + i) * C + out, sum[i]);
    add_warps(co, c_out, channels, scratch, to, more);
}

/// to (k * k, channels) (+)= the products of the state and dd over the tile's own outputs.
template <class T>
__device__ void depth_gradient(const Taps& taps, const Extent& e, int channels, const HaloTile<T>& a, const T* dd,
                               T* scratch, T* to, bool more) {
    constexpr int V = kWide<T>;
    const int count = taps.k * taps.k, slots = count * 4, lanes = static_cast<int>(kThreads) / slots;
    const int t = static_cast<int>(threadIdx.x), lane = t / slots, tap = t % slots / 4, group = t % 4 * V;
    if (lane < lanes && group < channels) {
        const int reach = taps.k / 2 * taps.dilation, dy = tap / taps.k * taps.dilation + taps.offset - reach + a.halo,
                  dx = tap % taps.k * taps.dilation + taps.offset - reach + a.halo;
        Wide<T> sum = {};
#pragma unroll 1
        for (int p = lane; p < 1 << (e.h_log + e.w_log); p += lanes) {
            const int at = e.index(p);
            if (at < 0) continue;
            const int y = (p >> e.w_log) * taps.stride + dy, x = (p & ((1 << e.w_log) - 1)) * taps.stride + dx;
            const Wide<T> v = load<V>(a.at + (y * a.cols + x) * a.pitch + group),
                          g = load<V>(dd + at * kPitch<T> + group);
#pragma unroll
            for (int i = 0; i < V; i++) sum.v[i] = std::fma(v.v[i], g.v[i], sum.v[i]);
        }
        store(scratch + (lane * count + tap) * 4 * V + group, sum);
    }
    __syncthreads();
    for (int i = t; i < count * channels; i += static_cast<int>(kThreads)) {
        const T* from = scratch + i / channels * 4 * V + i % channels;
        T total = from[0];
        for (int l = 1; l < lanes; l++) total += from[l * count * 4 * V];
        to[i] = more ? to[i] + total : total;
    }
}

}  // namespace nascent::kernels::gpu
