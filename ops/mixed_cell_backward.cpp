#include "kernels/primitive.h"
#include "ops/mixed_cell_call.h"

namespace nascent::cell {

/// What the backward computes with.
template <class T>
struct Cell<T>::Gradients {
    struct Of {  // a state's
        T* g = nullptr;
        int pixel = 0;
    };
    std::vector<Of> states;
    std::vector<kernels::BranchGradient<T>> reach;  // by branch: what reaches it from its node
    std::vector<Of> middle;                         // by branch: gradient of a separable one's middle
    std::vector<kernels::NormMap<T>> middle_map;
    T* weights = nullptr;  // null: not wanted
    const T* dy = nullptr;
    std::deque<std::vector<kernels::BranchGradient<T>>> pool_gradients;
};

template <class T>
kernels::NormMap<T> make_map(int channels) {
    T* m = empty({3, channels}, dtype_of<T>()).template as<T>();
    return {m, m + channels, m + 2 * channels};
}

template <class T>
kernels::BranchBackward<T> Cell<T>::branch_backward(const kernels::Branch<T>& b, std::size_t at) const {
    kernels::BranchBackward<T> back{b, {}};
    if (b.kind == kernels::BranchKind::separable) {
        back.ddepth = into_[at].as<T>(), back.accumulate_depth = into_[at].accumulate();
        at++;
    }
    back.dpoint = into_[at].as<T>(), back.accumulate_point = into_[at].accumulate();
    if (b.kind == kernels::BranchKind::reduce)
        back.dpoint_odd = into_[at + 1].as<T>(), back.accumulate_point_odd = into_[at + 1].accumulate();
    return back;
}

/// From a node's gradient to the maps of its terms and the weights' gradients, and through the second halves of its
/// separable convolutions.
template <class T>
void Cell<T>::node_backward(Gradients& g, int node) {
    const auto& mine = g.states[static_cast<std::size_t>(node)];
    std::vector<kernels::MixedTermGradient<T>> terms;
    std::vector<kernels::SourceBackward<T>> sources;
    std::vector<kernels::BranchBackward<T>> branches;
    for (std::size_t i = 0; i < branches_.size(); i++) {
        const EdgeBranch<T>& e = branches_[i];
        if (e.edge->to != node) continue;
        const kernels::Source<T> from = state(e.edge->from);
        T* dweight = g.weights && e.op->weight >= 0 ? g.weights + e.op->weight : nullptr;
        if (!e.has_branch()) {
            terms.push_back({{from.x, from.pixel, nullptr, nullptr, weight(*e.op)}, nullptr, nullptr, {}, dweight});
            continue;
        }
        g.reach[i] = {mine.g, mine.pixel, make_map<T>(c_)};
        terms.push_back(
            {{e.last.z, c_, e.end.scale, e.end.shift, weight(*e.op)}, e.end.mean, e.end.rstd, g.reach[i].map, dweight});
        if (!e.twice()) continue;
        g.middle[i] = {empty({n_, size_[2].h, size_[2].w, c_}, dtype_of<T>()).template as<T>(), c_};
        g.middle_map[i] = make_map<T>(c_);
        kernels::SourceBackward<T> source{middle_source(e), g.middle[i].g, c_, {}};
        source.mean = e.middle.mean, source.rstd = e.middle.rstd, source.map = g.middle_map[i];
        branches.push_back(branch_backward(e.last, e.parameter + 2));
        branches.back().branch.source = static_cast<int>(sources.size());
        branches.back().gradients = {&g.reach[i], 1};
        sources.push_back(source);
    }
    const kernels::Stream stream = kernel_stream();
    const kernels::MixedNodeGradient<T> one[] = {{mine.g, mine.pixel, terms}};
    ScratchScope scratch(current_arena());
    kernels::nodes_backward<T>(stream, pixels(size_[2]), c_, one,
                               workspace(kernels::nodes_backward_workspace<T>(stream, pixels(size_[2]), c_, one)));
    if (branches.empty()) return;
    kernels::branches_backward<T>(stream, n_, sources, branches,
                                  workspace(kernels::branches_backward_workspace<T>(stream, n_, sources, branches)));
}

/// The gradients of states whose nodes are done.
template <class T>
void Cell<T>::states_backward(Gradients& g, std::span<const int> states) {
    std::vector<kernels::SourceBackward<T>> sources;
    std::vector<kernels::BranchBackward<T>> branches;
    std::deque<std::vector<kernels::Skip<T>>> skips;
    std::deque<kernels::BranchGradient<T>> firsts;
    for (int s : states) {
        auto add = [&](kernels::BranchBackward<T> b, std::span<const kernels::BranchGradient<T>> from) {
            b.branch.source = static_cast<int>(sources.size());
            b.gradients = from;
            branches.push_back(b);
        };
        std::vector<kernels::Skip<T>>& around = skips.emplace_back();
        if (s >= 2) around.push_back({g.dy + static_cast<std::ptrdiff_t>(s - 2) * c_, pixel(s)});
        std::vector<kernels::BranchGradient<T>>* pools[2] = {&g.pool_gradients.emplace_back(),
                                                             &g.pool_gradients.emplace_back()};
        for (std::size_t i = 0; i < branches_.size(); i++) {
            const EdgeBranch<T>& e = branches_[i];
            if (e.edge->from != s) continue;
            const auto& node = g.states[static_cast<std::size_t>(e.edge->to)];
            if (!e.has_branch())
                around.push_back({node.g, node.pixel, weight(*e.op)});
            else if (e.pooled())
                pools[e.op->kind == CellOpKind::max_pool ? 0 : 1]->push_back(g.reach[i]);
            else if (e.twice())
                add(branch_backward(e.first, e.parameter),
                    {&firsts.emplace_back(kernels::BranchGradient<T>{g.middle[i].g, c_, g.middle_map[i]}), 1});
            else
                add(branch_backward(e.last, e.parameter), {&g.reach[i], 1});
        }
        for (std::size_t p : {0, 1})
            if (!pools[p]->empty()) add({pools_[static_cast<std::size_t>(2 * s) + p], {}}, *pools[p]);
        auto& mine = g.states[static_cast<std::size_t>(s)];
        mine = {
            empty({n_, size_[static_cast<std::size_t>(s)].h, size_[static_cast<std::size_t>(s)].w, c_}, dtype_of<T>())
                .template as<T>(),
            c_};
        sources.push_back({state(s), mine.g, c_, around});
    }
    ScratchScope scratch(current_arena());
    const kernels::Stream stream = kernel_stream();
    kernels::branches_backward<T>(stream, n_, sources, branches,
                                  workspace(kernels::branches_backward_workspace<T>(stream, n_, sources, branches)));
}

template <class T>
void Cell<T>::preprocessing_backward(const Gradients& g) {
    const kernels::Stream stream = kernel_stream();
    kernels::MixedTermGradient<T> terms[2];
    kernels::MixedNodeGradient<T> nodes[2];
    kernels::BranchGradient<T> reach[2];
    for (std::size_t i : {0, 1}) {
        reach[i] = {g.states[i].g, c_, make_map<T>(c_)};
        const Norm<T>& n = before_norm_[i];
        terms[i] = {{before_[i].z, c_, n.scale, n.shift}, n.mean, n.rstd, reach[i].map};
        nodes[i] = {g.states[i].g, c_, {&terms[i], 1}};
    }
    ScratchScope scratch(current_arena());
    kernels::nodes_backward<T>(stream, pixels(size_[0]), c_, nodes,
                               workspace(kernels::nodes_backward_workspace<T>(stream, pixels(size_[0]), c_, nodes)));
    std::vector<kernels::SourceBackward<T>> sources;
    std::vector<kernels::BranchBackward<T>> branches;
    kernels::Skip<T> onto[2];
    for (std::size_t i : {0, 1}) {
        const Tensor& x = in_[i];
        const int c = static_cast<int>(x.shape[3]);
        Into& dx = into_[i];
        onto[i] = {dx.as<T>(), c};
        sources.push_back({{x.as<T>(), static_cast<int>(x.shape[1]), static_cast<int>(x.shape[2]), c, c},
                           dx.as<T>(),
                           c,
                           {&onto[i], dx && dx.accumulate() ? std::size_t{1} : std::size_t{0}}});
        branches.push_back(branch_backward(before_[i], before_parameter_[i]));
        branches.back().branch.source = static_cast<int>(i);
        branches.back().gradients = {&reach[i], 1};
    }
    auto back = [&](std::span<const kernels::SourceBackward<T>> s, std::span<const kernels::BranchBackward<T>> b) {
        kernels::branches_backward<T>(stream, n_, s, b,
                                      workspace(kernels::branches_backward_workspace<T>(stream, n_, s, b)));
    };
    if (!into_[0] || into_[0].grad.data != into_[1].grad.data) return back(sources, branches);
    // One value is both inputs: the second adds to what the first wrote.
    branches[1].branch.source = 0;
    back({&sources[0], 1}, {&branches[0], 1});
    back({&sources[1], 1}, {&branches[1], 1});
}

template <class T>
void Cell<T>::weights_backward(const Gradients& g) const {
    if (!g.weights) return;
    kernels::copy_or_add<T>(kernel_stream(), in_[2].size(), g.weights, into_[2].as<T>(), into_[2].accumulate());
}

template <class T>
void Cell<T>::backward(const Tensor& dy, std::span<Into> into) {
    into_ = into;
    const int nodes = op_.shape.nodes;
    ScratchScope scratch(current_arena());
    Gradients g;
    g.dy = dy.as<T>();
    g.states.resize(static_cast<std::size_t>(nodes) + 2);
    g.reach.resize(branches_.size());
    g.middle.resize(branches_.size());
    g.middle_map.resize(branches_.size());
    if (into[2]) {  // `none` has a gradient of zero
        const Tensor t = empty(in_[2].shape, in_[2].dtype);
        t.device->fill(t.data, 0, t.bytes());
        g.weights = t.as<T>();
    }
    g.states.back() = {const_cast<T*>(g.dy) + static_cast<std::ptrdiff_t>(nodes - 1) * c_, nodes * c_};
    for (int node = nodes + 1; node >= 2; node--) {
        if (node < nodes + 1) states_backward(g, {&node, 1});
        node_backward(g, node);
    }
    const int inputs[] = {0, 1};
    states_backward(g, inputs);
    preprocessing_backward(g);
    weights_backward(g);
}

template class Cell<float>;
template class Cell<double>;

}  // namespace nascent::cell
