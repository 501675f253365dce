#include "ops/weighed_cell.h"

#include "ops/reference.h"
#include "ops/weighed_cell_call.h"

namespace nascent {

Tensor WeighedCell::reference(Inputs in) const {
    const int n = static_cast<int>(in[0].shape[0]) / copies;
    std::size_t kernel = 2;
    std::vector<Tensor> all;
    for (int copy = 0; copy < copies; copy++) {
        std::vector<Tensor> node(static_cast<std::size_t>(nodes));
        node[0] = slice_pictures(in[0], copy * n, n);
        std::vector<std::size_t> kernels;  // by term
        for (const Term& t : terms) kernels.push_back(t.has_kernel() ? kernel++ : 0);
        for (int to = 1; to < nodes; to++) {
            if (std::none_of(terms.begin(), terms.end(), [&](const Term& t) { return t.to == to; }))
                node[static_cast<std::size_t>(to)] = zero(node[0].detached());
            for (std::size_t i = 0; i < terms.size(); i++) {
                const Term& t = terms[i];
                if (t.to != to) continue;
                const Tensor& x = node[static_cast<std::size_t>(t.from)];
                const CellNorm& running = norms[static_cast<std::size_t>(copy) * terms.size() + i];
                // A constant: batch-norm of zeros is its beta.
                Tensor y = t.op == EdgeOp::constant ? batch_norm(zero(x.detached()), in[kernels[i]], in[kernels[i]], {})
                           : t.op == EdgeOp::skip   ? x
                           : t.op == EdgeOp::pool   ? avg_pool(x, 3, 1, 1)
                                                    : batch_norm(conv2d(relu(x), in[kernels[i]]), {}, {},
                                                                 {running.mean, running.variance, training});
                y = weighted(y, in[1], t.weight);
                Tensor& sum = node[static_cast<std::size_t>(to)];
                sum = sum.defined() ? add(sum, y) : y;
            }
        }
        all.push_back(node.back());
    }
    return stack(all);
}

namespace {

/// Every edge of `nodes` nodes with the letters' operators: skip (s), pool (p), convolutions (1, 3), constants (c).
Case sample(const std::string& ops, int nodes, const Shape& x, std::vector<int> wanted = {}, int copies = 1) {
    Case c{fmt::format("{} {}{}", ops, x.text(), copies > 1 ? fmt::format(", {} copies", copies) : ""), {x}, {}};
    const int edges = nodes * (nodes - 1) / 2;
    c.inputs.push_back({edges, static_cast<std::int64_t>(ops.size())});
    for (int e = 0; e < copies * edges; e++)
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
    c.run = [ops, nodes, copies](Inputs in) {
        std::vector<WeighedTerm> terms;
        std::size_t kernel = 2;
        for (int copy = 0; copy < copies; copy++) {
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
        }
        return weighed_cell(in[0], in[1], terms, true, 0, copies);
    };
    return c;
}

}  // namespace

std::vector<Case> WeighedCell::cases() {
    std::vector<Case> all{sample("s", 2, {2, 3, 4, 3}),
                          sample("p", 3, {2, 4, 3, 3}),
                          sample("1", 3, {2, 3, 4, 5}),
                          sample("3", 2, {1, 5, 4, 17}),
                          sample("s13p", 4, {2, 4, 4, 3}),
                          sample("31", 2, {35, 2, 2, 3}),
                          sample("s13p", 3, {1, 3, 5, 4}),
                          sample("s13p", 3, {2, 3, 3, 2}, {1}),
                          sample("3p", 3, {2, 3, 3, 2}, {2, 4}),
                          sample("3p", 3, {2, 3, 3, 2}, {0}),
                          sample("s13p", 3, {4, 3, 3, 2}, {}, 2),
                          sample("3s", 2, {6, 2, 3, 5}, {}, 3),
                          sample("s3p", 3, {2, 4, 3, 2}, {0, 1}, 2)};
    Case both = sample("s3p", 2, {2, 4, 3, 3});
    both.what = "x also used elsewhere";
    both.run = [run = both.run](Inputs in) { return add(in[0], run(in)); };
    all.push_back(both);
    all.push_back(sample("c", 2, {2, 3, 3, 5}));
    all.push_back(sample("s3c", 3, {2, 4, 3, 3}));
    all.push_back(sample("s3c", 3, {4, 3, 3, 2}, {}, 2));
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

Tensor weighed_cell(const Tensor& x, const Tensor& weights, std::span<const WeighedTerm> terms, bool training,
                    int nodes, int copies) {
    WeighedCell op{std::max(1, nodes), {}, {}, training, copies};
    NASCENT_CHECK(copies >= 1 && x.shape.rank() == 4 && x.shape[0] % copies == 0 &&
                      terms.size() % static_cast<std::size_t>(copies) == 0,
                  runtime, "weighed_cell: {} terms on x {} for {} copies", terms.size(), x.shape.text(), copies);
    const std::size_t each = terms.size() / static_cast<std::size_t>(copies);
    std::vector<Tensor> inputs{x, weights};
    for (std::size_t i = 0; i < terms.size(); i++) {
        const WeighedTerm& t = terms[i];
        NASCENT_CHECK(
            t.from >= 0 && t.from < t.to && t.weight >= 0 && static_cast<std::size_t>(t.weight) < weights.size(),
            runtime, "weighed_cell: no term from node {} to node {} with weight {} of {}", t.from, t.to, t.weight,
            weights.size());
        const WeighedCell::Term term{t.op, t.from, t.to, t.weight};
        if (i < each) {
            op.nodes = std::max(op.nodes, t.to + 1);
            op.terms.push_back(term);
        }
        NASCENT_CHECK(op.terms[i % each] == term, runtime, "weighed_cell: term {} of copy {} is another than copy 0's",
                      i % each, i / each);
        op.norms.push_back(t.norm);
        NASCENT_CHECK(t.op != EdgeOp::constant || t.kernel.shape == Shape({x.shape[3]}), runtime,
                      "weighed_cell: a constant {} for {} channels", t.kernel.shape.text(), x.shape[3]);
        if (t.op == EdgeOp::constant) inputs.push_back(t.kernel);
        if (t.op != EdgeOp::conv) continue;
        const kernels::ConvShape s = conv_shape(x, t.kernel, 1);
        NASCENT_CHECK(s.c_out == s.c_in, runtime, "kernel {} changes the number of channels", t.kernel.shape.text());
        inputs.push_back(t.kernel);
    }
    NASCENT_CHECK(op.nodes > 1, runtime, "weighed_cell: no terms");
    return nascent::apply(op, inputs);
}

}  // namespace nascent
