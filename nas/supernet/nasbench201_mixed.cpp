#include "nas/supernet/nasbench201_mixed.h"

#include "ops/reference.h"

namespace nascent {

using nb201::Op;

Nb201MixedNet::Nb201MixedNet(Device& device, DType dtype, const nb201::NetConfig& config, bool track)
    : Nb201Supernet(device, dtype, config, {.affine = false, .track_running_stats = track, .arch_parameters = true}) {}

Tensor Nb201MixedNet::mixed_node(const Cell& cell, int to, std::span<const Tensor> nodes, const Tensor& weights,
                                 bool training) {
    // Each operator is a fused node of one term; the weights and sums are primitive ops.
    Tensor sum;
    for (int from = 0; from < to; from++) {
        const Tensor& x = nodes[static_cast<std::size_t>(from)];
        const int edge = nb201::edge_index(to, from);
        auto operated = [&](Op op) {
            if (op == Op::skip_connect) return x;
            EdgeTerm term{EdgeOp::pool, 0};
            if (op != Op::avg_pool_3x3) {
                const ConvNormIds& c = cell.convs[edge][op == Op::nor_conv_3x3];
                term = {EdgeOp::conv,           0,
                        parameter(c.weight),    parameter(c.norm.gamma),
                        parameter(c.norm.beta), norm_args(c.norm, training)};
            }
            return sum_node({&x, 1}, {&term, 1});
        };
        for (Op op : {Op::skip_connect, Op::nor_conv_1x1, Op::nor_conv_3x3, Op::avg_pool_3x3}) {
            const Tensor y = weighted(operated(op), weights, edge * nb201::kOps + static_cast<int>(op));
            sum = sum.defined() ? add(sum, y) : y;
        }
    }
    return sum;
}

Tensor Nb201MixedNet::logits(const Tensor& x, bool training) {
    const Tensor weights = softmax(parameter(arch_parameters_));
    return run_blocks(
        x,
        [&](std::size_t cell, int to, std::span<const Tensor> nodes) {
            return mixed_node(cells_[cell], to, nodes, weights, training);
        },
        training);
}

}  // namespace nascent
