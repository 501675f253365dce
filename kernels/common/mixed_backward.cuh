// The pass back through all branches of a state: a block takes some channels of a tile of the state. For each branch it
// makes dz in shared memory, from it what the depthwise convolution gets, and from that its share of the state's
// gradient, of which every pixel is written once, and of the weights'. The last block adds what all have left.
#pragma once
#include "kernels/common/mixed_products.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kQuarter = kThreads / 4,
                     kPixels = 256 / kQuarter;  // threads of a group of channels; pixels of each

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
                              const Compute<S>* state, const OwnPixels& own, Wide<Compute<S>> (&sum)[kPixels]) {
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
                const Wide<T> g = load<V>(dd + from * kPitch<T>);
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
                             const Compute<S>* dz, const OwnPixels& own, Wide<Compute<S>> (&sum)[kPixels]) {
    using T = Compute<S>;
    constexpr int V = kWide<T>;
#pragma unroll 1
    for (int tap = 0; tap < 9; tap++)
        for_outputs(op.taps, e, tap / 3, tap % 3, own, [&](int r, int from) {
            const Wide<T> g = load<V>(dz + from * kPitch<T>);
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

/// What all blocks left of a chunk of channels, once they have. last: of the ops and then of the source.
template <class S>
__device__ void finish_chunk(const BackwardList<S>& list, const BackwardPart<S>& part, int c0, int channels,
                             const bool* last, const double* sums, const Compute<S>* partials, double* memory) {
    const Source<S>& s = part.source;
    for (int i = 0; i < part.ops; i++) {
        const BackwardOp<S>& op = list.ops[part.first_op + i];
        const int taps = op.depth_taps(), outputs = op.point_outputs();
        if (!last[i] || taps + outputs == 0) continue;
        const unsigned columns = static_cast<unsigned>(channels * (taps + outputs)),
                       depth = static_cast<unsigned>(channels * taps), width = static_cast<unsigned>(channels);
        add_rows<1>(partials + op.partial + static_cast<std::size_t>(part.rows) * c0 * (taps + outputs), part.rows,
                    columns, 0, columns, memory, [&](unsigned column, const double(&sum)[1]) {
                        if (column < depth)
                            put(op.ddepth[static_cast<std::size_t>(column / width) * s.c + c0 + column % width], sum[0],
                                op.accumulate_depth);
                        else
                            put(op.dpoint[static_cast<std::size_t>(c0) * op.c_out + column - depth], sum[0],
                                op.accumulate_point);
                    });
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

template <class P, class S>  // mixed_tensor.cuh
__device__ void through_point_dense(const BackwardOp<S>& op, int c, int c0, int co, int pixels, const float* dz,
                                    float* dd);
template <class P>
__device__ void point_gradient_dense(const Extent& e, int c_out, int co, int channels, const float* d, const float* dz,
                                     float* scratch, float* to, bool more);

/// P: AsIs, or of tensor cores (wide, computed with floats).
template <class S, bool IsWide, class P>
__global__ void __launch_bounds__(kThreads, 2)
    backward_kernel(const __grid_constant__ BackwardList<S> list, double* sums, Compute<S>* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    SIMT_SHARED(bool, last, [kBackwardOps + 1]);
    using T = Compute<S>;
    constexpr int V = kWide<T>, C = kChunk<T>;
    int index = 0;
    while (index + 1 < list.count && list.parts[index + 1].first_block <= blockIdx.x) index++;
    const BackwardPart<S>& part = list.parts[index];
    const Source<S>& s = part.source;
    const unsigned chunks = static_cast<unsigned>(part.chunks), block = blockIdx.x - part.first_block,
                   row = block / chunks, chunk = block % chunks;
    const int c0 = static_cast<int>(chunk) * C, channels = min(C, s.c - c0), groups = (channels + V - 1) / V;
    const int group = static_cast<int>(threadIdx.x % 4) * V, channel = c0 + group;
    const int height = (1 << part.tile.h_log) + 2 * part.halo, width = (1 << part.tile.w_log) + 2 * part.halo;
    const HaloTile<T> a{reinterpret_cast<T*>(memory), part.halo, width, kPitch<T>};
    T *const dz = a.at + part.dz, *const dd = a.at + part.dd, *const d = a.at + part.d,
             *const scratch = a.at + part.scratch;
    T total[2 * V] = {};  // of few pixels: four of each tile

    for (unsigned tile = row; tile < part.tiles; tile += part.rows) {
        const unsigned line = tile / static_cast<unsigned>(part.tiles_x);
        const int n = static_cast<int>(line / static_cast<unsigned>(part.tiles_y)),
                  y0 = static_cast<int>(line % static_cast<unsigned>(part.tiles_y)) << part.tile.h_log,
                  x0 = static_cast<int>(tile % static_cast<unsigned>(part.tiles_x)) << part.tile.w_log;
        const bool more = tile > row;
        const int across = static_cast<int>(threadIdx.x) / 4 & ((1 << part.tile.w_log) - 1),
                  down = static_cast<int>(threadIdx.x) / 4 >> part.tile.w_log, step = kQuarter >> part.tile.w_log;
        const bool inside = x0 + across < s.w && group < channels;
        const OwnPixels own{y0 + down,
                            x0 + across,
                            step,
                            inside ? min(y0 + (1 << part.tile.h_log), s.h) : 0,
                            ((down + a.halo) * a.cols + across + a.halo) * kPitch<T> + group,
                            step * a.cols * kPitch<T>};
        if (part.window) {
            if (more) __syncthreads();  // the tile before has been read
            const StateSource<S, IsWide> source(s, true);
            load_window(source, {n, y0 - a.halo, x0 - a.halo, 1, height, width, 1, list.n, s.h, s.w}, c0, groups,
                        kPitch<T>, a.at);
            __syncthreads();
        }
        Wide<T> sum[kPixels] = {};
        for (int i = 0; i < part.ops; i++) {
            const BackwardOp<S>& op = list.ops[part.first_op + i];
            const Extent e = extent(op, part.tile, y0, x0);
            const BranchSource<S, IsWide> source{op, list.gradients + op.first_gradient};
            const Window outputs{n, e.y0, e.x0, 1, e.rows, e.cols, 1, list.n, op.out_h, op.out_w};
            if (op.kind == BranchKind::max_pool || op.kind == BranchKind::avg_pool) {
                load_window(source, outputs, c0, groups, kPitch<T>, dz);
                __syncthreads();
                if (group < channels) through_pool(op, n, s.h, s.w, channel, e, dz + group, own, sum);
                __syncthreads();
                continue;
            }
            const int taps = op.depth_taps(), columns = op.point_outputs();
            T* const to = partials + op.partial +
                          (static_cast<std::size_t>(part.rows) * c0 + static_cast<std::size_t>(row) * channels) *
                              (taps + columns);
            if (op.dpoint) depthwise<T, IsWide>(op.taps, op.depth, s.c, c0, groups, a, e.h_log, e.w_log, d, kPitch<T>);
            for (int co = 0; co < op.c_out; co += C) {
                if (co > 0) __syncthreads();  // what came before has been read
                load_window(source, outputs, co, (min(C, op.c_out - co) + V - 1) / V, kPitch<T>, dz);
                __syncthreads();
                T* const to_point = to + taps * channels;
                if constexpr (std::is_same_v<P, AsIs>) {
                    if (part.wanted || op.ddepth)
                        through_point<S, IsWide>(op, s.c, c0, groups, co, e.rows * e.cols, dz, dd);
                    if (op.dpoint) point_gradient(e, op.c_out, co, channels, d, dz, scratch, to_point, more);
                } else {
                    if (part.wanted || op.ddepth) through_point_dense<P>(op, s.c, c0, co, e.rows * e.cols, dz, dd);
                    if (op.dpoint) point_gradient_dense<P>(e, op.c_out, co, channels, d, dz, scratch, to_point, more);
                }
            }
            __syncthreads();
            if (part.wanted && group < channels)
                through_depth<S, IsWide>(op, s.c, channel, e, dd + group, a.at, own, sum);
            if (op.ddepth) depth_gradient(op.taps, e, channels, a, dd, scratch, to, more);
        }
        if (part.wanted)
            finish_pixels<S, IsWide>(part, list.skips + part.first_skip, channel,
                                     static_cast<std::size_t>(n) * s.h * s.w, own, sum, total);
    }

    if (part.sums) {
        __syncthreads();  // shared memory has been read
        double all[2 * V];
        for (int i = 0; i < 2 * V; i++) all[i] = static_cast<double>(total[i]);
        add_down<2 * V>(4, memory, all);
        if (threadIdx.x < 4)
            for (int i = 0; i < 2 * V; i++)
                if (channel + i % V < s.c)
                    sums[part.partial + (static_cast<std::size_t>(row) * 2 + i / V) * s.c + channel + i % V] = all[i];
    }
    if (part.map.scale && !part.mean && row == 0) {  // evaluation
        for (int i = static_cast<int>(threadIdx.x); i < channels; i += static_cast<int>(kThreads)) {
            part.map.scale[c0 + i] = s.affine.gamma ? s.scale[c0 + i] * s.affine.gamma[c0 + i] : s.scale[c0 + i];
            part.map.slope[c0 + i] = part.map.shift[c0 + i] = T(0);
        }
    }
    const unsigned count = static_cast<unsigned>(part.ops) + 1;
    arrive(list.arrival + part.arrival + chunk * count, count, part.rows, last);
    finish_chunk(list, part, c0, channels, last, sums, partials, memory);
}

}  // namespace nascent::kernels::gpu
