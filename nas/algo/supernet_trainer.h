// Training of a path-sampled supernet, step by step (RLNAS, CVPR 2021, section 2 of its NAS-Bench-201 code).
#pragma once
#include <cstdint>
#include <memory>

#include "nas/algo/batches.h"
#include "nas/algo/path_sampling.h"
#include "nas/algo/training_step.h"
#include "nas/data/loader.h"
#include "nas/supernet/training_state.h"

namespace nascent {

struct SupernetTraining {
    int epochs = 250;
    int schedule_epochs = 0;  // that the rate falls over; 0: epochs
    double lr = 0.025, lr_min = 0.001;
    double label_smoothing = 0;
    CellSampling sampling = CellSampling::per_cell;
    std::uint64_t seed = 0;        // of the paths
    OperatorLists operators = {};  // that paths are drawn from; empty: all
    /// Op calls that come again are replayed from captures, where the device can; changes no bit.
    bool capture = true;
    SgdOptions sgd;
};

/// lr_min + (lr - lr_min) (1 + cos(pi epoch / schedule_epochs)) / 2, for all steps of an epoch.
double cosine_lr(const SupernetTraining& training, std::int64_t epoch);

class SupernetTrainer {
  public:
    /// T, the loader's type, must be the network's. All three must outlive the trainer.
    template <class T>
    SupernetTrainer(Nb201Supernet& net, Loader<T>& loader, const SupernetTraining& training);
    /// Batches come from `source`, of the network's type.
    SupernetTrainer(Nb201Supernet& net, BatchSource source, const SupernetTraining& training);
    ~SupernetTrainer();

    using Step = TrainingStep;
    /// One path, one batch, one update; the state is a function of the seed and the number of steps alone. Throws
    /// Error(runtime) when the loss is not finite; the parameters are then those before the step.
    Step step();
    std::int64_t step_number() const { return sgd_.step_number(); }
    std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
    std::int64_t total_steps() const { return steps_per_epoch_ * training_.epochs; }
    bool done() const { return step_number() >= total_steps(); }
    /// What paths are drawn from, from the next step on.
    void set_operators(const OperatorLists& operators) { training_.operators = operators; }
    Sgd& optimizer() { return sgd_; }
    const Sgd& optimizer() const { return sgd_; }
    /// The most bytes that activations, gradients and scratch have taken.
    std::size_t high_water() const { return memory_.high_water(); }
    /// What has been captured; null where nothing is.
    const Segments* segments() const { return memory_.segments(); }
    double wait_seconds() const;

  private:
    struct Source;  // of batches, whatever their type
    struct PreparedSource;
    template <class T>
    struct ResidentSource;
    template <class T>
    static std::unique_ptr<Source> make_source(Nb201Supernet& net, Loader<T>& loader);
    SupernetTrainer(Nb201Supernet& net, std::unique_ptr<Source> source, const SupernetTraining& training);
    Nb201Supernet& net_;
    SupernetTraining training_;
    std::unique_ptr<Source> source_;
    std::int64_t steps_per_epoch_;
    Sgd sgd_;
    StepMemory memory_;
};

}  // namespace nascent
