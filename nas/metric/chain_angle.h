// The angle of networks that are one chain of blocks (RLNAS and AngleNAS on MobileNets): a base that every candidate
// has, and for each block one of a few operators, every weight counted once.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "nas/metric/angle.h"

namespace nascent {

/// An operator of a block: what it adds to the sums, and what it costs.
struct ChainChoice {
    int op = 0;  // as candidates are written; -1 for the identity of MobileNets
    AngleSums sums{};
    std::int64_t cost = 0;
};

struct ChainTable {
    AngleSums base;
    std::int64_t base_cost = 0;
    std::vector<std::vector<ChainChoice>> blocks;  // operators in the order they are drawn from
};

/// Throws ErrorKind::data for a chain without blocks, a block without operators or with one twice, sums that are not
/// finite, negative costs, or costs whose sum does not fit.
void check(const ChainTable& table);

/// `ops`: an operator for each block. Throw ErrorKind::data for another number of them or one that its block lacks.
AngleSums sums_of(const ChainTable& table, std::span<const int> ops);
std::int64_t cost_of(const ChainTable& table, std::span<const int> ops);
std::int64_t cheapest(const ChainTable& table);

/// Angles of many candidates: operators resolved to places once.
class ChainAngle {
  public:
    explicit ChainAngle(ChainTable table);
    double angle(std::span<const int> ops) const { return angle_of(sums_of(table_, ops)); }
    /// `places`: for each block the place of its operator in the table; unchecked.
    double angle_at(std::span<const std::uint8_t> places) const {
        AngleSums sums = table_.base;
        for (std::size_t b = 0; b < places.size(); ++b) sums += flat_[first_[b] + places[b]];
        return angle_of(sums);
    }
    const ChainTable& table() const { return table_; }

  private:
    ChainTable table_;
    std::vector<AngleSums> flat_;
    std::vector<std::size_t> first_;
};

/// An inverted bottleneck and its weights: three convolutions, each with a batch norm (1x1, depthwise, 1x1).
struct BottleneckSums {
    AngleSums conv[3], norm[3];  // a norm's weight and bias together
};

/// What of a chain of bottlenecks counts.
struct ChainAngleRules {
    enum class Identity { none, eye };  // eye: the identity matrix (out, in), min(in, out) ones
    Identity identity = Identity::eye;
    bool inner_norms = true;  // the batch norms behind the first two convolutions
    bool last_norm = false;   // the one behind the third
    bool base_norms = false;  // those of stem, first block and last convolution
    bool classifier_bias = false;
    /// RLNAS: identity matrices, inner norms. AngleNAS: convolutions and the classifier's weight alone.
    static ChainAngleRules rlnas() { return {}; }
    static ChainAngleRules anglenas() { return {.identity = Identity::none, .inner_norms = false}; }
    bool operator==(const ChainAngleRules&) const = default;
};

AngleSums block_sums(const BottleneckSums& block, const ChainAngleRules& rules);
AngleSums identity_sums(int in_channels, int out_channels, const ChainAngleRules& rules);
/// Stem, first block and last convolution, then the classifier.
AngleSums base_sums(const AngleSums& convs, const AngleSums& norms, const AngleSums& classifier_weight,
                    const AngleSums& classifier_bias, const ChainAngleRules& rules);

}  // namespace nascent
