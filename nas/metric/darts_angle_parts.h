// From the parameters of a DARTS supernet to the sums behind its angles.
#pragma once
#include <functional>
#include <string>

#include "nas/metric/darts_angle.h"
#include "nas/space/darts_net.h"

namespace nascent::darts {

/// `sums(name)`: of the parameter of that name in the state dict (cells.0._ops.3._ops.4.op.1.weight), called once for
/// each of the network's. `net`: search_net() with affine batch norms, or without: then there are none to count. Throws
/// ErrorKind::usage for another kind of network.
AngleParts angle_parts(const Net& net, const std::function<AngleSums(const std::string& name)>& sums);

}  // namespace nascent::darts
