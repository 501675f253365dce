// Cells with all primitives on every edge, as calls of the fused op.
#include "nas/supernet/copies.h"
#include "nas/supernet/darts.h"

namespace nascent {
namespace {

CellOp cell_op(int op, int weight) {
    switch (static_cast<darts::Op>(op)) {
        case darts::Op::max_pool_3x3:
            return {CellOpKind::max_pool, 3, weight};
        case darts::Op::avg_pool_3x3:
            return {CellOpKind::avg_pool, 3, weight};
        case darts::Op::skip_connect:
            return {CellOpKind::skip, 0, weight};
        case darts::Op::sep_conv_3x3:
            return {CellOpKind::separable, 3, weight};
        case darts::Op::sep_conv_5x5:
            return {CellOpKind::separable, 5, weight};
        case darts::Op::dil_conv_3x3:
            return {CellOpKind::dilated, 3, weight};
        case darts::Op::dil_conv_5x5:
            return {CellOpKind::dilated, 5, weight};
        default:
            return {CellOpKind::none, 0, weight};
    }
}

}  // namespace

DartsNet::Mixed DartsNet::mixed(const darts::Cell& cell, const std::vector<bool>& kept) const {
    Mixed m;
    const int nodes = cell.edges.back().to - 1;
    const darts::SearchCell& search = net_.search;
    m.shape = {cell.reduction_before, cell.channels, nodes, {}, search.partial, search.shuffle};
    // With betas an edge's row of weights ends with its own.
    const int columns = search.operators() + search.edge_weights;
    auto take = [&](darts::Part part, int place, int op) {
        const Group* g = group(part, cell.index, place, op);
        for (std::size_t i = g ? g->first : 0; g && i < g->last; i++) {
            const darts::LayerKind kind = net_.layers[i].kind;
            if (kind == darts::LayerKind::conv) m.parameters.push_back(ids_[i].weight);
            if (kind == darts::LayerKind::batch_norm) m.norms.push_back(i);
        }
    };
    for (int input : {0, 1}) take(darts::Part::preprocess, input, -1);
    for (std::size_t place = 0; place < cell.edges.size(); place++) {
        const darts::Edge& e = cell.edges[place];
        m.shape.edges.push_back({e.from, e.to, e.stride, {}});
        const int row = static_cast<int>(place) * columns;
        for (int op = search.first_op(); op < darts::kPrimitives; op++) {
            const int column = op - search.first_op();
            const std::size_t element =
                place * static_cast<std::size_t>(search.operators()) + static_cast<std::size_t>(column);
            if (!kept.empty() && !kept[element]) continue;  // pruned: neither computed nor kept in memory
            m.shape.edges.back().ops.push_back(cell_op(op, row + column));
            take(darts::Part::edge, static_cast<int>(place), op);
        }
        if (search.partial > 1)
            m.shape.edges.back().ops.push_back(
                {CellOpKind::bypass, 0, search.edge_weights ? row + search.operators() : -1});
    }
    return m;
}

std::vector<std::vector<std::string>> DartsNet::operators() const {
    std::vector<std::vector<std::string>> all;
    for (const auto& [key, group] : groups_) {
        if (std::get<0>(key) != darts::Part::edge) continue;
        std::vector<std::string>& names = all.emplace_back();
        for (std::size_t i = group.first; i < group.last; i++)
            if (ids_[i].weight >= 0 || ids_[i].mean >= 0) names.push_back(net_.layers[i].name);
        if (names.empty()) all.pop_back();
    }
    return all;
}

void DartsNet::build_mixed(bool reduction, const std::vector<bool>& kept) {
    if (kept == kept_[reduction]) return;
    kept_[reduction] = kept;
    for (const darts::Cell& cell : net_.cells)
        if (cell.reduction == reduction) mixed_[static_cast<std::size_t>(cell.index)] = mixed(cell, kept);
}

Tensor DartsNet::run_mixed(const darts::Cell& cell, const Tensor& before, const Tensor& previous, const Tensor& weights,
                           bool training) {
    const Mixed& m = mixed_[static_cast<std::size_t>(cell.index)];
    std::vector<Tensor> parameters;
    std::vector<CellNorm> norms;
    for (int copy = 0; copy < store_.copies(); copy++) {
        const CopyScope reading(store_, copy);
        for (int id : m.parameters) parameters.push_back(store_.read(id));
        for (std::size_t layer : m.norms)
            norms.push_back({store_.buffer(ids_[layer].mean), store_.buffer(ids_[layer].variance)});
    }
    const Tensor all = mixed_cell(m.shape, before, previous, weights, parameters, norms, training, store_.copies());
    // The output is that of the last nodes.
    const int kept = static_cast<int>(cell.concat.size());
    if (kept == m.shape.nodes) return all;
    return slice_channels(all, (m.shape.nodes - kept) * cell.channels, kept * cell.channels);
}

}  // namespace nascent
