// Tensors copied on their device, without the host: in work that may be captured.
#pragma once
#include <span>

#include "engine/tensor/tensor.h"

namespace nascent {

/// to[i] becomes from[i], of the same bytes; one launch for all. No two overlap.
void copy_tensors(std::span<const Tensor> from, std::span<const Tensor> to);

}  // namespace nascent
