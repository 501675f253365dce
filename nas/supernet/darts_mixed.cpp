// Cells with all primitives on every edge, as calls of the fused op.
#include "engine/base/rng.h"
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

/// A cell's output is that of its last nodes.
Tensor of_last_nodes(const darts::Cell& cell, const CellShape& shape, const Tensor& all) {
    const int kept = static_cast<int>(cell.concat.size());
    if (kept == shape.nodes) return all;
    return slice_channels(all, (shape.nodes - kept) * cell.channels, kept * cell.channels);
}

}  // namespace

void DartsNet::take(const Group* g, std::vector<int>& parameters, std::vector<std::size_t>& norms) const {
    for (std::size_t i = g ? g->first : 0; g && i < g->last; i++) {
        const darts::LayerKind kind = net_.layers[i].kind;
        if (kind == darts::LayerKind::conv) parameters.push_back(ids_[i].weight);
        if (kind == darts::LayerKind::batch_norm) {
            norms.push_back(i);
            if (net_.layers[i].affine) parameters.insert(parameters.end(), {ids_[i].weight, ids_[i].bias});
        }
    }
}

Tensor DartsNet::run_path(const darts::Cell& cell, const Tensor& before, const Tensor& previous,
                          const darts::CellCode& path, bool training) {
    Scope scope("cell {}", cell.index);
    Mixed m;
    m.shape = {cell.reduction_before, cell.channels, cell.edges.back().to - 1, {}};
    m.shape.affine = net_.search.affine;
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
    return of_last_nodes(cell, m.shape, mixed_cell(m.shape, before, previous, {}, parameters, norms, training));
}

DartsNet::Mixed DartsNet::mixed(const darts::Cell& cell, const std::vector<bool>& kept) const {
    Mixed m;
    const int nodes = cell.edges.back().to - 1;
    const darts::SearchCell& search = net_.search;
    m.shape = {cell.reduction_before, cell.channels, nodes, {}, search.partial, search.shuffle};
    // With betas an edge's row of weights ends with its own.
    const int columns = search.operators() + search.edge_weights;
    for (int input : {0, 1}) take(group(darts::Part::preprocess, cell.index, input, -1), m.parameters, m.norms);
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
            take(group(darts::Part::edge, cell.index, static_cast<int>(place), op), m.parameters, m.norms);
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

void DartsNet::shuffle_at_random(std::uint64_t seed) {
    const darts::SearchCell& search = net_.search;
    NASCENT_CHECK(search.partial > 1 && search.shuffle, usage, "no channels are shuffled: K = {}, shuffle {}",
                  search.partial, search.shuffle);
    for (const darts::Cell& cell : net_.cells)
        NASCENT_CHECK(cell.channels <= 512, usage, "{} channels to be shuffled at random, expected at most 512",
                      cell.channels);
    // Of the stream of architectures, but of another seed than what rules draw.
    order_seed_ = seed ^ 0x5851F42D4C957F2D;
}

DartsNet::Mixed DartsNet::only(const Mixed& all, const std::vector<int>& chosen, int columns) {
    Mixed m = all;
    auto parameter = static_cast<std::size_t>(all.shape.reduce_before ? 3 : 2), norm = std::size_t{2};
    m.parameters.resize(parameter);
    m.norms.resize(norm);
    for (std::size_t place = 0; place < m.shape.edges.size(); place++) {
        CellEdge& e = m.shape.edges[place];
        e.ops.clear();
        for (const CellOp& o : all.shape.edges[place].ops) {
            const auto parameters = static_cast<std::size_t>(cell_op_parameters(o, e.stride)),
                       norms = static_cast<std::size_t>(cell_op_norms(o, e.stride));
            if (o.kind == CellOpKind::bypass || o.weight % columns == chosen.at(place)) {
                e.ops.push_back(o);
                for (std::size_t i = 0; i < parameters; i++) m.parameters.push_back(all.parameters[parameter + i]);
                for (std::size_t i = 0; i < norms; i++) m.norms.push_back(all.norms[norm + i]);
            }
            parameter += parameters;
            norm += norms;
        }
    }
    return m;
}

Tensor DartsNet::run_mixed(const darts::Cell& cell, const Tensor& before, const Tensor& previous, const Tensor& weights,
                           bool training) {
    const Mixed& all_operators = mixed_[static_cast<std::size_t>(cell.index)];
    const std::vector<int>& chosen = chosen_[cell.reduction];
    const int columns = static_cast<int>(weights.size() / cell.edges.size());
    Mixed m = chosen.empty() ? all_operators : only(all_operators, chosen, columns);
    if (order_seed_) {
        const auto forward =
            static_cast<std::uint64_t>(forward_.number) * 3 + static_cast<std::uint64_t>(forward_.pass);
        const auto cells = static_cast<std::uint64_t>(net_.cells.size()), nodes = std::uint64_t{12};
        const auto channels = static_cast<std::uint64_t>(cell.channels);
        for (std::uint64_t node = 0; node < static_cast<std::uint64_t>(m.shape.nodes); node++)
            for (std::uint64_t i = 0; i < channels; i++)
                m.shape.order.push_back(static_cast<std::uint16_t>(
                    shuffled(*order_seed_, RandomStream::architecture,
                             (forward * cells + static_cast<std::uint64_t>(cell.index)) * nodes + node, channels, i)));
    }
    std::vector<Tensor> parameters;
    std::vector<CellNorm> norms;
    for (int copy = 0; copy < store_.copies(); copy++) {
        const CopyScope reading(store_, copy);
        for (int id : m.parameters) parameters.push_back(store_.read(id));
        for (std::size_t layer : m.norms)
            norms.push_back({store_.buffer(ids_[layer].mean), store_.buffer(ids_[layer].variance)});
    }
    return of_last_nodes(cell, m.shape,
                         mixed_cell(m.shape, before, previous, weights, parameters, norms, training, store_.copies()));
}

}  // namespace nascent
