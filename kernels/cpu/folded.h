// Weights and sums of pictures whose channels lie side by side (kernels/fold.h): channel c of picture g is element c *
// fold + g.
#pragma once
#include <algorithm>
#include <cstddef>

namespace nascent::kernels {

/// `count` elements of a picture, `step` apart, each `fold` times, and zeros up to `padded`.
template <class T>
void fold_row(const T* from, int step, int count, int fold, int padded, T* to) {
    for (int c = 0; c < count; c++) std::fill_n(to + c * fold, fold, from[static_cast<std::ptrdiff_t>(c) * step]);
    std::fill(to + count * fold, to + padded, T(0));
}

/// A vector of `count` elements becomes that of all pictures, in its place.
template <class T>
void fold_in_place(T* v, int count, int fold) {
    for (int c = count; c-- > 0;) std::fill_n(v + c * fold, fold, T(v[c]));
}

/// to (rows, columns) (+)= the sums over chunks, in their order, and pictures of partials (rows, stride).
template <class T>
void add_folded(const T* partials, std::size_t partial_size, int chunks, int rows, int columns, int fold,
                std::size_t stride, T* to, bool accumulate) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++, to++) {
            const T* from = partials + static_cast<std::size_t>(r) * stride + c * fold;
            T sum = accumulate ? *to : T(0);
            for (int chunk = 0; chunk < chunks; chunk++, from += partial_size)
                for (int g = 0; g < fold; g++) sum += from[g];
            *to = sum;
        }
}

}  // namespace nascent::kernels
