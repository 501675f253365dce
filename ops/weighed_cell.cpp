#include "ops/weighed_cell.h"

#include "kernels/fold.h"
#include "ops/kernel_stream.h"
#include "ops/reference.h"
#include "ops/rounding.h"
#include "ops/weighed_cell_call.h"

namespace nascent {

bool WeighedCell::on_cpu() { return kernel_stream().where == kernels::Where::cpu; }

int WeighedCell::fold(const Tensor& x) const {
    const bool constants =
        std::any_of(terms.begin(), terms.end(), [](const Term& t) { return t.op == EdgeOp::constant; });
    if (partial.of == 1 || constants || !on_cpu()) return 1;
    return kernels::fold_of(static_cast<int>(x.shape[0]) / copies, channels(x));
}

Tensor WeighedCell::reference(Inputs in) const {
    const int n = static_cast<int>(in[0].shape[0]) / copies;
    std::size_t kernel = 2;
    std::vector<Tensor> all;
    // What each term reads of a node. On the way back convolutions add to the gradient of what operators see one after
    // the other, those of 1x1 before those of 3x3, in their order and behind the other operators; what goes round them
    // has one of its own.
    auto readings = [&](int node, const Tensor& x) {
        std::vector<Tensor> by_term(terms.size());
        const int channels = static_cast<int>(x.shape[3]), seen = channels / partial.of;
        Tensor operand = x, around, others;
        if (partial.of > 1) {
            operand = slice_channels(x, 0, seen);
            around = rounded(slice_channels(x, seen, channels - seen), RoundTo::nothing, RoundTo::bf16);
        }
        for (const int k : {3, 1})
            for (std::size_t i = terms.size(); i-- > 0;)
                if (terms[i].from == node && terms[i].op == EdgeOp::conv && terms[i].k == k) by_term[i] = read(operand);
        others = read(operand);
        for (std::size_t i = 0; i < terms.size(); i++)
            if (terms[i].from == node && !by_term[i].defined()) by_term[i] = terms[i].bypass() ? around : others;
        return by_term;
    };
    const bool whole = partial.of == 1;
    std::vector<Tensor> of_input = readings(0, whole ? in[0] : read(in[0]));
    for (int copy = 0; copy < copies; copy++) {
        std::vector<std::vector<Tensor>> readers(static_cast<std::size_t>(nodes));
        for (const Tensor& t : of_input) readers[0].push_back(t.defined() ? slice_pictures(t, copy * n, n) : t);
        Tensor last = slice_pictures(in[0], copy * n, n);
        const Tensor like = last.detached();
        std::vector<std::size_t> kernels;  // by term
        for (const Term& t : terms) kernels.push_back(t.has_kernel() ? kernel++ : 0);
        for (int to = 1; to < nodes; to++) {
            Tensor sums[2];  // of operators, of what goes round them
            for (std::size_t i = 0; i < terms.size(); i++) {
                const Term& t = terms[i];
                if (t.to != to) continue;
                const Tensor& x = readers[static_cast<std::size_t>(t.from)][i];
                const CellNorm& running = norms[static_cast<std::size_t>(copy) * terms.size() + i];
                // A constant: batch-norm of zeros is its beta.
                Tensor y = x;
                if (t.op == EdgeOp::constant)
                    y = batch_norm(zero(x.detached()), in[kernels[i]], in[kernels[i]], {});
                else if (t.op == EdgeOp::pool)
                    y = stored(avg_pool(x, 3, 1, 1));
                else if (t.op == EdgeOp::conv)
                    y = rounded(batch_norm(product([](const Tensor& a, const Tensor& w) { return conv2d(a, w); },
                                                   relu(x), in[kernels[i]], factors_of(x.shape[3], x.shape[3])),
                                           {}, {}, {running.mean, running.variance, training}),
                                RoundTo::nothing, RoundTo::nothing);
                if (t.weight >= 0) y = weighted(y, in[1], t.weight);
                Tensor& sum = sums[t.bypass()];
                sum = sum.defined() ? add(sum, y) : y;
            }
            const int all_channels = static_cast<int>(like.shape[3]), seen = all_channels / partial.of;
            if (!sums[0].defined()) sums[0] = zero(whole ? like : slice_channels(like, 0, seen));
            if (!whole && !sums[1].defined()) sums[1] = zero(slice_channels(like, seen, all_channels - seen));
            last = stored(whole ? sums[0] : concat(sums));
            if (!whole && partial.shuffle) last = channel_shuffle(last, partial.of);
            if (to + 1 < nodes) readers[static_cast<std::size_t>(to)] = readings(to, last);
        }
        all.push_back(last);
    }
    return stack(all);
}

namespace {

/// Every edge of `nodes` nodes with the letters' operators: skip (s), pool (p), convolutions (1, 3), constants (c),
/// bypasses, weighed (b) or not (B).
Case sample(const std::string& ops, int nodes, const Shape& x, std::vector<int> wanted = {}, int copies = 1,
            const PartialChannels& partial = {}) {
    Case c{fmt::format("{} {}{}{}", ops, x.text(), copies > 1 ? fmt::format(", {} copies", copies) : "",
                       partial.of > 1
                           ? fmt::format(", one channel in {}{}", partial.of, partial.shuffle ? "" : ", not shuffled")
                           : ""),
           {x},
           {}};
    const std::int64_t seen = x[3] / partial.of;
    const int edges = nodes * (nodes - 1) / 2;
    c.inputs.push_back({edges, static_cast<std::int64_t>(ops.size())});
    for (int e = 0; e < copies * edges; e++)
        for (char o : ops)
            if (o == '1' || o == '3')
                c.inputs.push_back({o - '0', o - '0', seen, seen});
            else if (o == 'c')
                c.inputs.push_back({seen});
    if (ops.find('c') != std::string::npos)
        for (const Shape& s : c.inputs) c.differentiable.push_back(s.rank() != 1);
    if (!wanted.empty()) {
        c.differentiable.assign(c.inputs.size(), false);
        for (int i : wanted) c.differentiable[static_cast<std::size_t>(i)] = true;
        c.what += ", some gradients";
    }
    c.run = [ops, nodes, copies, partial](Inputs in) {
        std::vector<WeighedTerm> terms;
        std::size_t kernel = 2;
        for (int copy = 0; copy < copies; copy++) {
            int weight = 0;
            for (int to = 1; to < nodes; to++)
                for (int from = 0; from < to; from++)
                    for (char o : ops) {
                        const EdgeOp op = o == 's'               ? EdgeOp::skip
                                          : o == 'p'             ? EdgeOp::pool
                                          : o == 'c'             ? EdgeOp::constant
                                          : o == 'b' || o == 'B' ? EdgeOp::bypass
                                                                 : EdgeOp::conv;
                        const bool has = op == EdgeOp::conv || op == EdgeOp::constant;
                        terms.push_back({op, from, to, weight++, has ? in[kernel++] : Tensor{}});
                        if (o == 'B') terms.back().weight = -1;
                    }
        }
        return weighed_cell(in[0], in[1], terms, true, 0, copies, partial);
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
    auto partial = [](const std::string& ops, int nodes, const Shape& x, int of, std::vector<int> wanted = {},
                      int copies = 1, bool shuffle = true) {
        return sample(ops, nodes, x, std::move(wanted), copies, {of, shuffle});
    };
    all.push_back(partial("s13pB", 4, {2, 4, 3, 6}, 3));
    all.push_back(partial("s13pb", 3, {2, 3, 4, 8}, 4));
    all.push_back(partial("s3pB", 3, {1, 3, 5, 34}, 2));
    all.push_back(partial("1pB", 2, {35, 2, 2, 4}, 4));
    all.push_back(partial("s3b", 3, {2, 3, 3, 4}, 2, {}, 1, false));
    all.push_back(partial("s13pB", 3, {2, 3, 3, 4}, 2, {1}));
    all.push_back(partial("3pb", 3, {2, 3, 3, 4}, 2, {2, 4}));
    all.push_back(partial("3pB", 3, {2, 3, 3, 4}, 2, {0}));
    all.push_back(partial("s13pb", 3, {4, 3, 3, 4}, 2, {}, 2));
    all.push_back(partial("3B", 2, {6, 2, 3, 4}, 4, {0, 1}, 3));
    all.push_back(partial("s3cB", 3, {2, 4, 3, 6}, 2));
    all.push_back(partial("B", 3, {2, 3, 2, 4}, 2));
    all.push_back(partial("b3", 2, {1, 2, 3, 4}, 2));
    // Several pictures' channels side by side: 4, 8 (of 6), 2 (of 12), with a part of a vector, a picture too many,
    // copies.
    all.push_back(partial("s13pB", 3, {4, 3, 4, 16}, 4));
    all.push_back(partial("s13pB", 2, {8, 2, 3, 12}, 2));
    all.push_back(partial("13pb", 2, {2, 3, 2, 24}, 2));
    all.push_back(partial("s13pB", 2, {5, 2, 3, 16}, 4));
    all.push_back(partial("s3pb", 3, {8, 3, 2, 16}, 4, {}, 2));
    all.push_back(partial("13pB", 3, {4, 2, 3, 16}, 4, {1, 2}, 1, false));
    all.push_back(partial("3sB", 3, {4, 2, 2, 4}, 2, {}, 2));
    all.push_back(partial("13pB", 2, {2, 3, 3, 36}, 2));  // 18 channels: the z of 1x1s are stored
    all.push_back(partial("1b", 3, {2, 3, 3, 32}, 2));
    Case beside = partial("s3pB", 3, {2, 4, 3, 4}, 2);
    beside.what = "partial, x also used elsewhere";
    beside.run = [run = beside.run](Inputs in) { return add(in[0], run(in)); };
    all.push_back(beside);
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
    // Edges whose operators were all pruned but one, or that only go round.
    all.push_back({"few terms, one channel in 2", {{2, 3, 4, 4}, {2, 5}, {3, 3, 2, 2}}, [](Inputs in) {
                       const WeighedTerm terms[] = {{EdgeOp::pool, 0, 1, 3},    {EdgeOp::bypass, 0, 1, -1},
                                                    {EdgeOp::bypass, 0, 2, 4},  {EdgeOp::conv, 0, 3, 7, in[2]},
                                                    {EdgeOp::bypass, 1, 3, -1}, {EdgeOp::skip, 2, 3, 1}};
                       return weighed_cell(in[0], in[1], terms, true, 4, 1, {2, true});
                   }});
    all.push_back({"a node that nothing goes round to", {{2, 3, 2, 4}, {2, 3}, {3, 3, 2, 2}}, [](Inputs in) {
                       const WeighedTerm terms[] = {{EdgeOp::conv, 0, 1, 3, in[2]}, {EdgeOp::bypass, 0, 2, 4}};
                       return weighed_cell(in[0], in[1], terms, true, 3, 1, {2, true});
                   }});
    // 1x1s whose edges have no 3x3, some, and more than a row of products takes at once.
    all.push_back({"1x1s apart from 3x3s, one channel in 4",
                   {{4, 3, 2, 16}, {2, 8}, {1, 1, 4, 4}, {3, 3, 4, 4}, {1, 1, 4, 4}, {1, 1, 4, 4}, {1, 1, 4, 4}},
                   [](Inputs in) {
                       const WeighedTerm terms[] = {{EdgeOp::conv, 0, 1, 3, in[2]}, {EdgeOp::bypass, 0, 1, -1},
                                                    {EdgeOp::conv, 0, 2, 1, in[3]}, {EdgeOp::conv, 0, 2, 5, in[4]},
                                                    {EdgeOp::conv, 0, 2, 6, in[5]}, {EdgeOp::conv, 1, 2, 0, in[6]}};
                       return weighed_cell(in[0], in[1], terms, true, 0, 1, {4, true});
                   }});
    Case many{"12 1x1s of one edge, one channel in 2", {{2, 2, 3, 4}, {12}}, {}};
    for (int i = 0; i < 12; i++) many.inputs.push_back({1, 1, 2, 2});
    many.run = [](Inputs in) {
        std::vector<WeighedTerm> terms;
        for (int i = 0; i < 12; i++) terms.push_back({EdgeOp::conv, 0, 1, i, in[static_cast<std::size_t>(i) + 2]});
        return weighed_cell(in[0], in[1], terms, true, 0, 1, {2, true});
    };
    all.push_back(many);
    for (Case& c : all) c.activations = 1;
    return all;
}

Tensor weighed_cell(const Tensor& x, const Tensor& weights, std::span<const WeighedTerm> terms, bool training,
                    int nodes, int copies, const PartialChannels& partial) {
    WeighedCell op{std::max(1, nodes), {}, {}, training, copies, partial};
    NASCENT_CHECK(copies >= 1 && x.shape.rank() == 4 && x.shape[0] % copies == 0 &&
                      terms.size() % static_cast<std::size_t>(copies) == 0,
                  runtime, "weighed_cell: {} terms on x {} for {} copies", terms.size(), x.shape.text(), copies);
    NASCENT_CHECK(partial.of >= 1 && x.shape[3] % partial.of == 0, runtime,
                  "weighed_cell: operators see one channel in {}, which does not divide {}", partial.of, x.shape[3]);
    const std::int64_t seen = op.channels(x);
    const DType vectors = compute_type(x.dtype);
    NASCENT_CHECK(weights.dtype == vectors, runtime, "weighed_cell: weights are {}, expected {} for x of {}",
                  name_of(weights.dtype), name_of(vectors), name_of(x.dtype));
    const std::size_t each = terms.size() / static_cast<std::size_t>(copies);
    std::vector<Tensor> inputs{x, weights};
    for (std::size_t i = 0; i < terms.size(); i++) {
        const WeighedTerm& t = terms[i];
        const auto k = static_cast<int>(t.op == EdgeOp::conv && t.kernel.shape.rank() > 0 ? t.kernel.shape[0] : 0);
        const WeighedCell::Term term{t.op, t.from, t.to, t.weight, k};
        NASCENT_CHECK(t.from >= 0 && t.from < t.to && t.weight >= (term.bypass() ? -1 : 0) &&
                          t.weight < static_cast<std::int64_t>(weights.size()),
                      runtime, "weighed_cell: no term from node {} to node {} with weight {} of {}", t.from, t.to,
                      t.weight, weights.size());
        NASCENT_CHECK(!term.bypass() || partial.of > 1, runtime,
                      "weighed_cell: nothing goes round operators that see all channels");
        if (i < each) {
            op.nodes = std::max(op.nodes, t.to + 1);
            op.terms.push_back(term);
        }
        NASCENT_CHECK(op.terms[i % each] == term, runtime, "weighed_cell: term {} of copy {} is another than copy 0's",
                      i % each, i / each);
        op.norms.push_back(t.norm);
        NASCENT_CHECK(t.op != EdgeOp::constant || t.kernel.shape == Shape({seen}), runtime,
                      "weighed_cell: a constant {} for {} channels", t.kernel.shape.text(), seen);
        NASCENT_CHECK(t.op != EdgeOp::conv || ((k == 1 || k == 3) && t.kernel.shape == Shape({k, k, seen, seen})),
                      runtime, "weighed_cell: a kernel {} for {} channels", t.kernel.shape.text(), seen);
        NASCENT_CHECK(!term.has_kernel() || t.kernel.dtype == vectors, runtime,
                      "weighed_cell: a kernel is {}, expected {} for x of {}", name_of(t.kernel.dtype),
                      name_of(vectors), name_of(x.dtype));
        if (term.has_kernel()) inputs.push_back(t.kernel);
    }
    NASCENT_CHECK(op.nodes > 1, runtime, "weighed_cell: no terms");
    return nascent::apply(op, inputs);
}

}  // namespace nascent
