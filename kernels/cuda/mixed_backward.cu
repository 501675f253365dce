#include "kernels/common/mixed_backward.cuh"
#include "kernels/common/mixed_tensor.cuh"

namespace nascent::kernels::gpu {
namespace {

constexpr unsigned kRows = 128;  // partial sums of a weight

/// What of a source or a branch is wanted.
template <class S>
bool wanted(const SourceBackward<S>& s) {
    return s.da || s.map.scale;
}
template <class S>
bool wanted(const BranchBackward<S>& b) {
    return b.ddepth || b.dpoint || b.dpoint_odd;
}

template <class S>
void add_op(BackwardList<S>& list, int& ops, int& links, const BranchBackward<S>& b, const Source<S>& s) {
    auto add = [&](int part, int offset, const Compute<S>* point, Compute<S>* dpoint, bool accumulate) {
        const bool halves = b.branch.kind == BranchKind::reduce;
        const int c_out = halves ? b.branch.c_out / 2 : b.branch.c_out, first = part * c_out;
        const bool depth = b.branch.kind == BranchKind::separable,
                   pool = b.branch.kind == BranchKind::max_pool || b.branch.kind == BranchKind::avg_pool;
        BackwardOp<S>& op = list.ops[ops++];
        op = {b.branch.kind,
              {depth  ? b.branch.k
               : pool ? 3
                      : 1,
               depth ? b.branch.dilation : 1, halves ? 2 : b.branch.stride, offset},
              c_out,
              b.branch.c_out,
              b.branch.out_h(s.h),
              b.branch.out_w(s.w),
              depth ? b.branch.depth : nullptr,
              point,
              b.branch.z + first,
              b.branch.tap,
              depth ? b.ddepth : nullptr,
              dpoint,
              b.accumulate_depth,
              accumulate,
              links,
              static_cast<int>(b.gradients.size()),
              0};
        for (BranchGradient<S> g : b.gradients) {
            g.g += first;
            for (Compute<S>** p : {&g.map.scale, &g.map.slope, &g.map.shift}) *p += first;
            list.gradients[links++] = g;
        }
    };
    add(0, 0, b.branch.point, b.dpoint, b.accumulate_point);
    if (b.branch.kind == BranchKind::reduce) add(1, 1, b.branch.point_odd, b.dpoint_odd, b.accumulate_point_odd);
}

/// Its tiles, and what a block has in shared memory; returns the bytes.
template <class S>
std::size_t plan(const BackwardList<S>& list, BackwardPart<S>& p) {
    using T = Compute<S>;
    const BackwardOp<S>*ops = list.ops + p.first_op, *end = ops + p.ops;
    auto bytes = [&](const MixedTile& t) {
        const int h = 1 << t.h_log, w = 1 << t.w_log;
        int extents = 0, outputs = 0;
        bool gradients = false;
        for (const BackwardOp<S>* op = ops; op != end; op++) {
            const int reach = 2 * (op->taps.k / 2 * op->taps.dilation), stride = op->taps.stride;
            extents = std::max(extents, std::min(op->out_h, (h - 1 + reach) / stride + 1) *
                                            std::min(op->out_w, (w - 1 + reach) / stride + 1));
            if (op->dpoint) outputs = std::max(outputs, h * w / (stride * stride));
            gradients = gradients || op->dpoint || op->ddepth;
        }
        p.dz = p.window ? (h + 2 * p.halo) * (w + 2 * p.halo) * kPitch<T> : 0;
        p.dd = p.dz + extents * kPitch<T>;
        p.d = p.dd + (p.window ? extents * kPitch<T> : 0);
        p.scratch = p.d + outputs * kPitch<T>;
        return std::max(sizeof(T) * static_cast<std::size_t>(p.scratch + (gradients ? kScratch<T> : 0)),
                        2 * kWide<T> * kThreads * sizeof(double));
    };
    p.tile = largest_tile(p.source.h, p.source.w, [&](const MixedTile& t) { return bytes(t) <= kMixedShared; });
    p.tiles_y = ((p.source.h - 1) >> p.tile.h_log) + 1;
    p.tiles_x = ((p.source.w - 1) >> p.tile.w_log) + 1;
    p.tiles = items(product({list.n, p.tiles_y, p.tiles_x}));
    p.rows = std::min(p.tiles, kRows);
    p.chunks = (p.source.c + kChunk<T> - 1) / kChunk<T>;
    return bytes(p.tile);
}

/// How many partial sums there are: of channels, and of weights.
struct Partials {
    std::size_t sums = 0, weights = 0;
};

/// f(list, blocks, bytes of shared memory, arrivals) for each launch, usually one.
template <class S, class F>
Partials for_launches(int n, std::span<const SourceBackward<S>> sources, std::span<const BranchBackward<S>> branches,
                      F&& f) {
    Partials partials;
    BackwardList<S> list = {};
    int ops = 0, links = 0, skips = 0;
    unsigned blocks = 0, arrivals_used = 0;
    std::size_t bytes = 0;
    auto flush = [&] {
        if (list.count > 0) f(list, blocks, bytes, arrivals_used);
        list = {};
        ops = links = skips = 0, blocks = arrivals_used = 0, bytes = 0;
    };
    std::size_t at = 0;
    for (std::size_t i = 0; i < sources.size(); i++) {
        const SourceBackward<S>& s = sources[i];
        const std::size_t first = at;
        std::size_t own_ops = 0, own_links = 0;
        for (; at < branches.size() && static_cast<std::size_t>(branches[at].branch.source) == i; at++) {
            if (!wanted(s) && !wanted(branches[at])) continue;
            const std::size_t parts = branches[at].branch.kind == BranchKind::reduce ? 2 : 1;
            own_ops += parts;
            own_links += parts * branches[at].gradients.size();
        }
        if (!wanted(s) && own_ops == 0) continue;
        if (own_ops > kBackwardOps || own_links > kBackwardLinks || s.skips.size() > kBackwardLinks)
            throw simt::Error("a source has " + std::to_string(own_ops) + " branches, " + std::to_string(own_links) +
                              " gradients of branches and " + std::to_string(s.skips.size()) +
                              " skips, at most 48, 96 and 96");
        if (ops + own_ops > kBackwardOps || links + own_links > kBackwardLinks ||
            skips + s.skips.size() > kBackwardLinks)
            flush();
        list.n = n;
        BackwardPart<S>& p = list.parts[list.count++];
        p.source = s.source;
        p.da = s.da;
        p.da_pixel = s.pixel;
        p.first_skip = skips;
        p.skips = static_cast<int>(s.skips.size());
        std::copy(s.skips.begin(), s.skips.end(), list.skips + skips);
        skips += p.skips;
        p.mean = s.mean;
        p.rstd = s.rstd;
        p.map = s.map;
        p.affine = s.affine;
        p.sums = s.map.scale && (s.mean || s.affine.wanted());
        p.wanted = wanted(s);
        p.first_op = ops;
        for (std::size_t b = first; b < at; b++)
            if (p.wanted || wanted(branches[b])) add_op(list, ops, links, branches[b], s.source);
        p.ops = ops - p.first_op;
        for (const BackwardOp<S>* op = list.ops + p.first_op; op != list.ops + ops; op++) {
            p.window = p.window || (op->kind != BranchKind::max_pool && op->kind != BranchKind::avg_pool);
            p.halo = std::max(p.halo, op->taps.k / 2 * op->taps.dilation);
        }
        bytes = std::max(bytes, plan(list, p));
        p.first_block = blocks;
        blocks = items(blocks + static_cast<std::size_t>(p.rows) * static_cast<unsigned>(p.chunks));
        p.arrival = arrivals_used;
        arrivals_used += static_cast<unsigned>((p.ops + 1) * p.chunks);
        p.partial = partials.sums;
        if (p.sums) partials.sums += p.rows * 2 * static_cast<std::size_t>(s.source.c);
        for (BackwardOp<S>* op = list.ops + p.first_op; op != list.ops + ops; op++) {
            op->partial = partials.weights;
            const int each = (op->ddepth ? op->taps.k * op->taps.k : 0) + (op->dpoint ? op->c_out : 0);
            partials.weights += p.rows * static_cast<std::size_t>(s.source.c) * static_cast<std::size_t>(each);
        }
    }
    flush();
    return partials;
}

template <class S>
bool aligned(const SourceBackward<S>& s) {
    const Source<S>& x = s.source;
    bool all = wide<Compute<S>>(x.c, {x.scale, x.shift, x.affine.gamma, x.affine.beta}) &&
               wide<S, kGroup<S>>(x.pixel, {x.x}) && (!s.da || wide<S, kGroup<S>>(s.pixel, {s.da}));
    for (const Skip<S>& k : s.skips) all = all && wide<S, kGroup<S>>(k.pixel, {k.g});
    return all;
}
template <class S>
bool aligned(const BranchBackward<S>& b, int c) {
    const bool halves = b.branch.kind == BranchKind::reduce;
    const int c_out = halves ? b.branch.c_out / 2 : b.branch.c_out;
    bool all = wide<Compute<S>>(c, {b.branch.depth}) && wide<Compute<S>>(c_out, {b.branch.point, b.branch.point_odd}) &&
               wide<S, kGroup<S>>(c_out, {b.branch.z});
    for (const BranchGradient<S>& g : b.gradients)
        all = all && wide<S, kGroup<S>>(g.pixel, {g.g}) &&
              wide<Compute<S>>(b.branch.c_out, {g.map.scale, g.map.slope, g.map.shift});
    return all;
}

}  // namespace

template <class S>
void branches_backward(const Stream& stream, int n, std::span<const SourceBackward<S>> sources,
                       std::span<const BranchBackward<S>> branches, void* workspace) {
    bool is_wide = true;
    for (const SourceBackward<S>& s : sources) is_wide = is_wide && aligned(s);
    for (const BranchBackward<S>& b : branches)
        is_wide = is_wide && aligned(b, sources[static_cast<std::size_t>(b.branch.source)].source.c);
    double* const sums = static_cast<double*>(workspace);
    Compute<S>* const weights =
        reinterpret_cast<Compute<S>*>(sums + for_launches(n, sources, branches, [](auto&&...) {}).sums);
    for_launches(
        n, sources, branches, [&](BackwardList<S>& list, unsigned blocks, std::size_t bytes, unsigned arrivals_used) {
            list.arrival = take_arrivals(arrivals_used);
            auto run = [&](auto kernel) {
                simt::allow_shared(kernel, bytes);
                simt::launch(kernel, {dim3(blocks), dim3(kThreads), bytes, static_cast<simt::stream_t>(stream.handle)},
                             list, sums, weights);
            };
            if constexpr (std::is_same_v<S, BFloat16>) {
                is_wide ? run(backward_kernel<S, true, Tf32>) : run(backward_kernel<S, false, AsIs>);
            } else {
                if constexpr (std::is_same_v<S, float>)
                    if (is_wide && stream.precision == Precision::tf32) return run(backward_kernel<S, true, Tf32>);
                is_wide ? run(backward_kernel<S, true, AsIs>) : run(backward_kernel<S, false, AsIs>);
            }
        });
}
template <class S>
std::size_t branches_backward_workspace(const Stream&, int n, std::span<const SourceBackward<S>> sources,
                                        std::span<const BranchBackward<S>> branches) {
    const Partials p = for_launches(n, sources, branches, [](auto&&...) {});
    return p.sums * sizeof(double) + p.weights * sizeof(Compute<S>);
}

#define NASCENT_MIXED_BACKWARD(S)                                                                            \
    template void branches_backward(const Stream&, int, std::span<const SourceBackward<S>>,                  \
                                    std::span<const BranchBackward<S>>, void*);                              \
    template std::size_t branches_backward_workspace(const Stream&, int, std::span<const SourceBackward<S>>, \
                                                     std::span<const BranchBackward<S>>);
NASCENT_MIXED_BACKWARD(float)
NASCENT_MIXED_BACKWARD(double)
NASCENT_MIXED_BACKWARD(BFloat16)
#undef NASCENT_MIXED_BACKWARD

}  // namespace nascent::kernels::gpu
