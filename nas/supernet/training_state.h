// The state of a training as its checkpoints hold it.
#pragma once
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "nas/supernet/nasbench201.h"
#include "ops/optim/adam.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// Everything that a step changes, as it is stored: weights and momentum of each range (coasting ones unflushed, so
/// that the moment of a checkpoint changes no bit), their last steps, running statistics, the step number; and, where
/// there are any, batch counts and the moments of an Adam.
class TrainingState {
  public:
    using BatchCounts = std::vector<Nb201Supernet::BatchCount>;
    /// Copies; the tensors of the result are views of it.
    static TrainingState of(const ParameterStore& store, const Sgd& optimizer, const BatchCounts* counts = nullptr,
                            const Adam* adam = nullptr);
    static TrainingState of(const Nb201Supernet& net, const Sgd& optimizer) {
        return of(net.store(), optimizer, &net.batch_counts());
    }
    std::vector<SafeTensor> tensors() const;
    /// Throws Error(checkpoint) where the file is of another network or of other optimizers.
    static void restore(const SafeTensors& file, ParameterStore& store, Sgd& optimizer, BatchCounts* counts = nullptr,
                        Adam* adam = nullptr);
    static void restore(const SafeTensors& file, Nb201Supernet& net, Sgd& optimizer) {
        restore(file, net.store(), optimizer, &net.batch_counts());
    }

  private:
    struct Blob {
        std::string name;
        SafeDtype dtype;
        std::vector<std::int64_t> shape;
        std::vector<std::byte> bytes;
    };
    std::vector<Blob> blobs_;
};

}  // namespace nascent
