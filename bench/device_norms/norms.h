// The second stage of weights' gradients and the norm of all of them, in two ways: squares by a pass over what the
// folds have stored (what the engine does), and by the folds themselves. An experiment, not part of the engine.
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

/// A launch per gradient, as they end here and there in a backward.
void fold(void* stream, std::span<const Fold> folds);
/// The same, and the squares of what each block stores go to `slots` (slots_of(folds) doubles).
void fold_with_squares(void* stream, std::span<const Fold> folds, double* slots);
std::size_t slots_of(std::span<const Fold> folds);
/// sum[0] = all slots, by one block.
void add_slots(void* stream, const double* slots, std::size_t count, double* sum);

}  // namespace nascent::bench
