#include "nas/supernet/nasbench201_mixed.h"

#include "nas/supernet/copies.h"
#include "ops/constants.h"
#include "ops/reference.h"
#include "ops/rounded_weights.h"

namespace nascent {

using nb201::Op;

Nb201MixedNet::Nb201MixedNet(Device& device, DType dtype, const nb201::NetConfig& config, const Cells& cells)
    : Nb201Supernet(
          device, dtype, config,
          {.affine = false, .track_running_stats = cells.track, .arch_parameters = true, .partial = cells.partial.of},
          cells.edge_weights),
      shape_(cells) {}

std::vector<std::vector<std::string>> Nb201MixedNet::operators() const {
    std::vector<std::vector<std::string>> all;
    for (std::size_t l = 0; l < layers_.size(); l++)  // a convolution and its batch-norm
        if (layers_[l].op >= 0 && layers_[l].kind == nb201::LayerKind::conv)
            all.push_back({layers_[l].name, layers_[l + 1].name});
    return all;
}

namespace {
bool is_computed(const ArchWeights& arch, int edge, Op op) {
    return (arch.chosen.empty() || arch.chosen[static_cast<std::size_t>(edge)] == static_cast<int>(op)) &&
           arch.keeps(edge * nb201::kOps + static_cast<int>(op));
}
/// The convolutions of a cell that are computed.
nb201::CellText convolutions(const ArchWeights& arch) {
    nb201::CellText cell;
    for (int to = 1; to < nb201::kNodes; to++) {
        auto& node = cell.nodes.emplace_back();
        for (int from = 0; from < to; from++)
            for (Op op : {Op::nor_conv_1x1, Op::nor_conv_3x3})
                if (is_computed(arch, nb201::edge_index(to, from), op)) node.push_back({op, from});
    }
    return cell;
}
}  // namespace

Tensor Nb201MixedNet::mixed_cell(const Cell& cell, const Tensor& x, const ArchWeights& arch, const Tensor& ones,
                                 bool training) {
    std::vector<WeighedTerm> terms;                         // `none` adds nothing
    const int columns = nb201::kOps + shape_.edge_weights;  // with betas an edge's row of weights ends with its own
    for (int copy = 0; copy < store_.copies(); copy++) {
        const CopyScope reading(store_, copy);
        for (int to = 1; to < nb201::kNodes; to++)
            for (int from = 0; from < to; from++) {
                const int edge = nb201::edge_index(to, from);
                for (Op op : {Op::skip_connect, Op::nor_conv_1x1, Op::nor_conv_3x3, Op::avg_pool_3x3}) {
                    if (!is_computed(arch, edge, op)) continue;
                    WeighedTerm t{EdgeOp::skip, from, to, edge * columns + static_cast<int>(op)};
                    if (op == Op::avg_pool_3x3) t.op = EdgeOp::pool;
                    if (op == Op::nor_conv_1x1 || op == Op::nor_conv_3x3) {
                        const ConvNormIds& c = cell.convs[edge][op == Op::nor_conv_3x3];
                        const NormArgs norm = norm_args(c.norm, training);
                        t.op = EdgeOp::conv, t.kernel = parameter(c.weight);
                        t.norm = {norm.running_mean, norm.running_var};
                        training = norm.training;  // without running statistics always the batch's
                    }
                    terms.push_back(t);
                }
                if (shape_.partial.of > 1)
                    terms.push_back(
                        {EdgeOp::bypass, from, to, shape_.edge_weights ? edge * columns + nb201::kOps : -1});
                if (!arch.sums || from + 1 < to) continue;
                Tensor one = ones;
                one.shape = {x.shape[3] / shape_.partial.of};
                terms.push_back({EdgeOp::constant, from, to, nb201::kEdges * nb201::kOps + to - 1, one});
            }
    }
    return weighed_cell(x, arch.weights, terms, training, nb201::kNodes, store_.copies(), shape_.partial);
}

std::vector<Tensor> Nb201MixedNet::logits_of_copies(const Tensor& x, bool training) {
    ArchWeights arch = arch_weights(arch_parameters_, 0);
    NASCENT_CHECK(!shape_.edge_weights || !arch.sums, runtime, "numbers that are added to nodes have no edge");
    if (shape_.edge_weights) arch.weights = edge_weights(arch.weights, store().read(betas_), nb201::kNodes - 1, 1);
    Tensor ones;  // as many as any cell has channels
    if (arch.sums) ones = constants({4 * config().channels}, store().dtype(), 1);
    const RoundedWeights rounded(Nb201Supernet::store(), weights_of({cells_.size(), convolutions(arch)}));
    return run_blocks(
        x,
        [&](std::size_t cell, const Tensor& input, std::size_t& number) {
            BlockScope place(number++);
            return mixed_cell(cells_[cell], input, arch, ones, training);
        },
        training);
}

}  // namespace nascent
