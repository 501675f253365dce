// How published code starts the networks of chains.
#pragma once
#include <cstdint>
#include <string_view>

#include "nas/supernet/chain.h"

namespace nascent {

enum class ChainStart : std::uint8_t {
    spos,      // SinglePathOneShot, MMRazor's ShuffleNet: the first convolution and the classifier N(0, 0.01), others
               // N(0, 1 / inputs of a group) - 1 for depthwise ones; batch norms 1 and 0.0001
    anglenas,  // AngleNAS, RLNAS: convolutions N(0, sqrt(2 / (k^2 out))), the classifier and its bias PyTorch's default
    mmrazor,   // MMRazor's MobileNet: convolutions as anglenas (Kaiming by fan out), the classifier N(0, 0.01), bias 0
    torch,     // PyTorch's defaults: AngleNAS's networks of the search stage
};
/// What the published code of the space does.
ChainStart published_start(const chain::Space& space);

/// Standard deviations as said, biases and shifts 0 unless said otherwise; running statistics stay. A pure function of
/// the seed and the parameters' places.
void initialise(ChainNet& net, std::uint64_t seed, ChainStart start);

}  // namespace nascent
