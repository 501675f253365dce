// Few channels fill few of a vector's lanes. Several pictures' side by side fill it: (n, h, w, seen) becomes (n / fold,
// h, w, seen * fold), channel c of picture i * fold + g in element c * fold + g, so that what a channel is multiplied
// with is a run of its pictures. The passes between a state with partial channels (kernels/partial.h) and the folded
// channels that its operators see.
#pragma once
#include <cstddef>
#include <span>

#include "kernels/element.h"
#include "kernels/partial.h"

namespace nascent::kernels {

/// How many of `pictures` lie side by side, of `channels` channels each that operators see: 1, 2, 4 or 8, by these
/// numbers alone. As many as leave the fewest lanes of cache lines of floats empty, at most four lines.
constexpr int fold_of(int pictures, int channels) {
    constexpr int kLine = 16, kMost = 4 * kLine;
    int best = 1;
    auto lines = [&](int fold) { return (channels * fold + kLine - 1) / kLine; };
    for (int fold : {2, 4, 8})
        if (pictures % fold == 0 && channels * fold <= kMost && lines(fold) * best < lines(best) * fold) best = fold;
    return best;
}

/// States (n, pixels, c), of whose channels the first `seen` lie folded elsewhere: (n / fold, pixels, seen, fold).
/// `fold` divides n, `groups` divides c (shuffled as by channel_shuffle; 1: not shuffled), `seen` < c. With an `order`
/// (of all c) they are shuffled by that instead.
struct FoldedShape {
    int n, pixels, c, seen, groups, fold;
    const ChannelOrder* order = nullptr;
};

/// What goes round the operators of a state, times weight[0] (null: 1): channel `seen` of a pixel is x[seen - first],
/// and so on; pixels are `pixel` elements apart.
template <class S>
struct Around {
    const S* x;
    int pixel;
    int first = 0;
    const Compute<S>* weight = nullptr;
};

/// `folded` = the first channels of x, whose pixels lie `x_pixel` elements apart.
template <class S>
void fold_channels(const Stream&, const FoldedShape&, const S* x, int x_pixel, S* folded);
/// The way back: the other channels of x stay as they are.
template <class S>
void unfold_channels(const Stream&, const FoldedShape&, const S* folded, S* x, int x_pixel);

/// y = shuffle(`folded` and the sum of `around` side by side), and `next` (null: not wanted) = the first channels of y,
/// folded. Sums are taken in the order given.
template <class S>
void join_folded(const Stream&, const FoldedShape&, const S* folded, std::span<const Around<S>> around, S* y,
                 int y_pixel, S* next);

/// The way back, with g = dy + (`next` and the sum of `around` side by side); without `next` g = dy, and a null dy is
/// 0. dx = g unshuffled, all channels, and `folded` = its first ones.
template <class S>
void part_folded(const Stream&, const FoldedShape&, const S* dy, int dy_pixel, const S* next,
                 std::span<const Around<S>> around, S* dx, int dx_pixel, S* folded);

}  // namespace nascent::kernels
