// Dropout: masks that are drawn by element, and their product with what they mask.
#pragma once
#include <cstddef>

#include "kernels/dirichlet.h"
#include "kernels/stream.h"

namespace nascent::kernels {

/// mask[i] = 0 with probability `p`, else 1 / (1 - p); 0 <= p < 1. What is drawn is a function of the key and i (less
/// than 2^32 elements) alone.
template <class T>
void dropout_mask(const Stream&, const DrawKey& key, std::size_t size, double p, T* mask);

/// y (+)= x * mask.
template <class T>
void multiply(const Stream&, std::size_t size, const T* x, const T* mask, T* y, bool accumulate);

}  // namespace nascent::kernels
