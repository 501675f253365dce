// What a search by gradients trains: a network with weights and with architecture parameters in one store.
#pragma once
#include <vector>

#include "engine/memory/parameter_store.h"

namespace nascent {

class SearchNet {
  public:
    virtual ~SearchNet() = default;
    virtual ParameterStore& store() = 0;
    /// Logits (n, classes) of pictures x (n, s, s, 3), in the current execution. Training uses batch statistics and
    /// moves the running ones.
    virtual Tensor logits(const Tensor& x, bool training) = 0;
    /// The architecture parameters, each alone in a range: a row of numbers per edge.
    virtual std::vector<int> alphas() const = 0;
};

}  // namespace nascent
