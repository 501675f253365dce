// kernels/adam.h on the GPU.
#pragma once
#include "kernels/adam.h"

namespace nascent::kernels::gpu {

template <class T>
void adam(const Stream&, const AdamStep&, std::span<const AdamRange<T>> ranges);

}  // namespace nascent::kernels::gpu
