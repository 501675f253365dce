// State dicts of DARTS supernets, and the angles between two of them.
#pragma once
#include "nas/metric/darts_angle_parts.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/state_dict.h"

namespace nascent {

/// Parameters, running statistics and num_batches_tracked by the original's names and in PyTorch's layout: all that its
/// load_state_dict(strict=True) wants. With an optimizer, coasting parameters as they would be now.
StateDict state_dict(const DartsNet& net, const Sgd* optimizer = nullptr);

/// The affine supernet that a state dict is of, from its tensors: stem, channels, cells, classes; `input_size` is not
/// in them. Throws Error(checkpoint) naming `source` where they make none.
darts::Net darts_supernet(const StateDict& state, int input_size, const std::string& source);

/// The sums behind the angles between two states of `net`. Throws Error(checkpoint) where a tensor is missing or has
/// another size; the sources name the states in errors.
darts::AngleParts angle_parts(const darts::Net& net, const StateDict& initial, const StateDict& trained,
                              const std::string& initial_source, const std::string& trained_source);

}  // namespace nascent
