// AngleNAS's warm-up of the DARTS supernet: it begins with three cells and gets one more at a time (darts::Growth).
#pragma once
#include "nas/supernet/darts.h"
#include "nas/supernet/state_dict.h"

namespace nascent {

/// Gives `to`, a growing network with one cell more than the one that `now` is of, its weights, statistics and counts,
/// cells behind the new one renumbered. The new cell's weights are drawn (WeightStart::fan_out), a pure function of
/// the seed and the number of cells. Throws Error(checkpoint) where a tensor is missing, Error(runtime) where one has
/// another size.
void insert_cell(const StateDict& now, DartsNet& to, std::uint64_t seed);

}  // namespace nascent
