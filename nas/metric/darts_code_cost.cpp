#include "nas/metric/darts_code_cost.h"

#include <functional>

namespace nascent::darts {
namespace {

CodeCosts table(const NetConfig& config, const std::function<std::int64_t(const Layer&)>& cost) {
    NetConfig plain = config;
    plain.auxiliary = false;
    const Net net = search_net(plain, {.affine = true});
    CodeCosts costs;
    for (const Layer& l : net.layers) {
        if (l.part != Part::edge) {
            costs.base += cost(l);
            continue;
        }
        const bool reduction = net.cells[static_cast<std::size_t>(l.cell)].reduction;
        costs.ops[reduction][static_cast<std::size_t>(l.place)][static_cast<std::size_t>(l.op)] += cost(l);
    }
    return costs;
}

}  // namespace

CodeCosts code_costs(const NetConfig& config, MacConvention convention) {
    return table(config, [&](const Layer& l) { return cost_of(l).macs(convention); });
}

CodeCosts code_params(const NetConfig& config, bool pool_norms) {
    return table(config, [&](const Layer& l) {
        const bool pool = l.part == Part::edge && l.op <= static_cast<int>(Op::avg_pool_3x3);
        return pool && !pool_norms ? 0 : l.parameters();
    });
}

}  // namespace nascent::darts
