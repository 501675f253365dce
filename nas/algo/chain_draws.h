// The paths that RLNAS and AngleNAS train their MobileNets on: an operator for each block, uniform over those the block
// has left.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/mt19937.h"
#include "nas/algo/chain_sampling.h"
#include "nas/algo/shrink.h"

namespace nascent {

/// The path of a step is a pure function of what is given here; one caller at a time.
class ChainDraws {
  public:
    /// RLNAS: numpy.random.randint for each block, on and on from `start` (where the random labels have left it).
    static ChainDraws stream(OperatorLists operators, const NumpyRandom& start);
    /// AngleNAS: each is the first after numpy.random.seed(seed), and seed grows by 1.
    static ChainDraws reseeded(OperatorLists operators, std::uint32_t seed);
    /// The same law by counters.
    static ChainDraws counters(OperatorLists operators, std::uint64_t seed);

    /// An operator's id for each block.
    std::vector<int> path(std::int64_t step);

  private:
    explicit ChainDraws(OperatorLists operators);
    OperatorLists operators_;
    std::uint64_t seed_ = 0;
    std::optional<NumpyRandom> start_, now_;  // of `stream`; now_ stands before step next_
    std::int64_t next_ = 0;
    std::optional<UniformPaths> uniform_;
};

}  // namespace nascent
