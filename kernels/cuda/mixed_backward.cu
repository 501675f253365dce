#include <vector>

#include "kernels/common/mixed_backward_plan.cuh"
#include "kernels/common/mixed_share.cuh"
#include "kernels/common/mixed_tensor.cuh"

namespace nascent::kernels::gpu {
namespace {

constexpr std::size_t kFewOps = 3;  // times tiles, of a block
constexpr unsigned kRows = 128;     // partial sums of a weight

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
              0,
              nullptr,
              nullptr};
        for (BranchGradient<S> g : b.gradients) {
            g.g += first;
            for (Compute<S>** p : {&g.map.scale, &g.map.slope, &g.map.shift}) *p += first;
            list.gradients[links++] = g;
        }
    };
    add(0, 0, b.branch.point, b.dpoint, b.accumulate_point);
    if (b.branch.kind == BranchKind::reduce) add(1, 1, b.branch.point_odd, b.dpoint_odd, b.accumulate_point_odd);
}

/// A piece of a source's branches reads the state and leaves a share of its gradient, which is read once; a row of
/// blocks reads the weights, of each channel `weights` of a part, and leaves sums of their gradients.
template <class S>
SharedWork work_of(const BackwardList<S>& list, const std::vector<std::size_t>& weights, const Sharing& sharing) {
    SharedWork all;
    for (int i = 0; i < list.count; i++) {
        const BackwardPart<S>& p = list.parts[i];
        const auto of = all.add(sharing, static_cast<std::size_t>(p.ops), kFewOps, p.tiles, kRows);
        const std::size_t each = sizeof(Compute<S>) * weights[static_cast<std::size_t>(i)],
                          state =
                              product({p.source.h, p.source.w, p.source.c}) * p.tiles / product({p.tiles_y, p.tiles_x}),
                          shares = of.pieces > 1 ? 2 * sizeof(Compute<S>) * state : 0;
        all.bytes +=
            of.pieces * (sizeof(S) * state + shares) + 3 * of.rows * each * static_cast<std::size_t>(p.source.c);
        all.blocks += of.pieces * of.rows * static_cast<std::size_t>(p.slices - 1);
        if (of.rows < p.tiles &&
            each * static_cast<std::size_t>(std::min(p.source.c, p.held)) > of.pieces * kFirstCache)
            all.refused = true;
    }
    return all;
}

/// The rows and pieces of each part; returns how many blocks they are.
template <class S>
unsigned share_list(BackwardList<S>& list) {
    std::vector<std::size_t> weights;
    for (const BackwardPart<S>* p = list.parts; p != list.parts + list.count; p++) {
        std::size_t& sum = weights.emplace_back();
        for (const BackwardOp<S>* op = list.ops + p->first_op; op != list.ops + p->first_op + p->ops; op++)
            sum += static_cast<std::size_t>((op->depth ? op->taps.k * op->taps.k : 0) + (op->point ? op->c_out : 0));
    }
    const Sharing sharing = share_out([&](const Sharing& some) { return work_of(list, weights, some); });
    unsigned blocks = 0;
    for (BackwardPart<S>* p = list.parts; p != list.parts + list.count; p++) {
        const auto of = SharedWork().add(sharing, static_cast<std::size_t>(p->ops), kFewOps, p->tiles, kRows);
        p->pieces = static_cast<int>(of.pieces), p->piece_ops = static_cast<int>(of.each), p->rows = items(of.rows);
        p->first_block = blocks;
        blocks += p->rows * static_cast<unsigned>(p->slices * p->pieces);
    }
    return blocks;
}

/// Where the last blocks of each slice leave the sums of squares of what they store.
template <class S>
void leave_list_squares(BackwardList<S>& list) {
    for (const BackwardPart<S>* p = list.parts; p != list.parts + list.count; p++)
        for (BackwardOp<S>* op = list.ops + p->first_op; op != list.ops + p->first_op + p->ops; op++) {
            const std::size_t c = static_cast<std::size_t>(p->source.c),
                              sums = static_cast<std::size_t>(p->slices) * (kThreads / kWarp);
            op->depth_squares =
                leave_squares(op->ddepth, c * product({op->taps.k, op->taps.k}), sums, op->accumulate_depth);
            op->point_squares =
                leave_squares(op->dpoint, c * static_cast<std::size_t>(op->c_out), sums, op->accumulate_point);
        }
}

/// How many partial sums there are: of channels and of weights, and elements of shares of states' gradients.
struct Partials {
    std::size_t sums = 0, weights = 0, shares = 0;
};

/// The blocks of a launch, and where they leave and count what they sum; returns how many blocks and how many counts.
template <class S>
std::pair<unsigned, unsigned> lay_out(BackwardList<S>& list, Partials& partials) {
    const unsigned blocks = share_list(list);
    unsigned arrivals_used = 0;
    for (BackwardPart<S>* p = list.parts; p != list.parts + list.count; p++) {
        const auto slices = static_cast<unsigned>(p->slices), pieces = static_cast<unsigned>(p->pieces);
        p->arrival = arrivals_used;
        arrivals_used += (static_cast<unsigned>(p->ops) + 1) * slices;
        p->partial = partials.sums;
        if (p->sums) partials.sums += p->rows * 2 * static_cast<std::size_t>(p->source.c);
        p->gradient = partials.shares;
        if (p->wanted && pieces > 1) {
            arrivals_used += p->rows * slices;
            partials.shares += std::size_t{pieces} * p->tiles * slices * kPixels * kThreads * kWide<Compute<S>>;
        }
        for (BackwardOp<S>* op = list.ops + p->first_op; op != list.ops + p->first_op + p->ops; op++) {
            op->partial = partials.weights;
            const int each = (op->ddepth ? op->taps.k * op->taps.k : 0) + (op->dpoint ? op->c_out : 0);
            partials.weights += p->rows * static_cast<std::size_t>(p->source.c) * static_cast<std::size_t>(each);
        }
    }
    return {blocks, arrivals_used};
}

/// f(list, blocks, bytes of shared memory, arrivals) for each launch, usually one.
template <class S, class F>
Partials for_launches(int n, bool late, std::span<const SourceBackward<S>> sources,
                      std::span<const BranchBackward<S>> branches, F&& f) {
    Partials partials;
    BackwardList<S> list = {};
    int ops = 0, links = 0, skips = 0;
    std::size_t bytes = 0;
    auto flush = [&] {
        if (list.count > 0) {
            const auto [blocks, arrivals_used] = lay_out(list, partials);
            f(list, blocks, bytes, arrivals_used);
        }
        list = {};
        ops = links = skips = 0, bytes = 0;
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
        p.late = late;
        bytes = std::max(bytes, choose(list.ops + p.first_op, p));
        p.tiles = items(product({n, p.tiles_y, p.tiles_x}));
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

/// Whether all can be read 16 bytes at a time.
template <class S>
bool aligned(std::span<const SourceBackward<S>> sources, std::span<const BranchBackward<S>> branches) {
    bool all = true;
    for (const SourceBackward<S>& s : sources) all = all && aligned(s);
    for (const BranchBackward<S>& b : branches)
        all = all && aligned(b, sources[static_cast<std::size_t>(b.branch.source)].source.c);
    return all;
}
/// Whether the parts are `late`: where that gives larger tiles to kernels that are there for it.
template <class S>
bool is_late(std::span<const SourceBackward<S>> sources, std::span<const BranchBackward<S>> branches) {
    if (!std::is_same_v<Compute<S>, float> || !aligned(sources, branches)) return false;
    return std::all_of(branches.begin(), branches.end(), [](const BranchBackward<S>& b) {
        const bool pool = b.branch.kind == BranchKind::max_pool || b.branch.kind == BranchKind::avg_pool;
        return pool || b.branch.c_out <= kChunk<Compute<S>> * (b.branch.kind == BranchKind::reduce ? 2 : 1);
    });
}

}  // namespace

template <class S>
void branches_backward(const Stream& stream, int n, std::span<const SourceBackward<S>> sources,
                       std::span<const BranchBackward<S>> branches, void* workspace) {
    const bool is_wide = aligned(sources, branches), late = is_late(sources, branches);
    const Partials partials = for_launches(n, late, sources, branches, [](auto&&...) {});
    Compute<S>* const shares = static_cast<Compute<S>*>(workspace);  // first: 16 bytes at a time
    double* const sums = reinterpret_cast<double*>(shares + partials.shares);
    Compute<S>* const weights = reinterpret_cast<Compute<S>*>(sums + partials.sums);
    for_launches(n, late, sources, branches,
                 [&](BackwardList<S>& list, unsigned blocks, std::size_t bytes, unsigned arrivals_used) {
                     list.arrival = take_arrivals(arrivals_used);
                     leave_list_squares(list);
                     auto run = [&](auto kernel) {
                         simt::allow_shared(kernel, bytes);
                         simt::launch(kernel,
                                      {dim3(blocks), dim3(kThreads), bytes, static_cast<simt::stream_t>(stream.handle)},
                                      list, sums, weights, shares);
                     };
                     auto run_wide = [&](auto rounding) {
                         using P = decltype(rounding);
                         if constexpr (std::is_same_v<Compute<S>, float>)
                             if (late) return run(backward_kernel<S, true, P, true>);
                         run(backward_kernel<S, true, P, false>);
                     };
                     if (!is_wide) return run(backward_kernel<S, false, AsIs, false>);
                     if constexpr (std::is_same_v<S, BFloat16>) {
                         run_wide(Tf32());
                     } else {
                         if constexpr (std::is_same_v<S, float>)
                             if (stream.precision == Precision::tf32) return run_wide(Tf32());
                         run_wide(AsIs());
                     }
                 });
}
template <class S>
std::size_t branches_backward_workspace(const Stream&, int n, std::span<const SourceBackward<S>> sources,
                                        std::span<const BranchBackward<S>> branches) {
    const Partials p = for_launches(n, is_late(sources, branches), sources, branches, [](auto&&...) {});
    return p.sums * sizeof(double) + (p.weights + p.shares) * sizeof(Compute<S>);
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
