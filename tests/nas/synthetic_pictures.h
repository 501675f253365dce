// The synthetic data set in the sizes that tests want.
#pragma once
#include <cstddef>
#include <cstdint>

#include "nas/data/dataset.h"

namespace nascent::test {

/// Squares of ten classes.
inline Dataset synthetic_pictures(int size, std::size_t train, std::size_t test, std::uint64_t seed = 0) {
    DatasetOptions o;
    o.size = size;
    o.train_count = train;
    o.test_count = test;
    o.seed = seed;
    return load_dataset("synthetic", o);
}

}  // namespace nascent::test
