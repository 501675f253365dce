// Calls of sum_channels for the tests of both devices: whole and folded states with gaps between their pixels, one
// picture, runs with a rest, several summands of one channel, channels without any.
#pragma once
#include "kernels/channel_sums.h"
#include "tests/kernels/check.h"

namespace nascent::test {

struct SummedChannels {
    int c, gap;  // elements between pixels beside those of the channels
    bool folded;
};
struct ChannelSumsCase {
    kernels::ChannelSumsShape shape;
    std::vector<SummedChannels> sources, results;

    static int channels(const std::vector<SummedChannels>& states) {
        int all = 0;
        for (const SummedChannels& s : states) all += s.c;
        return all;
    }
    int pixel(const SummedChannels& s) const { return (s.folded ? s.c * shape.fold : s.c) + s.gap; }
    std::size_t size(const SummedChannels& s) const {
        return static_cast<std::size_t>(s.folded ? shape.n / shape.fold : shape.n) *
               static_cast<std::size_t>(shape.pixels) * static_cast<std::size_t>(pixel(s));
    }
    /// Where channel c of pixel p of picture n lies.
    std::size_t at(const SummedChannels& s, int n, int p, int c) const {
        if (!s.folded) return (static_cast<std::size_t>(n) * shape.pixels + p) * pixel(s) + c;
        return (static_cast<std::size_t>(n / shape.fold) * shape.pixels + p) * pixel(s) + c * shape.fold +
               n % shape.fold;
    }
    /// Channel i has i % 4 summands, of factors 1 to 3.
    std::vector<kernels::ChannelSummand> summands() const {
        std::vector<kernels::ChannelSummand> all;
        const int from = channels(sources);
        for (int to = 0; to < channels(results); to++)
            for (int i = 0, last = -1; i < to % 4; i++) {
                const int next = last + 1 + (7 * to + 5 * i) % from;
                if (next >= from) break;
                all.push_back({to, last = next, 1 + (to + i) % 3});
            }
        return all;
    }
};

inline std::vector<ChannelSumsCase> channel_sums_cases() {
    return {{{1, 1, 1}, {{1, 0, false}}, {{2, 0, false}}},
            {{8, 70, 4}, {{16, 0, false}, {4, 0, true}, {4, 0, true}}, {{16, 0, false}}},
            {{8, 70, 4}, {{16, 0, false}}, {{4, 0, true}, {3, 4, true}}},
            {{8, 9, 4}, {{3, 4, true}, {4, 0, true}}, {{4, 0, true}}},
            {{4, 13, 2}, {{32, 1, false}, {8, 0, true}}, {{32, 2, false}, {5, 0, true}}},
            {{3, 65, 1}, {{5, 0, false}, {7, 1, true}}, {{6, 3, true}, {19, 0, false}}},
            {{16, 3, 8}, {{6, 0, true}, {36, 0, false}}, {{36, 0, false}, {6, 1, true}}},
            {{33, 2, 1}, {{300, 0, false}, {70, 0, true}}, {{450, 0, false}}}};
}

}  // namespace nascent::test
