// Tiles of the pass back through branches, and how many channels of them a block takes.
#pragma once
#include "kernels/common/mixed_backward.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kMostChunks = 8;  // of channels, of a block: one for each warp

template <class S>
bool is_pool(const BackwardOp<S>& op) {
    return op.kind == BranchKind::max_pool || op.kind == BranchKind::avg_pool;
}

/// Along one axis: for each tile of `side` pixels how many outputs a branch has that read of it, together and at most.
struct Reach {
    int all = 0, most = 0;
    Reach(int size, int side, const Taps& t, int outputs) {
        const int reach = t.k / 2 * t.dilation;
        for (int pixel = 0; pixel < size; pixel += side) {
            const int low = pixel - t.offset - reach, first = low <= 0 ? 0 : (low + t.stride - 1) / t.stride,
                      end = std::min(outputs, (pixel + side - 1 - t.offset + reach) / t.stride + 1);
            all += std::max(end - first, 0);
            most = std::max(most, end - first);
        }
    }
};

/// Its tiles of so many chunks of channels, and what a block has in shared memory; returns the bytes.
template <class S>
std::size_t plan(const BackwardOp<S>* ops, BackwardPart<S>& p, int chunks) {
    using T = Compute<S>;
    constexpr int C = kChunk<T>;
    const BackwardOp<S>* end = ops + p.ops;
    const int h = p.source.h, w = p.source.w, across = static_cast<int>(kThreads) / (4 * chunks);
    p.held = chunks * C;
    p.slices = (p.source.c + p.held - 1) / p.held;
    const int pitch = p.held + kWide<T>;
    auto bytes = [&](const MixedTile& t) {
        const int rows = 1 << t.h_log, cols = 1 << t.w_log;
        int extents = 0, pools = 0, outputs = 0, sums = 0, scratch = 0;
        for (const BackwardOp<S>* op = ops; op != end; op++) {
            const int extent = Reach(h, rows, op->taps, op->out_h).most * Reach(w, cols, op->taps, op->out_w).most;
            const bool pool = is_pool(*op);
            (pool ? pools : extents) = std::max(pool ? pools : extents, extent);
            const int slots = op->taps.k * op->taps.k * p.held / kWide<T>;
            if (op->dpoint) outputs = std::max(outputs, rows * cols / (op->taps.stride * op->taps.stride));
            if (op->dpoint) sums = kThreads / 32 * C * C;
            if (op->ddepth) scratch = std::max({scratch, slots * kWide<T>, static_cast<int>(kThreads) * kWide<T>});
        }
        p.cols = window_cols(t, p.halo, w);
        p.dz = p.window ? ((rows + 2 * p.halo) * p.cols + p.halo) * pitch : 0;
        p.dd = p.dz + std::max({extents * kPitch<T>, sums, p.late ? 0 : scratch});
        p.d = p.late ? p.dd : p.dd + extents * pitch;
        p.scratch = p.late ? p.dd + std::max(extents, outputs) * pitch : p.dz;
        const int behind = p.late ? p.scratch + scratch : p.d + outputs * pitch;
        return std::max(sizeof(T) * static_cast<std::size_t>(std::max(behind, p.dz + pools * pitch)),
                        2 * kWide<T> * kThreads * sizeof(double));
    };
    p.tile = largest_tile(h, w, [&](const MixedTile& t) {
        return 1 << t.w_log <= across && t.pixels() <= kPixels * across && bytes(t) <= kMixedShared;
    });
    p.tiles_y = ((h - 1) >> p.tile.h_log) + 1;
    p.tiles_x = ((w - 1) >> p.tile.w_log) + 1;
    return bytes(p.tile);
}

/// Elements of pictures that the blocks of one picture read: of every dz all channels, once a slice.
template <class S>
std::size_t reads(const BackwardOp<S>* ops, const BackwardPart<S>& p) {
    const int rows = 1 << p.tile.h_log, cols = 1 << p.tile.w_log, h = p.source.h, w = p.source.w;
    std::size_t all = 0;
    for (const BackwardOp<S>* op = ops; op != ops + p.ops; op++) {
        const bool pool = is_pool(*op);
        all += product({Reach(h, rows, op->taps, op->out_h).all, Reach(w, cols, op->taps, op->out_w).all, op->c_out,
                        pool ? 1 : p.slices, 1 + op->gradients});
    }
    const Taps window{2 * p.halo + 1, 1, 1, 0};
    return all + product({Reach(h, rows, window, h).all, Reach(w, cols, window, w).all, p.source.c});
}

/// As many channels a block as make it read least; returns its bytes of shared memory.
template <class S>
std::size_t choose(const BackwardOp<S>* ops, BackwardPart<S>& p) {
    const int chunks = (p.source.c + kChunk<Compute<S>> - 1) / kChunk<Compute<S>>;
    BackwardPart<S> best = p;
    std::size_t bytes = plan(ops, best, 1), least = reads(ops, best);
    for (int some = 2; some <= kMostChunks && some < 2 * chunks; some *= 2) {
        BackwardPart<S> other = p;
        const std::size_t b = plan(ops, other, some), all = reads(ops, other);
        if (b <= kMixedShared && all < least) best = other, bytes = b, least = all;
    }
    p = best;
    return bytes;
}

}  // namespace nascent::kernels::gpu
