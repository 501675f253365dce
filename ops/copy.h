// One tensor's numbers into another's memory.
#pragma once
#include "engine/tensor/tensor.h"

namespace nascent {

/// On the device of the current execution, in the order of its work; never part of a tape. Throws Error(runtime) for
/// tensors that are not alike.
void copy_into(const Tensor& to, const Tensor& from);

}  // namespace nascent
