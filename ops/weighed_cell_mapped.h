// Partial channels whose bypasses have no weights: every channel of every node is then a sum, known on the host, of
// channels of the input and of the operators' sums. So the nodes between are not written: what operators see of them,
// and the output, are summed from there, and the gradients on the way back likewise.
#pragma once
#include "kernels/channel_sums.h"
#include "ops/weighed_cell_partial.h"

namespace nascent::cell {

/// How often a node's channel has each channel of the input in it and, behind those, of the operators' sums of nodes
/// 1, 2, ...
class NodeChannels {
  public:
    explicit NodeChannels(const WeighedCell& op, int channels)
        : channels_(channels),
          seen_(channels / op.partial.of),
          columns_(channels + (op.nodes - 1) * seen_),
          factors_(static_cast<std::size_t>(op.nodes * channels_ * columns_), 0) {
        for (int c = 0; c < channels_; c++) row(0, c)[c] = 1;
        const int groups = op.partial.shuffle ? op.partial.of : 1, of_group = channels_ / groups;
        for (int node = 1; node < op.nodes; node++)
            for (int c = 0; c < channels_; c++) {
                const int before = c % groups * of_group + c / groups;  // in the two sums side by side
                int* const to = row(node, c);
                if (before < seen_) to[of_sum(node, before)] = 1;
                for (const WeighedCell::Term& t : op.terms) {
                    if (before < seen_ || t.to != node || !t.bypass()) continue;
                    const int* const from = row(t.from, before);
                    for (int i = 0; i < columns_; i++) to[i] += from[i];
                }
            }
    }
    /// Where channel c of the operators' sum of a node stands.
    int of_sum(int node, int c) const { return channels_ + (node - 1) * seen_ + c; }
    int factor(int node, int c, int of) const {
        return factors_[static_cast<std::size_t>((node * channels_ + c) * columns_ + of)];
    }

  private:
    int* row(int node, int c) { return &factors_[static_cast<std::size_t>((node * channels_ + c) * columns_)]; }
    int channels_, seen_, columns_;
    std::vector<int> factors_;  // (node, channel, column)
};

/// Collects one call of sum_channels.
template <class S>
struct ChannelSums {
    std::vector<kernels::SummedState<const S>> sources = {};
    std::vector<kernels::SummedState<S>> results = {};
    std::vector<kernels::ChannelSummand> summands = {};

    void add(int to, int from, int factor) {
        if (factor != 0) summands.push_back({to, from, factor});
    }
    void run(const WeighedPartial<S>& p, bool accumulate = false) const {
        const kernels::FoldedShape s = p.shape();
        kernels::sum_channels<S>(p.stream, {s.n, s.pixels, s.fold}, sources, summands, results, accumulate);
    }
};

template <class S>
struct MappedForward : WeighedPartial<S> {
    using Base = WeighedPartial<S>;
    using Base::op, Base::kept;
    NodeChannels nodes{op, kept.channels};
    std::vector<S*> sums;    // by node: of its operators
    std::vector<int> aside;  // channels of the input that go round operators into nodes that others see
    S* folded_aside = nullptr;
    int aside_pixel = 0;

    /// Memory of the current execution, until the cell is done.
    explicit MappedForward(const Base& base) : Base(base) {
        for (int c = 0; c < kept.channels; c++)
            for (int node = 1; node < op.nodes; node++) {
                bool used = false;
                for (int i = 0; i < kept.seen && op.packs(node); i++) used = used || nodes.factor(node, i, c) != 0;
                if (!used) continue;
                aside.push_back(c);
                break;
            }
        sums.push_back(nullptr);
        for (int node = 1; node < op.nodes; node++) sums.push_back(this->dense());
        constexpr int line = static_cast<int>(64 / sizeof(S));  // pixels begin at lines
        aside_pixel = (static_cast<int>(aside.size()) * kept.fold + line - 1) / line * line;
        folded_aside =
            empty({static_cast<std::int64_t>(this->image.pixels()) * op.copies, aside_pixel}, this->in[0].dtype)
                .template as<S>();
    }

    /// What operators see of the input, and what goes round them to where others see it.
    void begin() const {
        ChannelSums<S> all{{{kept.whole[0], kept.channels, kept.channels, false}}};
        int to = 0;
        if (op.packs(0)) {
            all.results.push_back({kept.node[0], kept.seen, kept.width, true});
            for (; to < kept.seen; to++) all.add(to, to, 1);
        }
        if (!aside.empty()) all.results.push_back({folded_aside, static_cast<int>(aside.size()), aside_pixel, true});
        for (int c : aside) all.add(to++, c, 1);
        if (to > 0) all.run(*this);
    }
    void node(int to) const {
        this->sum(to, sums[static_cast<std::size_t>(to)]);
        const bool last = to == op.nodes - 1;
        if (!last && !op.packs(to)) return;
        ChannelSums<S> all;
        int first = kept.channels;  // of the sums among the sources
        if (last) {
            all.sources.push_back({kept.whole[0], kept.channels, kept.channels, false});
            all.results.push_back({kept.whole[static_cast<std::size_t>(to)], kept.channels, kept.channels, false});
        } else {
            first = static_cast<int>(aside.size());
            if (first > 0) all.sources.push_back({folded_aside, first, aside_pixel, true});
            all.results.push_back({kept.node[static_cast<std::size_t>(to)], kept.seen, kept.width, true});
        }
        for (int i = 1; i <= to; i++)
            all.sources.push_back({sums[static_cast<std::size_t>(i)], kept.seen, kept.width, true});
        for (int c = 0; c < all.results[0].c; c++) {
            for (int i = 0; i < first; i++)
                all.add(c, i, nodes.factor(to, c, last ? i : aside[static_cast<std::size_t>(i)]));
            for (int i = 0; i < to * kept.seen; i++) all.add(c, first + i, nodes.factor(to, c, kept.channels + i));
        }
        all.run(*this);
    }
};

template <class S>
struct MappedBackward : WeighedPartial<S> {
    using Base = WeighedPartial<S>;
    using Base::op, Base::kept;
    NodeChannels nodes{op, kept.channels};
    // By node: gradients of the operators' sums, and of what operators see.
    std::vector<S*> of_sums, of_seen;

    /// Memory of the current execution; what of dy reaches the sums.
    MappedBackward(const Base& base, const S* dy) : Base(base) {
        of_sums.push_back(nullptr);
        of_seen.assign(static_cast<std::size_t>(op.nodes), nullptr);
        ChannelSums<S> all{{{dy, kept.channels, kept.channels, false}}};
        for (int node = 1; node < op.nodes; node++) {
            of_sums.push_back(this->dense());
            all.results.push_back({of_sums.back(), kept.seen, kept.width, true});
            for (int i = 0; i < kept.seen; i++)
                for (int c = 0; c < kept.channels; c++)
                    all.add((node - 1) * kept.seen + i, c, nodes.factor(op.nodes - 1, c, nodes.of_sum(node, i)));
        }
        all.run(*this);
    }
    /// To the gradient of a node's sum is added what reaches it through what operators see of it and of those behind.
    void part(int node) const {
        ChannelSums<S> all;
        all.results.push_back({of_sums[static_cast<std::size_t>(node)], kept.seen, kept.width, true});
        std::vector<int> behind;
        for (int i = node; i < op.nodes; i++) {
            if (!of_seen[static_cast<std::size_t>(i)]) continue;
            behind.push_back(i);
            all.sources.push_back({of_seen[static_cast<std::size_t>(i)], kept.seen, kept.width, true});
        }
        for (int i = 0; i < kept.seen; i++) seen(all, i, 0, behind, nodes.of_sum(node, i));
        if (!all.summands.empty()) all.run(*this, true);
    }
    /// The input's gradient.
    void join(const S* dy, S* to, bool accumulate) const {
        ChannelSums<S> all{{{dy, kept.channels, kept.channels, false}}, {{to, kept.channels, kept.channels, false}}};
        std::vector<int> behind;
        for (int i = 0; i < op.nodes; i++) {
            if (!of_seen[static_cast<std::size_t>(i)]) continue;
            behind.push_back(i);
            all.sources.push_back({of_seen[static_cast<std::size_t>(i)], kept.seen, kept.width, true});
        }
        for (int i = 0; i < kept.channels; i++) {
            for (int c = 0; c < kept.channels; c++) all.add(i, c, nodes.factor(op.nodes - 1, c, i));
            seen(all, i, kept.channels, behind, i);
        }
        all.run(*this, accumulate);
    }

  private:
    void seen(ChannelSums<S>& all, int to, int first, const std::vector<int>& behind, int column) const {
        for (std::size_t b = 0; b < behind.size(); b++)
            for (int c = 0; c < kept.seen; c++)
                all.add(to, first + static_cast<int>(b) * kept.seen + c, nodes.factor(behind[b], c, column));
    }
};

}  // namespace nascent::cell
