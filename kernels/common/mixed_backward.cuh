// The pass back through all branches of a state: a block takes a slice of the channels of a tile of the state. For each
// of its branches it makes dz in shared memory, from it what the depthwise convolution gets, and from that its share of
// the state's gradient, of which every pixel is written once, and of the weights'. Where tiles are few their branches
// go to several blocks, of which the last adds the shares. The last block of all adds what all have left of the
// weights'.
#pragma once
#include "kernels/common/mixed_pixels.cuh"

namespace nascent::kernels::gpu {

template <class P, class S>  // mixed_tensor.cuh
__device__ void through_point_dense(const BackwardOp<S>& op, int c, int c0, int held, int co, int pixels,
                                    const float* dz, float* dd, int pitch);
template <class P>
__device__ void point_gradient_dense(const Extent& e, int held, int c_out, int co, int channels, const float* d,
                                     int pitch, const float* dz, float* scratch, float* to, bool more);

/// P: AsIs, or of tensor cores (wide, computed with floats). Late: as the parts are.
template <class S, bool IsWide, class P, bool Late>
__global__ void __launch_bounds__(kThreads, IsWide ? 2 : 1)
    backward_kernel(const BackwardList<S> __grid_constant__ list, double* sums, Compute<S>* partials,
                    Compute<S>* shares) {
    SIMT_DYNAMIC_SHARED(double, memory);
    SIMT_SHARED(bool, last, [kBackwardOps + 2]);  // of the ops, of the source, of a row's pieces
    using T = Compute<S>;
    constexpr int V = kWide<T>, C = kChunk<T>;
    int index = 0;
    while (index + 1 < list.count && list.parts[index + 1].first_block <= blockIdx.x) index++;
    const BackwardPart<S>& part = list.parts[index];
    const Source<S>& s = part.source;
    const unsigned slices = static_cast<unsigned>(part.slices), block = blockIdx.x - part.first_block,
                   line = block / slices, slice = block % slices, row = line % part.rows;
    const int piece = static_cast<int>(line / part.rows), first_op = piece * part.piece_ops,
              end_op = min(first_op + part.piece_ops, part.ops);
    const int c0 = static_cast<int>(slice) * part.held, channels = min(part.held, s.c - c0),
              groups = (channels + V - 1) / V, across = part.held / V, pitch = part.pitch();
    const int group = static_cast<int>(threadIdx.x) % across * V, channel = c0 + group;
    const int height = (1 << part.tile.h_log) + 2 * part.halo;
    const HaloTile<T> a{reinterpret_cast<T*>(memory), part.halo, part.cols, pitch};
    T *const dz = a.at + part.dz, *const dd = a.at + part.dd, *const d = a.at + part.d,
             *const scratch = a.at + part.scratch;
    T total[2 * V] = {};  // of few pixels: four of each tile

    for (unsigned tile = row; tile < part.tiles; tile += part.rows) {
        const TileAt at = tile_at(part, tile);
        const bool more = tile > row;
        const OwnPixels own = own_pixels(part, at, group, channels);
        if (part.window) {
            if (more) __syncthreads();  // the tile before has been read
            const StateSource<S, IsWide> source(s, true);
            load_window(source, {at.n, at.y - a.halo, at.x - a.halo, 1, height, part.cols, 1, list.n, s.h, s.w}, c0,
                        groups, pitch, a.at);
            clear_end(a, height, groups);
            __syncthreads();
        }
        Wide<T> sum[kPixels] = {};
        for (int i = first_op; i < end_op; i++) {
            const BackwardOp<S>& op = list.ops[part.first_op + i];
            const Extent e = extent(op, part.tile, at.y, at.x);
            const BranchSource<S, IsWide> source{op, list.gradients + op.first_gradient};
            const Window outputs{at.n, e.y0, e.x0, 1, e.rows, e.cols, 1, list.n, op.out_h, op.out_w};
            if (op.kind == BranchKind::max_pool || op.kind == BranchKind::avg_pool) {
                if (i > first_op) __syncthreads();  // this is larger than another branch's dz
                load_window(source, outputs, c0, groups, pitch, dz);
                __syncthreads();
                if (group < channels) through_pool(op, at.n, s.h, s.w, channel, e, dz + group, pitch, own, sum);
                __syncthreads();
                continue;
            }
            const int taps = op.depth_taps(), columns = op.point_outputs();
            T* const to = partials + op.partial +
                          (static_cast<std::size_t>(part.rows) * c0 + static_cast<std::size_t>(row) * channels) *
                              (taps + columns);
            T* const to_point = to + taps * channels;
            auto through_weights = [&] {
                depthwise<T, IsWide>(op.taps, op.depth, s.c, c0, groups, a, e.h_log, e.w_log, d, pitch);
            };
            auto weights_gradient = [&](int co) {
                if constexpr (std::is_same_v<P, AsIs>)
                    point_gradient(e, part.held, op.c_out, co, channels, d, pitch, dz, dz, to_point, more);
                else
                    point_gradient_dense<P>(e, part.held, op.c_out, co, channels, d, pitch, dz, dz, to_point, more);
            };
            if (!Late && op.dpoint) through_weights();
            const int end = Late ? 1 : op.c_out;  // then there is one chunk
#pragma unroll 1
            for (int co = 0; co < end; co += C) {
                if (co > 0) __syncthreads();  // what came before has been read
                load_window(source, outputs, co, (min(C, op.c_out - co) + V - 1) / V, kPitch<T>, dz);
                __syncthreads();
                if (part.wanted || op.ddepth) {
                    if constexpr (std::is_same_v<P, AsIs>)
                        through_point<S, IsWide>(op, s.c, c0, groups, static_cast<unsigned>(across), co,
                                                 e.rows * e.cols, dz, dd, pitch);
                    else
                        through_point_dense<P>(op, s.c, c0, part.held, co, e.rows * e.cols, dz, dd, pitch);
                }
                if (!Late && op.dpoint) weights_gradient(co);
            }
            __syncthreads();
            if (part.wanted && group < channels)
                through_depth<S, IsWide>(op, s.c, channel, e, dd + group, pitch, a.at, own, sum);
            if (op.ddepth) depth_gradient(op.taps, e, across, channels, a, dd, scratch, to, more);
            if (Late && op.dpoint) {
                __syncthreads();  // dd has been read
                through_weights();
                __syncthreads();
                weights_gradient(0);
            }
            if (Late) __syncthreads();  // dz has been read
        }
        if (part.wanted && part.pieces > 1) {
#pragma unroll
            for (int r = 0; r < kPixels; r++)
                if (own.inside(r)) store(shares + share_at(part, piece, tile, slice, r), sum[r]);
        } else if (part.wanted) {
            finish_pixels<S, IsWide>(part, list.skips + part.first_skip, channel,
                                     static_cast<std::size_t>(at.n) * s.h * s.w, own, sum, total);
        }
    }

    const unsigned count = static_cast<unsigned>(part.ops) + 1, arrival = list.arrival + part.arrival + slice * count;
    bool finishes = piece == 0;  // the state's gradient, alone or as the last piece
    if (part.wanted && part.pieces > 1) {
        bool* const together = last + kBackwardOps + 1;
        arrive(list.arrival + part.arrival + slices * count + row * slices + slice, 1,
               static_cast<unsigned>(part.pieces), together);
        finishes = *together;
        if (finishes)
            add_shares<S, IsWide>(part, list.skips + part.first_skip, row, slice, group, channels, shares, total);
    }
    if (part.sums && finishes) {
        __syncthreads();  // shared memory has been read
        double all[2 * V];
        for (int i = 0; i < 2 * V; i++) all[i] = static_cast<double>(total[i]);
        add_down<2 * V>(static_cast<unsigned>(across), memory, all);
        if (static_cast<int>(threadIdx.x) < across)
            for (int i = 0; i < 2 * V; i++)
                if (channel + i % V < s.c)
                    sums[part.partial + (static_cast<std::size_t>(row) * 2 + i / V) * s.c + channel + i % V] = all[i];
    }
    if (part.map.scale && !part.mean && row == 0 && finishes) {  // evaluation
        for (int i = static_cast<int>(threadIdx.x); i < channels; i += static_cast<int>(kThreads)) {
            part.map.scale[c0 + i] = s.affine.gamma ? s.scale[c0 + i] * s.affine.gamma[c0 + i] : s.scale[c0 + i];
            part.map.slope[c0 + i] = part.map.shift[c0 + i] = T(0);
        }
    }
    arrive(arrival + static_cast<unsigned>(first_op), static_cast<unsigned>(end_op - first_op), part.rows,
           last + first_op);
    if (finishes)
        arrive(arrival + count - 1, 1, part.rows, last + part.ops);
    else if (threadIdx.x == 0)
        last[part.ops] = false;
    __syncthreads();
    finish_slice(list, part, first_op, end_op, c0, channels, last, sums, partials, memory);
}

}  // namespace nascent::kernels::gpu
