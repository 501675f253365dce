// The pass back through branches at the pixels of a state: what reaches them, and what becomes of it.
#pragma once
#include "kernels/common/mixed_products.cuh"
#include "kernels/common/squares.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kPixels = 4;  // of a thread, which has 16 bytes of channels of each

/// The pixels of a thread: (y + r * step, x), of which those count that are above `end`; one of them lies in the
/// state's tile at state + r * pitch.
struct OwnPixels {
    int y, x, step, end, state, pitch;
    __device__ bool inside(int r) const { return y + r * step < end; }
};

/// f(tap, r, place of the output in the extent) for the outputs that read pixel r of a thread's.
template <class F>
__device__ void for_outputs(const Taps& taps, const Extent& e, int ky, int kx, const OwnPixels& own, F&& f) {
    const int half = taps.stride == 2, dy = (taps.k / 2 - ky) * taps.dilation - taps.offset,
              dx = (taps.k / 2 - kx) * taps.dilation - taps.offset;
#pragma unroll
    for (int r = 0; r < kPixels; r++) {
        const int py = own.y + r * own.step + dy, px = own.x + dx;
        if (half & (py | px)) continue;
        const int row = (py >> half) - e.y0, column = (px >> half) - e.x0;
        if (static_cast<unsigned>(row) < static_cast<unsigned>(e.rows) &&
            static_cast<unsigned>(column) < static_cast<unsigned>(e.cols))
            f(r, row * e.cols + column);
    }
}

/// sum += what the depthwise convolution passes on of dd, where the state's ReLU is open.
template <class S, bool IsWide>
__device__ void through_depth(const BackwardOp<S>& op, int c, int channel, const Extent& e, const Compute<S>* dd,
                              int pitch, const Compute<S>* state, const OwnPixels& own,
                              Wide<Compute<S>> (&sum)[kPixels]) {
    using T = Compute<S>;
    constexpr int V = kWide<T>;
    Wide<T> passed[kPixels] = {};
    const int k = op.taps.k;
    for (int ky = 0; ky < k; ky++)
#pragma unroll 1
        for (int kx = 0; kx < k; kx++) {
            Wide<T> w;
            if (op.depth) {
                w = load_channels(op.depth + static_cast<std::size_t>(ky * k + kx) * c + channel, c - channel, IsWide);
            } else {
#pragma unroll
                for (int i = 0; i < V; i++) w.v[i] = 1;
            }
            for_outputs(op.taps, e, ky, kx, own, [&](int r, int from) {
                const Wide<T> g = load<V>(dd + from * pitch);
#pragma unroll
                for (int i = 0; i < V; i++) passed[r].v[i] = std::fma(g.v[i], w.v[i], passed[r].v[i]);
            });
        }
#pragma unroll
    for (int r = 0; r < kPixels; r++) {
        if (!own.inside(r)) continue;
        const Wide<T> a = load<V>(state + own.state + r * own.pitch);
#pragma unroll
        for (int i = 0; i < V; i++)
            if (!(a.v[i] <= 0)) sum[r].v[i] += passed[r].v[i];  // not-a-number lets it pass
    }
}

/// sum += what a 3x3 pool passes on of dz.
template <class S>
__device__ void through_pool(const BackwardOp<S>& op, int n, int h, int w, int channel, const Extent& e,
                             const Compute<S>* dz, int pitch, const OwnPixels& own, Wide<Compute<S>> (&sum)[kPixels]) {
    using T = Compute<S>;
    constexpr int V = kWide<T>;
#pragma unroll 1
    for (int tap = 0; tap < 9; tap++)
        for_outputs(op.taps, e, tap / 3, tap % 3, own, [&](int r, int from) {
            const Wide<T> g = load<V>(dz + from * pitch);
            const int oy = e.y0 + from / e.cols, ox = e.x0 + from % e.cols;
            if (op.kind == BranchKind::max_pool) {
                const std::uint8_t* taps =
                    op.tap + ((static_cast<std::size_t>(n) * op.out_h + oy) * op.out_w + ox) * op.c_out + channel;
#pragma unroll
                for (int i = 0; i < V; i++)
                    if (channel + i < op.c_out && taps[i] == tap) sum[r].v[i] += g.v[i];
            } else {
                const int top = oy * op.taps.stride - 1, left = ox * op.taps.stride - 1;
                const T count = static_cast<T>((min(top + 3, h) - max(top, 0)) * (min(left + 3, w) - max(left, 0)));
#pragma unroll
                for (int i = 0; i < V; i++) sum[r].v[i] += g.v[i] / count;
            }
        });
}

/// Writes the pixels' gradients, with what goes round the branches, and adds them to `total`, and their products with
/// x.
template <class S, bool IsWide>
__device__ void finish_pixels(const BackwardPart<S>& part, const Skip<S>* skips, int channel, std::size_t first,
                              const OwnPixels& own, Wide<Compute<S>> (&sum)[kPixels],
                              Compute<S> (&total)[2 * kWide<Compute<S>>]) {
    using T = Compute<S>;
    constexpr int V = kWide<T>;
    const int left = part.source.c - channel;
#pragma unroll
    for (int r = 0; r < kPixels; r++) {
        if (!own.inside(r)) continue;
        const std::size_t pixel = first + static_cast<std::size_t>(own.y + r * own.step) * part.source.w + own.x;
#pragma unroll 1
        for (int i = 0; i < part.skips; i++) {
            const T weight = skips[i].weight ? *skips[i].weight : T(1);
            const Wide<T> g = load_stored(skips[i].g + pixel * skips[i].pixel + channel, left, IsWide);
#pragma unroll
            for (int j = 0; j < V; j++) sum[r].v[j] = std::fma(weight, g.v[j], sum[r].v[j]);
        }
        if (part.da) store_stored(part.da + pixel * part.da_pixel + channel, sum[r], left, IsWide);
        if (!part.sums) continue;
        const Wide<T> v = load_stored(part.source.x + pixel * part.source.pixel + channel, left, IsWide);
#pragma unroll
        for (int j = 0; j < V; j++) {
            total[j] += sum[r].v[j];
            total[V + j] = std::fma(sum[r].v[j], v.v[j], total[V + j]);
        }
    }
}

/// What all blocks left of a slice of channels, once they have. last: of the ops, of which this piece has [first, end),
/// and then of the source.
template <class S>
__device__ void finish_slice(const BackwardList<S>& list, const BackwardPart<S>& part, int first, int end, int c0,
                             int channels, const bool* last, const double* sums, const Compute<S>* partials,
                             double* memory) {
    const Source<S>& s = part.source;
    for (int i = first; i < end; i++) {
        const BackwardOp<S>& op = list.ops[part.first_op + i];
        const int taps = op.depth_taps(), outputs = op.point_outputs();
        if (!last[i] || taps + outputs == 0) continue;
        const unsigned columns = static_cast<unsigned>(channels * (taps + outputs)),
                       depth = static_cast<unsigned>(channels * taps), width = static_cast<unsigned>(channels);
        double depth_squares = 0, point_squares = 0;
        add_rows<1>(partials + op.partial + static_cast<std::size_t>(part.rows) * c0 * (taps + outputs), part.rows,
                    columns, 0, columns, memory, [&](unsigned column, const double(&sum)[1]) {
                        const bool is_depth = column < depth;
                        Compute<S>& to =
                            is_depth ? op.ddepth[static_cast<std::size_t>(column / width) * s.c + c0 + column % width]
                                     : op.dpoint[static_cast<std::size_t>(c0) * op.c_out + column - depth];
                        put(to, sum[0], is_depth ? op.accumulate_depth : op.accumulate_point);
                        const double square = static_cast<double>(to) * static_cast<double>(to);
                        depth_squares += is_depth ? square : 0;
                        point_squares += is_depth ? 0 : square;
                    });
        const std::size_t warp = (static_cast<std::size_t>(c0 / part.held) * kThreads + threadIdx.x) / kWarp;
        if (op.depth_squares) store_squares(depth_squares, op.depth_squares + warp);
        if (op.point_squares) store_squares(point_squares, op.point_squares + warp);
    }
    if (!last[part.ops] || !part.sums) return;
    const double n = static_cast<double>(list.n) * s.h * s.w;
    const std::size_t c = static_cast<std::size_t>(s.c);
    add_rows<2>(sums + part.partial + c0, part.rows, 2 * c, c, static_cast<unsigned>(channels), memory,
                [&](unsigned at, const double(&sum)[2]) {
                    const int channel = c0 + static_cast<int>(at);
                    if (part.mean)
                        fold(part.map, channel, s.affine.gamma ? static_cast<double>(s.affine.gamma[channel]) : 1.0,
                             part.mean[channel], part.rstd[channel], n, sum[0], sum[1]);
                    put_affine(part.affine, channel, sum[0],
                               normed_sum(part.mean, part.rstd, s.scale, s.shift, channel, sum[0], sum[1]));
                });
}

/// Where a tile lies.
struct TileAt {
    int n, y, x;
};
template <class S>
__device__ TileAt tile_at(const BackwardPart<S>& part, unsigned tile) {
    const unsigned line = tile / static_cast<unsigned>(part.tiles_x);
    return {static_cast<int>(line / static_cast<unsigned>(part.tiles_y)),
            static_cast<int>(line % static_cast<unsigned>(part.tiles_y)) << part.tile.h_log,
            static_cast<int>(tile % static_cast<unsigned>(part.tiles_x)) << part.tile.w_log};
}

/// A thread's pixels of a tile, for channels from `group` on of `channels`.
template <class S>
__device__ OwnPixels own_pixels(const BackwardPart<S>& part, const TileAt& at, int group, int channels) {
    constexpr int V = kWide<Compute<S>>;
    const int groups = part.held / V, pixel = static_cast<int>(threadIdx.x) / groups, log = part.tile.w_log,
              across = pixel & ((1 << log) - 1), down = pixel >> log, step = static_cast<int>(kThreads) / groups >> log;
    const bool inside = at.x + across < part.source.w && group < channels;
    return {at.y + down,
            at.x + across,
            step,
            inside ? min(at.y + (1 << part.tile.h_log), part.source.h) : 0,
            ((down + part.halo) * part.cols + across + part.halo) * part.pitch() + group,
            step * part.cols * part.pitch()};
}

/// Where a thread leaves what a piece of the branches gives its pixel r of a tile.
template <class S>
__device__ std::size_t share_at(const BackwardPart<S>& part, int piece, unsigned tile, unsigned slice, int r) {
    const std::size_t block =
        (static_cast<std::size_t>(piece) * part.tiles + tile) * static_cast<unsigned>(part.slices) + slice;
    return part.gradient + ((block * kPixels + static_cast<unsigned>(r)) * kThreads + threadIdx.x) *
                               static_cast<unsigned>(kWide<Compute<S>>);
}

/// The state's gradient at the pixels of a row of tiles, from the shares of all pieces, in turn.
template <class S, bool IsWide>
__device__ void add_shares(const BackwardPart<S>& part, const Skip<S>* skips, unsigned row, unsigned slice, int group,
                           int channels, const Compute<S>* shares, Compute<S> (&total)[2 * kWide<Compute<S>>]) {
    using T = Compute<S>;
    constexpr int V = kWide<T>;
    const int channel = static_cast<int>(slice) * part.held + group;
    for (unsigned tile = row; tile < part.tiles; tile += part.rows) {
        const TileAt at = tile_at(part, tile);
        const OwnPixels own = own_pixels(part, at, group, channels);
        Wide<T> sum[kPixels] = {};
#pragma unroll 1
        for (int piece = 0; piece < part.pieces; piece++)
#pragma unroll
            for (int r = 0; r < kPixels; r++) {
                if (!own.inside(r)) continue;
                const Wide<T> share = load<V>(shares + share_at(part, piece, tile, slice, r));
#pragma unroll
                for (int j = 0; j < V; j++) sum[r].v[j] += share.v[j];
            }
        finish_pixels<S, IsWide>(part, skips, channel, static_cast<std::size_t>(at.n) * part.source.h * part.source.w,
                                 own, sum, total);
    }
}

}  // namespace nascent::kernels::gpu
