// Shapes of folded states for the tests of both devices: one picture, several runs of pixels, channels below, at and
// beyond a vector and so many vectors that they are shuffled one by one.
#pragma once
#include "kernels/fold.h"
#include "tests/kernels/check.h"

namespace nascent::test {

inline std::vector<kernels::FoldedShape> folded_shapes() {
    return {{1, 1, 2, 1, 2, 1},  {1, 6, 16, 4, 4, 1},  {8, 70, 16, 4, 4, 4},  {6, 5, 32, 8, 4, 2},
            {4, 9, 16, 8, 2, 2}, {4, 3, 16, 4, 1, 4},  {12, 2, 12, 4, 3, 4},  {6, 7, 6, 2, 3, 2},
            {36, 3, 8, 2, 4, 4}, {2, 65, 48, 8, 6, 2}, {2, 3, 160, 8, 20, 2}, {4, 130, 18, 6, 3, 2},
            {2, 4, 40, 20, 2, 2}};
}

}  // namespace nascent::test
