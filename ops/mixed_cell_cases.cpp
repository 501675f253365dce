// Sample calls of mixed_cell.
#include "ops/mixed_cell_call.h"
#include "ops/reference.h"

namespace nascent {
namespace {

/// Edges of a cell: every earlier state to every node, those from inputs with `stride`. A letter an op: none, max, avg,
/// skip (k), separable 3, 5 and 7 (s, l, v), dilated 3 and 5 (d, e), bypass (b).
CellShape sample_shape(const std::string& ops, int channels, int nodes, int stride, bool reduce_before, bool weighed,
                       int partial = 1) {
    CellShape s{reduce_before, channels, nodes, {}, partial};
    int weight = 0;
    for (int to = 2; to < nodes + 2; to++)
        for (int from = 0; from < to; from++) {
            CellEdge e{from, to, from < 2 ? stride : 1, {}};
            for (char c : ops) {
                CellOp o{CellOpKind::none};
                if (c == 'm') o.kind = CellOpKind::max_pool;
                if (c == 'a') o.kind = CellOpKind::avg_pool;
                if (c == 'b') o.kind = CellOpKind::bypass;
                if (c == 'k') o.kind = CellOpKind::skip;
                if (c == 's' || c == 'l' || c == 'v') o = {CellOpKind::separable, c == 's' ? 3 : c == 'l' ? 5 : 7};
                if (c == 'd' || c == 'e') o = {CellOpKind::dilated, c == 'd' ? 3 : 5};
                o.weight = weighed ? weight++ : -1;
                e.ops.push_back(o);
            }
            s.edges.push_back(e);
        }
    return s;
}

/// A case whose inputs are the cell's two (n, size, size, channels each), the weights, the parameters.
/// Case of `copies` such cells: their parameters follow each other.
Case sample(const std::string& what, const CellShape& s, const Shape& before, const Shape& previous, bool same = false,
            int copies = 1) {
    Case c{what, {before}, {}};
    if (!same) c.inputs.push_back(previous);
    int weights = 0, norms = 2;
    for (const CellEdge& e : s.edges)
        for (const CellOp& o : e.ops) {
            weights += o.weight >= 0;
            norms += cell_op_norms(o, e.stride);
        }
    if (weights > 0) c.inputs.push_back({weights});
    const std::int64_t ch = s.channels, seen = ch / s.partial;
    auto norm = [&](std::int64_t channels) {
        if (s.affine) c.inputs.insert(c.inputs.end(), 2, Shape{channels});
    };
    auto reduce = [&](std::int64_t in, std::int64_t out) {
        c.inputs.insert(c.inputs.end(), 2, Shape{1, 1, in, out / 2});
        norm(out);
    };
    for (int copy = 0; copy < copies; copy++) {
        if (s.reduce_before)
            reduce(before[3], ch);
        else
            c.inputs.push_back({1, 1, before[3], ch}), norm(ch);
        c.inputs.push_back({1, 1, previous[3], ch}), norm(ch);
        for (const CellEdge& e : s.edges)
            for (const CellOp& o : e.ops) {
                if (o.kind == CellOpKind::skip && e.stride == 2) reduce(seen, seen);
                if (o.kind == CellOpKind::max_pool || o.kind == CellOpKind::avg_pool) norm(seen);
                for (int i = 0; i < (o.kind == CellOpKind::separable ? 2
                                     : o.kind == CellOpKind::dilated ? 1
                                                                     : 0);
                     i++) {
                    c.inputs.push_back({o.k, o.k, seen});
                    c.inputs.push_back({1, 1, seen, seen});
                    norm(seen);
                }
            }
    }
    c.image = {previous[0], previous[1], previous[2], ch};
    c.activations = same ? 1 : 2;
    c.run = [s, same, weights, norms, copies](Inputs in) {
        std::size_t at = same ? 1 : 2;
        const Tensor w = weights > 0 ? in[at++] : Tensor{};
        return mixed_cell(s, in[0], in[same ? 0 : 1], w, in.subspan(at),
                          std::vector<CellNorm>(static_cast<std::size_t>(copies * norms)), true, copies);
    };
    return c;
}

/// Edges given one by one: a letter as in sample_shape, the states it leads from and to.
CellShape path_shape(const std::vector<std::pair<char, std::pair<int, int>>>& edges, int channels, int nodes,
                     int stride, bool reduce_before) {
    CellShape s{reduce_before, channels, nodes, {}};
    for (const auto& [letter, ends] : edges) {
        CellEdge e =
            sample_shape(std::string(1, letter), channels, 1, ends.first < 2 ? stride : 1, false, false).edges[0];
        e.from = ends.first, e.to = ends.second;
        s.edges.push_back(e);
    }
    s.affine = true;
    return s;
}

/// The case, whose third input is the weights, with 1.5 added to gammas: where pools and identities stand behind them,
/// the next batch-norm undoes them, and the gradient of one near zero would be what cancellation leaves.
Case with_large_gammas(Case c) {
    std::vector<std::size_t> gammas;
    for (std::size_t i = 3; i + 1 < c.inputs.size(); i++)
        if (c.inputs[i].rank() == 1) gammas.push_back(i++);
    c.run = [run = c.run, gammas](Inputs in) {
        std::vector<Tensor> moved(in.begin(), in.end());
        for (std::size_t i : gammas) {
            const Tensor by = empty(in[i].shape, in[i].dtype);
            with_type(by.dtype, [&](auto zero) {
                const std::vector<decltype(zero)> host(by.size(), 1.5);
                by.device->copy_in(by.data, host.data(), by.bytes());
            });
            moved[i] = add(in[i], by);
        }
        return run(moved);
    };
    return c;
}

/// Only inputs [first, last) are differentiable.
Case only(Case c, std::size_t first, std::size_t last) {
    c.differentiable.assign(c.inputs.size(), false);
    for (std::size_t i = first; i < std::min(last, c.inputs.size()); i++) c.differentiable[i] = true;
    c.what += ", some gradients";
    return c;
}

/// Batch-norms with gamma and beta: all operators at once, and paths, which have one operator an edge and two edges a
/// node. Pools of one state on several edges have a gamma each.
std::vector<Case> affine_cases() {
    auto all_on_edges = [](const std::string& ops, int channels, int nodes, const Shape& x, int stride, int copies = 1,
                           int of = 1) {
        CellShape s = sample_shape(ops, channels, nodes, stride, false, true, of);
        s.affine = true;
        return with_large_gammas(
            sample(fmt::format("{} {}, affine{}{}{}", ops, x.text(), stride == 2 ? ", reduction" : "",
                               copies > 1 ? ", copies" : "", of > 1 ? ", partial" : ""),
                   s, x, x, false, copies));
    };
    auto path = [](const std::string& what, const CellShape& s, const Shape& before, const Shape& previous) {
        return sample("affine path, " + what, s, before, previous);
    };
    std::vector<Case> all{
        all_on_edges("s", 3, 1, {2, 4, 5, 3}, 1),          all_on_edges("mae", 4, 2, {2, 4, 3, 2}, 1),
        all_on_edges("maksd", 2, 2, {2, 4, 6, 3}, 2),      all_on_edges("ld", 17, 1, {1, 3, 2, 3}, 1),
        all_on_edges("nd", 2, 1, {35, 2, 2, 2}, 1),        all_on_edges("mks", 2, 1, {4, 4, 4, 2}, 2, 2),
        all_on_edges("mksdb", 8, 2, {4, 4, 4, 3}, 2, 1, 4)};
    const CellShape normal = path_shape({{'m', {0, 2}},
                                         {'m', {1, 2}},
                                         {'m', {0, 3}},
                                         {'s', {2, 3}},
                                         {'k', {1, 4}},
                                         {'k', {3, 4}},
                                         {'l', {0, 5}},
                                         {'e', {4, 5}}},
                                        2, 4, 1, true);
    all.push_back(path("after a reduction", normal, {2, 8, 4, 3}, {2, 4, 2, 5}));
    const CellShape reduction = path_shape(
        {{'k', {0, 2}}, {'d', {1, 2}}, {'a', {0, 3}}, {'a', {1, 3}}, {'s', {1, 4}}, {'a', {2, 4}}}, 4, 3, 2, false);
    all.push_back(path("reduction", reduction, {2, 4, 6, 3}, {2, 4, 6, 3}));
    all.push_back(only(path("reduction", reduction, {2, 4, 6, 3}, {2, 4, 6, 3}), 0, 2));
    all.push_back(only(path("reduction", reduction, {2, 4, 6, 3}, {2, 4, 6, 3}), 2, 100));
    const CellShape wide = path_shape({{'s', {0, 2}}, {'k', {1, 2}}, {'k', {0, 3}}, {'k', {2, 3}}}, 32, 2, 1, false);
    all.push_back(path("channels that fill vectors", wide, {1, 3, 3, 16}, {1, 3, 3, 32}));
    return all;
}

}  // namespace

std::vector<Case> MixedCell::cases() {
    auto plain = [](const std::string& ops, int channels, int nodes, const Shape& x, int stride = 1) {
        return sample(ops + " " + x.text() + (stride == 2 ? " reduction" : ""),
                      sample_shape(ops, channels, nodes, stride, false, true), x, x);
    };
    std::vector<Case> all{
        plain("s", 3, 1, {2, 4, 5, 3}),      plain("l", 2, 1, {2, 5, 4, 3}),         plain("v", 2, 1, {1, 4, 4, 2}),
        plain("d", 3, 1, {2, 4, 5, 2}),      plain("e", 2, 1, {1, 6, 5, 2}),         plain("m", 3, 2, {2, 4, 3, 2}),
        plain("a", 3, 2, {2, 4, 3, 2}),      plain("k", 2, 2, {2, 3, 2, 3}),         plain("s", 2, 1, {2, 6, 4, 3}, 2),
        plain("l", 2, 1, {1, 4, 6, 2}, 2),   plain("d", 2, 1, {2, 4, 6, 2}, 2),      plain("e", 2, 1, {1, 6, 4, 2}, 2),
        plain("mak", 4, 2, {2, 4, 6, 3}, 2), plain("s", 17, 1, {2, 3, 2, 3}),        plain("nd", 2, 1, {35, 2, 2, 2}),
        plain("nmaksd", 2, 2, {2, 4, 4, 2}), plain("nmaklde", 2, 2, {1, 4, 4, 3}, 2)};
    const CellShape halved = sample_shape("nmaksd", 2, 2, 1, true, true);
    all.push_back(sample("after a reduction", halved, {2, 8, 4, 3}, {2, 4, 2, 5}));
    all.push_back(sample("no weights", sample_shape("sk", 2, 1, 1, false, false), {2, 4, 4, 2}, {2, 4, 4, 2}));
    // Inputs of which only one has channels in fours, as the states have.
    const CellShape fours = sample_shape("k", 4, 1, 1, false, false);
    all.push_back(sample("an odd input and one in fours", fours, {2, 4, 3, 3}, {2, 4, 3, 4}));
    all.push_back(sample("an input in fours and an odd one", fours, {2, 4, 3, 4}, {2, 4, 3, 3}));
    // States of which each has a pool of one kind, and the next one the other's.
    CellShape pools = path_shape({{'a', {0, 2}}, {'m', {1, 2}}, {'a', {0, 3}}, {'m', {2, 3}}}, 2, 2, 1, false);
    pools.affine = false;
    all.push_back(sample("one kind of pool a state", pools, {2, 4, 3, 2}, {2, 4, 3, 2}));
    all.push_back(
        sample("one input twice", sample_shape("ksm", 2, 1, 1, false, true), {2, 4, 3, 2}, {2, 4, 3, 2}, true));
    all.push_back(only(plain("nmaksd", 2, 1, {2, 4, 4, 2}), 2, 3));    // an architecture step
    all.push_back(only(plain("nmaksd", 2, 1, {2, 4, 4, 2}), 3, 100));  // the first cell's weights
    all.push_back(only(plain("ksd", 2, 1, {2, 4, 4, 2}, 2), 0, 1));
    all.push_back(only(plain("sd", 2, 1, {2, 4, 4, 2}), 4, 6));
    auto twin = [](const std::string& ops, int nodes, const Shape& x, int stride, int copies, bool same = false) {
        return sample(fmt::format("{} {}, {} copies", ops, x.text(), copies),
                      sample_shape(ops, 2, nodes, stride, false, true), x, x, same, copies);
    };
    all.push_back(twin("nmaksd", 1, {4, 3, 3, 2}, 1, 2));
    all.push_back(twin("makse", 1, {2, 4, 4, 3}, 2, 2));
    all.push_back(twin("sk", 2, {6, 2, 3, 2}, 1, 3));
    all.push_back(twin("ks", 1, {2, 3, 3, 2}, 1, 2, true));
    all.push_back(sample("2 copies after a reduction", halved, {4, 8, 4, 3}, {4, 4, 2, 5}, false, 2));
    all.push_back(only(twin("nmaksd", 2, {4, 4, 4, 2}, 1, 2), 0, 3));  // second order's twin pass
    auto partial = [](const std::string& ops, int channels, int of, int nodes, const Shape& x, int stride,
                      int copies = 1, bool shuffle = true) {
        CellShape s = sample_shape(ops + "b", channels, nodes, stride, false, true, of);
        s.shuffle = shuffle;
        return sample(fmt::format("{} {}, one channel in {}{}{}", ops, x.text(), of, stride == 2 ? ", reduction" : "",
                                  shuffle ? "" : ", not shuffled"),
                      s, x, x, false, copies);
    };
    all.push_back(partial("nmaksd", 4, 2, 2, {2, 4, 5, 3}, 1));
    all.push_back(partial("nmaksd", 8, 4, 2, {1, 4, 4, 3}, 2));
    all.push_back(partial("le", 6, 3, 1, {2, 3, 4, 2}, 1));
    all.push_back(partial("s", 32, 2, 1, {1, 2, 3, 2}, 1));
    all.push_back(partial("ks", 4, 2, 3, {2, 4, 2, 2}, 2, 1, false));
    all.push_back(partial("ks", 4, 2, 2, {1, 2, 3, 2}, 1, 1, false));
    all.push_back(partial("msd", 4, 2, 1, {4, 4, 4, 2}, 2, 2));
    all.push_back(only(partial("mksd", 4, 2, 2, {2, 4, 4, 3}, 2), 2, 3));
    all.push_back(only(partial("mksd", 4, 2, 2, {2, 4, 4, 3}, 1), 3, 100));
    // Several pictures' channels side by side: 4, 2 (of 8), 2 (of 6), a picture too many, copies, the first dimension.
    all.push_back(partial("nmaksd", 16, 4, 2, {4, 4, 3, 3}, 1));
    all.push_back(partial("nmaksd", 16, 2, 1, {2, 4, 4, 2}, 2));
    all.push_back(partial("makle", 8, 2, 2, {6, 4, 4, 2}, 2));
    all.push_back(partial("ksd", 8, 4, 1, {3, 3, 4, 2}, 1));
    all.push_back(partial("mks", 8, 4, 1, {40, 2, 2, 2}, 2));
    all.push_back(partial("maksd", 8, 4, 2, {8, 4, 2, 2}, 2, 2));
    all.push_back(partial("aks", 8, 2, 3, {4, 2, 3, 2}, 1, 1, false));
    // 8 of 6 channels and 4 of 12, three vectors; states of one and of several vectors.
    all.push_back(partial("maksd", 18, 3, 2, {8, 3, 2, 2}, 1));
    all.push_back(partial("maksd", 36, 6, 1, {8, 2, 2, 2}, 2));
    all.push_back(partial("ks", 72, 6, 1, {4, 2, 3, 2}, 1));
    auto ordered = [](const std::string& ops, int channels, int of, int nodes, const Shape& x, int stride,
                      int copies = 1) {
        CellShape s = sample_shape(ops + "b", channels, nodes, stride, false, true, of);
        for (int node = 0; node < nodes; node++)
            for (int c = 0; c < channels; c++)
                s.order.push_back(static_cast<std::uint16_t>((c * 3 + node + 1) % channels));
        return sample(fmt::format("{} {}, one channel in {}, in an order given", ops, x.text(), of), s, x, x, false,
                      copies);
    };
    all.push_back(ordered("mks", 8, 4, 2, {4, 2, 4, 3}, 2));
    all.push_back(ordered("asd", 8, 2, 3, {3, 3, 2, 2}, 1));
    all.push_back(ordered("ks", 4, 2, 2, {4, 2, 2, 2}, 1, 2));
    all.push_back(only(partial("mksd", 8, 4, 2, {4, 2, 4, 3}, 2), 2, 3));
    all.push_back(only(partial("aksd", 8, 4, 2, {4, 2, 4, 3}, 1), 3, 100));
    Case plain_bypass = sample("nothing weighed, one channel in 2", sample_shape("ksb", 4, 1, 2, false, false, 2),
                               {2, 4, 4, 2}, {2, 4, 4, 2});
    all.push_back(plain_bypass);
    const std::vector<Case> affine = affine_cases();
    all.insert(all.end(), affine.begin(), affine.end());
    return all;
}

}  // namespace nascent
