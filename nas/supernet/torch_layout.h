// Parameters and buffers as PyTorch lays them out.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/tensor/tensor.h"

namespace nascent {

/// Index into a stored (kh, kw, in, out), or (k, k, c) of a depthwise convolution, of element i of PyTorch's
/// (out, in, kh, kw) or (c, 1, k, k). Other ranks lie alike.
std::size_t stored_index(const Shape& shape, std::size_t i);

/// Puts values in PyTorch's layout into a tensor called `name`. Throws Error(runtime) for another number of them.
void set_torch(const Tensor& to, const std::string& name, std::span<const double> values);
/// Values that lie as a tensor of that name and shape does, in PyTorch's layout. Throws Error(runtime) for another
/// number of them.
std::vector<double> torch_values(const Shape& shape, const std::string& name, const Tensor& values);
/// The same of host memory of a floating type.
std::vector<double> torch_values(const Shape& shape, DType dtype, const void* host);

}  // namespace nascent
