// A trained search network's state in one whose operators see more channels: progressive shrinking of partial channels
// (DrNAS, Chen, Wang, Cheng, Tang and Hsieh, ICLR 2021, section 3.3).
#pragma once
#include <cstdint>

#include "nas/supernet/search_net.h"

namespace nascent {

/// Channels that are new are copies of old ones, drawn with replacement.
///
/// released: as DrNAS's program. Each layer of an operator draws its own input and output channels, but for a pointwise
/// convolution, which takes what its depthwise one drew, and batch-norms, which follow their convolution. What reads a
/// channel twice is not divided, so outputs grow about as the width does; of a FactorizedReduce the new statistics are
/// those of the first half's channels for both and stand at the end, apart from the channels that they were drawn with.
/// net2wider: what reads copies divides by how many there are (Net2Net, Chen, Goodfellow and Shlens, ICLR 2016,
/// section 2.2), layers read what those before them drew, and statistics lie with their channels: fed copies of its old
/// channels, an operator computes copies of what it computed.
enum class Widening { released, net2wider };

/// Copies all of `from`'s parameters with their momentum, last steps and buffers to `to`, a network of the same
/// parameters whose operators (SearchNet::operators) may be wider. Momentum is copied as the weights are but never
/// divided. A function of seed and stage. Throws Error(runtime) where the networks differ in anything else.
void widen(SearchNet& from, SearchNet& to, Widening how, std::uint64_t seed, std::uint64_t stage);

}  // namespace nascent
