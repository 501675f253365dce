// All branches of a state: a block brings a tile of the state into shared memory once and goes through its branches;
// the last block to end a branch makes its norm from the sums that all have left.
#pragma once
#include "kernels/common/mixed.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kForwardOps = 48;  // branches of a launch, a reduction being two

/// A branch, or a half of a reduction: its outputs lie `pitch` apart.
template <class S>
struct ForwardOp {
    using T = Compute<S>;
    BranchKind kind;
    Taps taps;
    int c_out, pitch, out_h, out_w;
    const T *depth, *point;
    S* z;
    std::uint8_t* tap;
    double *mean, *rstd;
    T *scale, *shift;
    std::size_t partial;  // (rows, 2, c_out) sums of z and of z^2, one row a block
};
/// Some branches of a source, pools first, which take x as it is: blocks [first_block, first_block + rows).
template <class S>
struct ForwardPart {
    Source<S> source;
    int first_op, ops, pools;
    unsigned first_block, rows, tiles;
    int tiles_y, tiles_x, halo;
    MixedTile tile;
    int cols;       // of the window: where a tile is as wide as the picture, a row's halo is the next one's too
    bool resident;  // all channels of the tile are in shared memory at once
    bool deep;      // a depthwise convolution is among the branches
    bool halves;    // its results are in shared memory for half of the tile at a time
};
template <class S>
struct ForwardList {
    ForwardOp<S> ops[kForwardOps];
    ForwardPart<S> parts[kForwardOps];
    int count, n;
    unsigned arrival;
    double eps;
};

template <class T>
int pitch_of(int c) {
    return (c + kWide<T> - 1) / kWide<T> * kWide<T> + kWide<T>;
}
template <class T>
inline constexpr std::size_t kSumBytes = 2 * kWide<T>* kThreads * sizeof(double);
/// Bytes of shared memory for tiles of this size: sums, the state's tile, and the depthwise convolution's results.
template <class S>
std::size_t forward_bytes(const ForwardPart<S>& p, const MixedTile& t) {
    using T = Compute<S>;
    const int pixels = ((1 << t.h_log) + 2 * p.halo) * window_cols(t, p.halo, p.source.w) + p.halo;
    std::size_t elements =
        static_cast<std::size_t>(pixels) * static_cast<std::size_t>(p.resident ? pitch_of<T>(p.source.c) : kPitch<T>);
    if (p.deep || !p.resident)
        elements += static_cast<std::size_t>(t.pixels() >> (p.halves ? 1 : 0)) *
                    static_cast<std::size_t>(pitch_of<T>(p.source.c));
    return kSumBytes<T> + sizeof(T) * elements;
}

/// What is multiplied: pixels in shared memory, that of output (y, x) of the tile at y * row + x * pitch.
template <class T>
struct Factors {
    const T* at;
    int row, pitch;
};

/// Outputs of a tile.
struct Outputs {
    int n, y, x, h_log, w_log;
};

/// The sums of a block's outputs into its row of partials, those of the tiles before being there.
template <int V>
__device__ void add_sums(double (&sum)[2 * V], unsigned across, int channel, int c, double* part, double* row,
                         bool more) {
    add_down<2 * V>(across, part, sum);
    if (threadIdx.x >= across) return;
    for (int i = 0; i < 2 * V; i++) {
        const int at = channel + i % V;
        if (at >= c) continue;
        double& to = row[i / V * c + at];
        to = more ? to + sum[i] : sum[i];
    }
}

/// z = d * point, for four pixels times 16 bytes of channels a thread.
template <class S, bool IsWide>
__device__ void multiply(const ForwardOp<S>& op, const Outputs& o, int c, const Factors<Compute<S>>& d, unsigned across,
                         double* part, double* row, bool more) {
    using T = Compute<S>;
    constexpr int V = kWide<T>, R = 4;
    const int outputs = 1 << (o.h_log + o.w_log), runs = (outputs + R - 1) / R;
    for (int first = 0; first < op.c_out; first += static_cast<int>(across) * V) {
        const int co = first + static_cast<int>(threadIdx.x % across) * V;
        double sum[2 * V] = {};
        for (int run = static_cast<int>(threadIdx.x / across); co < op.c_out && run < runs;
             run += static_cast<int>(kThreads / across)) {
            const T* from[R];
#pragma unroll
            for (int r = 0; r < R; r++) {
                const int p = min(run * R + r, outputs - 1);
                from[r] = d.at + (p >> o.w_log) * d.row + (p & ((1 << o.w_log) - 1)) * d.pitch;
            }
            Wide<T> z[R] = {};
#pragma unroll 1
            for (int ci = 0; ci < c; ci += V) {
                Wide<T> v[R];
#pragma unroll
                for (int r = 0; r < R; r++) v[r] = load<V>(from[r] + ci);
#pragma unroll
                for (int i = 0; i < V; i++) {
                    if (!IsWide && ci + i >= c) break;
                    const Wide<T> w = load_channels(op.point + static_cast<std::size_t>(ci + i) * op.c_out + co,
                                                    op.c_out - co, IsWide);
#pragma unroll
                    for (int r = 0; r < R; r++)
#pragma unroll
                        for (int j = 0; j < V; j++) z[r].v[j] = std::fma(v[r].v[i], w.v[j], z[r].v[j]);
                }
            }
            T own[2 * V] = {};
#pragma unroll
            for (int r = 0; r < R; r++) {
                const int p = run * R + r, y = o.y + (p >> o.w_log), x = o.x + (p & ((1 << o.w_log) - 1));
                if (p >= outputs || y >= op.out_h || x >= op.out_w) continue;
                const std::size_t at = (static_cast<std::size_t>(o.n) * op.out_h + y) * op.out_w + x;
                store_stored(op.z + at * op.pitch + co, z[r], op.c_out - co, IsWide);
#pragma unroll
                for (int j = 0; j < V; j++) {
                    own[j] += z[r].v[j];
                    own[V + j] = std::fma(z[r].v[j], z[r].v[j], own[V + j]);
                }
            }
#pragma unroll
            for (int j = 0; j < 2 * V; j++) sum[j] += static_cast<double>(own[j]);
        }
        if (op.scale) add_sums<V>(sum, across, co, op.c_out, part, row, more);
    }
}

/// The 3x3 pools of the tile's pixels, which are as in memory.
template <class S, bool IsWide>
__device__ void pool(const ForwardOp<S>& op, const Outputs& o, int h, int w, int first, int groups,
                     const HaloTile<Compute<S>>& a, int tile_y, int tile_x, double* part, double* row, bool more) {
    using T = Compute<S>;
    constexpr int V = kWide<T>;
    const int outputs = 1 << (o.h_log + o.w_log);
    const unsigned across = side_by_side(groups);
    for (int begin = 0; begin < groups; begin += static_cast<int>(across)) {
        const int group = begin + static_cast<int>(threadIdx.x % across), c = first + group * V;
        double sum[2 * V] = {};
        for (int p = static_cast<int>(threadIdx.x / across); group < groups && p < outputs;
             p += static_cast<int>(kThreads / across)) {
            const int oy = o.y + (p >> o.w_log), ox = o.x + (p & ((1 << o.w_log) - 1));
            if (oy >= op.out_h || ox >= op.out_w) continue;
            const int y = oy * op.taps.stride - 1, x = ox * op.taps.stride - 1;
            const int y0 = max(y, 0), x0 = max(x, 0), y1 = min(y + 3, h), x1 = min(x + 3, w);
            auto pixel = [&](int row_at, int column) {
                return load<V>(a.at + ((row_at - tile_y + a.halo) * a.cols + column - tile_x + a.halo) * a.pitch +
                               group * V);
            };
            const std::size_t at =
                ((static_cast<std::size_t>(o.n) * op.out_h + oy) * op.out_w + ox) * static_cast<std::size_t>(op.c_out) +
                static_cast<std::size_t>(c);
            Wide<T> best = {};
            if (op.kind == BranchKind::max_pool) {
                int tap[V];
                for (int i = 0; i < V; i++) tap[i] = (y0 - y) * 3 + x0 - x;
                best = pixel(y0, x0);
#pragma unroll 1
                for (int iy = y0; iy < y1; iy++)
                    for (int ix = x0; ix < x1; ix++) {
                        const Wide<T> v = pixel(iy, ix);
#pragma unroll
                        for (int i = 0; i < V; i++)
                            if (v.v[i] > best.v[i] || v.v[i] != v.v[i]) {
                                best.v[i] = v.v[i];
                                tap[i] = (iy - y) * 3 + ix - x;
                            }
                    }
#pragma unroll
                for (int i = 0; i < V; i++)
                    if (c + i < op.c_out && op.tap) op.tap[at + i] = static_cast<std::uint8_t>(tap[i]);
            } else {
#pragma unroll 1
                for (int iy = y0; iy < y1; iy++)
                    for (int ix = x0; ix < x1; ix++) {
                        const Wide<T> v = pixel(iy, ix);
#pragma unroll
                        for (int i = 0; i < V; i++) best.v[i] += v.v[i];
                    }
                const T count = static_cast<T>((y1 - y0) * (x1 - x0));
#pragma unroll
                for (int i = 0; i < V; i++) best.v[i] /= count;
            }
            store_stored(op.z + at, best, op.c_out - c, IsWide);
#pragma unroll
            for (int i = 0; i < V; i++) {
                const double v = static_cast<double>(best.v[i]);
                sum[i] += v;
                sum[V + i] = std::fma(v, v, sum[V + i]);
            }
        }
        if (op.scale) add_sums<V>(sum, across, c, op.c_out, part, row, more);
    }
}

template <class S>
__device__ void finish(const ForwardOp<S>& op, unsigned rows, double pixels, double eps, const double* partials,
                       double* part) {
    using T = Compute<S>;
    const std::size_t c_out = static_cast<std::size_t>(op.c_out);
    add_rows<2>(partials + op.partial, rows, 2 * c_out, c_out, static_cast<unsigned>(op.c_out), part,
                [&](unsigned c, const double(&sum)[2]) {
                    const double m = sum[0] / pixels;
                    // Rounding may leave a constant channel's variance a little below zero.
                    const double raw = sum[1] / pixels - m * m, var = raw > 0 ? raw : 0.0;
                    const double r = 1 / std::sqrt(var + eps);
                    op.mean[c] = m;
                    op.rstd[c] = r;
                    op.scale[c] = static_cast<T>(r);
                    op.shift[c] = static_cast<T>(-m * r);
                });
}

template <class P, class S>  // mixed_tensor.cuh
__device__ void multiply_dense(const ForwardOp<S>& op, const Outputs& o, int c, const Factors<float>& d, double* part,
                               double* row, bool more);

/// P: AsIs, or of tensor cores (wide, computed with floats).
template <class S, bool IsWide, class P>
__global__ void __launch_bounds__(kThreads, 2)
    forward_kernel(const ForwardList<S> __grid_constant__ list, double* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    SIMT_SHARED(bool, last, [kForwardOps]);
    using T = Compute<S>;
    constexpr int V = kWide<T>;
    int at = 0;
    while (at + 1 < list.count && list.parts[at + 1].first_block <= blockIdx.x) at++;
    const ForwardPart<S>& part = list.parts[at];
    const Source<S>& s = part.source;
    const unsigned row = blockIdx.x - part.first_block;
    const int groups = (s.c + V - 1) / V, held = part.resident ? groups : kChunk<T> / V;
    const int d_pitch = (groups + 1) * V, height = (1 << part.tile.h_log) + 2 * part.halo, width = part.cols;
    const HaloTile<T> a{reinterpret_cast<T*>(memory + kSumBytes<T> / sizeof(double)), part.halo, width, (held + 1) * V};
    T* const d = a.at + (height * width + part.halo) * a.pitch;

    for (unsigned t = row; t < part.tiles; t += part.rows) {
        const unsigned line = t / static_cast<unsigned>(part.tiles_x);
        const int n = static_cast<int>(line / static_cast<unsigned>(part.tiles_y)),
                  y = static_cast<int>(line % static_cast<unsigned>(part.tiles_y)) << part.tile.h_log,
                  x = static_cast<int>(t % static_cast<unsigned>(part.tiles_x)) << part.tile.w_log;
        for (int i = 0; i < part.ops; i++) {
            const ForwardOp<S>& op = list.ops[part.first_op + i];
            const bool pools = i < part.pools, direct = part.resident && !op.depth;
            const int half = op.taps.stride == 2, two = part.halves && !pools && !direct;  // in two halves
            const Outputs o{n, y >> half, x >> half, part.tile.h_log - half - two, part.tile.w_log - half};
            double* const sums = op.scale ? partials + op.partial + std::size_t{row} * 2 * op.c_out : nullptr;
            for (int lower = 0; lower <= two; lower++) {
                const Outputs own{n, o.y + (lower << o.h_log), o.x, o.h_log, o.w_log};
                const int step = op.taps.stride * a.pitch;
                const bool more = t > row || lower > 0;
                for (int first = 0; first < groups; first += held) {
                    const int here = min(held, groups - first);
                    if (!part.resident || (i == 0 && lower == 0)) {
                        const StateSource<S, IsWide> source(s, !pools);
                        load_window(source, {n, y - a.halo, x - a.halo, 1, height, width, 1, list.n, s.h, s.w},
                                    first * V, here, a.pitch, a.at);
                        clear_end(a, height, here);
                        __syncthreads();
                    } else if (i == part.pools && lower == 0) {  // the ReLU that pools could not have
                        for (int p = static_cast<int>(threadIdx.x); p < height * width * groups; p += kThreads) {
                            T* to = a.at + p / groups * a.pitch + p % groups * V;
                            Wide<T> v = load<V>(to);
#pragma unroll
                            for (int j = 0; j < V; j++) v.v[j] = v.v[j] < 0 ? T(0) : v.v[j];
                            store(to, v);
                        }
                        __syncthreads();
                    }
                    if (pools) {
                        pool<S, IsWide>(op, o, s.h, s.w, first * V, here, a, y, x, memory, sums, more);
                        if (!op.scale) __syncthreads();  // else sums have waited
                    } else if (!direct) {
                        const HaloTile<T> from{a.at + (lower << o.h_log) * step * a.cols, a.halo, a.cols, a.pitch};
                        depthwise<T, IsWide>(op.taps, op.depth, s.c, first * V, here, from, o.h_log, o.w_log,
                                             d + first * V, d_pitch);
                        __syncthreads();
                    }
                }
                if (pools) continue;
                Factors<T> factors{d, d_pitch << o.w_log, d_pitch};
                if (direct) {
                    const int first = op.taps.offset + a.halo;
                    factors = {a.at + first * (a.cols + 1) * a.pitch, step * a.cols, step};
                }
                if constexpr (std::is_same_v<P, AsIs>)
                    multiply<S, IsWide>(op, own, s.c, factors, side_by_side((op.c_out + V - 1) / V), memory, sums,
                                        more);
                else
                    multiply_dense<P>(op, own, s.c, factors, memory, sums, more);
                if (!op.scale) __syncthreads();
            }
        }
    }

    const unsigned count = static_cast<unsigned>(part.ops);
    arrive(list.arrival + static_cast<unsigned>(part.first_op), count, part.rows, last);
    for (int i = 0; i < part.ops; i++) {
        const ForwardOp<S>& op = list.ops[part.first_op + i];
        if (last[i] && op.scale)
            finish(op, part.rows, static_cast<double>(list.n) * op.out_h * op.out_w, list.eps, partials, memory);
    }
}

}  // namespace nascent::kernels::gpu
