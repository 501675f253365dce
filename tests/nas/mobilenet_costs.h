// FLOPs of RLNAS's MobileNet space, counted by hand-checked rules: multiply-accumulates of the convolutions of a block,
// and (2 x inputs - 1) x outputs of the classifier.
#pragma once
#include <vector>

#include "nas/metric/chain_angle.h"

namespace nascent_tests {

/// 21 blocks of six operators (0 k3e3, 1 k3e6, 2 k5e3, 3 k5e6, 4 k7e3, 5 k7e6) and, but for the first of each stage,
/// -1.
inline nascent::ChainTable mobilenet_costs() {
    struct Stage {
        int blocks, out, stride;
    };
    constexpr Stage kStages[] = {{4, 32, 2}, {4, 56, 2}, {4, 112, 2}, {4, 128, 1}, {4, 256, 2}, {1, 432, 1}};
    nascent::ChainTable table;
    const std::int64_t stem = 112LL * 112 * 40 * 27, first = 112LL * 112 * (40 * 9 + 40 * 24);
    table.base_cost = stem + first + 49LL * 432 * 1728 + (2 * 1728 - 1) * 1000LL;
    std::int64_t in = 24, size = 112;
    for (const Stage& s : kStages) {
        for (int b = 0; b < s.blocks; ++b) {
            const std::int64_t out_size = b == 0 ? size / s.stride : size;
            std::vector<nascent::ChainChoice> choices;
            for (int op = 0; op < 6; ++op) {
                const std::int64_t k = 3 + 2 * (op / 2), wide = in * (op % 2 ? 6 : 3);
                choices.push_back({op, {}, size * size * in * wide + out_size * out_size * wide * (k * k + s.out)});
            }
            if (b > 0) choices.push_back({-1, {}, 0});
            table.blocks.push_back(choices);
            in = s.out;
            size = out_size;
        }
    }
    return table;
}

/// Operators of its blocks.
inline std::vector<std::vector<int>> mobilenet_operators() {
    std::vector<std::vector<int>> lists;
    for (const auto& block : mobilenet_costs().blocks) {
        auto& ops = lists.emplace_back();
        for (const nascent::ChainChoice& c : block) ops.push_back(c.op);
    }
    return lists;
}

}  // namespace nascent_tests
