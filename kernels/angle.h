// The sums behind angles between two states of weights, in one pass over them.
#pragma once
#include <cstddef>
#include <span>

#include "kernels/stream.h"

namespace nascent::kernels {

template <class T>
struct AngleRange {
    const T* before;
    const T *w, *v;  // weights now and their momentum; v is read where gap[1] is not 0
    std::size_t count;
    /// Zero-gradient steps missed, as SgdRange's: now = gap[0] w + gap[1] v, rounded as `sgd` does.
    double gap[2] = {1, 0};
};

/// sums (ranges, 3) = <before, now>, |before|^2, |now|^2 of each range, in double, in an order fixed by the counts.
template <class T>
void angle_sums(const Stream&, std::span<const AngleRange<T>> ranges, double* sums, void* workspace);

/// Bytes of workspace for angle_sums.
template <class T>
std::size_t angle_sums_workspace(const Stream&, std::span<const AngleRange<T>> ranges);

}  // namespace nascent::kernels
