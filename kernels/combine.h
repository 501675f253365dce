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
    double of[3];                // 0: the term is not read and may be null
    const double* at = nullptr;  // where the kernel runs: three factors, read instead of `of`; null terms are not read
};

/// Per element, in double and in this order: y = of[0] terms[0] + of[1] terms[1] + of[2] terms[2].
template <class T>
void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<T>> ranges);

/// The factors of an unrolled step's difference quotient, with e = 0.01 / sqrt(squares[0]): factors (3, 3) become
/// (1, e, 0), (1, -e, 0) and (1, -lr[0] / (2 e), `twin` ? 0 : lr[0] / (2 e)). All where the kernel runs.
void quotient_factors(const Stream&, const double* squares, const double* lr, bool twin, double* factors);

}  // namespace nascent::kernels
