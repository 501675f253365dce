// A thread per channel and pixel of the results. The summands are a launch's arguments; of as many channels as fit.
#include <algorithm>
#include <string>

#include "kernels/channel_sums.h"
#include "kernels/common/plain.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class S>
struct Summed {
    int count;
    SummedState<S> of[kMostSummedStates];
    __device__ S& channel(const ChannelSumsShape& s, unsigned pixel, int c) const {
        int i = 0;
        while (c >= of[i].c) c -= of[i++].c;
        const SummedState<S>& state = of[i];
        if (!state.folded) return state.x[static_cast<std::size_t>(pixel) * state.pixel + c];
        const unsigned pixels = static_cast<unsigned>(s.pixels), fold = static_cast<unsigned>(s.fold);
        const unsigned n = pixel / pixels;
        return state.x[(static_cast<std::size_t>(n / fold) * pixels + pixel % pixels) * state.pixel +
                       static_cast<unsigned>(c) * fold + n % fold];
    }
};
template <class S>
Summed<S> summed(std::span<const SummedState<S>> states) {
    if (states.size() > kMostSummedStates)
        throw simt::Error(std::to_string(states.size()) + " states are summed at once, at most " +
                          std::to_string(kMostSummedStates));
    Summed<S> all{static_cast<int>(states.size()), {}};
    std::copy(states.begin(), states.end(), all.of);
    return all;
}

/// Some of the results' channels: `channels` of them from `first` on; those of channel i end before begin[i + 1].
struct Slice {
    static constexpr int kChannels = 192, kSummands = 640;
    int first = 0, channels = 0;
    unsigned short begin[kChannels + 1] = {}, from[kSummands] = {};
    short factor[kSummands] = {};
};

template <class S>
__global__ void sum_channels_kernel(unsigned size, ChannelSumsShape s, const Summed<const S> __grid_constant__ sources,
                                    const Summed<S> __grid_constant__ results, const Slice __grid_constant__ slice,
                                    bool accumulate) {
    if (item() >= size) return;
    const unsigned channels = static_cast<unsigned>(slice.channels), pixel = item() / channels, c = item() % channels;
    S& out = results.channel(s, pixel, slice.first + static_cast<int>(c));
    using T = Compute<S>;
    T sum = accumulate ? widen(out) : T(0);
    for (int i = slice.begin[c]; i < slice.begin[c + 1]; i++)
        sum = fma(widen(sources.channel(s, pixel, slice.from[i])), static_cast<T>(slice.factor[i]), sum);
    out = narrow<S>(sum);
}

}  // namespace

template <class S>
void sum_channels(const Stream& stream, const ChannelSumsShape& s, std::span<const SummedState<const S>> sources,
                  std::span<const ChannelSummand> summands, std::span<const SummedState<S>> results, bool accumulate) {
    const Summed<const S> from = summed(sources);
    const Summed<S> to = summed(results);
    int channels = 0;
    for (const SummedState<S>& state : results) channels += state.c;
    std::size_t next = 0;
    for (int c = 0; c < channels;) {
        Slice slice{c};
        for (int count = 0; c < channels && slice.channels < Slice::kChannels; c++) {
            std::size_t end = next;
            while (end < summands.size() && summands[end].to == c) end++;
            if (count + static_cast<int>(end - next) > Slice::kSummands) break;
            for (; next < end; next++, count++) {
                slice.from[count] = static_cast<unsigned short>(summands[next].from);
                slice.factor[count] = static_cast<short>(summands[next].factor);
            }
            slice.begin[++slice.channels] = static_cast<unsigned short>(count);
        }
        if (slice.channels == 0) throw simt::Error("a channel has more summands than a launch's arguments hold");
        const std::size_t size = product({s.n, s.pixels, slice.channels});
        simt::launch(sum_channels_kernel<S>, items(stream, size), items(size), s, from, to, slice, accumulate);
    }
}
#define NASCENT_SUM_CHANNELS(S)                                                                               \
    template void sum_channels(const Stream&, const ChannelSumsShape&, std::span<const SummedState<const S>>, \
                               std::span<const ChannelSummand>, std::span<const SummedState<S>>, bool);
NASCENT_SUM_CHANNELS(float)
NASCENT_SUM_CHANNELS(double)
NASCENT_SUM_CHANNELS(BFloat16)
#undef NASCENT_SUM_CHANNELS

}  // namespace nascent::kernels::gpu
