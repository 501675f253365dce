// The lists that the passes of kernels/mixed.h take, as a mixed cell's copies fill them.
#pragma once
#include <deque>
#include <utility>
#include <vector>

#include "kernels/mixed.h"
#include "ops/kernel_stream.h"

namespace nascent::cell {

/// What the copies' cells have for one pass. Branches are of the source that was added last.
template <class T>
struct Branches {
    std::vector<kernels::Source<T>> sources;
    std::vector<kernels::Branch<T>> branches;
    void add(kernels::Branch<T> b) {
        b.source = static_cast<int>(sources.size()) - 1;
        branches.push_back(b);
    }
    void run(int n) const;
};
template <class T>
struct Nodes {
    std::deque<std::vector<kernels::MixedTerm<T>>> terms;
    std::vector<kernels::MixedNode<T>> nodes;
    void add(T* y, int pixel, std::vector<kernels::MixedTerm<T>> sum) {
        nodes.push_back({y, pixel, terms.emplace_back(std::move(sum))});
    }
    void run(std::size_t pixels, int channels) const {
        if (nodes.empty()) return;
        kernels::nodes_forward<T>(kernel_stream(), pixels, channels, nodes);
    }
};
template <class T>
struct BranchesBackward {
    std::vector<kernels::SourceBackward<T>> sources;
    std::vector<kernels::BranchBackward<T>> branches;
    std::deque<std::vector<kernels::Skip<T>>> skips;
    std::deque<std::vector<kernels::BranchGradient<T>>> gradients;
    kernels::SourceBackward<T>& add(const kernels::SourceBackward<T>& s, std::vector<kernels::Skip<T>> around) {
        sources.push_back(s);
        sources.back().skips = skips.emplace_back(std::move(around));
        return sources.back();
    }
    void add(kernels::BranchBackward<T> b, std::vector<kernels::BranchGradient<T>> from) {
        b.branch.source = static_cast<int>(sources.size()) - 1;
        b.gradients = gradients.emplace_back(std::move(from));
        branches.push_back(b);
    }
    void run(int n) const;
};
template <class T>
struct NodesBackward {
    std::deque<std::vector<kernels::MixedTermGradient<T>>> terms;
    std::vector<kernels::MixedNodeGradient<T>> nodes;
    void add(const T* g, int pixel, std::vector<kernels::MixedTermGradient<T>> sum, int fold = 1) {
        nodes.push_back({g, pixel, terms.emplace_back(std::move(sum)), fold});
    }
    void run(std::size_t pixels, int channels) const;
};

}  // namespace nascent::cell
