#include "ops/mixed_cell_call.h"

namespace nascent::cell {

template <class T>
void Cell<T>::check() const {
    const CellShape& s = op_.shape;
    const Tensor &before = in_[0], &previous = in_[1];
    NASCENT_CHECK(before.shape.rank() == 4 && previous.shape.rank() == 4, runtime, "expected images, got {} and {}",
                  before.shape.text(), previous.shape.text());
    const std::int64_t twice = s.reduce_before ? 2 : 1;
    NASCENT_CHECK(before.shape[0] == previous.shape[0] && before.shape[1] == twice * previous.shape[1] &&
                      before.shape[2] == twice * previous.shape[2] && before.dtype == previous.dtype,
                  runtime, "a cell's inputs are {} and {}: the first must be {} as the second{}", before.shape.text(),
                  previous.shape.text(), s.reduce_before ? "twice as high and wide" : "as high and wide",
                  s.reduce_before ? ", whose preprocessing halves it: even sizes only" : "");
    for (std::size_t i = kFirstParameter; i < in_.size(); i++)
        NASCENT_CHECK(in_[i].dtype == previous.dtype, runtime, "parameter {} is {}, the input {}", i - kFirstParameter,
                      name_of(in_[i].dtype), name_of(previous.dtype));
}

template <class T>
kernels::Branch<T> Cell<T>::reduce(std::size_t at, int c_out) const {
    kernels::Branch<T> b{kernels::BranchKind::reduce, 0, c_out};
    b.point = parameter(at), b.point_odd = parameter(at + 1);
    return b;
}

template <class T>
void Cell<T>::build_preprocessing() {
    std::size_t at = kFirstParameter;
    for (int i : {0, 1}) {
        const bool halve = i == 0 && op_.shape.reduce_before;
        before_parameter_[i] = at;
        kernels::Branch<T>& b = before_[i];
        b = {kernels::BranchKind::pointwise, 0, c_};
        if (halve)
            b = reduce(at, c_);
        else
            b.point = parameter(at);
        b.source = i;
        const Shape weight{1, 1, in_[static_cast<std::size_t>(i)].shape[3], halve ? c_ / 2 : c_};
        for (std::size_t p = at; p < at + (halve ? 2 : 1); p++)
            NASCENT_CHECK(in_[p].shape == weight, runtime, "preprocess{}: weights {}, expected {}", i,
                          in_[p].shape.text(), weight.text());
        at += halve ? 2 : 1;
        b.z = tensor({n_, size_[0].h, size_[0].w, c_}, dtype_of<T>()).template as<T>();
        before_norm_[i] = norm(c_);
        give(b, before_norm_[i]);
        preprocessed_[i] = tensor({n_, size_[0].h, size_[0].w, c_}, dtype_of<T>()).template as<T>();
    }
    // The edges' parameters and batch-norms follow, edge by edge.
    std::size_t norm = 2;
    for (const CellEdge& e : op_.shape.edges)
        for (const CellOp& o : e.ops) {
            if (o.kind == CellOpKind::none) continue;
            branches_.push_back({&e, &o, at, norm});
            at += static_cast<std::size_t>(cell_op_parameters(o, e.stride));
            norm += static_cast<std::size_t>(cell_op_norms(o, e.stride));
        }
    NASCENT_CHECK(at == in_.size() && norm == op_.norms.size(), runtime,
                  "{} parameters and {} batch-norms, expected {} and {}", in_.size() - kFirstParameter,
                  op_.norms.size(), at - kFirstParameter, norm);
}

/// The branches of the edges that leave a state; its own pools come first.
template <class T>
void Cell<T>::build_edges(int from) {
    using kernels::BranchKind;
    const StateSize s = size_[static_cast<std::size_t>(from)];
    StateSize out = s;
    for (EdgeBranch<T>& e : branches_) {
        if (e.edge->from != from || !e.pooled()) continue;
        const int stride = e.edge->stride;
        out = {(s.h - 1) / stride + 1, (s.w - 1) / stride + 1};
        const bool max = e.op->kind == CellOpKind::max_pool;
        const auto place = static_cast<std::size_t>(2 * from + (max ? 0 : 1));
        kernels::Branch<T>& pool = pools_[place];
        if (!pool.z) {
            pool = {max ? BranchKind::max_pool : BranchKind::avg_pool, 0, c_};
            pool.stride = stride;
            pool.z = tensor({n_, out.h, out.w, c_}, dtype_of<T>()).template as<T>();
            if (max)  // bytes
                pool.tap = static_cast<std::uint8_t*>(
                    tensor({static_cast<std::int64_t>((pixels(out) * static_cast<std::size_t>(c_) + 3) / 4)},
                           DType::i32)
                        .data);
            if (op_.training) pool_norms_[place] = norm(c_);
            give(pool, pool_norms_[place]);
        }
        e.last = pool;
        e.end = op_.training ? pool_norms_[place] : norm(c_);
    }
    for (EdgeBranch<T>& e : branches_) {
        if (e.edge->from != from || e.pooled()) continue;
        const int stride = e.edge->stride;
        out = {(s.h - 1) / stride + 1, (s.w - 1) / stride + 1};
        auto give_z = [&](kernels::Branch<T>& b, Norm<T>& n) {
            b.z = tensor({n_, out.h, out.w, c_}, dtype_of<T>()).template as<T>();
            n = norm(c_);
            give(b, n);
        };
        if (e.op->kind == CellOpKind::skip) {
            if (stride == 1) continue;
            NASCENT_CHECK(s.h % 2 == 0 && s.w % 2 == 0, runtime,
                          "a skip of stride 2 (FactorizedReduce) needs even sizes, state {} is {} x {}", from, s.h,
                          s.w);
            e.last = reduce(e.parameter, c_);
            give_z(e.last, e.end);
            continue;
        }
        kernels::Branch<T>& b = e.twice() ? e.first : e.last;
        b = {BranchKind::separable, 0, c_};
        b.k = e.op->k, b.stride = stride, b.dilation = e.twice() ? 1 : 2;
        b.depth = parameter(e.parameter), b.point = parameter(e.parameter + 1);
        give_z(b, e.twice() ? e.middle : e.end);
        if (!e.twice()) continue;
        e.last = {BranchKind::separable, 0, c_};
        e.last.k = e.op->k;
        e.last.depth = parameter(e.parameter + 2), e.last.point = parameter(e.parameter + 3);
        give_z(e.last, e.end);
    }
}

template <class T>
void Cell<T>::build() {
    check();
    const CellShape& s = op_.shape;
    c_ = s.channels;
    n_ = static_cast<int>(in_[1].shape[0]);
    const StateSize start{static_cast<int>(in_[1].shape[1]), static_cast<int>(in_[1].shape[2])};
    size_.assign(static_cast<std::size_t>(s.nodes) + 2, start);
    std::vector<bool> reached(size_.size(), false);
    reached[0] = reached[1] = true;
    for (const CellEdge& e : s.edges) {
        NASCENT_CHECK(e.from >= 0 && e.from < e.to && e.to >= 2 && e.to < s.nodes + 2, runtime,
                      "no edge from state {} to state {} in a cell of {} nodes", e.from, e.to, s.nodes);
        const StateSize from = size_[static_cast<std::size_t>(e.from)];
        const StateSize to{(from.h - 1) / e.stride + 1, (from.w - 1) / e.stride + 1};
        StateSize& known = size_[static_cast<std::size_t>(e.to)];
        NASCENT_CHECK(!reached[static_cast<std::size_t>(e.to)] || (known.h == to.h && known.w == to.w), runtime,
                      "edges of state {} give {} x {} and {} x {}", e.to, known.h, known.w, to.h, to.w);
        known = to;
        reached[static_cast<std::size_t>(e.to)] = true;
    }
    for (std::size_t i = 2; i < size_.size(); i++) {
        NASCENT_CHECK(reached[i], runtime, "no edge leads to state {}", i);
        NASCENT_CHECK(size_[i].h == size_[2].h && size_[i].w == size_[2].w, runtime, "states 2 and {} differ in size",
                      i);
    }
    y_ = tensor({n_, size_[2].h, size_[2].w, static_cast<std::int64_t>(s.nodes) * c_}, dtype_of<T>());
    pools_.resize(2 * size_.size());
    pool_norms_.resize(2 * size_.size());
    build_preprocessing();
    for (int from = 0; from < s.nodes + 1; from++) build_edges(from);
}

template <class T>
kernels::Source<T> Cell<T>::state(int s) const {
    const StateSize size = size_[static_cast<std::size_t>(s)];
    const T* x = s < 2 ? preprocessed_[s] : y_.as<T>() + static_cast<std::ptrdiff_t>(s - 2) * c_;
    return {x, size.h, size.w, c_, pixel(s)};
}

/// The first half of a separable convolution, normalised, as what the second half reads.
template <class T>
kernels::Source<T> Cell<T>::middle_source(const EdgeBranch<T>& e) const {
    const StateSize size = size_[static_cast<std::size_t>(e.edge->to)];
    return {e.first.z, size.h, size.w, c_, c_, e.middle.scale, e.middle.shift};
}

template class Cell<float>;
template class Cell<double>;

}  // namespace nascent::cell
