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

void DartsNet::take(const Group* g, std::vector<int>& parameters, std::vector<std::size_t>& norms) const {
    for (std::size_t i = g ? g->first : 0; g && i < g->last; i++) {
        const darts::LayerKind kind = net_.layers[i].kind;
        if (kind == darts::LayerKind::conv) parameters.push_back(ids_[i].weight);
        if (kind == darts::LayerKind::batch_norm) norms.push_back(i);
    }
}

Tensor DartsNet::run_fused_path(const darts::Cell& cell, const Tensor& before, const Tensor& previous,
                                const darts::CellCode& path, bool training) {
    Mixed m;
    m.shape = {cell.reduction_before, cell.channels, cell.edges.back().to - 1, {}};
    for (int input : {0, 1}) take(group(darts::Part::preprocess, cell.index, input, -1), m.parameters, m.norms);
    for (std::size_t place = 0; place < cell.edges.size(); place++) {
        if (path[place] == 0) continue;
        const darts::Edge& e = cell.edges[place];
        m.shape.edges.push_back({e.from, e.to, e.stride, {cell_op(path[place], -1)}});
        take(group(darts::Part::edge, cell.index, static_cast<int>(place), path[place]), m.parameters, m.norms);
    }
    std::vector<Tensor> parameters;
    std::vector<CellNorm> norms;
    for (int id : m.parameters) parameters.push_back(store_.read(id));
    for (std::size_t layer : m.norms)
        norms.push_back({store_.buffer(ids_[layer].mean), store_.buffer(ids_[layer].variance)});
    return mixed_cell(m.shape, before, previous, {}, parameters, norms, training);
}

void DartsNet::build_mixed() {
    for (const darts::Cell& cell : net_.cells) {
        Mixed m;
        const int nodes = cell.edges.back().to - 1;
        const darts::SearchCell& search = net_.search;
        m.shape = {cell.reduction_before, cell.channels, nodes, {}, search.partial, search.shuffle};
        // With betas an edge's row of weights ends with its own.
        const int columns = darts::kPrimitives + search.edge_weights;
        for (int input : {0, 1}) take(group(darts::Part::preprocess, cell.index, input, -1), m.parameters, m.norms);
        for (std::size_t place = 0; place < cell.edges.size(); place++) {
            const darts::Edge& e = cell.edges[place];
            m.shape.edges.push_back({e.from, e.to, e.stride, {}});
            const int row = static_cast<int>(place) * columns;
            for (int op = 0; op < darts::kPrimitives; op++) {
                m.shape.edges.back().ops.push_back(cell_op(op, row + op));
                take(group(darts::Part::edge, cell.index, static_cast<int>(place), op), m.parameters, m.norms);
            }
            if (search.partial > 1)
                m.shape.edges.back().ops.push_back(
                    {CellOpKind::bypass, 0, search.edge_weights ? row + darts::kPrimitives : -1});
        }
        mixed_.push_back(std::move(m));
    }
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
