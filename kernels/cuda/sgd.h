// kernels/sgd.h and kernels/clip.h on the GPU.
#pragma once
#include "kernels/sgd.h"

namespace nascent::kernels::gpu {

template <class T>
void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<T>> ranges);
template <class T>
void sum_of_squares(const Stream&, std::span<const GradientRange<T>> ranges, double* sum, void* workspace);
template <class T>
std::size_t sum_of_squares_workspace(const Stream&, std::span<const GradientRange<T>> ranges);

}  // namespace nascent::kernels::gpu
