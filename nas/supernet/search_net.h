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
    Tensor logits(const Tensor& x, bool training) {
        NASCENT_CHECK(store().copies() == 1, runtime, "the weights of {} copies give as many logits", store().copies());
        return logits_of_copies(x, training)[0];
    }
    /// The same of each copy that the store has weights for, all of the same pictures. The copies are computed side by
    /// side; running statistics move for one after the other.
    virtual std::vector<Tensor> logits_of_copies(const Tensor& x, bool training) = 0;
    /// The architecture parameters, each alone in a range: a row of numbers per edge.
    virtual std::vector<int> alphas() const = 0;
};

}  // namespace nascent
