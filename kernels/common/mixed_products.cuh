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
    std::size_t partial;  // of each slice of channels (rows, depth's k * k * channels, point's channels * c_out)
    double *depth_squares, *point_squares;  // null, or (slices, warps): the sums of squares of what is stored
    __device__ int depth_taps() const { return ddepth ? taps.k * taps.k : 0; }
    __device__ int point_outputs() const { return dpoint ? c_out : 0; }
};
/// A source: blocks [first_block, first_block + pieces * rows * slices). A block takes a slice of `held` channels of
/// some tiles, and a piece of the branches.
template <class S>
struct BackwardPart {
    using T = Compute<S>;
    Source<S> source;
    S* da;
    int da_pixel, first_skip, skips;
    const double *mean, *rstd;
    NormMap<T> map;
    GammaBetaGradient<T> affine;
    int first_op, ops, pieces, piece_ops, slices, held;
    unsigned first_block, rows, tiles, arrival;
    int tiles_y, tiles_x, halo;
    MixedTile tile;
    int cols;             // of the window: where a tile is as wide as the picture, a row's halo is the next one's too
    bool window, wanted;  // a convolution reads the state; its gradient or map is wanted
    bool sums;            // of da and of da * x are needed
    bool late;            // no branch has more outputs than a chunk: d is made last, where dd was
    int dz, dd, d, scratch;  // where they lie in shared memory, in elements behind the window
    std::size_t partial;     // (rows, 2, c) sums of da and of da * x
    std::size_t
        gradient;  // of several pieces: (pieces, tiles, slices, kPixels, kThreads, 16 bytes), their shares of da
    __device__ int pitch() const { return held + kWide<T>; }
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

/// dd (+)= dz * point^T: kChunk channels of dz, from co on, to `groups` groups of channels from c0 on, of which there
/// are `across` side by side. Four pixels a thread share the weights; a thread comes back to the pixels it had.
template <class S, bool IsWide>
__device__ void through_point(const BackwardOp<S>& op, int c, int c0, int groups, unsigned across, int co, int pixels,
                              const Compute<S>* dz, Compute<S>* dd, int pitch) {
    using T = Compute<S>;
    constexpr int V = kWide<T>, R = 4;
    const int group = static_cast<int>(threadIdx.x % across), lanes = static_cast<int>(kThreads / across),
              outputs = min(op.c_out - co, kChunk<T>);
    if (group >= groups) return;
    const int ci = c0 + group * V;
    dd += group * V;
    for (int first = static_cast<int>(threadIdx.x / across); first < pixels; first += R * lanes) {
        Wide<T> sum[R] = {};
        if (co > 0)
#pragma unroll
            for (int r = 0; r < R; r++)
                if (first + r * lanes < pixels) sum[r] = load<V>(dd + (first + r * lanes) * pitch);
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
                const Wide<T> g = load<V>(dz + min(first + r * lanes, pixels - 1) * kPitch<T> + o);
#pragma unroll
                for (int i = 0; i < V; i++)
#pragma unroll
                    for (int j = 0; j < V; j++) sum[r].v[i] = std::fma(g.v[j], w[i].v[j], sum[r].v[i]);
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++)
            if (first + r * lanes < pixels) store(dd + (first + r * lanes) * pitch, sum[r]);
    }
}

/// The warps that share a chunk of channels where a block holds `held`, at most 8 chunks.
template <class T>
__device__ int warps_of_chunk(int held) {
    return 8 * kChunk<T> / held;
}

/// to (channels, c_out) (+)= what the warps left in scratch (warps, kChunk, kChunk), columns from co on.
template <class T>
__device__ void add_warps(int held, int co, int c_out, int channels, const T* scratch, T* to, bool more) {
    constexpr int C = kChunk<T>;
    const int warps = warps_of_chunk<T>(held);
    __syncthreads();
    for (int t = static_cast<int>(threadIdx.x); t < held * C; t += static_cast<int>(kThreads)) {
        const int ci = t / C, o = co + t % C;
        if (ci >= channels || o >= c_out) continue;
        const T* from = scratch + (ci / C * warps * C + ci % C) * C + t % C;
        T total = from[0];
        for (int warp = 1; warp < warps; warp++) total += from[warp * C * C];
        T& element = to[static_cast<std::size_t>(ci) * c_out + o];
        element = more ? element + total : total;
    }
}

/// to (channels, c_out) (+)= the products of d and dz over the tile's own outputs, columns from co on. Scratch may be
/// where dz is.
template <class T>
__device__ void point_gradient(const Extent& e, int held, int c_out, int co, int channels, const T* d, int pitch,
                               const T* dz, T* scratch, T* to, bool more) {
    constexpr int V = kWide<T>, C = kChunk<T>;
    const int t = static_cast<int>(threadIdx.x), warps = warps_of_chunk<T>(held), chunk = t / 32 / warps;
    const int in = t / 4 % 4 * V, out = t % 4 * V;
    d += chunk * C + in;
    Wide<T> sum[V] = {};
#pragma unroll 1
    for (int p = t / 16 - chunk * warps * 2; p < 1 << (e.h_log + e.w_log); p += 2 * warps) {
        const int at = e.index(p);
        if (at < 0) continue;
        const Wide<T> a = load<V>(d + p * pitch), b = load<V>(dz + at * kPitch<T> + out);
#pragma unroll
        for (int i = 0; i < V; i++)
#pragma unroll
            for (int j = 0; j < V; j++) sum[i].v[j] = std::fma(a.v[i], b.v[j], sum[i].v[j]);
    }
#pragma unroll
    for (int i = 0; i < V; i++)
#pragma unroll
        for (int j = 0; j < V; j++) sum[i].v[j] += __shfl_xor_sync(~0u, sum[i].v[j], 16);
    __syncthreads();  // dz has been read
    if (t % 32 < 16)
#pragma unroll
        for (int i = 0; i < V; i++) store(scratch + (t / 32 * C + in + i) * C + out, sum[i]);
    add_warps(held, co, c_out, channels, scratch, to, more);
}

/// to (k * k, channels) (+)= the products of the state and dd, whose pixels lie as far apart, over the tile's own
/// outputs, for `across` groups of channels. Sets of threads, as many as there are, share the outputs.
template <class T>
__device__ void depth_gradient(const Taps& taps, const Extent& e, int across, int channels, const HaloTile<T>& a,
                               const T* dd, T* scratch, T* to, bool more) {
    constexpr int V = kWide<T>;
    const int count = taps.k * taps.k, slots = count * across, lanes = max(static_cast<int>(kThreads) / slots, 1);
    for (int item = static_cast<int>(threadIdx.x); item < lanes * slots; item += static_cast<int>(kThreads)) {
        const int lane = item / slots, tap = item % slots / across, group = item % across * V;
        if (group >= channels) continue;
        const int reach = taps.k / 2 * taps.dilation, dy = tap / taps.k * taps.dilation + taps.offset - reach + a.halo,
                  dx = tap % taps.k * taps.dilation + taps.offset - reach + a.halo;
        Wide<T> sum = {};
#pragma unroll 1
        for (int p = lane; p < 1 << (e.h_log + e.w_log); p += lanes) {
            const int at = e.index(p);
            if (at < 0) continue;
            const int y = (p >> e.w_log) * taps.stride + dy, x = (p & ((1 << e.w_log) - 1)) * taps.stride + dx;
            const Wide<T> v = load<V>(a.at + (y * a.cols + x) * a.pitch + group),
                          g = load<V>(dd + at * a.pitch + group);
#pragma unroll
            for (int i = 0; i < V; i++) sum.v[i] = std::fma(v.v[i], g.v[i], sum.v[i]);
        }
        store(scratch + (lane * count + tap) * across * V + group, sum);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < count * channels; i += static_cast<int>(kThreads)) {
        const T* from = scratch + i / channels * across * V + i % channels;
        T total = from[0];
        for (int l = 1; l < lanes; l++) total += from[l * count * across * V];
        to[i] = more ? to[i] + total : total;
    }
    __syncthreads();  // before something else lies in scratch
}

}  // namespace nascent::kernels::gpu
