#include "kernels/primitive.h"
#include "ops/mixed_cell_call.h"

namespace nascent::cell {
namespace {

template <class T>
kernels::NormMap<T> make_map(int channels) {
    T* m = empty({3, channels}, dtype_of<T>()).template as<T>();
    return {m, m + channels, m + 2 * channels};
}

}  // namespace

template <class S>
void BranchesBackward<S>::run(int n) const {
    if (sources.empty()) return;
    ScratchScope scratch(current_arena());
    const kernels::Stream stream = kernel_stream();
    kernels::branches_backward<S>(stream, n, sources, branches,
                                  workspace(kernels::branches_backward_workspace<S>(stream, n, sources, branches)));
}

template <class S>
void NodesBackward<S>::run(std::size_t pixels, int channels) const {
    if (nodes.empty()) return;
    ScratchScope scratch(current_arena());
    const kernels::Stream stream = kernel_stream();
    kernels::nodes_backward<S>(stream, pixels, channels, nodes,
                               workspace(kernels::nodes_backward_workspace<S>(stream, pixels, channels, nodes)));
}

template <class S>
kernels::BranchBackward<S> Cell<S>::branch_backward(const kernels::Branch<S>& b, std::size_t at) const {
    kernels::BranchBackward<S> back{b, {}};
    if (b.kind == kernels::BranchKind::separable) {
        back.ddepth = into_[at].as<T>(), back.accumulate_depth = into_[at].accumulate();
        at++;
    }
    back.dpoint = into_[at].as<T>(), back.accumulate_point = into_[at].accumulate();
    if (b.kind == kernels::BranchKind::reduce)
        back.dpoint_odd = into_[at + 1].as<T>(), back.accumulate_point_odd = into_[at + 1].accumulate();
    return back;
}

template <class S>
void Cell<S>::begin_backward(const Tensor& dy, std::span<Into> into, T* dweights) {
    into_ = into;
    dy_ = dy.as<S>() + before_mine(dy);
    dweights_ = dweights;
    const int nodes = op_.shape.nodes;
    states_.resize(static_cast<std::size_t>(nodes) + 2);
    states_.back() = {const_cast<S*>(dy_) + static_cast<std::ptrdiff_t>(nodes - 1) * c_, nodes * c_};
    reach_.resize(branches_.size());
    middle_.resize(branches_.size());
    middle_map_.resize(branches_.size());
    halved_gradient_.resize(states_.size());
    around_.resize(states_.size());
    folded_gradient_.resize(states_.size());
}

template <class S>
void Cell<S>::add_pools(Branches<S>& to) const {
    for (std::size_t i = 0; i < pools_.size(); i++) {
        if (pools_[i].c_out == 0) continue;
        if (i % 2 == 0 || pools_[i - 1].c_out == 0) to.sources.push_back(state(static_cast<int>(i / 2)));
        kernels::Branch<S> again = pools_[i];  // its norm is kept
        again.mean = again.rstd = nullptr, again.scale = again.shift = nullptr;
        to.add(again);
    }
}

/// From a node's gradient to the maps of its terms and the weights' gradients, and through the second halves of its
/// separable convolutions.
template <class S>
void Cell<S>::add_node_gradient(int node, NodesBackward<S>& to, BranchesBackward<S>& seconds) {
    const Gradient& mine = states_[static_cast<std::size_t>(node)];
    std::vector<kernels::MixedTermGradient<S>> terms;
    for (std::size_t i = 0; i < branches_.size(); i++) {
        const EdgeBranch<S>& e = branches_[i];
        if (e.edge->to != node) continue;
        const kernels::Source<S> from = state(e.edge->from);
        T* dweight = dweights_ && e.op->weight >= 0 ? dweights_ + e.op->weight : nullptr;
        if (!e.has_branch()) {
            terms.push_back({{from.x, from.pixel, nullptr, nullptr, weight(*e.op)}, nullptr, nullptr, {}, dweight});
            continue;
        }
        reach_[i] = {mine.g, mine.pixel, make_map<T>(width_)};
        terms.push_back({{e.last.z, width_, e.end.scale, e.end.shift, weight(*e.op), affine(e.end_gamma)},
                         e.end.mean,
                         e.end.rstd,
                         reach_[i].map,
                         dweight,
                         affine_gradient(e.end_gamma)});
        if (!e.twice()) continue;
        middle_[i] = {scratch(size(node), seen_), width_};
        middle_map_[i] = make_map<T>(width_);
        kernels::SourceBackward<S> source{middle_source(e), middle_[i].g, width_, {}};
        source.mean = e.middle.mean, source.rstd = e.middle.rstd, source.map = middle_map_[i];
        source.affine = affine_gradient(e.middle_gamma);
        seconds.add(source, {});
        seconds.add(branch_backward(e.last, e.second), {reach_[i]});
    }
    to.add(mine.g, mine.pixel, std::move(terms), sizes_.fold);
}

/// The gradient of a state whose nodes are done; folded, only what comes through its operators.
template <class S>
void Cell<S>::add_state_gradient(int s, BranchesBackward<S>& to) {
    std::vector<kernels::Skip<S>> around;
    if (s >= 2 && !folded()) around.push_back({dy_ + static_cast<std::ptrdiff_t>(s - 2) * c_, pixel(s)});
    for (const EdgeBranch<S>& e : branches_) {
        if (e.edge->from != s || e.has_branch()) continue;
        const Gradient& node = states_[static_cast<std::size_t>(e.edge->to)];
        around.push_back({node.g, node.pixel, weight(*e.op)});
    }
    Gradient mine = states_[static_cast<std::size_t>(s)];
    if (op_.shape.partial == 1) mine = states_[static_cast<std::size_t>(s)] = {scratch(size(s), c_), c_};
    if (folded()) mine = {folded_gradient_[static_cast<std::size_t>(s)] = scratch(size(s), seen_), width_};
    to.add({state(s), mine.g, mine.pixel, {}}, std::move(around));
    std::vector<kernels::BranchGradient<S>> pools[2];
    for (std::size_t i = 0; i < branches_.size(); i++) {
        const EdgeBranch<S>& e = branches_[i];
        if (e.edge->from != s || !e.has_branch()) continue;
        if (e.pooled())
            pools[e.op->kind == CellOpKind::max_pool ? 0 : 1].push_back(reach_[i]);
        else if (e.twice())
            to.add(branch_backward(e.first, e.parameter), {{middle_[i].g, width_, middle_map_[i]}});
        else
            to.add(branch_backward(e.last, e.parameter), {reach_[i]});
    }
    for (std::size_t p : {0, 1})
        if (!pools[p].empty()) to.add({pools_[static_cast<std::size_t>(2 * s) + p], {}}, std::move(pools[p]));
}

template <class S>
void Cell<S>::add_preprocessed_gradient(NodesBackward<S>& to) {
    for (std::size_t i : {0, 1}) {
        before_reach_[i] = {states_[i].g, c_, make_map<T>(c_)};
        const Norm<T>& n = before_norm_[i];
        // The state is what the norm made of a z that is not kept.
        const bool made = !op_.keeps_z() && op_.training;
        to.add(
            states_[i].g, c_,
            {{{before_[i].z, c_, made ? nullptr : n.scale, made ? nullptr : n.shift, nullptr, affine(before_gamma_[i])},
              n.mean,
              n.rstd,
              before_reach_[i].map,
              nullptr,
              affine_gradient(before_gamma_[i])}});
    }
}

template <class S>
void Cell<S>::add_input_gradient(int i, BranchesBackward<S>& to) {
    const auto at = static_cast<std::size_t>(i);
    const kernels::Source<S> x = input(at);
    const Into& into = into_[at];
    S* const dx = into ? into.as<S>() + before_mine(in_[at]) : nullptr;
    std::vector<kernels::Skip<S>> before;
    if (into.accumulate() && dx) before.push_back({dx, x.c});
    to.add({x, dx, x.c, {}}, std::move(before));
    to.add(branch_backward(before_[at], before_parameter_[at]), {before_reach_[at]});
}

template <class S>
void Cells<S>::node_backward(int node) {
    const std::size_t pixels = sizes_.pixels(sizes_.state[2]);
    NodesBackward<S> terms, around;
    BranchesBackward<S> seconds;
    for (Cell<S>& c : cells_) {
        if (op_.shape.partial > 1) c.unshuffle_gradient(node);
        c.add_node_gradient(node, terms, seconds);
        c.add_bypass_weights(node, around);
    }
    terms.run(pixels / static_cast<std::size_t>(sizes_.fold), width());
    around.run(pixels, this->around());
    seconds.run(pictures());
}

template <class S>
void Cells<S>::states_backward(std::span<const int> states) {
    BranchesBackward<S> all;
    for (int s : states) {
        if (op_.shape.partial > 1) {
            Nodes<S> around;
            for (Cell<S>& c : cells_) c.add_bypass_gradient(s, around);
            around.run(sizes_.pixels(cells_[0].bypass_size(s)), this->around());
            for (const Cell<S>& c : cells_) c.double_gradient(s);
        }
        for (Cell<S>& c : cells_) c.add_state_gradient(s, all);
    }
    all.run(pictures());
    for (int s : states)
        for (Cell<S>& c : cells_) c.unfold_gradient(s);
}

template <class S>
void Cells<S>::preprocessing_backward() {
    NodesBackward<S> nodes;
    for (Cell<S>& c : cells_) c.add_preprocessed_gradient(nodes);
    nodes.run(sizes_.pixels(sizes_.state[0]), op_.shape.channels);
    // Where one value is both inputs, the second adds to what the first wrote.
    const bool same = into_[0] && into_[0].grad.data == into_[1].grad.data;
    BranchesBackward<S> inputs[2];
    for (int i : {0, 1})
        for (Cell<S>& c : cells_) c.add_input_gradient(i, inputs[same ? i : 0]);
    for (const BranchesBackward<S>& pass : inputs) pass.run(sizes_.n);
}

template <class S>
void Cells<S>::backward(const Tensor& dy, std::span<Into> into) {
    into_ = into;
    ScratchScope scratch(current_arena());
    const std::size_t count = in_[2].size();
    T* dweights = nullptr;
    if (into[2]) {  // `none` has a gradient of zero
        const Tensor t = empty({op_.copies, static_cast<std::int64_t>(count)}, in_[2].dtype);
        t.device->fill(t.data, 0, t.bytes());
        dweights = t.as<T>();
    }
    for (std::size_t i = 0; i < cells_.size(); i++)
        cells_[i].begin_backward(dy, into, dweights ? dweights + i * count : nullptr);
    if (!op_.keeps_pools()) {
        Branches<S> pools;
        for (Cell<S>& c : cells_) {
            c.place_pools();
            c.add_pools(pools);
        }
        pools.run(pictures());
    }
    for (int node = op_.shape.nodes + 1; node >= 2; node--) {
        if (node < op_.shape.nodes + 1) states_backward({&node, 1});
        node_backward(node);
    }
    const int inputs[] = {0, 1};
    states_backward(inputs);
    preprocessing_backward();
    for (std::size_t i = 0; dweights && i < cells_.size(); i++)
        kernels::copy_or_add<T>(kernel_stream(), count, dweights + i * count, into[2].as<T>(),
                                i > 0 || into[2].accumulate());
}

template struct BranchesBackward<float>;
template struct BranchesBackward<double>;
template struct BranchesBackward<kernels::BFloat16>;
template struct NodesBackward<float>;
template struct NodesBackward<double>;
template struct NodesBackward<kernels::BFloat16>;
template class Cell<float>;
template class Cell<double>;
template class Cell<kernels::BFloat16>;
template class Cells<float>;
template class Cells<double>;
template class Cells<kernels::BFloat16>;

}  // namespace nascent::cell
