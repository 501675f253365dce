// The evolution's state between two generations as JSON, for checkpoints.
#pragma once
#include <string>
#include <string_view>

#include "nas/algo/evolution.h"

namespace nascent {

std::string evolution_to_json(const EvolutionState& state);
/// Throws Error(checkpoint) naming `source` where the text is not what evolution_to_json() writes. Whether the state
/// makes sense is for Evolution to check.
EvolutionState evolution_from_json(std::string_view text, const std::string& source);

}  // namespace nascent
