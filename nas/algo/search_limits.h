// The limits that candidates of a search keep to, as constraints on paths.
#pragma once
#include <memory>
#include <string>

#include "nas/algo/constrained_paths.h"
#include "nas/algo/spos_search_options.h"
#include "nas/metric/chain_cost.h"
#include "nas/metric/latency_table.h"

namespace nascent {

/// How the space's own program counts "FLOPs": "auto" of search.flops.
chain::MacConvention own_convention(const chain::Space& space);

struct SearchLimits {
    std::shared_ptr<const ConstrainedPaths> paths;  // null: no limit
    std::optional<LatencyTable> latency;
    std::int64_t grid = 1;  // nanoseconds that latencies are rounded up to a multiple of
    chain::MacConvention convention = chain::MacConvention::mac;
    std::string text;  // for people: "MACs (mac) at most 330000000 and ..."; empty: none

    /// Throws what LatencyTable::read() throws, and ErrorKind::usage where no architecture is legal, with the nearest
    /// costs that can be reached. `operators`: of each block, what is left of the space; empty: all.
    static SearchLimits of(const SposSearchOptions& options, const chain::Space& space,
                           const std::vector<std::vector<int>>& operators = {});
    /// Nanoseconds of an architecture by the table, each part as it was measured.
    std::optional<std::int64_t> latency_of(const chain::Space& space, const chain::Architecture& arch) const;
};

/// Latencies on the finest grid of 1, 10, 100, ... ns on which PathCounts can count their sums: finer ones are too
/// many. They are rounded up, so a path that keeps to an upper limit on the grid keeps to it.
struct GriddedLatency {
    PathCosts costs;
    std::int64_t grid;
};
GriddedLatency gridded_latency(const LatencyTable& table, const chain::Space& space, const chain::Choices& choices);

}  // namespace nascent
