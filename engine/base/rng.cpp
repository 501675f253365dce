#include "engine/base/rng.h"

#include <Random123/philox.h>

#include <algorithm>

#include "engine/base/error.h"

namespace nascent {

Random::Random(std::uint64_t seed, RandomStream stream, std::uint64_t step, std::uint32_t element) {
    const r123::Philox4x32::ctr_type counter = {{element, static_cast<std::uint32_t>(stream),
                                                 static_cast<std::uint32_t>(step),
                                                 static_cast<std::uint32_t>(step >> 32)}};
    const r123::Philox4x32::key_type key = {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
    const r123::Philox4x32::ctr_type words = r123::Philox4x32()(counter, key);
    std::copy(words.begin(), words.end(), words_.begin());
}

std::uint64_t shuffled(std::uint64_t seed, RandomStream stream, std::uint64_t step, std::uint64_t n, std::uint64_t i) {
    NASCENT_CHECK(i < n && n <= (std::uint64_t{1} << 32), runtime, "no element {} in a shuffle of {}", i, n);
    int half = 1;
    while ((std::uint64_t{1} << (2 * half)) < n) half++;
    const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
    do {
        std::uint64_t left = i >> half, right = i & mask;
        for (std::uint32_t round = 0; round < 4; round++) {
            // n < 2^32, so a half has at most 16 bits and the round number fits above it.
            Random r(seed, stream, step, (round << 16) | static_cast<std::uint32_t>(right));
            std::uint64_t next = left ^ (r.word(0) & mask);
            left = right;
            right = next;
        }
        i = (left << half) | right;
    } while (i >= n);
    return i;
}

}  // namespace nascent
