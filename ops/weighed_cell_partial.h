// Partial channels of a weighed_cell: what goes round the operators, the shuffle of a node's two sums, and what
// operators see of a node, several pictures' side by side.
#pragma once
#include "kernels/fold.h"
#include "kernels/primitive.h"
#include "ops/weighed_cell_call.h"

namespace nascent::cell {

/// The pictures of one copy, with the channels that operators see; several pictures are one where they are folded.
inline kernels::Image image_of_copy(const WeighedCell& op, const Tensor& x) {
    kernels::Image image = image_of(x);
    const int fold = op.fold(x);
    image.n /= op.copies * fold;
    image.c = op.channels(x) * fold;
    return image;
}

/// Passes over all copies at once, but for sums, whose terms are each copy's own.
template <class S>
struct WeighedPartial {
    using T = kernels::Compute<S>;
    const WeighedCell& op;
    Inputs in;
    const WeighedKept<S>& kept;
    kernels::Image image = image_of_copy(op, in[0]);
    kernels::Stream stream = kernel_stream();
    int seen() const { return kept.seen; }
    int around() const { return kept.channels - kept.seen; }
    kernels::FoldedShape shape(bool shuffled = true) const {
        return {image.n * kept.fold * op.copies,
                image.h * image.w,
                kept.channels,
                kept.seen,
                shuffled && op.partial.shuffle ? op.partial.of : 1,
                kept.fold};
    }

    /// The sum of a node's operators; y: of all copies, dense.
    void sum(int node, S* y) const {
        std::vector<std::vector<kernels::MixedTerm<S>>> terms(static_cast<std::size_t>(op.copies));
        std::vector<std::vector<kernels::MixedPoint<S>>> points(terms.size());
        std::vector<kernels::MixedNode<S>> nodes;
        for (int copy = 0; copy < op.copies; copy++) {
            const auto c = static_cast<std::size_t>(copy);
            for (std::size_t i = 0; i < op.terms.size(); i++) {
                const WeighedCell::Term& t = op.terms[i];
                if (t.to != node || t.bypass()) continue;
                if (op.unstored(in[0], t))
                    points[c].push_back(kept.point(op, in, copy, i));
                else
                    terms[c].push_back(kept.term(op, in, copy, i));
            }
            nodes.push_back({y + kept.before(copy), image.c, terms[c], points[c], kept.fold});
        }
        kernels::nodes_forward<S>(stream, image.pixels(), image.c, nodes);
    }

    /// A node from its operators' sum and what goes round them, and what operators see of it.
    void node(int to) const {
        ScratchScope scratch(current_arena());
        S* const sums = dense();
        sum(to, sums);
        std::vector<kernels::Around<S>> around;
        for (std::size_t i = 0; i < op.terms.size(); i++)
            if (const WeighedCell::Term& t = op.terms[i]; t.to == to && t.bypass())
                around.push_back({kept.whole_of(0, t.from), kept.channels, 0, weight(t)});
        const auto at = static_cast<std::size_t>(to);
        kernels::join_folded<S>(stream, shape(), sums, around, kept.whole[at], kept.channels,
                                op.packs(to) ? kept.node[at] : nullptr);
    }
    void pack(int node) const {
        const auto at = static_cast<std::size_t>(node);
        kernels::fold_channels<S>(stream, shape(), kept.whole[at], kept.channels, kept.node[at]);
    }

    S* like_whole() const { return empty(in[0].shape, in[0].dtype).template as<S>(); }
    S* dense() const {
        return empty({in[0].shape[0], in[0].shape[1], in[0].shape[2], seen()}, in[0].dtype).template as<S>();
    }
    const T* weight(const WeighedCell::Term& t) const {
        return t.weight < 0 ? nullptr : in[1].template as<T>() + t.weight;
    }
};

template <class S>
struct WeighedPartialBackward : WeighedPartial<S> {
    // By node, all copies': the gradients of what operators see of its sum, and of its sum before the shuffle.
    std::vector<S*> of_seen, of_sums;
    using Base = WeighedPartial<S>;
    using T = typename Base::T;
    using Base::in, Base::kept, Base::op, Base::stream;

    /// Memory of the current execution.
    void begin() {
        of_seen.assign(static_cast<std::size_t>(op.nodes), nullptr);
        of_sums.assign(of_seen.size(), nullptr);
        for (std::size_t i = 1; i < of_seen.size(); i++) of_seen[i] = this->dense(), of_sums[i] = this->like_whole();
    }

    /// From the gradient of a node, which is dy or that of what operators see of it and of what goes round them, those
    /// of its two sums; and the weights' gradients of what went round the operators.
    void part(int node, const S* dy, const S* seen, T* dweights) {
        const auto at = static_cast<std::size_t>(node);
        kernels::part_folded<S>(stream, this->shape(), dy, kept.channels, seen, around_gradients(node), of_sums[at],
                                kept.channels, of_seen[at]);
        if (dweights) bypass_weights(node, dweights);
    }

    /// The input's gradient from that of what operators see of it, and from what went round them.
    void join(const S* seen, S* to, bool accumulate) const {
        ScratchScope scratch(current_arena());
        S* const all = accumulate ? this->like_whole() : to;
        kernels::join_folded<S>(stream, this->shape(false), seen, around_gradients(0), all, kept.channels, nullptr);
        if (accumulate) kernels::copy_or_add<S>(stream, in[0].size(), all, to, true);
    }

  private:
    std::vector<kernels::Around<S>> around_gradients(int node) const {
        std::vector<kernels::Around<S>> all;
        for (const WeighedCell::Term& t : op.terms)
            if (t.from == node && t.bypass())
                all.push_back({of_sums[static_cast<std::size_t>(t.to)], kept.channels, 0, this->weight(t)});
        return all;
    }
    const S* sum_of(int copy, int node) const {
        return of_sums[static_cast<std::size_t>(node)] + static_cast<std::size_t>(copy) * kept.whole_image;
    }
    void bypass_weights(int node, T* dweights) const {
        std::vector<std::vector<kernels::MixedTermGradient<S>>> terms(static_cast<std::size_t>(op.copies));
        std::vector<kernels::MixedNodeGradient<S>> nodes;
        for (int copy = 0; copy < op.copies; copy++) {
            auto& of = terms[static_cast<std::size_t>(copy)];
            for (std::size_t i = 0; i < op.terms.size(); i++) {
                const WeighedCell::Term& t = op.terms[i];
                if (t.to != node || !t.bypass() || t.weight < 0) continue;
                of.push_back({kept.term(op, in, copy, i)});
                of.back().dweight = dweights + static_cast<std::size_t>(copy) * in[1].size() + t.weight;
            }
            nodes.push_back({sum_of(copy, node) + kept.seen, kept.channels, of});
        }
        if (terms[0].empty()) return;
        ScratchScope own(current_arena());
        const std::size_t pixels = this->image.pixels() * static_cast<std::size_t>(kept.fold);
        kernels::nodes_backward<S>(
            stream, pixels, this->around(), nodes,
            workspace(kernels::nodes_backward_workspace<S>(stream, pixels, this->around(), nodes)));
    }
};

}  // namespace nascent::cell
