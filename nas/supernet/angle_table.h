// From two states of a supernet to the sums behind angles.
#pragma once
#include "nas/metric/angle.h"
#include "nas/supernet/state_dict.h"

namespace nascent {

/// The sums behind the angle between two states of one network (rlnas facts 1.5, 2.4), accumulated in double in the
/// order of the elements. `initial_source` and `trained_source` name the states in errors.
Nb201AngleTable angle_table(const SupernetShape& shape, const StateDict& initial, const StateDict& trained,
                            const std::string& initial_source, const std::string& trained_source);

/// The same between two networks on one device, in one pass there.
Nb201AngleTable angle_table(const Nb201Supernet& initial, const Nb201Supernet& trained, const Sgd* optimizer);

}  // namespace nascent
