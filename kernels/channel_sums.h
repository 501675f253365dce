// Channels of states as sums of other states' channels, between states that are whole and folded ones
// (kernels/fold.h): what goes round the operators of a cell, without the nodes that it passes.
#pragma once
#include <span>

#include "kernels/element.h"
#include "kernels/stream.h"

namespace nascent::kernels {

/// Pictures, pixels of each, and how many pictures lie side by side in what is folded; `fold` divides n.
struct ChannelSumsShape {
    int n, pixels, fold;
};

/// Some channels of a state: (n, pixels, c), or folded (n / fold, pixels, c, fold); `pixel` elements from one pixel to
/// the next.
template <class S>
struct SummedState {
    S* x;
    int c, pixel;
    bool folded;
};

/// A summand of channel `to` of the results: `factor` times channel `from` of the sources, each numbered one state
/// after the other.
struct ChannelSummand {
    int to, from, factor;
};

/// As many sources, and as many results, are in one call.
inline constexpr int kMostSummedStates = 8;

/// All channels of the results = the sums of their summands (added to what is there with `accumulate`), which are taken
/// in the order of `from`: `summands` stand in the order of `to`, then of `from`. A channel without any is 0. Results
/// overlap no sources.
template <class S>
void sum_channels(const Stream&, const ChannelSumsShape&, std::span<const SummedState<const S>> sources,
                  std::span<const ChannelSummand> summands, std::span<const SummedState<S>> results, bool accumulate);

}  // namespace nascent::kernels
