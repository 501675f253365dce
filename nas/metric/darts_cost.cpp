#include "nas/metric/darts_cost.h"

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent::darts {

MacConvention mac_convention(std::string_view name) {
    return static_cast<MacConvention>(index_of_name("MAC convention", name, kMacConventions));
}

std::int64_t Cost::macs(MacConvention convention) const {
    switch (convention) {
        case MacConvention::mac:
            return conv_macs + linear_macs;
        case MacConvention::conv:
            return conv_macs;
        case MacConvention::pc_darts:
            return conv_macs + linear_macs + 2 * batch_norm_outputs + relu_outputs;
        case MacConvention::thop:
            return conv_macs + 2 * linear_macs - linear_outputs;
    }
    fail(ErrorKind::usage, "no MAC convention has the number {}", static_cast<int>(convention));
}

Cost& Cost::operator+=(const Cost& other) {
    params += other.params;
    auxiliary_params += other.auxiliary_params;
    conv_macs += other.conv_macs;
    depthwise_macs += other.depthwise_macs;
    linear_macs += other.linear_macs;
    linear_outputs += other.linear_outputs;
    auxiliary_macs += other.auxiliary_macs;
    batch_norm_outputs += other.batch_norm_outputs;
    relu_outputs += other.relu_outputs;
    batch_norms += other.batch_norms;
    auxiliary_batch_norms += other.auxiliary_batch_norms;
    return *this;
}

Cost cost_of(const Layer& l) {
    const std::int64_t places = std::int64_t{l.out_size.h} * l.out_size.w, outputs = l.out * places;
    Cost cost;
    if (l.part == Part::auxiliary) {
        cost.auxiliary_params = l.parameters();
        cost.auxiliary_macs = l.weights() * places;
        cost.auxiliary_batch_norms = l.kind == LayerKind::batch_norm;
        return cost;
    }
    cost.params = l.parameters();
    if (l.kind == LayerKind::conv) cost.conv_macs = l.weights() * places;
    if (l.kind == LayerKind::conv && l.groups > 1) cost.depthwise_macs = cost.conv_macs;
    if (l.kind == LayerKind::linear) cost.linear_macs = l.weights(), cost.linear_outputs = l.out;
    if (l.kind == LayerKind::batch_norm) cost.batch_norm_outputs = outputs;
    if (l.kind == LayerKind::relu) cost.relu_outputs = outputs;
    cost.batch_norms = l.kind == LayerKind::batch_norm;
    return cost;
}

Cost cost_of(const Net& net) {
    Cost cost;
    for (const Layer& l : net.layers) cost += cost_of(l);
    return cost;
}

JsonObject macs_json(const Cost& cost) {
    JsonObject macs;
    for (std::size_t i = 0; i < kMacConventions.size(); i++)
        macs.add(kMacConventions[i], cost.macs(static_cast<MacConvention>(i)));
    return macs;
}

Cost cost_of_cell(const Net& net, int cell) {
    Cost cost;
    for (const Layer& l : net.layers) {
        if (l.cell == cell) cost += cost_of(l);
    }
    return cost;
}

}  // namespace nascent::darts
