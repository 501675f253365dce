// Uniform integers below any bound, without bias: what exact draws of paths need.
#pragma once
#include <cstdint>

#include "engine/base/rng.h"

namespace nascent {

/// Numbers of paths; products of choices leave 64 bits.
using PathCount = unsigned __int128;

/// A sequence of draws that is a pure function of (seed, stream, step, first element). It takes as many elements of the
/// step as rejection needs: below 2 on average for a draw.
class RandomIndex {
  public:
    RandomIndex(std::uint64_t seed, RandomStream stream, std::uint64_t step, std::uint32_t element = 0)
        : seed_(seed), step_(step), element_(element), stream_(stream) {}

    /// Every integer of [0, n) is equally probable, n > 0.
    PathCount below(PathCount n) {
        int bits = 0;
        for (PathCount rest = n - 1; rest > 0; rest >>= 1) ++bits;
        const PathCount mask = bits == 128 ? ~PathCount{0} : (PathCount{1} << bits) - 1;
        for (;;) {
            const PathCount drawn = next() & mask;
            if (drawn < n) return drawn;
        }
    }
    /// Uniform in [0, 1) with 53 bits.
    double uniform() { return Random(seed_, stream_, step_, element_++).uniform(0); }

  private:
    PathCount next() {
        const Random words(seed_, stream_, step_, element_++);
        PathCount value = 0;
        for (int i = 0; i < 4; ++i) value = value << 32 | words.word(i);
        return value;
    }

    std::uint64_t seed_, step_;
    std::uint32_t element_;
    RandomStream stream_;
};

}  // namespace nascent
