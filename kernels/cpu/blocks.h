// Ranges of parameters in blocks small enough to share out among threads, cut by the counts alone.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "kernels/clip.h"

namespace nascent::kernels {

struct RangeBlock {
    std::size_t range, begin, end;
};
template <class Range>
std::vector<RangeBlock> blocks_of(std::span<const Range> ranges) {
    constexpr std::size_t kSize = 8192;
    std::vector<RangeBlock> blocks;
    for (std::size_t r = 0; r < ranges.size(); r++)
        for (std::size_t at = 0; at < ranges[r].count; at += kSize)
            blocks.push_back({r, at, std::min(ranges[r].count, at + kSize)});
    return blocks;
}

inline double clip_factor(const Clip& c) {
    if (!c.squares) return 1;
    const double factor = c.norm / (std::sqrt(*c.squares) + 1e-6);
    return factor > 1 ? 1 : factor;
}

}  // namespace nascent::kernels
