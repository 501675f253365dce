#include "ops/mixed_cell_call.h"

namespace nascent::cell {

/// All running statistics: moved towards this batch's, or read (evaluation).
template <class T>
void Cell<T>::running(bool update) const {
    std::vector<kernels::RunningNorm<T>> moved;
    std::vector<kernels::RunningScale<T>> read;
    auto add = [&](std::size_t index, const Norm<T>& n, StateSize size) {
        const CellNorm& r = op_.norms[index];
        NASCENT_CHECK(update || r.mean.defined(), runtime, "evaluation needs running statistics");
        if (!r.mean.defined()) return;
        if (update)
            moved.push_back({r.mean.as<T>(), r.variance.as<T>(), n.mean, n.rstd, pixels(size), c_});
        else
            read.push_back({r.mean.as<T>(), r.variance.as<T>(), n.scale, n.shift, c_});
    };
    for (std::size_t i : {0, 1}) add(i, before_norm_[i], size_[0]);
    for (const EdgeBranch<T>& e : branches_) {
        const StateSize size = size_[static_cast<std::size_t>(e.edge->to)];
        if (e.twice()) add(e.norm, e.middle, size);
        if (e.has_branch()) add(e.norm + (e.twice() ? 1 : 0), e.end, size);
    }
    if (!moved.empty()) kernels::running_update<T>(kernel_stream(), kEps, kMomentum, moved);
    if (!read.empty()) kernels::running_scales<T>(kernel_stream(), kEps, read);
}

template <class T>
void Cell<T>::run(std::span<const kernels::Source<T>> sources, std::span<const kernels::Branch<T>> branches) const {
    if (branches.empty()) return;
    ScratchScope scratch(current_arena());
    const kernels::Stream stream = kernel_stream();
    kernels::branches_forward<T>(stream, n_, kEps, sources, branches,
                                 workspace(kernels::branches_forward_workspace<T>(stream, n_, sources, branches)));
}

/// Everything that is computed from a state, up to what nodes sum. One state at a time: what the second halves of
/// separable convolutions read was written just before.
template <class T>
void Cell<T>::leave(int s) const {
    std::vector<kernels::Source<T>> middles;
    std::vector<kernels::Branch<T>> firsts, seconds;
    for (std::size_t pool : {0, 1})
        if (pools_[static_cast<std::size_t>(2 * s) + pool].z)
            firsts.push_back(pools_[static_cast<std::size_t>(2 * s) + pool]);
    for (const EdgeBranch<T>& e : branches_) {
        if (e.edge->from != s || !e.has_branch() || e.pooled()) continue;
        firsts.push_back(e.twice() ? e.first : e.last);
        if (!e.twice()) continue;
        seconds.push_back(e.last);
        seconds.back().source = static_cast<int>(middles.size());
        middles.push_back(middle_source(e));
    }
    const kernels::Source<T> source[] = {state(s)};
    run(source, firsts);
    run(middles, seconds);
}

template <class T>
std::vector<kernels::MixedTerm<T>> Cell<T>::terms(int node) const {
    std::vector<kernels::MixedTerm<T>> all;
    for (const EdgeBranch<T>& e : branches_) {
        if (e.edge->to != node) continue;
        const kernels::Source<T> from = state(e.edge->from);
        if (e.has_branch())
            all.push_back({e.last.z, c_, e.end.scale, e.end.shift, weight(*e.op)});
        else
            all.push_back({from.x, from.pixel, nullptr, nullptr, weight(*e.op)});
    }
    return all;
}

template <class T>
Tensor Cell<T>::forward() {
    if (!op_.training) running(false);
    const kernels::Stream stream = kernel_stream();
    std::vector<kernels::Source<T>> inputs;
    for (std::size_t i : {0, 1}) {
        const Tensor& x = in_[i];
        const int c = static_cast<int>(x.shape[3]);
        inputs.push_back({x.as<T>(), static_cast<int>(x.shape[1]), static_cast<int>(x.shape[2]), c, c});
    }
    run(inputs, before_);
    kernels::MixedTerm<T> before_terms[2];
    kernels::MixedNode<T> before_nodes[2];
    for (std::size_t i : {0, 1}) {
        before_terms[i] = {before_[i].z, c_, before_norm_[i].scale, before_norm_[i].shift};
        before_nodes[i] = {preprocessed_[i], c_, {&before_terms[i], 1}};
    }
    kernels::nodes_forward<T>(stream, pixels(size_[0]), c_, before_nodes);
    for (int input : {0, 1}) leave(input);
    for (int node = 2; node < op_.shape.nodes + 2; node++) {
        const auto sum = terms(node);
        const kernels::MixedNode<T> one[] = {
            {y_.as<T>() + static_cast<std::ptrdiff_t>(node - 2) * c_, pixel(node), sum}};
        kernels::nodes_forward<T>(stream, pixels(size_[2]), c_, one);
        if (node < op_.shape.nodes + 1) leave(node);
    }
    if (op_.training) running(true);
    return y_;
}

template class Cell<float>;
template class Cell<double>;

}  // namespace nascent::cell
