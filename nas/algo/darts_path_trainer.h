// Training of a DARTS supernet on one path a step (RLNAS, CVPR 2021, its DARTS code).
#pragma once
#include <cstdint>
#include <memory>

#include "nas/algo/batches.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/training_step.h"
#include "nas/supernet/darts.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// The defaults are RLNAS on CIFAR-10.
struct DartsPathTraining {
    enum class Draws { numpy, counters };  // as the published code draws, or the same law by counters
    enum class LrStep {
        before_epoch,
        after_epoch
    };                                       // the scheduler's step: epoch e runs at the rate of e + 1, or of e
    enum class Schedule { cosine, linear };  // by epochs, or by steps on a line
    int epochs = 250;
    int schedule_epochs = 0;  // that the cosine falls over; 0: epochs
    double lr = 0.025, lr_min = 0.001;
    Schedule schedule = Schedule::cosine;
    std::int64_t linear_steps = 1;  // that the line falls over
    LrStep lr_step = LrStep::before_epoch;
    double label_smoothing = 0;
    Draws draws = Draws::numpy;
    std::uint64_t seed = 1;  // of the paths
    bool one_cell = false;   // of a path, for normal and reduction cells (AngleNAS)
    std::int64_t first = 0;  // step 0 has the path and the batch of this step
    darts::EdgeOperators operators = darts::all_operators();
    SgdOptions sgd{.momentum = 0.9, .weight_decay = 3e-4, .nesterov = false, .clip_norm = 5};
    /// Op calls that come again are replayed from captures, where the device can; changes no bit.
    bool capture = true;
};

/// lr_min + (lr - lr_min) (1 + cos(pi e / epochs)) / 2 with e = epoch + 1 or epoch, over
/// schedule_epochs.
double learning_rate(const DartsPathTraining& training, std::int64_t epoch);
/// By the schedule; on a line the scheduler is stepped before or after each update, not each epoch.
double learning_rate(const DartsPathTraining& training, std::int64_t step, std::int64_t steps_per_epoch);
/// The path of a step, a pure function.
darts::Code path_of(const DartsPathTraining& training, std::int64_t step);

class DartsPathTrainer {
  public:
    /// `net` and what `source` reads must outlive the trainer. Throws Error(usage) where NumPy's seeds do not suffice
    /// for the paths of all steps.
    DartsPathTrainer(DartsNet& net, BatchSource source, const DartsPathTraining& training);

    using Step = TrainingStep;
    /// One path, one batch, one update; the state is a function of the seed and the number of steps alone. Throws
    /// Error(runtime) when the loss is not finite; the parameters are then those before the step.
    Step step();
    std::int64_t step_number() const { return sgd_.step_number(); }
    std::int64_t steps_per_epoch() const { return source_.steps_per_epoch; }
    std::int64_t total_steps() const { return steps_per_epoch() * training_.epochs; }
    bool done() const { return step_number() >= total_steps(); }
    /// What paths are drawn from, from the next step on.
    void set_operators(const darts::EdgeOperators& operators);
    const DartsPathTraining& training() const { return training_; }
    Sgd& optimizer() { return sgd_; }
    const Sgd& optimizer() const { return sgd_; }
    /// The most bytes that activations, gradients and scratch have taken.
    std::size_t high_water() const { return memory_.high_water(); }
    double wait_seconds() const { return source_.wait_seconds(); }

  private:
    DartsNet& net_;
    DartsPathTraining training_;
    BatchSource source_;
    Sgd sgd_;
    StepMemory memory_;
};

}  // namespace nascent
