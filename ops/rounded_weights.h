// Weights as bf16, beside the float32 that they are: what a forward in bf16 multiplies on tensor cores, and its
// backward again. Half the bytes for each block that reads them; the same bits.
#pragma once
#include <vector>

#include "engine/memory/parameter_store.h"

namespace nascent {

/// Brings the ranges of these parameters (-1: none) up to date and rounds them, in one launch more; while this lives
/// the store's reads say where they are rounded. Nothing is rounded where activations are float32, or where other
/// weights stand in the store's place (engine/memory/second_weights.h). What was read stays good for the backward,
/// until the weights change.
class RoundedWeights {
  public:
    RoundedWeights(ParameterStore& store, std::span<const int> parameters);
    ~RoundedWeights();
    RoundedWeights(const RoundedWeights&) = delete;
    RoundedWeights& operator=(const RoundedWeights&) = delete;

  private:
    ParameterStore& store_;
    std::vector<int> ranges_;
};

}  // namespace nascent
