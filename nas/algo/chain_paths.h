// How training draws its architectures from a space of chains, by name.
#pragma once
#include <string>

#include "nas/algo/chain_sampling.h"
#include "nas/algo/chain_trainer.h"
#include "nas/metric/chain_cost.h"

namespace nascent {

struct ChainSampling {
    enum class Law : std::uint8_t { uniform, buckets, fair };
    Law law = Law::uniform;
    Buckets buckets;  // of cost
    chain::MacConvention convention = chain::MacConvention::mac;
    std::uint64_t seed = 0;
    /// Of channel scales (SPOS's channel search as its reimplementations make it converge: CanyonWind's
    /// Single-Path-One-Shot-NAS-MXNet): only the widest before step `widen_from`, then one more below it every
    /// `widen_steps` until the space's first; both 0: all from the start.
    std::int64_t widen_from = 0, widen_steps = 0;
};

/// Architectures of a space, every one a pure function of the sampling and the step. Throws Error(usage) where a bucket
/// holds no architecture, telling the nearest costs.
ChainPaths chain_paths(const chain::Space& space, const ChainSampling& sampling);

/// The lowest scale id that may be drawn at a step.
int lowest_scale(const chain::Space& space, const ChainSampling& sampling, std::int64_t step);

}  // namespace nascent
