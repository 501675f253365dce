#include "nas/metric/darts_angle_parts.h"

#include "engine/base/error.h"

namespace nascent::darts {

AngleParts angle_parts(const Net& net, const std::function<AngleSums(const std::string& name)>& sums) {
    AngleParts parts;
    for (const Cell& c : net.cells) {
        NASCENT_CHECK(c.edges.size() == kEdges && c.edges[0].op < 0 && net.search.partial == 1, usage,
                      "angles are of DARTS supernets with {} edges of all primitives on all channels", kEdges);
        parts.cells.push_back({c.channels, c.reduction, {}});
    }
    for (const Layer& l : net.layers) {
        const bool norm = l.kind == LayerKind::batch_norm;
        if (l.parameters() == 0) continue;
        const AngleSums weight = sums(l.name + ".weight");
        if (l.kind == LayerKind::linear) {
            parts.classifier_weight += weight;
            parts.classifier_bias += sums(l.name + ".bias");
        } else if (l.part == Part::edge) {
            AngleParts::Op& op = parts.cells[static_cast<std::size_t>(l.cell)]
                                     .ops[static_cast<std::size_t>(l.place)][static_cast<std::size_t>(l.op)];
            (norm ? op.norm_weight : op.conv) += weight;
            if (norm) op.norm_bias += sums(l.name + ".bias");
        } else {
            (norm ? parts.fixed_norm : parts.fixed_conv) += weight;
            if (norm) parts.fixed_norm += sums(l.name + ".bias");
        }
    }
    return parts;
}

}  // namespace nascent::darts
