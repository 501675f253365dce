#include "ops/mixed_cell_call.h"

namespace nascent::cell {

template <class S>
void Branches<S>::run(int n) const {
    if (branches.empty()) return;
    ScratchScope scratch(current_arena());
    const kernels::Stream stream = kernel_stream();
    kernels::branches_forward<S>(stream, n, kEps, sources, branches,
                                 workspace(kernels::branches_forward_workspace<S>(stream, n, sources, branches)));
}

template <class S>
template <class F>
void Cell<S>::for_each_running(F&& f) const {
    auto of = [&](std::size_t index, const Norm<T>& n, StateSize s, int channels) {
        const CellNorm& r = op_.norms[index];
        NASCENT_CHECK(op_.training || r.mean.defined(), runtime, "evaluation needs running statistics");
        if (r.mean.defined()) f(r, n, s, channels);
    };
    const std::size_t first =
        static_cast<std::size_t>(copy_) * (op_.norms.size() / static_cast<std::size_t>(op_.copies));
    for (std::size_t i : {0, 1}) of(first + i, before_norm_[i], size(0), c_);
    for (const EdgeBranch<S>& e : branches_) {
        const StateSize s = size(e.edge->to);
        if (e.twice()) of(e.norm, e.middle, s, seen_);
        if (e.has_branch()) of(e.norm + (e.twice() ? 1 : 0), e.end, s, seen_);
    }
}

template <class S>
void Cell<S>::update_running() const {
    std::vector<kernels::RunningNorm<T>> moved;
    for_each_running([&](const CellNorm& r, const Norm<T>& n, StateSize s, int channels) {
        moved.push_back({r.mean.as<T>(), r.variance.as<T>(), n.mean, n.rstd, sizes_.pixels(s), channels,
                         channels == c_ ? 1 : sizes_.fold});
    });
    if (!moved.empty()) kernels::running_update<T>(kernel_stream(), kEps, kMomentum, moved);
}

template <class S>
void Cell<S>::add_running(std::vector<kernels::RunningScale<T>>& to) const {
    for_each_running([&](const CellNorm& r, const Norm<T>& n, StateSize, int channels) {
        to.push_back(
            {r.mean.as<T>(), r.variance.as<T>(), n.scale, n.shift, channels, channels == c_ ? 1 : sizes_.fold});
    });
}

template <class S>
void Cell<S>::add_inputs(Branches<S>& to) const {
    for (std::size_t i : {0, 1}) {
        to.sources.push_back(input(i));
        to.add(before_[i]);
    }
}

template <class S>
void Cell<S>::add_preprocessed(Nodes<S>& to) const {
    for (std::size_t i : {0, 1})
        to.add(preprocessed_[i], c_,
               {{before_[i].z, c_, before_norm_[i].scale, before_norm_[i].shift, nullptr, affine(before_gamma_[i])}});
}

/// Everything that is computed from a state, up to what nodes sum; `seconds`: second halves of separable convolutions.
template <class S>
void Cell<S>::add_leaving(int s, Branches<S>& firsts, Branches<S>& seconds) const {
    firsts.sources.push_back(state(s));
    for (std::size_t pool : {0, 1})
        if (pools_[static_cast<std::size_t>(2 * s) + pool].c_out > 0)
            firsts.add(pools_[static_cast<std::size_t>(2 * s) + pool]);
    for (const EdgeBranch<S>& e : branches_) {
        if (e.edge->from != s || !e.has_branch() || e.pooled()) continue;
        firsts.add(e.twice() ? e.first : e.last);
        if (!e.twice()) continue;
        seconds.sources.push_back(middle_source(e));
        seconds.add(e.last);
    }
}

template <class S>
std::vector<kernels::MixedTerm<S>> Cell<S>::terms(int node) const {
    std::vector<kernels::MixedTerm<S>> all;
    for (const EdgeBranch<S>& e : branches_) {
        if (e.edge->to != node) continue;
        const kernels::Source<S> from = state(e.edge->from);
        if (e.has_branch())
            all.push_back({e.last.z, width_, e.end.scale, e.end.shift, weight(*e.op), affine(e.end_gamma)});
        else
            all.push_back({from.x, from.pixel, nullptr, nullptr, weight(*e.op)});
    }
    return all;
}

template <class S>
void Cell<S>::add_node(int node, Nodes<S>& to) const {
    to.add(y_ + static_cast<std::ptrdiff_t>(node - 2) * c_, pixel(node), terms(node));
}

template <class S>
Cells<S>::Cells(const MixedCell& op, Inputs in, Keeping keeping) : op_(op), in_(in), sizes_(sizes_of(op, in)) {
    const StateSize nodes = sizes_.state[2];
    y_ = keeping.tensor(
        {in[1].shape[0], nodes.h, nodes.w, static_cast<std::int64_t>(op.shape.nodes) * op.shape.channels},
        dtype_of<S>());
    for (int copy = 0; copy < op.copies; copy++) cells_.emplace_back(op, in, copy, sizes_, y_, keeping);
}

/// One state at a time: what the second halves of separable convolutions read was written just before.
template <class S>
void Cells<S>::leave(int s) {
    Branches<S> firsts, seconds;
    for (const Cell<S>& c : cells_) {
        c.add_leaving(s, firsts, seconds);
        c.halve(s);
    }
    firsts.run(pictures());
    seconds.run(pictures());
}

template <class S>
void Cells<S>::node(int node) {
    const std::size_t pixels = sizes_.pixels(sizes_.state[2]);
    Nodes<S> sums;
    if (op_.shape.partial == 1) {
        for (const Cell<S>& c : cells_) c.add_node(node, sums);
        return sums.run(pixels, op_.shape.channels);
    }
    ScratchScope scratch(current_arena());
    Nodes<S> others;
    for (Cell<S>& c : cells_) c.add_partial_node(node, sums, others);
    sums.run(pixels / static_cast<std::size_t>(sizes_.fold), width());
    others.run(pixels, around());
    for (const Cell<S>& c : cells_) c.shuffle_node(node);
}

template <class S>
Tensor Cells<S>::forward() {
    ScratchScope scratch(current_arena());
    if (!op_.keeps_pools())
        for (Cell<S>& c : cells_) c.place_pools();
    if (!op_.training) {
        std::vector<kernels::RunningScale<T>> read;
        for (const Cell<S>& c : cells_) c.add_running(read);
        kernels::running_scales<T>(kernel_stream(), kEps, read);
    }
    const int channels = op_.shape.channels, last = op_.shape.nodes + 1;
    Branches<S> inputs;
    for (const Cell<S>& c : cells_) c.add_inputs(inputs);
    inputs.run(sizes_.n);
    Nodes<S> preprocessed;
    for (const Cell<S>& c : cells_) c.add_preprocessed(preprocessed);
    preprocessed.run(sizes_.pixels(sizes_.state[0]), channels);
    for (int input : {0, 1})
        for (const Cell<S>& c : cells_) c.fold_input(input);
    for (int input : {0, 1}) leave(input);
    for (int i = 2; i <= last; i++) {
        node(i);
        if (i < last) leave(i);
    }
    // Copies may share running statistics, which move as if one copy ran after the other.
    if (op_.training)
        for (const Cell<S>& c : cells_) c.update_running();
    return y_;
}

template struct Branches<float>;
template struct Branches<double>;
template struct Branches<kernels::BFloat16>;
template class Cell<float>;
template class Cell<double>;
template class Cell<kernels::BFloat16>;
template class Cells<float>;
template class Cells<double>;
template class Cells<kernels::BFloat16>;

}  // namespace nascent::cell
