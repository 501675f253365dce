#include <vector>

#include "kernels/common/mixed_forward.cuh"
#include "kernels/common/mixed_share.cuh"
#include "kernels/common/mixed_tensor.cuh"

namespace nascent::kernels::gpu {
namespace {

constexpr std::size_t kFewOps = 4;  // times tiles, of a block
constexpr unsigned kRows = 256;     // partial sums of a branch

/// A source's branches, pools first, and its tiles.
template <class S>
struct Group {
    ForwardPart<S> part = {};
    std::vector<ForwardOp<S>> ops;
    std::size_t bytes = 0, weights = 0;  // of shared memory; of weights
};

template <class S>
void expand(const Source<S>& s, const Branch<S>& b, Group<S>& group) {
    const int out_h = b.out_h(s.h), out_w = b.out_w(s.w);
    ForwardOp<S> op{b.kind,  {1, 1, b.stride, 0},
                    b.c_out, b.c_out,
                    out_h,   out_w,
                    b.depth, b.point,
                    b.z,     b.tap,
                    b.mean,  b.rstd,
                    b.scale, b.shift,
                    0};
    switch (b.kind) {
        case BranchKind::max_pool:
        case BranchKind::avg_pool:
            group.part.halo = std::max(group.part.halo, 1);
            group.ops.insert(group.ops.begin() + group.part.pools++, op);
            return;
        case BranchKind::separable:
            op.taps = {b.k, b.dilation, b.stride, 0};
            group.part.halo = std::max(group.part.halo, b.k / 2 * b.dilation);
            group.part.deep = true;
            break;
        case BranchKind::pointwise:
            op.depth = nullptr;
            break;
        case BranchKind::reduce: {
            op.depth = nullptr;
            op.taps.stride = 2;
            op.c_out = b.c_out / 2;
            group.ops.push_back(op);
            auto skip = [&](auto*& p) { p = p ? p + op.c_out : p; };
            op.taps.offset = 1;
            op.point = b.point_odd;
            skip(op.z), skip(op.mean), skip(op.rstd), skip(op.scale), skip(op.shift);
            break;
        }
    }
    group.ops.push_back(op);
}

template <class S>
void tile(int n, Group<S>& group) {
    ForwardPart<S>& p = group.part;
    const Source<S>& s = p.source;
    auto choose = [&](bool resident, bool halves) {
        p.resident = resident, p.halves = halves;
        p.tile = largest_tile(s.h, s.w, [&](const MixedTile& t) { return forward_bytes(p, t) <= kMixedShared; });
        group.bytes = forward_bytes(p, p.tile);
        return group.bytes <= kMixedShared && (!halves || p.tile.h_log > 1);
    };
    bool fits = choose(true, false) && p.tile.pixels() >= std::min(32, s.h * s.w) && s.c <= 256 * kGroup<S>;
    if (fits && p.deep) {
        const Group<S> whole = group;
        if (!choose(true, true) || p.tile.pixels() <= whole.part.tile.pixels()) group = whole;
    }
    if (!fits && !choose(false, false))
        throw simt::Error("a branch of " + std::to_string(s.c) + " channels does not fit into shared memory");
    p.cols = window_cols(p.tile, p.halo, s.w);
    p.tiles_y = ((s.h - 1) >> p.tile.h_log) + 1;
    p.tiles_x = ((s.w - 1) >> p.tile.w_log) + 1;
    p.tiles = items(product({n, p.tiles_y, p.tiles_x}));
}

/// Bytes of a group's weights.
template <class S>
std::size_t weight_bytes(const Group<S>& group) {
    std::size_t all = 0;
    for (const ForwardOp<S>& op : group.ops)
        all += static_cast<std::size_t>(group.part.source.c) *
               static_cast<std::size_t>((op.depth ? op.taps.k * op.taps.k : 0) + (op.point ? op.c_out : 0));
    return all * sizeof(Compute<S>);
}

/// A piece of a group's branches reads the state, a row of its blocks the weights.
template <class S>
SharedWork work_of(const std::vector<Group<S>>& groups, const Sharing& sharing) {
    SharedWork all;
    bool fits = true;
    for (const Group<S>& g : groups) {
        const ForwardPart<S>& p = g.part;
        const auto of = all.add(sharing, g.ops.size(), kFewOps, p.tiles, kRows);
        const std::size_t state = sizeof(S) * product({p.source.h, p.source.w, p.source.c}) * p.tiles /
                                  product({p.tiles_y, p.tiles_x}),
                          weights = g.weights;
        all.bytes += of.pieces * state + of.rows * weights;
        fits = fits && (of.rows == p.tiles || weights / of.pieces <= kFirstCache);
    }
    all.refused = !fits;
    return all;
}

template <class S>
std::vector<Group<S>> groups_of(int n, std::span<const Source<S>> sources, std::span<const Branch<S>> branches) {
    std::vector<Group<S>> groups;
    for (std::size_t i = 0; i < branches.size(); i++) {
        const Source<S>& s = sources[static_cast<std::size_t>(branches[i].source)];
        if (i == 0 || branches[i].source != branches[i - 1].source) {
            groups.emplace_back();
            groups.back().part.source = s;
        }
        expand(s, branches[i], groups.back());
    }
    for (Group<S>& g : groups) tile(n, g), g.weights = weight_bytes(g);
    return groups;
}

/// f(list, blocks, bytes of shared memory) for each launch, usually one; returns how many partial sums they leave.
template <class S, class F>
std::size_t for_launches(int n, double eps, std::span<const Source<S>> sources, std::span<const Branch<S>> branches,
                         F&& f) {
    std::vector<Group<S>> groups = groups_of(n, sources, branches);
    std::size_t partial = 0, bytes = 0;
    const Sharing sharing = share_out([&](const Sharing& some) { return work_of(groups, some); });
    ForwardList<S> list = {};
    int ops = 0;
    unsigned blocks = 0;
    auto flush = [&] {
        if (list.count > 0) f(list, blocks, ops, bytes);
        list = {};
        ops = 0, blocks = 0, bytes = 0;
    };
    for (Group<S>& g : groups) {
        const std::size_t count = g.ops.size();
        const auto shares = SharedWork().add(sharing, count, kFewOps, g.part.tiles, kRows);
        const std::size_t each = std::min<std::size_t>(shares.each, kForwardOps);
        g.part.rows = items(shares.rows);
        for (std::size_t first = 0; first < count; first += each) {
            const std::size_t here = std::min(each, count - first);
            if (static_cast<std::size_t>(ops) + here > kForwardOps) flush();
            ForwardPart<S>& p = list.parts[list.count++] = g.part;
            p.first_op = ops;
            p.ops = static_cast<int>(here);
            p.pools = std::clamp(g.part.pools - static_cast<int>(first), 0, p.ops);
            p.first_block = blocks;
            blocks += p.rows;
            bytes = std::max(bytes, g.bytes);
            for (std::size_t i = first; i < first + here; i++) {
                ForwardOp<S>& op = list.ops[ops++] = g.ops[i];
                op.partial = partial;
                if (op.scale) partial += p.rows * 2 * static_cast<std::size_t>(op.c_out);
            }
            list.n = n;
            list.eps = eps;
        }
    }
    flush();
    return partial;
}

}  // namespace

template <class S>
void branches_forward(const Stream& stream, int n, double eps, std::span<const Source<S>> sources,
                      std::span<const Branch<S>> branches, void* workspace) {
    bool is_wide = true;
    for (const Branch<S>& b : branches) {
        const Source<S>& s = sources[static_cast<std::size_t>(b.source)];
        const int c_out = b.kind == BranchKind::reduce ? b.c_out / 2 : b.c_out;
        is_wide = is_wide && wide<Compute<S>>(s.c, {s.scale, s.shift, s.affine.gamma, s.affine.beta, b.depth}) &&
                  wide<S, kGroup<S>>(s.pixel, {s.x}) && wide<Compute<S>>(c_out, {b.point, b.point_odd}) &&
                  wide<S, kGroup<S>>(c_out, {b.z});
    }
    for_launches(n, eps, sources, branches, [&](ForwardList<S>& list, unsigned blocks, int ops, std::size_t bytes) {
        list.arrival = take_arrivals(static_cast<std::size_t>(ops));
        auto run = [&](auto kernel) {
            simt::allow_shared(kernel, bytes);
            simt::launch(kernel, {dim3(blocks), dim3(kThreads), bytes, static_cast<simt::stream_t>(stream.handle)},
                         list, static_cast<double*>(workspace));
        };
        if constexpr (std::is_same_v<S, BFloat16>) {
            is_wide ? run(forward_kernel<S, true, Tf32>) : run(forward_kernel<S, false, AsIs>);
        } else {
            if constexpr (std::is_same_v<S, float>)
                if (is_wide && stream.precision == Precision::tf32) return run(forward_kernel<S, true, Tf32>);
            is_wide ? run(forward_kernel<S, true, AsIs>) : run(forward_kernel<S, false, AsIs>);
        }
    });
}
template <class S>
std::size_t branches_forward_workspace(const Stream&, int n, std::span<const Source<S>> sources,
                                       std::span<const Branch<S>> branches) {
    return sizeof(double) * for_launches(n, 0, sources, branches, [](auto&&...) {});
}

#define NASCENT_MIXED_FORWARD(S)                                                                                       \
    template void branches_forward(const Stream&, int, double, std::span<const Source<S>>, std::span<const Branch<S>>, \
                                   void*);                                                                             \
    template std::size_t branches_forward_workspace(const Stream&, int, std::span<const Source<S>>,                    \
                                                    std::span<const Branch<S>>);
NASCENT_MIXED_FORWARD(float)
NASCENT_MIXED_FORWARD(double)
NASCENT_MIXED_FORWARD(BFloat16)
#undef NASCENT_MIXED_FORWARD

}  // namespace nascent::kernels::gpu
