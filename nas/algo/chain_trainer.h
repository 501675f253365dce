// Training of a chain's supernet on one path a step (SPOS, ECCV 2020; AngleNAS, RLNAS), or of a subnet.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "nas/algo/batches.h"
#include "nas/algo/training_step.h"
#include "nas/supernet/chain.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// The defaults are those of SPOS's program.
struct ChainTraining {
    enum class Schedule : std::uint8_t { linear, cosine };
    /// The scheduler's step comes after the optimizer's, step s (from 0) runs at the rate of s; or before it, at that
    /// of s + 1. SPOS's program is of the time of PyTorch 1.0, where its rates were those of `after`.
    enum class LrStep : std::uint8_t { after, before };
    std::int64_t steps = 150'000;
    Schedule schedule = Schedule::linear;
    LrStep lr_step = LrStep::after;
    double lr = 0.5, lr_min = 0;
    double lr_steps = 0;  // until lr_min is reached, where it stays; 0: `steps`
    double label_smoothing = 0.1;
    bool dropout = true;     // where the network has any
    std::uint64_t seed = 0;  // of dropout
    SgdOptions sgd{.momentum = 0.9, .weight_decay = 4e-5, .nesterov = false, .inactive = SgdOptions::Inactive::skip};
    /// Op calls that come again are replayed from captures, where the device can; changes no bit.
    bool capture = true;
};

/// lr_min + (lr - lr_min) (1 - t), or (1 + cos(pi t)) / 2 of it; t the share of lr_steps.
double learning_rate(const ChainTraining& training, std::int64_t step);

/// The path of a step, a pure function.
using ChainPaths = std::function<chain::Architecture(std::int64_t step)>;

class ChainTrainer {
  public:
    /// `net` and what `source` reads must outlive the trainer. Throws Error(usage) for settings out of range.
    ChainTrainer(ChainNet& net, BatchSource source, ChainPaths paths, const ChainTraining& training);

    using Step = TrainingStep;
    /// One path, one batch, one update; the state is a function of the seeds and the number of steps alone. Throws
    /// Error(runtime) when the loss is not finite; the parameters are then those before the step.
    Step step();
    std::int64_t step_number() const { return sgd_.step_number(); }
    /// The last epoch may be cut short.
    std::int64_t steps_per_epoch() const { return source_.steps_per_epoch; }
    std::int64_t total_steps() const { return training_.steps; }
    bool done() const { return step_number() >= total_steps(); }
    const ChainTraining& training() const { return training_; }
    Sgd& optimizer() { return sgd_; }
    const Sgd& optimizer() const { return sgd_; }
    /// The most bytes that activations, gradients and scratch have taken.
    std::size_t high_water() const { return memory_.high_water(); }
    double wait_seconds() const { return source_.wait_seconds(); }
    /// What has been captured; null where nothing is.
    const Segments* segments() const { return memory_.segments(); }

  private:
    ChainNet& net_;
    ChainTraining training_;
    BatchSource source_;
    ChainPaths paths_;
    Sgd sgd_;
    StepMemory memory_;
};

}  // namespace nascent
