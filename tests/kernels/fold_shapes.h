// Shapes of folded states for the tests of both devices: one picture, several runs of pixels and one that is nearly
// whole, channels below, at and beyond a vector and so many vectors that they are shuffled one by one.
#pragma once
#include "kernels/fold.h"
#include "tests/kernels/check.h"

namespace nascent::test {

/// Channels 0 .. c - 1 times a number that has no factor in common with c, from another on.
inline kernels::ChannelOrder some_order(int c, int times, int from) {
    kernels::ChannelOrder order{c, {}};
    for (int i = 0; i < c; i++) order.at[i] = static_cast<std::uint16_t>((i * times + from) % c);
    return order;
}

inline std::vector<kernels::FoldedShape> folded_shapes() {
    static const kernels::ChannelOrder orders[] = {some_order(16, 5, 3), some_order(32, 7, 30), some_order(18, 11, 1),
                                                   some_order(160, 37, 9)};
    return {{8, 66, 16, 4, 4, 4, &orders[0]},
            {2, 5, 32, 8, 1, 2, &orders[1]},
            {3, 4, 18, 6, 3, 3, &orders[2]},
            {2, 3, 160, 8, 20, 2, &orders[3]},
            {1, 1, 2, 1, 2, 1},
            {8, 33, 36, 6, 6, 8},
            {4, 5, 72, 12, 6, 4},
            {2, 3, 144, 24, 6, 2},
            {1, 6, 16, 4, 4, 1},
            {8, 70, 16, 4, 4, 4},
            {6, 5, 32, 8, 4, 2},
            {4, 9, 16, 8, 2, 2},
            {4, 3, 16, 4, 1, 4},
            {12, 2, 12, 4, 3, 4},
            {6, 7, 6, 2, 3, 2},
            {36, 3, 8, 2, 4, 4},
            {2, 65, 48, 8, 6, 2},
            {2, 3, 160, 8, 20, 2},
            {4, 130, 18, 6, 3, 2},
            {2, 4, 40, 20, 2, 2},
            {4, 31, 16, 4, 4, 4}};
}

}  // namespace nascent::test
