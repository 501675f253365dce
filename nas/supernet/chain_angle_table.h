// The angles between two states of a supernet of chains, from files.
#pragma once
#include <string>

#include "nas/metric/chain_angle_parts.h"
#include "nas/supernet/state_dict.h"

namespace nascent {

/// The supernet that a file is of: its metadata name the space and the pictures' size, its tensors the classes. Throws
/// Error(checkpoint) naming `source` where they do not, or where a tensor is missing, too many or of another shape.
chain::Net chain_supernet(const StateDict& state, const std::string& source);

/// Sums between two states of `net`, by host. Throws Error(checkpoint) where a tensor is missing or has another shape,
/// and what chain::angle_parts() throws.
chain::AngleParts angle_parts(const chain::Net& net, const StateDict& initial, const StateDict& trained,
                              const std::string& initial_source, const std::string& trained_source);

}  // namespace nascent
