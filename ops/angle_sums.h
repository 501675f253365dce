// How far a network's weights turned, where they lie: one pass on the device, nothing copied but the sums.
#pragma once
#include <array>
#include <vector>

#include "ops/optim/sgd.h"

namespace nascent {

/// For each parameter of two stores of one network: <before, now>, |before|^2 and |now|^2 in double. With an optimizer,
/// coasting parameters as they would be now (Sgd::peek); no stored bit moves. Throws Error(runtime) where the stores
/// differ.
std::vector<std::array<double, 3>> angle_sums(const ParameterStore& before, const ParameterStore& now,
                                              const Sgd* optimizer = nullptr);

}  // namespace nascent
