// Linear combinations over contiguous ranges: weights that an unrolled step looks ahead with.
#pragma once
#include <span>

#include "kernels/stream.h"

namespace nascent::kernels {

template <class T>
struct CombineRange {
    T* y;  // may be one of the terms
    const T* terms[3];
    std::size_t count;
};

struct CombineFactors {
    double of[3];  // 0: the term is not read and may be null
};

/// Per element, in double and in this order: y = of[0] terms[0] + of[1] terms[1] + of[2] terms[2].
template <class T>
void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<T>> ranges);

}  // namespace nascent::kernels
