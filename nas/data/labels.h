// Random labels: one per sample, drawn once and kept, as RLNAS trains its supernets (CVPR 2021).
#pragma once
#include <cstdint>
#include <vector>

#include "engine/base/mt19937.h"

namespace nascent {

/// `count` labels in 0..classes-1, the numbers of `numpy.random.randint(0, classes, count)`, continuing `random`.
/// The loader of ImageNet16-120 draws `randint(1, classes + 1, count)` and subtracts one, which gives the same. Throws
/// ErrorKind::usage unless classes >= 1 and count >= 0.
std::vector<std::int64_t> random_labels(NumpyRandom& random, int classes, std::int64_t count);

/// The same right after `numpy.random.seed(seed)`.
std::vector<std::int64_t> random_labels(std::uint32_t seed, int classes, std::int64_t count);

}  // namespace nascent
