#include <optional>

#include "kernels/conv_list.h"
#include "kernels/primitive.h"
#include "ops/norm_list.h"
#include "ops/weighed_cell_mapped.h"

namespace nascent {
namespace {

using cell::image_of_copy;
using cell::MappedBackward;
using cell::MappedForward;
using cell::WeighedKept;
using cell::WeighedPartial;
using cell::WeighedPartialBackward;

kernels::ConvShape shape_of(const kernels::Image& image, int fold, int k) {
    return {image.n, image.h, image.w, image.c / fold, image.c / fold, k, 1, fold};
}
const NormArgs kNorm{};  // eps and momentum

template <class S>
struct Forward {
    using T = kernels::Compute<S>;
    const WeighedCell& op;
    Inputs in;
    const WeighedKept<S>& kept;
    kernels::Image image = image_of_copy(op, in[0]);
    kernels::Stream stream = kernel_stream();
    WeighedPartial<S> partial{op, in, kept};
    std::optional<MappedForward<S>> mapped = {};

    void begin() {
        if (op.mapped())
            mapped.emplace(partial).begin();
        else if (op.packs(0))
            partial.pack(0);
    }
    void sum(int node) const {
        if (op.partial.of == 1) return partial.sum(node, kept.whole[static_cast<std::size_t>(node)]);
        if (mapped) return mapped->node(node);
        partial.node(node);
    }
    /// Of all copies: it has no parameters.
    void pool(int node) const {
        const auto at = static_cast<std::size_t>(node);
        const int n = image.n * op.copies;
        const kernels::Source<S> source[] = {{kept.node[at], image.h, image.w, image.c, image.c}};
        kernels::Branch<S> pool[] = {{kernels::BranchKind::avg_pool, 0, image.c}};
        pool[0].z = kept.pool[at];
        ScratchScope scratch(current_arena());
        kernels::branches_forward<S>(stream, n, 0, source, pool,
                                     workspace(kernels::branches_forward_workspace<S>(stream, n, source, pool)));
    }
    /// All convolutions that leave the node, of any size together (k = 0) or those with k x k kernels.
    void convs(int node, int k) const {
        int largest = 1;
        std::vector<kernels::NormedConv<S>> all;
        for (int copy = 0; copy < op.copies; copy++)
            for (std::size_t i = 0; i < op.terms.size(); i++) {
                const auto& conv = kept.conv_of(copy, i);
                const int size = op.terms[i].k;
                if (op.terms[i].from != node || size == 0 || (k > 0 && size != k)) continue;
                largest = std::max(largest, size);
                const CellNorm& running = op.norm(copy, i);
                all.push_back({kept.node_of(copy, node), in[conv.kernel].template as<T>(), conv.z});
                all.back().k = size;
                all.back().rounded = conv_weights<S>(in[conv.kernel]).rounded;
                NASCENT_CHECK(op.training || running.mean.defined(), runtime, "evaluation needs running statistics");
                if (!op.training) {
                    const kernels::RunningScale<T> scale[] = {
                        {running.mean.as<T>(), running.variance.as<T>(), conv.scale, conv.shift, kept.seen, kept.fold}};
                    kernels::running_scales<T>(stream, kNorm.eps, scale);
                    continue;
                }
                kernels::NormedConv<S>& c = all.back();
                if (!c.z) c.moments = kept.moments_of(copy, node);
                c.mean = conv.mean, c.rstd = conv.rstd, c.scale = conv.scale, c.shift = conv.shift;
                if (running.mean.defined())
                    c.running_mean = running.mean.as<T>(), c.running_var = running.variance.as<T>();
            }
        if (all.empty()) return;
        const kernels::ConvShape s = shape_of(image, kept.fold, largest);
        ScratchScope scratch(current_arena());
        kernels::normed_convs_forward<S>(
            stream, s, kNorm.eps, kNorm.momentum, all,
            workspace(kernels::normed_convs_forward_workspace(stream, s, sizeof(S), all.size())));
    }
};

template <class S>
Tensor run_forward(const WeighedCell& op, Inputs in, Saved& saved) {
    const Tensor& x = in[0];
    for (int i = op.mapped() ? op.nodes - 1 : 1; i < op.nodes; i++) saved.push_back(empty(x.shape, x.dtype));
    const Tensor y = saved.back();
    const DType of_vectors = compute_type(x.dtype);
    const Shape seen{x.shape[0], x.shape[1], x.shape[2], op.channels(x)}, vectors{2 * op.copies, seen[3] * op.fold(x)};
    for (int i = 0; i < op.nodes; i++)
        if (op.packs(i)) saved.push_back(empty(seen, x.dtype));
    for (int i = 0; i < op.nodes; i++)
        if (op.pooled(i)) saved.push_back(empty(seen, x.dtype));
    for (int i = 0; i < op.nodes; i++)
        if (op.unstored_of(x, i)) saved.push_back(empty({op.copies, seen[3] + 1, seen[3]}, DType::f64));
    for (const auto& t : op.terms) {
        if (t.op != EdgeOp::conv) continue;
        if (!op.unstored(x, t)) saved.push_back(empty(seen, x.dtype));
        saved.insert(saved.end(), {empty(vectors, of_vectors), empty(vectors, DType::f64)});
    }
    const WeighedKept<S> kept(op, in, saved);
    ScratchScope scratch(current_arena());
    Forward<S> forward{op, in, kept};
    for (int node = 0; node < op.nodes; node++) {
        if (node == 0)
            forward.begin();
        else
            forward.sum(node);
        if (op.pooled(node)) forward.pool(node);
        if (forward.stream.where == kernels::Where::cpu) {
            forward.convs(node, 0);
        } else {
            for (int k : {1, 3}) forward.convs(node, k);
        }
    }
    return y;
}

template <class S>
struct Backward {
    using T = kernels::Compute<S>;
    const WeighedCell& op;
    Inputs in;
    const WeighedKept<S>& kept;
    std::span<Into> into;
    const S* dy;
    T* dweights;                                         // (copies, weights); null: not wanted
    std::vector<S*> g;                                   // of the nodes but the last, all copies'
    std::vector<std::vector<kernels::NormMap<T>>> maps;  // by copy, by term
    kernels::Image image = image_of_copy(op, in[0]);
    kernels::Stream stream = kernel_stream();
    WeighedPartialBackward<S> partial{{op, in, kept}, {}, {}};
    std::optional<MappedBackward<S>> mapped = {};

    /// Of all channels of a node.
    const S* whole(int node) const { return node == op.nodes - 1 ? dy : g[static_cast<std::size_t>(node)]; }
    /// Of what operators see of a node's sum.
    const S* gradient(int copy, int node) const {
        const auto at = static_cast<std::size_t>(node);
        return (op.partial.of == 1 ? whole(node)
                : mapped           ? mapped->of_sums[at]
                                   : partial.of_seen[at]) +
               kept.before(copy);
    }

    /// The maps and weights' gradients of what a node sums.
    void of_terms(int node) const {
        std::vector<std::vector<kernels::MixedTermGradient<S>>> terms(static_cast<std::size_t>(op.copies));
        std::vector<std::vector<kernels::MixedPointGradient<S>>> points(terms.size());
        std::vector<kernels::MixedNodeGradient<S>> nodes;
        for (int copy = 0; copy < op.copies; copy++) {
            const auto c = static_cast<std::size_t>(copy);
            for (std::size_t i = 0; i < op.terms.size(); i++) {
                const WeighedCell::Term& term = op.terms[i];
                if (term.to != node || term.bypass()) continue;
                T* const dweight = dweights ? dweights + c * in[1].size() + term.weight : nullptr;
                if (op.unstored(in[0], term)) {
                    points[c].push_back(point(copy, i, dweight));
                    continue;
                }
                kernels::MixedTermGradient<S> t{kept.term(op, in, copy, i)};
                if (term.op == EdgeOp::conv && op.training)
                    t.mean = kept.conv[c][i].mean, t.rstd = kept.conv[c][i].rstd;
                if (term.op == EdgeOp::conv || term.op == EdgeOp::pool) t.map = maps[c][i];
                t.dweight = dweight;
                terms[c].push_back(t);
            }
            nodes.push_back({gradient(copy, node), image.c, terms[c], kept.fold, points[c]});
        }
        if (terms[0].empty() && points[0].empty()) return;
        ScratchScope own(current_arena());
        kernels::nodes_backward<S>(
            stream, image.pixels(), image.c, nodes,
            workspace(kernels::nodes_backward_workspace<S>(stream, image.pixels(), image.c, nodes)));
    }

    /// The gradient of a node (where it is wanted) from those of the nodes that read it, and the kernels' gradients.
    void of_node(int node, bool accumulate) {
        S* const whole = g[static_cast<std::size_t>(node)];
        if (op.partial.of == 1) return of_seen(node, whole, accumulate);
        ScratchScope scratch(current_arena());
        S* const da = whole && (!mapped || op.packs(node)) ? partial.dense() : nullptr;
        of_seen(node, da, false);
        if (mapped) {
            mapped->of_seen[static_cast<std::size_t>(node)] = da;
            if (whole) mapped->join(dy, whole, accumulate);
        } else if (da) {
            partial.join(da, whole, accumulate);
        }
    }
    /// The same of what operators see of a node.
    void of_seen(int node, S* da, bool accumulate) const {
        ScratchScope scratch(current_arena());
        if (da) around_convolutions(node, da, accumulate);
        if (stream.where == kernels::Where::cpu) return convs(node, da, 0);
        HeldGradients<T> held(stream, true);  // the second stage of all weights' gradients is one launch
        for (int k : {1, 3}) convs(node, da, k);
        held.add();
    }
    /// With partial channels: a node's gradient before its sums, from dy or what reads it.
    void part(int node) {
        if (mapped) {
            if (op.packs(node)) of_seen(node, mapped->of_seen[static_cast<std::size_t>(node)] = partial.dense(), false);
            return mapped->part(node);
        }
        ScratchScope scratch(current_arena());
        const bool last = node == op.nodes - 1;
        S* const da = last ? nullptr : partial.dense();
        if (da) of_seen(node, da, false);
        partial.part(node, last ? dy : nullptr, da, dweights);
    }

  private:
    kernels::MixedPointGradient<S> point(int copy, std::size_t i, T* dweight) const {
        const auto& conv = kept.conv_of(copy, i);
        const Into& dw = into[conv.kernel];
        kernels::MixedPointGradient<S> p{kept.point(op, in, copy, i)};
        if (op.training) {
            p.mean = conv.mean, p.rstd = conv.rstd;
            p.moments = kept.moments_of(copy, op.terms[i].from);
        }
        p.map = maps[static_cast<std::size_t>(copy)][i];
        p.dweight = dweight;
        p.dw = dw.template as<T>(), p.accumulate_dw = dw.accumulate();
        return p;
    }
    void around_convolutions(int node, S* of, bool accumulate) const {
        const auto copies = static_cast<std::size_t>(op.copies);
        std::vector<std::vector<kernels::Skip<S>>> skips(copies);
        std::vector<std::vector<kernels::BranchGradient<S>>> pools(copies);
        std::vector<kernels::SourceBackward<S>> sources;
        std::vector<kernels::BranchBackward<S>> branches;
        for (int copy = 0; copy < op.copies; copy++) {
            const auto c = static_cast<std::size_t>(copy);
            S* const da = of + kept.before(copy);
            if (accumulate) skips[c].push_back({da, image.c});
            for (std::size_t i = 0; i < op.terms.size(); i++) {
                const WeighedCell::Term& t = op.terms[i];
                if (t.from != node) continue;
                if (t.op == EdgeOp::skip) skips[c].push_back({gradient(copy, t.to), image.c, in[1].as<T>() + t.weight});
                if (t.op == EdgeOp::pool) pools[c].push_back({gradient(copy, t.to), image.c, maps[c][i]});
            }
            sources.push_back({{kept.node_of(copy, node), image.h, image.w, image.c, image.c}, da, image.c, skips[c]});
            if (pools[c].empty()) continue;
            branches.push_back({{kernels::BranchKind::avg_pool, copy, image.c}, pools[c]});
            branches.back().branch.z = kept.pool[static_cast<std::size_t>(node)] + kept.before(copy);
        }
        ScratchScope scratch(current_arena());
        kernels::branches_backward<S>(
            stream, image.n, sources, branches,
            workspace(kernels::branches_backward_workspace<S>(stream, image.n, sources, branches)));
    }
    /// A node's convolutions with k x k kernels (0: all), of all copies; da: of the first, or null.
    void convs(int node, S* da, int k) const {
        std::vector<kernels::NormedConvBackward<S>> all;
        int largest = 1;
        for (int copy = 0; copy < op.copies; copy++)
            for (std::size_t i = 0; i < op.terms.size(); i++) {
                const WeighedCell::Term& t = op.terms[i];
                if (t.from != node || t.op != EdgeOp::conv || (k > 0 && t.k != k)) continue;
                const auto& conv = kept.conv_of(copy, i);
                const kernels::NormMap<T>& map = maps[static_cast<std::size_t>(copy)][i];
                const Into& dw = into[conv.kernel];
                largest = std::max(largest, t.k);
                all.push_back({kept.node_of(copy, node),
                               in[conv.kernel].template as<T>(),
                               gradient(copy, t.to),
                               {conv.z, map.scale, map.slope, map.shift},
                               da ? da + kept.before(copy) : nullptr,
                               conv.z ? dw.template as<T>() : nullptr,
                               dw.accumulate(),
                               t.k,
                               conv_weights<S>(in[conv.kernel]).rounded});
            }
        if (all.empty()) return;
        const kernels::ConvShape s = shape_of(image, kept.fold, largest);
        kernels::normed_convs_backward<S>(
            stream, s, all, workspace(kernels::normed_convs_backward_workspace(stream, s, sizeof(S), all.size())));
    }
};

template <class S>
void run_backward(const WeighedCell& op, const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) {
    using T = kernels::Compute<S>;
    const WeighedKept<S> kept(op, in, saved);
    const std::int64_t c = kept.width;
    const std::size_t weights = in[1].size();
    ScratchScope scratch(current_arena());
    Backward<S> back{op, in, kept, into, dy.as<S>(), nullptr, {}, {}};
    if (op.mapped())
        back.mapped.emplace(back.partial, dy.as<S>());
    else if (op.partial.of > 1)
        back.partial.begin();
    if (into[1]) {  // what no term names has a gradient of zero
        const Tensor t = empty({op.copies, static_cast<std::int64_t>(weights)}, in[1].dtype);
        t.device->fill(t.data, 0, t.bytes());
        back.dweights = t.as<T>();
    }
    back.g.push_back(into[0].as<S>());
    for (int node = 1; node + 1 < op.nodes && op.partial.of == 1; node++)
        back.g.push_back(empty(dy.shape, dy.dtype).as<S>());
    for (int copy = 0; copy < op.copies; copy++) {
        auto& maps = back.maps.emplace_back();
        for (std::size_t i = 0; i < op.terms.size(); i++) {
            T* m = empty({3, c}, dtype_of<T>()).template as<T>();
            maps.push_back({m, m + c, m + 2 * c});
        }
    }
    for (int node = op.nodes - 1; node > 0; node--) {
        if (op.partial.of > 1)
            back.part(node);
        else if (node < op.nodes - 1)
            back.of_node(node, false);
        back.of_terms(node);
    }
    back.of_node(0, into[0].accumulate());
    for (std::size_t copy = 0; back.dweights && copy < static_cast<std::size_t>(op.copies); copy++)
        kernels::copy_or_add<T>(kernel_stream(), weights, back.dweights + copy * weights, into[1].as<T>(),
                                copy > 0 || into[1].accumulate());
}

}  // namespace

Tensor WeighedCell::forward(Inputs in, Saved& saved) const {
    return with_stored(in[0].dtype, [&](auto zero) { return run_forward<decltype(zero)>(*this, in, saved); });
}
void WeighedCell::backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
    with_stored(dy.dtype, [&](auto zero) { run_backward<decltype(zero)>(*this, dy, into, in, saved); });
}

}  // namespace nascent
