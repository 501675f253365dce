#include "ops/weighed_cell.h"

#include <algorithm>

#include "kernels/mixed.h"
#include "kernels/norm.h"
#include "kernels/primitive.h"
#include "ops/reference.h"

namespace nascent {
namespace {

template <class T>
struct Kept;

/// Inputs: x, weights, the convolutions' kernels in the order of the terms.
struct WeighedCell {
    static constexpr const char* name = "weighed_cell";
    bool operator==(const WeighedCell&) const = default;
    struct Term {
        EdgeOp op;
        int from, to, weight;
        std::size_t kernel = 0;  // index into the inputs
        CellNorm norm = {};
        bool operator==(const Term&) const = default;
    };
    int nodes;  // the input and those after it
    std::vector<Term> terms;
    bool training;

    Tensor forward(Inputs in, Saved& saved) const {
        return with_type(in[0].dtype, [&](auto zero) { return run<decltype(zero)>(in, saved); });
    }
    void backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
        with_type(dy.dtype, [&](auto zero) { run_backward<decltype(zero)>(dy, into, in, saved); });
    }
    template <class T>
    Tensor run(Inputs in, Saved& saved) const;
    template <class T, class Gradient>
    void pass_back(int node, bool accumulate, T* da, const Gradient& gradient,
                   const std::vector<kernels::NormMap<T>>& maps, std::span<Into> into, Inputs in,
                   const Kept<T>& kept) const;
    template <class T>
    void run_backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const;
    Tensor reference(Inputs in) const;
    static std::vector<Case> cases();

    bool pooled(int node) const {
        return std::any_of(terms.begin(), terms.end(),
                           [&](const Term& t) { return t.from == node && t.op == EdgeOp::pool; });
    }
};

/// What the forward keeps, by its place in `saved`: the nodes behind the input, pools, then of each convolution z,
/// scale and shift, mean and rstd.
template <class T>
struct Kept {
    std::vector<const T*> node, pool;
    struct Conv {
        T *z, *scale, *shift;
        double *mean, *rstd;
    };
    std::vector<Conv> conv;  // by term; null where it is none

    Kept(const WeighedCell& op, Inputs in, const Saved& saved) {
        std::size_t next = 0;
        for (int i = 0; i < op.nodes; i++) node.push_back(i == 0 ? in[0].as<T>() : saved[next++].as<T>());
        for (int i = 0; i < op.nodes; i++) pool.push_back(op.pooled(i) ? saved[next++].as<T>() : nullptr);
        const std::int64_t c = in[0].shape[3];
        for (const auto& t : op.terms) {
            conv.push_back({});
            if (t.op != EdgeOp::conv) continue;
            Conv& k = conv.back();
            k.z = saved[next++].as<T>();
            k.scale = saved[next++].as<T>(), k.shift = k.scale + c;
            k.mean = saved[next++].as<double>(), k.rstd = k.mean + c;
        }
    }
    kernels::MixedTerm<T> term(const WeighedCell& op, Inputs in, std::size_t i, int pixel) const {
        const auto& t = op.terms[i];
        const T* weight = in[1].as<T>() + t.weight;
        if (t.op == EdgeOp::constant) return {in[t.kernel].as<T>(), 0, nullptr, nullptr, weight};
        const auto from = static_cast<std::size_t>(t.from);
        if (t.op == EdgeOp::conv) return {conv[i].z, pixel, conv[i].scale, conv[i].shift, weight};
        return {t.op == EdgeOp::pool ? pool[from] : node[from], pixel, nullptr, nullptr, weight};
    }
};

template <class T>
Tensor WeighedCell::run(Inputs in, Saved& saved) const {
    const Tensor& x = in[0];
    const kernels::Image image = image_of(x);
    for (int i = 1; i < nodes; i++) saved.push_back(empty(x.shape, x.dtype));
    const Tensor y = saved.back();
    for (int i = 0; i < nodes; i++)
        if (pooled(i)) saved.push_back(empty(x.shape, x.dtype));
    for (const Term& t : terms)
        if (t.op == EdgeOp::conv)
            saved.insert(saved.end(),
                         {empty(x.shape, x.dtype), empty({2, image.c}, x.dtype), empty({2, image.c}, DType::f64)});
    const Kept<T> kept(*this, in, saved);
    const kernels::Stream stream = kernel_stream();
    for (int node = 0; node < nodes; node++) {
        ScratchScope scratch(current_arena());
        const auto at = static_cast<std::size_t>(node);
        if (node > 0) {
            std::vector<kernels::MixedTerm<T>> sum;
            for (std::size_t i = 0; i < terms.size(); i++)
                if (terms[i].to == node) sum.push_back(kept.term(*this, in, i, image.c));
            const kernels::MixedNode<T> one[] = {{const_cast<T*>(kept.node[at]), image.c, sum}};
            kernels::nodes_forward<T>(stream, image.pixels(), image.c, one);
        }
        if (kept.pool[at]) {
            const kernels::Source<T> source[] = {{kept.node[at], image.h, image.w, image.c, image.c}};
            kernels::Branch<T> pool[] = {{kernels::BranchKind::avg_pool, 0, image.c}};
            pool[0].z = const_cast<T*>(kept.pool[at]);
            kernels::branches_forward<T>(
                stream, image.n, 0, source, pool,
                workspace(kernels::branches_forward_workspace<T>(stream, image.n, source, pool)));
        }
        for (std::size_t i = 0; i < terms.size(); i++) {
            const Term& t = terms[i];
            if (t.from != node || t.op != EdgeOp::conv) continue;
            const auto& conv = kept.conv[i];
            const kernels::ConvShape s = conv_shape(x, in[t.kernel], 1);
            NASCENT_CHECK(s.c_out == s.c_in, runtime, "kernel {} changes the number of channels",
                          in[t.kernel].shape.text());
            double* sums = training ? doubles(2 * static_cast<std::size_t>(s.c_out)) : nullptr;
            kernels::conv_forward<T>(stream, s, kept.node[at], {nullptr, nullptr, true}, in[t.kernel].as<T>(), conv.z,
                                     sums, workspace(kernels::conv_forward_workspace(stream, s, sizeof(T))));
            const NormArgs args{t.norm.mean, t.norm.variance, training};
            T* running_mean = t.norm.mean.defined() ? t.norm.mean.as<T>() : nullptr;
            T* running_var = t.norm.mean.defined() ? t.norm.variance.as<T>() : nullptr;
            NASCENT_CHECK(training || running_mean, runtime, "evaluation needs running statistics");
            const kernels::NormShape norm{image.c, s.pixels(), args.eps, args.momentum};
            if (training)
                kernels::norm_finish<T>(stream, norm, sums, nullptr, nullptr, running_mean, running_var, conv.mean,
                                        conv.rstd, conv.scale, conv.shift);
            else
                kernels::norm_running<T>(stream, norm, nullptr, nullptr, running_mean, running_var, conv.scale,
                                         conv.shift);
        }
    }
    return y;
}

template <class T>
void WeighedCell::run_backward(const Tensor& dy, std::span<Into> into, Inputs in, const Saved& saved) const {
    const kernels::Image image = image_of(dy);
    const kernels::Stream stream = kernel_stream();
    const Kept<T> kept(*this, in, saved);
    ScratchScope scratch(current_arena());
    T* dweights = nullptr;
    if (into[1]) {  // what no term names has a gradient of zero
        const Tensor t = empty(in[1].shape, in[1].dtype);
        t.device->fill(t.data, 0, t.bytes());
        dweights = t.as<T>();
    }
    std::vector<T*> g(static_cast<std::size_t>(nodes));  // of the nodes
    g[0] = into[0].as<T>();
    for (int node = 1; node + 1 < nodes; node++) g[static_cast<std::size_t>(node)] = empty(dy.shape, dy.dtype).as<T>();
    std::vector<kernels::NormMap<T>> maps;
    for (std::size_t i = 0; i < terms.size(); i++) {
        T* m = empty({3, image.c}, dy.dtype).as<T>();
        maps.push_back({m, m + image.c, m + 2 * image.c});
    }
    auto gradient = [&](int node) -> const T* {
        return node == nodes - 1 ? dy.as<T>() : g[static_cast<std::size_t>(node)];
    };
    for (int node = nodes - 1; node > 0; node--) {
        if (node < nodes - 1)
            pass_back<T>(node, false, g[static_cast<std::size_t>(node)], gradient, maps, into, in, kept);
        std::vector<kernels::MixedTermGradient<T>> sum;
        for (std::size_t i = 0; i < terms.size(); i++) {
            if (terms[i].to != node) continue;
            kernels::MixedTermGradient<T> t{kept.term(*this, in, i, image.c)};
            if (terms[i].op == EdgeOp::conv && training) t.mean = kept.conv[i].mean, t.rstd = kept.conv[i].rstd;
            if (terms[i].op != EdgeOp::skip && terms[i].op != EdgeOp::constant) t.map = maps[i];
            if (dweights) t.dweight = dweights + terms[i].weight;
            sum.push_back(t);
        }
        if (sum.empty()) continue;
        const kernels::MixedNodeGradient<T> one[] = {{gradient(node), image.c, sum}};
        ScratchScope own(current_arena());
        kernels::nodes_backward<T>(
            stream, image.pixels(), image.c, one,
            workspace(kernels::nodes_backward_workspace<T>(stream, image.pixels(), image.c, one)));
    }
    pass_back<T>(0, into[0].accumulate(), g[0], gradient, maps, into, in, kept);
    if (dweights) kernels::copy_or_add<T>(stream, in[1].size(), dweights, into[1].as<T>(), into[1].accumulate());
}

/// The gradient `da` (null: not wanted) of a node from those of the nodes that read it, and the kernels' gradients.
template <class T, class Gradient>
void WeighedCell::pass_back(int node, bool accumulate, T* da, const Gradient& gradient,
                            const std::vector<kernels::NormMap<T>>& maps, std::span<Into> into, Inputs in,
                            const Kept<T>& kept) const {
    const kernels::Image image = image_of(in[0]);
    const kernels::Stream stream = kernel_stream();
    const auto at = static_cast<std::size_t>(node);
    std::vector<kernels::Skip<T>> skips;
    std::vector<kernels::BranchGradient<T>> pools;
    if (accumulate) skips.push_back({da, image.c});
    for (std::size_t i = 0; i < terms.size(); i++) {
        const Term& t = terms[i];
        if (t.from != node) continue;
        if (t.op == EdgeOp::skip) skips.push_back({gradient(t.to), image.c, in[1].as<T>() + t.weight});
        if (t.op == EdgeOp::pool) pools.push_back({gradient(t.to), image.c, maps[i]});
    }
    if (da) {
        ScratchScope scratch(current_arena());
        const kernels::SourceBackward<T> source[] = {
            {{kept.node[at], image.h, image.w, image.c, image.c}, da, image.c, skips}};
        kernels::BranchBackward<T> pool[] = {{{kernels::BranchKind::avg_pool, 0, image.c}, pools}};
        pool[0].branch.z = const_cast<T*>(kept.pool[at]);
        const std::span<const kernels::BranchBackward<T>> branches(pool, pools.empty() ? 0 : 1);
        kernels::branches_backward<T>(
            stream, image.n, source, branches,
            workspace(kernels::branches_backward_workspace<T>(stream, image.n, source, branches)));
    }
    for (std::size_t i = 0; i < terms.size(); i++) {
        const Term& t = terms[i];
        if (t.from != node || t.op != EdgeOp::conv) continue;
        const kernels::ConvShape s = conv_shape(in[0], in[t.kernel], 1);
        const Into& dw = into[t.kernel];
        ScratchScope scratch(current_arena());
        kernels::conv_backward<T>(stream, s, kept.node[at], {nullptr, nullptr, true}, in[t.kernel].as<T>(),
                                  gradient(t.to), {kept.conv[i].z, maps[i].scale, maps[i].slope, maps[i].shift}, da,
                                  true, dw.as<T>(), dw.accumulate(),
                                  workspace(kernels::conv_backward_workspace(stream, s, sizeof(T))));
    }
}

Tensor WeighedCell::reference(Inputs in) const {
    std::vector<Tensor> node(static_cast<std::size_t>(nodes));
    node[0] = in[0];
    for (int to = 1; to < nodes; to++) {
        if (std::none_of(terms.begin(), terms.end(), [&](const Term& t) { return t.to == to; }))
            node[static_cast<std::size_t>(to)] = zero(in[0].detached());
        for (const Term& t : terms) {
            if (t.to != to) continue;
            const Tensor& x = node[static_cast<std::size_t>(t.from)];
            // A constant: batch-norm of zeros is its beta.
            Tensor y = t.op == EdgeOp::constant ? batch_norm(zero(x.detached()), in[t.kernel], in[t.kernel], {})
                       : t.op == EdgeOp::skip   ? x
                       : t.op == EdgeOp::pool   ? avg_pool(x, 3, 1, 1)
                                                : batch_norm(conv2d(relu(x), in[t.kernel]), {}, {},
                                                             {t.norm.mean, t.norm.variance, training});
            y = weighted(y, in[1], t.weight);
            Tensor& sum = node[static_cast<std::size_t>(to)];
            sum = sum.defined() ? add(sum, y) : y;
        }
    }
    return node.back();
}

/// Every edge of `nodes` nodes with the letters' operators: skip (s), pool (p), convolutions (1, 3).
Case sample(const std::string& ops, int nodes, const Shape& x, std::vector<int> wanted = {}) {
    Case c{ops + " " + x.text(), {x}, {}};
    const int edges = nodes * (nodes - 1) / 2;
    c.inputs.push_back({edges, static_cast<std::int64_t>(ops.size())});
    for (int e = 0; e < edges; e++)
        for (char o : ops)
            if (o == '1' || o == '3')
                c.inputs.push_back({o - '0', o - '0', x[3], x[3]});
            else if (o == 'c')
                c.inputs.push_back({x[3]});
    if (ops.find('c') != std::string::npos)
        for (const Shape& s : c.inputs) c.differentiable.push_back(s.rank() != 1);
    if (!wanted.empty()) {
        c.differentiable.assign(c.inputs.size(), false);
        for (int i : wanted) c.differentiable[static_cast<std::size_t>(i)] = true;
        c.what += ", some gradients";
    }
    c.run = [ops, nodes](Inputs in) {
        std::vector<WeighedTerm> terms;
        std::size_t kernel = 2;
        int weight = 0;
        for (int to = 1; to < nodes; to++)
            for (int from = 0; from < to; from++)
                for (char o : ops) {
                    const EdgeOp op = o == 's'   ? EdgeOp::skip
                                      : o == 'p' ? EdgeOp::pool
                                      : o == 'c' ? EdgeOp::constant
                                                 : EdgeOp::conv;
                    const bool plain = op == EdgeOp::skip || op == EdgeOp::pool;
                    terms.push_back({op, from, to, weight++, plain ? Tensor{} : in[kernel++]});
                }
        return weighed_cell(in[0], in[1], terms, true);
    };
    return c;
}

std::vector<Case> WeighedCell::cases() {
    std::vector<Case> all{sample("s", 2, {2, 3, 4, 3}),          sample("p", 3, {2, 4, 3, 3}),
                          sample("1", 3, {2, 3, 4, 5}),          sample("3", 2, {1, 5, 4, 17}),
                          sample("s13p", 4, {2, 4, 4, 3}),       sample("31", 2, {35, 2, 2, 3}),
                          sample("s13p", 3, {1, 3, 5, 4}),       sample("s13p", 3, {2, 3, 3, 2}, {1}),
                          sample("3p", 3, {2, 3, 3, 2}, {2, 4}), sample("3p", 3, {2, 3, 3, 2}, {0})};
    Case both = sample("s3p", 2, {2, 4, 3, 3});
    both.what = "x also used elsewhere";
    both.run = [run = both.run](Inputs in) { return add(in[0], run(in)); };
    all.push_back(both);
    all.push_back(sample("c", 2, {2, 3, 3, 5}));
    all.push_back(sample("s3c", 3, {2, 4, 3, 3}));
    // One operator an edge, nodes that nothing reaches or nothing reads.
    Case few{"few terms", {{2, 3, 4, 3}, {2, 5}, {3, 3, 3, 3}}, [](Inputs in) {
                 const WeighedTerm terms[] = {{EdgeOp::pool, 0, 1, 3}, {EdgeOp::conv, 0, 3, 7, in[2]}};
                 return weighed_cell(in[0], in[1], terms, true, 4);
             }};
    all.push_back(few);
    few.what = "an output that nothing reaches, also used elsewhere";
    few.run = [](Inputs in) {
        const WeighedTerm terms[] = {{EdgeOp::skip, 0, 1, 3}, {EdgeOp::conv, 1, 2, 7, in[2]}};
        return add(in[0], weighed_cell(in[0], in[1], terms, true, 4));
    };
    all.push_back(few);
    return all;
}

}  // namespace

Tensor weighed_cell(const Tensor& x, const Tensor& weights, std::span<const WeighedTerm> terms, bool training,
                    int nodes) {
    WeighedCell op{std::max(1, nodes), {}, training};
    std::vector<Tensor> inputs{x, weights};
    for (const WeighedTerm& t : terms) {
        NASCENT_CHECK(
            t.from >= 0 && t.from < t.to && t.weight >= 0 && static_cast<std::size_t>(t.weight) < weights.size(),
            runtime, "weighed_cell: no term from node {} to node {} with weight {} of {}", t.from, t.to, t.weight,
            weights.size());
        op.nodes = std::max(op.nodes, t.to + 1);
        op.terms.push_back({t.op, t.from, t.to, t.weight, inputs.size(), t.norm});
        NASCENT_CHECK(t.op != EdgeOp::constant || t.kernel.shape == Shape({x.shape[3]}), runtime,
                      "weighed_cell: a constant {} for {} channels", t.kernel.shape.text(), x.shape[3]);
        if (t.op == EdgeOp::conv || t.op == EdgeOp::constant) inputs.push_back(t.kernel);
    }
    NASCENT_CHECK(op.nodes > 1, runtime, "weighed_cell: no terms");
    return nascent::apply(op, inputs);
}

}  // namespace nascent
