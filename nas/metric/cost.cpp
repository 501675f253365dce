#include "nas/metric/cost.h"

#include <fmt/format.h>

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent {

CostConvention cost_convention(std::string_view name) {
    return static_cast<CostConvention>(index_of_name("cost convention", name, kCostConventions));
}

Cost cost_of(const std::vector<nb201::Layer>& layers) {
    Cost cost;
    for (const nb201::Layer& l : layers) {
        cost.params += l.parameters();
        std::int64_t places = std::int64_t{l.out_size} * l.out_size;
        std::int64_t macs = l.weights() * places;
        std::int64_t biases = l.bias ? l.out * places : 0;
        bool linear = l.kind == nb201::LayerKind::linear;
        cost.macs[static_cast<std::size_t>(CostConvention::mac)] += macs;
        cost.macs[static_cast<std::size_t>(CostConvention::nb201)] += macs + biases;
        cost.macs[static_cast<std::size_t>(CostConvention::thop)] +=
            linear ? (2 * std::int64_t{l.in} - 1) * l.out : macs + biases;
    }
    return cost;
}

Cost cost_of(const nb201::NetConfig& config, const nb201::Architecture& arch) {
    return cost_of(nb201::stand_alone_layers(config, arch));
}

JsonObject macs_json(const Cost& cost) {
    JsonObject macs;
    for (std::size_t i = 0; i < kCostConventions.size(); i++) macs.add(kCostConventions[i], cost.macs[i]);
    return macs;
}

JsonObject cost_json(const nb201::Architecture& arch, const Cost& cost) {
    return JsonObject()
        .add("space", "nasbench201")
        .add("arch", nb201::to_string(arch))
        .add("params", cost.params)
        .add("macs", macs_json(cost));
}

std::string cost_text(const nb201::Architecture& arch, const Cost& cost) {
    std::string text = fmt::format("{}\n  parameters {:>12}\n", nb201::to_string(arch), cost.params);
    for (std::size_t i = 0; i < kCostConventions.size(); i++)
        text += fmt::format("  MACs {:>6} {:>12}\n", kCostConventions[i], cost.macs[i]);
    return text;
}

}  // namespace nascent
