// Numbers of the host as tensors of the current execution, constant for the tape.
#pragma once
#include <span>
#include <vector>

#include "engine/tensor/tensor.h"

namespace nascent {

/// `values` are as many as the shape has elements; float32 or float64. Copied in, so not for the inside of an op.
Tensor constants(const Shape& shape, DType dtype, std::span<const double> values);
/// All of them `value`.
Tensor constants(const Shape& shape, DType dtype, double value);
/// Back on the host; waits for the device.
std::vector<double> numbers_of(const Tensor& t);
/// Into a tensor that is there; as many as it has elements.
void write_numbers(const Tensor& t, std::span<const double> values);

}  // namespace nascent
