#include "nas/supernet/angle_table.h"

#include <array>
#include <cstdio>
#include <functional>

#include "ops/angle_sums.h"

namespace nascent {
namespace {

AngleSums sums_of(const StateDict& a, const StateDict& b, const std::string& name) {
    const auto &x = a.at(name), &y = b.at(name);
    NASCENT_CHECK(x.shape == y.shape, checkpoint, "tensor '{}' has different shapes in the two states", name);
    AngleSums s;
    for (std::size_t i = 0; i < x.values.size(); i++) {
        s.dot += x.values[i] * y.values[i];
        s.n0 += x.values[i] * x.values[i];
        s.n1 += y.values[i] * y.values[i];
    }
    return s;
}

/// sums(name): of the parameter of that name.
Nb201AngleTable angle_table_of(const SupernetShape& shape, const std::function<AngleSums(const std::string&)>& sums) {
    const std::vector<nb201::Block> blocks = nb201::net_blocks(shape.config);
    Nb201AngleTable table;
    for (const nb201::Block& b : blocks)
        if (b.kind == nb201::BlockKind::cell) table.cells.push_back({b.out_channels, {}});
    for (const nb201::Layer& l : nb201::supernet_layers(shape.config, shape.style)) {
        const nb201::Block& block = blocks[static_cast<std::size_t>(l.block)];
        std::vector<std::string> names;
        if (l.kind != nb201::LayerKind::batch_norm || l.affine) names.push_back(l.name + ".weight");
        if (l.bias || (l.kind == nb201::LayerKind::batch_norm && l.affine)) names.push_back(l.name + ".bias");
        // In searched cells the published vectors hold convolution weights only.
        if (block.kind == nb201::BlockKind::cell && l.kind != nb201::LayerKind::conv) continue;
        for (const std::string& name : names) {
            const AngleSums s = sums(name);
            if (block.kind != nb201::BlockKind::cell) {
                table.fixed += s;
                continue;
            }
            int to = 0, from = 0, op = 0;
            const std::string tail = l.name.substr(block.prefix.size());
            NASCENT_CHECK(std::sscanf(tail.c_str(), ".edges.%d<-%d.%d.", &to, &from, &op) == 3, runtime,
                          "unexpected layer '{}'", l.name);
            auto& ops = table.cells[static_cast<std::size_t>(block.search_cell)].ops;
            ops[static_cast<std::size_t>(nb201::edge_index(to, from))][static_cast<std::size_t>(op)] += s;
        }
    }
    return table;
}
}  // namespace

Nb201AngleTable angle_table(const SupernetShape& shape, const StateDict& initial, const StateDict& trained,
                            const std::string& initial_source, const std::string& trained_source) {
    Scope scope("angle between {} and {}", initial_source, trained_source);
    return angle_table_of(shape, [&](const std::string& name) { return sums_of(initial, trained, name); });
}

Nb201AngleTable angle_table(const Nb201Supernet& initial, const Nb201Supernet& trained, const Sgd* optimizer) {
    const std::vector<std::array<double, 3>> sums = angle_sums(initial.store(), trained.store(), optimizer);
    return angle_table_of({trained.config(), trained.style()}, [&](const std::string& name) {
        const int p = trained.store().find(name);
        NASCENT_CHECK(p >= 0, runtime, "the network has no parameter '{}'", name);
        const auto& [dot, before, now] = sums[static_cast<std::size_t>(p)];
        return AngleSums{dot, before, now};
    });
}

}  // namespace nascent
