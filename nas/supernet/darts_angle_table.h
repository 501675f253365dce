// From two DARTS supernets to the sums behind angles.
#pragma once
#include "nas/metric/darts_angle_parts.h"
#include "nas/supernet/darts.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// The sums behind the angles between two networks of one description on one device, in one pass there. With an
/// optimizer, coasting parameters of `trained` as they would be now. Throws what angle_sums() and angle_parts() throw.
darts::AngleParts angle_parts(const DartsNet& initial, const DartsNet& trained, const Sgd* optimizer = nullptr);

}  // namespace nascent
