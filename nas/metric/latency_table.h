// How long the blocks of a chain take on a device: measured once, kept as a file, a constraint of searches.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "nas/metric/chain_cost.h"

namespace nascent {

/// Nanoseconds that a batch takes. A network's latency is taken for the sum of its parts'.
struct LatencyTable {
    /// What was measured: the header.
    std::string space, device, dtype;
    int size = 0, classes = 0, batch = 0, threads = 0, repeats = 0;

    std::int64_t stem = 0, head = 0;
    /// By block, operator's id and scale's id (chain::kUnscaled where channels are not searched).
    std::map<std::tuple<int, int, int>, std::int64_t> blocks;

    /// As text: lines `# KEY: VALUE`, then `block,op,nanoseconds` (`block,op,scale,nanoseconds` where channels are
    /// searched) and a row for stem, head and each operator of each block.
    std::string to_csv(const chain::Space& space) const;
    /// Throws Error(data) that names file, line and what was expected for any line that is not what to_csv() writes,
    /// twice the same entry, and an entry that is missing for what `space` has.
    static LatencyTable parse(std::string_view text, const std::string& file, const chain::Space& space);
    /// The same of a file; throws Error(usage) where it was measured in another space or for pictures of another size.
    static LatencyTable read(const std::string& file, const chain::Space& space);
};

/// Of each path the nanoseconds of its parts, each rounded up to a multiple of `grid`.
PathCosts latency_costs(const LatencyTable& table, const chain::Space& space, const chain::Choices& choices,
                        std::int64_t grid);

}  // namespace nascent
