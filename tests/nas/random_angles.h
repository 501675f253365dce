// Random weights to find the largest angle of.
#pragma once
#include <cmath>
#include <vector>

#include "engine/base/rng.h"
#include "nas/metric/angle.h"

namespace nascent::test {

inline double uniform(std::uint32_t seed, std::uint32_t i, int pair = 0) {
    return Random(seed, RandomStream::test, 2, i).uniform(pair);
}

/// A block of weights of about `size` numbers that turned by `low` to `high` radians and grew or shrank, by as much as
/// exp(spread).
inline AngleSums random_sums(std::uint32_t seed, std::uint32_t& drawn, double size, double low, double high,
                             double spread = 0.5) {
    const double n0 = size * (0.5 + uniform(seed, drawn)),
                 n1 = n0 * std::exp(spread * (2 * uniform(seed, drawn, 1) - 1));
    ++drawn;
    const double turned = low + (high - low) * uniform(seed, drawn++);
    return {std::sqrt(n0 * n1) * std::cos(turned), n0, n1};
}

struct Best {
    double angle = -1;
    std::vector<int> genes;
};

}  // namespace nascent::test
