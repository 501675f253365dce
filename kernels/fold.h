// Few channels fill few of a vector's lanes. Several pictures' side by side fill it: (n, h, w, seen) becomes (n / fold,
// h, w, fold * seen), picture i * fold + g in the channels from g * seen on. The passes between a state with partial
// channels (kernels/partial.h) and the folded channels that its operators see.
#pragma once
#include <cstddef>

#include "kernels/partial.h"

namespace nascent::kernels {

/// States (n, pixels, c), of whose channels the first `seen` lie folded elsewhere: (n / fold, pixels, fold * seen).
/// `fold` divides n, `groups` divides c (shuffled as by channel_shuffle; 1: not shuffled), `seen` < c. With an `order`
/// (of all c) they are shuffled by that instead.
struct FoldedShape {
    int n, pixels, c, seen, groups, fold;
    const ChannelOrder* order = nullptr;
};

/// `folded` = the first channels of x, whose pixels lie `x_pixel` elements apart.
template <class T>
void fold_channels(const Stream&, const FoldedShape&, const T* x, int x_pixel, T* folded);
/// The way back: the other channels of x stay as they are.
template <class T>
void unfold_channels(const Stream&, const FoldedShape&, const T* folded, T* x, int x_pixel);

/// y = shuffle(`folded` and the other channels of x side by side), and `next` = the first channels of y, folded.
template <class T>
void join_folded(const Stream&, const FoldedShape&, const T* folded, const T* x, int x_pixel, T* y, int y_pixel,
                 T* next);

/// The way back, with g = dy + (`next` and the other channels of `more` side by side), both null: g = dy. dx = g
/// unshuffled, all channels, and `folded` = its first ones.
template <class T>
void part_folded(const Stream&, const FoldedShape&, const T* dy, int dy_pixel, const T* next, const T* more,
                 int more_pixel, T* dx, int dx_pixel, T* folded);

}  // namespace nascent::kernels
