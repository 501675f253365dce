// Costs of chains and of their blocks.
#pragma once
#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "nas/metric/chain_cost.h"
#include "nas/space/chain_published.h"

namespace nascent::test {

inline chain::Cost cost(const chain::Space& s, std::string_view arch) {
    return cost_of(subnet(s, architecture_from(s, arch)).layers);
}

inline std::int64_t norm_channels(const std::vector<chain::Layer>& layers) {
    std::int64_t n = 0;
    for (const chain::Layer& l : layers) n += l.kind == chain::LayerKind::batch_norm ? l.out : 0;
    return n;
}

/// MACs, weights and channels of batch norms of the operators of blocks first..last; `norms` may repeat.
template <std::size_t kOps, std::size_t kNorms>
void check_blocks(const chain::Space& s, const std::array<int, 2>& blocks, const std::array<std::int64_t, kOps>& macs,
                  const std::array<std::int64_t, kOps>& weights, const std::array<std::int64_t, kNorms>& norms) {
    const chain::Style style = subnet_style(s);
    for (int b = blocks[0]; b <= blocks[1]; ++b) {
        for (std::size_t op = 0; op < kOps; ++op) {
            CAPTURE(b);
            CAPTURE(op);
            const auto layers =
                block_layers(s, s.blocks[static_cast<std::size_t>(b)], static_cast<int>(op), chain::kUnscaled, style);
            const chain::Cost c = cost_of(layers);
            CHECK(c.macs() == macs[op]);
            CHECK(c.params - c.norm_params == weights[op]);
            CHECK(norm_channels(layers) == norms[op % kNorms]);
            CHECK(c.norm_params == 2 * norms[op % kNorms]);
        }
    }
}

}  // namespace nascent::test
