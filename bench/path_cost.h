// The arithmetic that one training step of the path supernet cannot avoid.
#pragma once
#include <span>

#include "nas/algo/path_sampling.h"

namespace nascent::bench {

/// Floating-point operations of forward and backward per picture: two per multiply-accumulate of convolutions and the
/// classifier, forward for everything on the path; backward data and weight gradients, but none for what no gradient
/// reaches (nodes from which only `none` leads to the cell's output) and no data gradient of the stem. Batch-norm,
/// pooling, sums and the update are not counted.
struct PathCost {
    double forward = 0, backward = 0;
    double total() const { return forward + backward; }
};

inline PathCost path_cost(const nb201::NetConfig& config, std::span<const nb201::Architecture> path) {
    const std::vector<nb201::Block> blocks = nb201::net_blocks(config);
    PathCost cost;
    for (const nb201::Layer& l : nb201::supernet_layers(config)) {
        const double flops = 2.0 * static_cast<double>(l.weights()) * l.out_size * l.out_size;
        const nb201::Block& block = blocks[static_cast<std::size_t>(l.block)];
        if (l.edge < 0) {
            cost.forward += flops;
            cost.backward += block.kind == nb201::BlockKind::stem ? flops : 2 * flops;
            continue;
        }
        const nb201::Architecture& cell = path[static_cast<std::size_t>(block.search_cell)];
        if (static_cast<int>(cell.ops[static_cast<std::size_t>(l.edge)]) != l.op) continue;
        const int to = nb201::kEdgeList[static_cast<std::size_t>(l.edge)].to;
        const bool reached[nb201::kNodes] = {
            true,
            cell.on(3, 1) != nb201::Op::none || (cell.on(2, 1) != nb201::Op::none && cell.on(3, 2) != nb201::Op::none),
            cell.on(3, 2) != nb201::Op::none, true};
        cost.forward += flops;
        cost.backward += reached[to] ? 2 * flops : 0;
    }
    return cost;
}

}  // namespace nascent::bench
