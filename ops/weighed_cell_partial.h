// Partial channels of a weighed_cell: what goes round the operators, the shuffle of a node's two sums, and the copies
// of what operators see.
#pragma once
#include "kernels/partial.h"
#include "ops/weighed_cell_call.h"

namespace nascent::cell {

/// The pictures of one copy, with the channels that operators see.
inline kernels::Image image_of_copy(const WeighedCell& op, const Tensor& x) {
    kernels::Image image = image_of(x);
    image.n /= op.copies;
    image.c = op.channels(x);
    return image;
}

/// Passes over all copies at once, but for sums, whose terms are each copy's own.
template <class T>
struct WeighedPartial {
    const WeighedCell& op;
    Inputs in;
    const WeighedKept<T>& kept;
    kernels::Image image = image_of_copy(op, in[0]);
    kernels::Stream stream = kernel_stream();
    int seen() const { return kept.seen; }
    int around() const { return kept.channels - kept.seen; }
    std::size_t pixels() const { return image.pixels() * static_cast<std::size_t>(op.copies); }

    /// The sum of a node's operators, or of what goes round them, into y with pixels `channels` apart.
    void sum(int node, bool bypass, T* y) const {
        std::vector<std::vector<kernels::MixedTerm<T>>> terms(static_cast<std::size_t>(op.copies));
        std::vector<kernels::MixedNode<T>> nodes;
        for (int copy = 0; copy < op.copies; copy++) {
            auto& sum = terms[static_cast<std::size_t>(copy)];
            for (std::size_t i = 0; i < op.terms.size(); i++)
                if (op.terms[i].to == node && op.terms[i].bypass() == bypass) sum.push_back(kept.term(op, in, copy, i));
            nodes.push_back({y + static_cast<std::size_t>(copy) * kept.whole_image, kept.channels, sum});
        }
        kernels::nodes_forward<T>(stream, image.pixels(), bypass ? around() : seen(), nodes);
    }

    /// Both sums and the shuffle. Without a shuffle the sums are the node.
    void node(int to) const {
        ScratchScope scratch(current_arena());
        T* const y = kept.whole[static_cast<std::size_t>(to)];
        T* const sums = op.partial.shuffle ? like_whole() : y;
        sum(to, false, sums);
        sum(to, true, sums + seen());
        if (op.partial.shuffle) shuffle(false, sums, y);
    }
    void pack(int node) const {
        const auto at = static_cast<std::size_t>(node);
        copy_seen(kept.whole[at], kept.node[at]);
    }

    T* like_whole() const { return empty(in[0].shape, in[0].dtype).template as<T>(); }
    T* dense() const {
        return empty({in[0].shape[0], in[0].shape[1], in[0].shape[2], seen()}, in[0].dtype).template as<T>();
    }
    void shuffle(bool inverse, const T* x, T* y) const {
        kernels::channel_shuffle<T>(stream, pixels(), kept.channels, op.partial.of, inverse, x, kept.channels, y,
                                    kept.channels, false);
    }
    void copy_seen(const T* whole, T* to) const {
        const kernels::MixedTerm<T> term[] = {{whole, kept.channels}};
        const kernels::MixedNode<T> node[] = {{to, seen(), term}};
        kernels::nodes_forward<T>(stream, pixels(), seen(), node);
    }
};

template <class T>
struct WeighedPartialBackward : WeighedPartial<T> {
    // By node, all copies': the gradients of what operators see of its sum, and of its sum before the shuffle.
    std::vector<T*> of_seen;
    std::vector<const T*> of_sums;
    using Base = WeighedPartial<T>;
    using Base::in, Base::kept, Base::op, Base::stream;

    /// Memory of the current execution.
    void begin() {
        of_seen.assign(static_cast<std::size_t>(op.nodes), nullptr);
        of_sums.assign(of_seen.size(), nullptr);
        for (T*& s : of_seen) s = this->dense();
        if (op.partial.shuffle)
            for (const T*& s : of_sums) s = this->like_whole();
    }

    /// From a node's gradient g those of its two sums; and the weights' gradients of what went round the operators.
    void part(int node, const T* g, T* dweights) {
        const auto at = static_cast<std::size_t>(node);
        if (op.partial.shuffle)
            this->shuffle(true, g, const_cast<T*>(of_sums[at]));
        else
            of_sums[at] = g;
        this->copy_seen(of_sums[at], of_seen[at]);
        if (dweights) bypass_weights(node, dweights);
    }

    /// A node's gradient from da of what operators see of it, and from what went round them.
    void join(int node, const T* da, T* to, bool accumulate) const {
        std::vector<kernels::SourceBackward<T>> sources;
        std::vector<std::vector<kernels::Skip<T>>> skips;
        skips.reserve(2 * static_cast<std::size_t>(op.copies));
        for (int copy = 0; copy < op.copies; copy++)
            for (int first : {0, kept.seen}) {
                std::vector<kernels::Skip<T>>& sum = skips.emplace_back();
                T* const g = to + static_cast<std::size_t>(copy) * kept.whole_image + first;
                if (accumulate) sum.push_back({g, kept.channels});
                if (first == 0) sum.push_back({da + kept.before(copy), kept.seen});
                for (const WeighedCell::Term& t : op.terms)
                    if (first > 0 && t.from == node && t.bypass())
                        sum.push_back({sum_of(copy, t.to) + first, kept.channels,
                                       t.weight < 0 ? nullptr : in[1].template as<T>() + t.weight});
                sources.push_back({{kept.whole_of(copy, node) + first, this->image.h, this->image.w,
                                    first == 0 ? kept.seen : this->around(), kept.channels},
                                   g,
                                   kept.channels,
                                   sum});
            }
        kernels::branches_backward<T>(
            stream, this->image.n, sources, {},
            workspace(kernels::branches_backward_workspace<T>(stream, this->image.n, sources, {})));
    }

  private:
    const T* sum_of(int copy, int node) const {
        return of_sums[static_cast<std::size_t>(node)] + static_cast<std::size_t>(copy) * kept.whole_image;
    }
    void bypass_weights(int node, T* dweights) const {
        std::vector<std::vector<kernels::MixedTermGradient<T>>> terms(static_cast<std::size_t>(op.copies));
        std::vector<kernels::MixedNodeGradient<T>> nodes;
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
        const std::size_t pixels = this->image.pixels();
        kernels::nodes_backward<T>(
            stream, pixels, this->around(), nodes,
            workspace(kernels::nodes_backward_workspace<T>(stream, pixels, this->around(), nodes)));
    }
};

}  // namespace nascent::cell
