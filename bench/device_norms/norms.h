// The second stage of weights' gradients, a launch each, as they end here and there in a backward.
#pragma once
#include <cstddef>
#include <span>

namespace nascent::bench {

/// g (count) = the sum of partials (chunks, count) over the chunks.
struct Fold {
    const float* partials;
    std::size_t chunks, count;
    float* g;
};

void fold(void* stream, std::span<const Fold> folds);

}  // namespace nascent::bench
