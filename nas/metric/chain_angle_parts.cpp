#include "nas/metric/chain_angle_parts.h"

#include <algorithm>

#include "engine/base/error.h"

namespace nascent::chain {
namespace {

std::size_t place_of(const Block& block, int op) {
    return static_cast<std::size_t>(std::find(block.ops.begin(), block.ops.end(), op) - block.ops.begin());
}

}  // namespace

AngleParts angle_parts(const Net& net, const std::function<AngleSums(const std::string& name)>& sums) {
    NASCENT_CHECK(net.space.family == Family::mobilenet && net.space.rules != Rules::mmrazor && !net.arch, usage,
                  "angles are of supernets of the spaces mobilenet and mobilenet-fairnas, not of {}", net.space.name);
    AngleParts parts;
    for (const Block& b : net.space.blocks) parts.blocks.emplace_back(b.ops.size());
    // How many convolutions of the current operator were seen: they and their norms come in order.
    int block = -1, op = kIdentity, convs = 0;
    for (const Layer& l : net.layers) {
        if (l.parameters() == 0) continue;
        const bool norm = l.kind == LayerKind::batch_norm;
        AngleSums both = sums(l.name + ".weight");
        if (l.kind == LayerKind::linear) {
            parts.classifier_weight += both;
            if (l.bias) parts.classifier_bias += sums(l.name + ".bias");
            continue;
        }
        if (norm) both += sums(l.name + ".bias");
        if (l.part != Part::block) {
            (norm ? parts.base_norms : parts.base_convs) += both;
            continue;
        }
        if (l.block != block || l.op != op) block = l.block, op = l.op, convs = 0;
        if (!norm) ++convs;
        NASCENT_CHECK(convs >= 1 && convs <= 3, runtime, "'{}': expected three convolutions, each with its norm",
                      l.name);
        const Block& of = net.space.blocks[static_cast<std::size_t>(block)];
        BottleneckSums& to = parts.blocks[static_cast<std::size_t>(block)].at(place_of(of, op));
        (norm ? to.norm : to.conv)[convs - 1] += both;
    }
    return parts;
}

ChainTable angle_table(const Space& space, const AngleParts& parts, const ChainAngleRules& rules,
                       MacConvention convention, const std::vector<std::vector<int>>& ops) {
    const Choices choices = ops.empty() ? all_choices(space) : choices_of(space, ops);
    const PathCosts costs = path_costs(space, choices, convention);
    ChainTable table;
    table.base = base_sums(parts.base_convs, parts.base_norms, parts.classifier_weight, parts.classifier_bias, rules);
    table.base_cost = costs.fixed();
    for (std::size_t b = 0; b < choices.size(); ++b) {
        const Block& block = space.blocks[b];
        auto& to = table.blocks.emplace_back();
        for (std::size_t c = 0; c < choices[b].size(); ++c) {
            const int op = choices[b][c].op;
            const AngleSums s = op == kIdentity ? identity_sums(block.in, block.out, rules)
                                                : block_sums(parts.blocks[b][place_of(block, op)], rules);
            to.push_back({op, s, costs.choices(static_cast<int>(b))[c]});
        }
    }
    return table;
}

}  // namespace nascent::chain
