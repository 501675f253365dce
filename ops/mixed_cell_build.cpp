#include <algorithm>

#include "ops/mixed_cell_call.h"
#include "ops/reference.h"

namespace nascent::cell {

namespace {

void check_inputs(const MixedCell& op, Inputs in) {
    const CellShape& s = op.shape;
    const Tensor &before = in[0], &previous = in[1];
    NASCENT_CHECK(before.shape.rank() == 4 && previous.shape.rank() == 4, runtime, "expected images, got {} and {}",
                  before.shape.text(), previous.shape.text());
    const std::int64_t twice = s.reduce_before ? 2 : 1;
    NASCENT_CHECK(before.shape[0] == previous.shape[0] && before.shape[1] == twice * previous.shape[1] &&
                      before.shape[2] == twice * previous.shape[2] && before.dtype == previous.dtype,
                  runtime, "a cell's inputs are {} and {}: the first must be {} as the second{}", before.shape.text(),
                  previous.shape.text(), s.reduce_before ? "twice as high and wide" : "as high and wide",
                  s.reduce_before ? ", whose preprocessing halves it: even sizes only" : "");
    const DType vectors = compute_type(previous.dtype);
    for (std::size_t i = kFirstParameter; i < in.size(); i++)
        NASCENT_CHECK(in[i].dtype == vectors, runtime, "parameter {} is {}, expected {} for an input of {}",
                      i - kFirstParameter, name_of(in[i].dtype), name_of(vectors), name_of(previous.dtype));
    NASCENT_CHECK(s.partial >= 1 && s.channels % s.partial == 0, runtime,
                  "operators see one channel in {}, which does not divide {}", s.partial, s.channels);
    if (!s.order.empty()) {
        const auto channels = static_cast<std::size_t>(s.channels);
        NASCENT_CHECK(s.partial > 1 && s.shuffle && s.order.size() == static_cast<std::size_t>(s.nodes) * channels,
                      runtime, "orders of {} channels for {} nodes of {}: partial is {}, shuffle {}", s.order.size(),
                      s.nodes, s.channels, s.partial, s.shuffle);
        for (std::size_t node = 0; node < static_cast<std::size_t>(s.nodes); node++)
            check_order(std::span(s.order).subspan(node * channels, channels), s.channels);
    }
    std::size_t parameters = (s.reduce_before ? 3 : 2) + (s.affine ? 4 : 0), norms = 2;
    for (const CellEdge& e : s.edges) {
        const auto bypasses =
            std::ranges::count_if(e.ops, [](const CellOp& o) { return o.kind == CellOpKind::bypass; });
        NASCENT_CHECK(bypasses == (s.partial > 1), runtime, "an edge with {} bypasses, expected {}: partial is {}",
                      bypasses, s.partial > 1 ? 1 : 0, s.partial);
        for (const CellOp& o : e.ops) {
            parameters += static_cast<std::size_t>(cell_op_parameters(o, e.stride, s.affine));
            norms += static_cast<std::size_t>(cell_op_norms(o, e.stride));
        }
    }
    NASCENT_CHECK(op.copies >= 1 && previous.shape[0] % op.copies == 0, runtime, "{} pictures for {} copies of a cell",
                  previous.shape[0], op.copies);
    const auto copies = static_cast<std::size_t>(op.copies);
    NASCENT_CHECK(in.size() == kFirstParameter + copies * parameters && op.norms.size() == copies * norms, runtime,
                  "{} parameters and {} batch-norms, expected {} and {}", in.size() - kFirstParameter, op.norms.size(),
                  copies * parameters, copies * norms);
}

}  // namespace

Sizes sizes_of(const MixedCell& op, Inputs in) {
    check_inputs(op, in);
    const CellShape& s = op.shape;
    Sizes sizes;
    sizes.n = static_cast<int>(in[1].shape[0]) / op.copies;
    if (s.partial > 1 && !s.affine && kernel_stream().where == kernels::Where::cpu)
        sizes.fold = kernels::fold_of(sizes.n, s.channels / s.partial);
    std::vector<StateSize>& size = sizes.state;
    const StateSize start{static_cast<int>(in[1].shape[1]), static_cast<int>(in[1].shape[2])};
    size.assign(static_cast<std::size_t>(s.nodes) + 2, start);
    std::vector<bool> reached(size.size(), false);
    reached[0] = reached[1] = true;
    for (const CellEdge& e : s.edges) {
        NASCENT_CHECK(e.from >= 0 && e.from < e.to && e.to >= 2 && e.to < s.nodes + 2, runtime,
                      "no edge from state {} to state {} in a cell of {} nodes", e.from, e.to, s.nodes);
        const StateSize from = size[static_cast<std::size_t>(e.from)];
        const StateSize to{(from.h - 1) / e.stride + 1, (from.w - 1) / e.stride + 1};
        StateSize& known = size[static_cast<std::size_t>(e.to)];
        NASCENT_CHECK(!reached[static_cast<std::size_t>(e.to)] || (known.h == to.h && known.w == to.w), runtime,
                      "edges of state {} give {} x {} and {} x {}", e.to, known.h, known.w, to.h, to.w);
        known = to;
        reached[static_cast<std::size_t>(e.to)] = true;
    }
    for (std::size_t i = 2; i < size.size(); i++) {
        NASCENT_CHECK(reached[i], runtime, "no edge leads to state {}", i);
        NASCENT_CHECK(size[i].h == size[2].h && size[i].w == size[2].w, runtime, "states 2 and {} differ in size", i);
    }
    return sizes;
}

template <class S>
kernels::Branch<S> Cell<S>::reduce(std::size_t at, int c_out) const {
    kernels::Branch<S> b{kernels::BranchKind::reduce, 0, c_out};
    b.point = parameter(at), b.point_odd = parameter(at + 1);
    return b;
}

template <class S>
void Cell<S>::check_affine(std::size_t gamma, int channels) const {
    for (std::size_t p = gamma; op_.shape.affine && p < gamma + 2; p++)
        NASCENT_CHECK(in_[p].shape == Shape{channels}, runtime,
                      "parameter {} is a batch-norm's gamma or beta of shape {}, expected ({})", p - kFirstParameter,
                      in_[p].shape.text(), channels);
}

template <class S>
void Cell<S>::build_preprocessing() {
    const auto copy = static_cast<std::size_t>(copy_), copies = static_cast<std::size_t>(op_.copies);
    std::size_t at = kFirstParameter + copy * ((in_.size() - kFirstParameter) / copies);
    for (int i : {0, 1}) {
        const bool halve = i == 0 && op_.shape.reduce_before;
        before_parameter_[i] = at;
        kernels::Branch<S>& b = before_[i];
        b = {kernels::BranchKind::pointwise, 0, c_};
        if (halve)
            b = reduce(at, c_);
        else
            b.point = parameter(at);
        const Shape weight{1, 1, in_[static_cast<std::size_t>(i)].shape[3], halve ? c_ / 2 : c_};
        for (std::size_t p = at; p < at + (halve ? 2 : 1); p++)
            NASCENT_CHECK(in_[p].shape == weight, runtime, "preprocess{}: weights {}, expected {}", i,
                          in_[p].shape.text(), weight.text());
        before_gamma_[i] = at + (halve ? 2 : 1);
        check_affine(before_gamma_[i], c_);
        at = before_gamma_[i] + (op_.shape.affine ? 2 : 0);
        before_norm_[i] = norm(c_);
        give(b, before_norm_[i]);
        preprocessed_[i] = nodes_tensor(size(0), c_);
        b.z = op_.keeps_z() ? nodes_tensor(size(0), c_) : preprocessed_[i];
    }
    // The edges' parameters and batch-norms follow, edge by edge.
    std::size_t norm = copy * (op_.norms.size() / copies) + 2;
    for (const CellEdge& e : op_.shape.edges)
        for (const CellOp& o : e.ops) {
            if (o.kind == CellOpKind::bypass) bypasses_.push_back({&e, &o});
            if (o.kind == CellOpKind::none || o.kind == CellOpKind::bypass) continue;
            const auto parameters = static_cast<std::size_t>(cell_op_parameters(o, e.stride, op_.shape.affine));
            EdgeBranch<S>& b = branches_.emplace_back(EdgeBranch<S>{&e, &o, at, norm});
            b.second = at + parameters / 2;
            if (op_.shape.affine && cell_op_norms(o, e.stride) > 0) {
                b.end_gamma = at + parameters - 2;
                b.middle_gamma = b.second - 2;
                check_affine(b.end_gamma, seen_);
                if (b.twice()) check_affine(b.middle_gamma, seen_);
            }
            at += parameters;
            norm += static_cast<std::size_t>(cell_op_norms(o, e.stride));
        }
}

/// The branches of the edges that leave a state; its own pools come first.
template <class S>
void Cell<S>::build_edges(int from) {
    using kernels::BranchKind;
    const StateSize s = size(from);
    for (EdgeBranch<S>& e : branches_) {
        if (e.edge->from != from || !e.pooled()) continue;
        const bool max = e.op->kind == CellOpKind::max_pool;
        const auto place = static_cast<std::size_t>(2 * from + (max ? 0 : 1));
        kernels::Branch<S>& pool = pools_[place];
        if (pool.c_out == 0) {
            pool = {max ? BranchKind::max_pool : BranchKind::avg_pool, 0, width_};
            pool.stride = e.edge->stride;
            if (op_.keeps_pools()) place_pool(place);
            if (op_.training) pool_norms_[place] = norm(width_);
            give(pool, pool_norms_[place]);
        }
        e.last = pool;
        e.end = op_.training ? pool_norms_[place] : norm(width_);
    }
    for (EdgeBranch<S>& e : branches_) {
        if (e.edge->from != from || e.pooled()) continue;
        const int stride = e.edge->stride;
        const StateSize out{(s.h - 1) / stride + 1, (s.w - 1) / stride + 1};
        auto give_z = [&](kernels::Branch<S>& b, Norm<T>& n) {
            b.z = nodes_tensor(out, seen_);
            n = norm(width_);
            give(b, n);
        };
        if (e.op->kind == CellOpKind::skip) {
            if (stride == 1) continue;
            NASCENT_CHECK(s.h % 2 == 0 && s.w % 2 == 0, runtime,
                          "a skip of stride 2 (FactorizedReduce) needs even sizes, state {} is {} x {}", from, s.h,
                          s.w);
            e.last = reduce(e.parameter, width_);
            give_z(e.last, e.end);
            continue;
        }
        kernels::Branch<S>& b = e.twice() ? e.first : e.last;
        b = {BranchKind::separable, 0, width_};
        b.k = e.op->k, b.stride = stride, b.dilation = e.twice() ? 1 : 2;
        b.depth = parameter(e.parameter), b.point = parameter(e.parameter + 1);
        give_z(b, e.twice() ? e.middle : e.end);
        if (!e.twice()) continue;
        e.last = {BranchKind::separable, 0, width_};
        e.last.k = e.op->k;
        e.last.depth = parameter(e.second), e.last.point = parameter(e.second + 1);
        give_z(e.last, e.end);
    }
}

template <class S>
Cell<S>::Cell(const MixedCell& op, Inputs in, int copy, const Sizes& sizes, const Tensor& y, Keeping& keeping)
    : op_(op),
      in_(in),
      copy_(copy),
      c_(op.shape.channels),
      seen_(c_ / op.shape.partial),
      width_(seen_ * sizes.fold),
      sizes_(sizes),
      keeping_(&keeping) {
    y_ = y.as<S>() + before_mine(y);
    for (auto first = op.shape.order.begin(); first != op.shape.order.end(); first += c_) {
        orders_.push_back({c_, {}});
        std::copy_n(first, c_, orders_.back().at);
    }
    pools_.resize(2 * sizes.state.size());
    pool_norms_.resize(2 * sizes.state.size());
    build_preprocessing();
    halved_.resize(sizes.state.size());
    folded_.resize(sizes.state.size());
    for (int from = 0; folded() && from < op.shape.nodes + 1; from++)
        folded_[static_cast<std::size_t>(from)] = nodes_tensor(size(from), seen_);
    for (int from = 0; from < op.shape.nodes + 1; from++) {
        build_edges(from);
        build_bypass(from);
    }
    keeping_ = nullptr;
}

template <class S>
void Cell<S>::place_pool(std::size_t i) {
    kernels::Branch<S>& pool = pools_[i];
    const StateSize from = size(static_cast<int>(i / 2)), out{pool.out_h(from.h), pool.out_w(from.w)};
    pool.z = nodes_tensor(out, seen_);
    if (pool.kind == kernels::BranchKind::max_pool) pool.tap = taps(out, seen_);
}

template <class S>
void Cell<S>::place_pools() {
    for (std::size_t i = 0; i < pools_.size(); i++)
        if (pools_[i].c_out > 0) place_pool(i);
    for (EdgeBranch<S>& e : branches_)
        if (e.pooled())
            e.last = pools_[static_cast<std::size_t>(2 * e.edge->from + (e.op->kind == CellOpKind::max_pool ? 0 : 1))];
}

template <class S>
kernels::Source<S> Cell<S>::input(std::size_t i) const {
    const Tensor& x = in_[i];
    const int c = static_cast<int>(x.shape[3]);
    return {x.as<S>() + before_mine(x), static_cast<int>(x.shape[1]), static_cast<int>(x.shape[2]), c, c};
}

template <class S>
kernels::Source<S> Cell<S>::state(int s) const {
    if (folded())
        return {
            folded_[static_cast<std::size_t>(s)], size(s).h, size(s).w, width_, width_, nullptr, nullptr, sizes_.fold};
    return {unfolded(s), size(s).h, size(s).w, seen_, pixel(s)};
}

/// The first half of a separable convolution, normalised, as what the second half reads.
template <class S>
kernels::Source<S> Cell<S>::middle_source(const EdgeBranch<S>& e) const {
    const StateSize s = size(e.edge->to);
    return {e.first.z, s.h, s.w, width_, width_, e.middle.scale, e.middle.shift, sizes_.fold, affine(e.middle_gamma)};
}

template class Cell<float>;
template class Cell<double>;
template class Cell<kernels::BFloat16>;

}  // namespace nascent::cell
