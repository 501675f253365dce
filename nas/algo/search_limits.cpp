#include "nas/algo/search_limits.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace nascent {

using chain::MacConvention;

MacConvention own_convention(const chain::Space& space) {
    if (space.rules == chain::Rules::mmrazor) return MacConvention::mmrazor;
    return space.family == chain::Family::shufflenet ? MacConvention::mac : MacConvention::thop;
}

GriddedLatency gridded_latency(const LatencyTable& table, const chain::Space& space, const chain::Choices& choices) {
    for (std::int64_t grid = 1;; grid *= 10) {
        PathCosts costs = latency_costs(table, space, choices, grid);
        try {
            (void)PathCounts(costs);
            return {std::move(costs), grid};
        } catch (const Error&) {  // too many different sums
            if (grid >= 1'000'000'000) throw;
        }
    }
}

SearchLimits SearchLimits::of(const SposSearchOptions& o, const chain::Space& space,
                              const std::vector<std::vector<int>>& operators) {
    SearchLimits limits;
    const chain::Choices choices = operators.empty() ? chain::all_choices(space) : chain::choices_of(space, operators);
    limits.convention = o.flops == "auto" ? own_convention(space) : chain::mac_convention(o.flops);
    std::vector<Constraint> constraints;
    const auto add = [&](std::string name, PathCosts costs, CostRange range) {
        limits.text += fmt::format("{}{} {}", limits.text.empty() ? "" : " and ", name, to_string(range));
        constraints.push_back({std::move(name), std::move(costs), range});
    };
    const auto range = [](std::int64_t low, std::int64_t high) {
        CostRange r;
        if (low >= 0) r.low = low;
        if (high >= 0) r.high = high;
        return r;
    };
    if (o.min_flops >= 0 || o.max_flops >= 0)
        add(fmt::format("MACs ({})", chain::kMacConventions[static_cast<std::size_t>(limits.convention)]),
            chain::path_costs(space, choices, limits.convention), range(o.min_flops, o.max_flops));
    if (o.min_params >= 0 || o.max_params >= 0)
        add("parameters", chain::path_costs(space, choices, std::nullopt), range(o.min_params, o.max_params));
    if (!o.latency_table.empty()) {
        limits.latency = LatencyTable::read(o.latency_table, space);
        GriddedLatency gridded = gridded_latency(*limits.latency, space, choices);
        limits.grid = gridded.grid;
        add("nanoseconds", std::move(gridded.costs),
            range(-1, static_cast<std::int64_t>(std::floor(o.max_latency * 1e6))));
    }
    if (!constraints.empty()) limits.paths = std::make_shared<const ConstrainedPaths>(std::move(constraints));
    return limits;
}

std::optional<std::int64_t> SearchLimits::latency_of(const chain::Space& space, const chain::Architecture& arch) const {
    if (!latency) return std::nullopt;
    const chain::Choices choices = chain::all_choices(space);
    return latency_costs(*latency, space, choices, 1).of(chain::path_of(space, choices, arch));
}

}  // namespace nascent
