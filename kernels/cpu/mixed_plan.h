// Where the scratch of a mixed cell's passes lies and how their work is cut: images into chunks, each source's apart.
// Depends on the shapes alone, never on target or threads.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/conv_plan.h"
#include "kernels/mixed.h"

namespace nascent::kernels {

inline bool is_pool(BranchKind kind) { return kind == BranchKind::max_pool || kind == BranchKind::avg_pool; }

/// Sizes of one branch, in elements. Channels lie in blocks of a cache line, as in Plane.
template <class T>
struct BranchSize {
    int oh, ow, pixels, pad, taps;
    int blocks_in, in_padded;
    int halves;                          // 1x1 convolutions (reduce: 2)
    int outputs, half_out, half_padded;  // where they end: side by side, in so many channels each
    int fold, channels;                  // of one picture, where several are folded; each 1x1 then ends in all of c_out

    BranchSize(const Branch<T>& b, const Source<T>& s) {
        constexpr int B = kBlock<T>;
        oh = b.out_h(s.h), ow = b.out_w(s.w), pixels = oh * ow;
        pad = b.kind == BranchKind::separable ? b.k / 2 * b.dilation : 0;
        taps = b.kind == BranchKind::separable ? b.k * b.k : 0;
        blocks_in = ceil_div(s.c, B);
        in_padded = blocks_in * B;
        halves = b.kind == BranchKind::reduce ? 2 : 1;
        fold = s.fold, channels = s.c / s.fold;
        outputs = fold > 1 ? 1 : halves;
        half_out = b.c_out / outputs;
        half_padded = ceil_div(half_out, B) * B;
    }
    std::size_t depth() const { return static_cast<std::size_t>(taps) * in_padded; }
    std::size_t point() const { return static_cast<std::size_t>(halves) * in_padded * half_padded; }
    /// An image of what enters and of what leaves the 1x1 convolutions, in blocks.
    std::size_t entering() const { return static_cast<std::size_t>(halves) * in_padded * pixels; }
    std::size_t leaving() const { return static_cast<std::size_t>(outputs) * half_padded * pixels; }
    /// Of one picture, of those that a 1x1 computes.
    int half_channels() const { return channels / halves; }
    std::size_t padded_gradient() const {
        return static_cast<std::size_t>(in_padded) * (oh + 2 * pad) * (ow + 2 * pad);
    }
};

/// The first and the last branch of each source.
template <class T, class GetBranch>
std::vector<std::pair<int, int>> branches_of_sources(std::size_t sources, std::size_t branches, GetBranch&& get) {
    std::vector<std::pair<int, int>> ranges(sources, {0, 0});
    for (std::size_t i = 0; i < branches; i++) {
        auto& r = ranges[static_cast<std::size_t>(get(i).source)];
        if (r.first == r.second) r.first = static_cast<int>(i);
        r.second = static_cast<int>(i) + 1;
    }
    return ranges;
}

/// Padding of the plane that all separable branches of a source read.
template <class T, class GetBranch>
int plane_padding(std::pair<int, int> range, const Source<T>& s, GetBranch&& get) {
    int pad = -1;  // none reads a plane
    for (int i = range.first; i < range.second; i++)
        if (get(i).kind == BranchKind::separable) pad = std::max(pad, BranchSize<T>(get(i), s).pad);
    return pad;
}

template <class T>
struct BranchesForwardLayout : Layout {
    struct Of {
        std::size_t depth, point, partials;
    };
    std::vector<Of> of;
    std::size_t scratch, worker, entering, sums;  // per worker: the plane, what enters the 1x1, its sums

    BranchesForwardLayout(const Stream& stream, int n, std::span<const Source<T>> sources,
                          std::span<const Branch<T>> branches) {
        const int chunks = Chunks(n).count;
        auto get = [&](std::size_t i) -> const Branch<T>& { return branches[i]; };
        std::size_t plane = 0, enter = 0, out = 0;
        const auto ranges = branches_of_sources<T>(sources.size(), branches.size(), get);
        for (std::size_t s = 0; s < sources.size(); s++) {
            const int pad = plane_padding(ranges[s], sources[s], get);
            if (pad >= 0)
                plane = std::max(plane, Plane(sources[s].h, sources[s].w, sources[s].c, pad, 1, kBlock<T>).size());
        }
        for (const Branch<T>& b : branches) {
            const BranchSize<T> size(b, sources[static_cast<std::size_t>(b.source)]);
            const std::size_t depth = take(size.depth() * sizeof(T)), point = take(size.point() * sizeof(T));
            of.push_back({depth, point, take(sizeof(double) * 2 * chunks * size.outputs * size.half_padded)});
            enter = std::max(enter, size.entering());
            out = std::max(out, static_cast<std::size_t>(2 * size.outputs * size.half_padded));
        }
        Layout own;
        own.take(plane * sizeof(T));
        entering = own.take(enter * sizeof(T));
        sums = own.take(out * sizeof(T));
        worker = own.used;
        scratch = take(worker * static_cast<std::size_t>(stream.workers));
    }
};

template <class T>
struct BranchesBackwardLayout : Layout {
    struct Of {
        std::size_t depth, flipped, point;       // packed weights
        std::size_t partials, partial_size = 0;  // of a chunk: the gradients of point, then of depth
    };
    std::vector<Of> of;
    std::vector<std::size_t> source_sums;  // by source: (chunks, 2, padded) doubles
    std::size_t scratch, worker;
    std::size_t gradient, entering, leaving, padded, through, pooled;  // in a worker's scratch, behind the plane

    BranchesBackwardLayout(const Stream& stream, int n, std::span<const SourceBackward<T>> sources,
                           std::span<const BranchBackward<T>> branches) {
        const auto chunks = static_cast<std::size_t>(Chunks(n).count);
        auto get = [&](std::size_t i) -> const Branch<T>& { return branches[i].branch; };
        std::size_t plane = 0, sum = 0, enter = 0, leave = 0, pad_size = 0;
        const auto ranges = branches_of_sources<T>(sources.size(), branches.size(), get);
        for (std::size_t i = 0; i < sources.size(); i++) {
            const Source<T>& s = sources[i].source;
            const Plane bare(s.h, s.w, s.c, 0, 1, kBlock<T>);
            const int pad = plane_padding(ranges[i], s, get);
            plane = std::max(plane, Plane(s.h, s.w, s.c, std::max(pad, 0), 1, kBlock<T>).size());
            sum = std::max(sum, bare.size());
            source_sums.push_back(take(sizeof(double) * 2 * chunks * bare.blocks * kBlock<T>));
        }
        for (const BranchBackward<T>& b : branches) {
            const BranchSize<T> size(b.branch, sources[static_cast<std::size_t>(b.branch.source)].source);
            Of o;
            o.depth = take(size.depth() * sizeof(T));
            o.flipped = take(size.depth() * sizeof(T));
            o.point = take(static_cast<std::size_t>(b.branch.c_out) * size.in_padded * sizeof(T));
            o.partial_size = is_pool(b.branch.kind) ? 0 : size.point() + size.depth();
            o.partials = take(chunks * o.partial_size * sizeof(T));
            of.push_back(o);
            enter = std::max(enter, size.entering());
            leave = std::max(leave, size.leaving());
            pad_size = std::max(pad_size, size.padded_gradient());
        }
        Layout own;
        own.take(plane * sizeof(T));
        gradient = own.take(sum * sizeof(T));
        entering = own.take(enter * sizeof(T));
        leaving = own.take(leave * sizeof(T));
        padded = own.take(pad_size * sizeof(T));
        through = own.take(enter * sizeof(T));
        pooled = own.take(sum * sizeof(T));
        worker = own.used;
        scratch = take(worker * static_cast<std::size_t>(stream.workers));
    }
};

}  // namespace nascent::kernels
