// A thread per channel and pixel of the results. The summands are a launch's arguments; of as many channels as fit.
#include <algorithm>
#include <string>

#include "kernels/channel_sums.h"
#include "kernels/common/plain.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class T>
struct Summed {
    int count;
    SummedState<T> of[kMostSummedStates];
    __device__ T& channel(const ChannelSumsShape& s, unsigned pixel, int c) const {
        int i = 0;
        while (c >= of[i].c) c -= of[i++].c;
        const SummedState<T>& state = of[i];
        if (!state.folded) return state.x[static_cast<std::size_t>(pixel) * state.pixel + c];
        const unsigned pixels = static_cast<unsigned>(s.pixels), fold = static_cast<unsigned>(s.fold);
        const unsigned n = pixel / pixels;
        return state.x[(static_cast<std::size_t>(n / fold) * pixels + pixel % pixels) * state.pixel +
                       static_cast<unsigned>(c) * fold + n % fold];
    }
};
template <class T>
Summed<T> summed(std::span<const SummedState<T>> states) {
    if (states.size() > kMostSummedStates)
        throw simt::Error(std::to_string(states.size()) + " states are summed at once, at most " +
                          std::to_string(kMostSummedStates));
    Summed<T> all{static_cast<int>(states.size()), {}};
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

template <class T>
__global__ void sum_channels_kernel(unsigned size, ChannelSumsShape s, const __grid_constant__ Summed<const T> sources,
                                    const __grid_constant__ Summed<T> results, const __grid_constant__ Slice slice,
                                    bool accumulate) {
    if (item() >= size) return;
    const unsigned channels = static_cast<unsigned>(slice.channels), pixel = item() / channels, c = item() % channels;
    T& out = results.channel(s, pixel, slice.first + static_cast<int>(c));
    T sum = accumulate ? out : T(0);
    for (int i = slice.begin[c]; i < slice.begin[c + 1]; i++)
        sum = fma(sources.channel(s, pixel, slice.from[i]), static_cast<T>(slice.factor[i]), sum);
    out = sum;
}

}  // namespace

template <class T>
void sum_channels(const Stream& stream, const ChannelSumsShape& s, std::span<const SummedState<const T>> sources,
                  std::span<const ChannelSummand> summands, std::span<const SummedState<T>> results, bool accumulate) {
    const Summed<const T> from = summed(sources);
    const Summed<T> to = summed(results);
    int channels = 0;
    for (const SummedState<T>& state : results) channels += state.c;
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
        simt::launch(sum_channels_kernel<T>, items(stream, size), items(size), s, from, to, slice, accumulate);
    }
}
template void sum_channels(const Stream&, const ChannelSumsShape&, std::span<const SummedState<const float>>,
                           std::span<const ChannelSummand>, std::span<const SummedState<float>>, bool);
template void sum_channels(const Stream&, const ChannelSumsShape&, std::span<const SummedState<const double>>,
                           std::span<const ChannelSummand>, std::span<const SummedState<double>>, bool);

}  // namespace nascent::kernels::gpu
