// The lists that the passes of kernels/mixed.h take, as a mixed cell's copies fill them.
#pragma once
#include <deque>
#include <utility>
#include <vector>

#include "kernels/mixed.h"
#include "ops/kernel_stream.h"

namespace nascent::cell {

/// What the copies' cells have for one pass. Branches are of the source that was added last.
template <class S>
struct Branches {
    std::vector<kernels::Source<S>> sources;
    std::vector<kernels::Branch<S>> branches;
    void add(kernels::Branch<S> b) {
        b.source = static_cast<int>(sources.size()) - 1;
        branches.push_back(b);
    }
    void run(int n) const;
};
template <class S>
struct Nodes {
    std::deque<std::vector<kernels::MixedTerm<S>>> terms;
    std::vector<kernels::MixedNode<S>> nodes;
    void add(S* y, int pixel, std::vector<kernels::MixedTerm<S>> sum) {
        nodes.push_back({y, pixel, terms.emplace_back(std::move(sum))});
    }
    void run(std::size_t pixels, int channels) const {
        if (nodes.empty()) return;
        kernels::nodes_forward<S>(kernel_stream(), pixels, channels, nodes);
    }
};
template <class S>
struct BranchesBackward {
    std::vector<kernels::SourceBackward<S>> sources;
    std::vector<kernels::BranchBackward<S>> branches;
    std::deque<std::vector<kernels::Skip<S>>> skips;
    std::deque<std::vector<kernels::BranchGradient<S>>> gradients;
    kernels::SourceBackward<S>& add(const kernels::SourceBackward<S>& s, std::vector<kernels::Skip<S>> around) {
        sources.push_back(s);
        sources.back().skips = skips.emplace_back(std::move(around));
        return sources.back();
    }
    void add(kernels::BranchBackward<S> b, std::vector<kernels::BranchGradient<S>> from) {
        b.branch.source = static_cast<int>(sources.size()) - 1;
        b.gradients = gradients.emplace_back(std::move(from));
        branches.push_back(b);
    }
    void run(int n) const;
};
template <class S>
struct NodesBackward {
    std::deque<std::vector<kernels::MixedTermGradient<S>>> terms;
    std::vector<kernels::MixedNodeGradient<S>> nodes;
    void add(const S* g, int pixel, std::vector<kernels::MixedTermGradient<S>> sum, int fold = 1) {
        nodes.push_back({g, pixel, terms.emplace_back(std::move(sum)), fold});
    }
    void run(std::size_t pixels, int channels) const;
};

}  // namespace nascent::cell
