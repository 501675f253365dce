#include "nas/metric/chain_angle.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace nascent {
namespace {

bool finite(const AngleSums& s) { return std::isfinite(s.dot) && std::isfinite(s.n0) && std::isfinite(s.n1); }

const ChainChoice& choice(const ChainTable& table, std::size_t block, int op) {
    for (const ChainChoice& c : table.blocks[block]) {
        if (c.op == op) return c;
    }
    fail(ErrorKind::data, "block {} has no operator {}", block, op);
}

void check_length(const ChainTable& table, std::size_t length) {
    NASCENT_CHECK(length == table.blocks.size(), data, "a candidate of {} blocks has {} operators", table.blocks.size(),
                  length);
}

}  // namespace

void check(const ChainTable& table) {
    NASCENT_CHECK(!table.blocks.empty(), data, "a chain without blocks");
    auto costs = static_cast<unsigned __int128>(table.base_cost);
    NASCENT_CHECK(table.base_cost >= 0, data, "the base of a chain costs {}", table.base_cost);
    NASCENT_CHECK(finite(table.base), data, "a sum of the base of a chain is not finite");
    for (std::size_t b = 0; b < table.blocks.size(); ++b) {
        const std::vector<ChainChoice>& choices = table.blocks[b];
        NASCENT_CHECK(!choices.empty() && choices.size() < 256, data, "block {} has {} operators; expected 1..255", b,
                      choices.size());
        std::int64_t most = 0;
        for (std::size_t i = 0; i < choices.size(); ++i) {
            NASCENT_CHECK(choices[i].cost >= 0, data, "operator {} of block {} costs {}", choices[i].op, b,
                          choices[i].cost);
            NASCENT_CHECK(finite(choices[i].sums), data, "a sum of operator {} of block {} is not finite",
                          choices[i].op, b);
            most = std::max(most, choices[i].cost);
            for (std::size_t j = 0; j < i; ++j) {
                NASCENT_CHECK(choices[i].op != choices[j].op, data, "block {} has operator {} twice", b, choices[i].op);
            }
        }
        costs += static_cast<unsigned __int128>(most);
    }
    NASCENT_CHECK(costs <= static_cast<unsigned __int128>(std::numeric_limits<std::int64_t>::max()), data,
                  "the costs of a chain do not fit in 64 bits");
}

AngleSums sums_of(const ChainTable& table, std::span<const int> ops) {
    check_length(table, ops.size());
    AngleSums sums = table.base;
    for (std::size_t b = 0; b < ops.size(); ++b) sums += choice(table, b, ops[b]).sums;
    return sums;
}

std::int64_t cost_of(const ChainTable& table, std::span<const int> ops) {
    check_length(table, ops.size());
    std::int64_t cost = table.base_cost;
    for (std::size_t b = 0; b < ops.size(); ++b) cost += choice(table, b, ops[b]).cost;
    return cost;
}

std::int64_t cheapest(const ChainTable& table) {
    std::int64_t cost = table.base_cost;
    for (const auto& choices : table.blocks) {
        cost += std::min_element(choices.begin(), choices.end(), [](const auto& a, const auto& b) {
                    return a.cost < b.cost;
                })->cost;
    }
    return cost;
}

ChainAngle::ChainAngle(ChainTable table) : table_(std::move(table)) {
    check(table_);
    for (const auto& choices : table_.blocks) {
        first_.push_back(flat_.size());
        for (const ChainChoice& c : choices) flat_.push_back(c.sums);
    }
}

AngleSums block_sums(const BottleneckSums& block, const ChainAngleRules& rules) {
    AngleSums sums;
    for (int i = 0; i < 3; ++i) {
        sums += block.conv[i];
        if (i < 2 ? rules.inner_norms : rules.last_norm) sums += block.norm[i];
    }
    return sums;
}

AngleSums identity_sums(int in_channels, int out_channels, const ChainAngleRules& rules) {
    const double ones = rules.identity == ChainAngleRules::Identity::eye ? std::min(in_channels, out_channels) : 0;
    return {ones, ones, ones};
}

AngleSums base_sums(const AngleSums& convs, const AngleSums& norms, const AngleSums& classifier_weight,
                    const AngleSums& classifier_bias, const ChainAngleRules& rules) {
    AngleSums sums = convs;
    sums += classifier_weight;
    if (rules.base_norms) sums += norms;
    if (rules.classifier_bias) sums += classifier_bias;
    return sums;
}

}  // namespace nascent
