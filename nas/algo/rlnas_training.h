// What training runs of RLNAS share, whatever the space.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "nas/algo/rlnas_config.h"
#include "nas/data/dataset.h"
#include "nas/data/loader.h"
#include "nas/run/training_loop.h"
#include "ops/optim/sgd.h"

namespace nascent {

/// Batches and labels of a run's training pictures.
LoaderOptions loader_options(const RlnasConfig& config, const Dataset& set);

/// How a run's weights are stepped.
SgdOptions sgd_options(const RlnasConfig::Train& config);

/// Trains to the end: `end_epoch(epoch)` after each epoch's last step, `save()` for checkpoints. `epoch_loss` and
/// `epoch_pictures` are the sums of the epoch so far. Throws Error(interrupted) after a checkpoint when a signal came.
template <class Trainer, class EndEpoch, class Save>
void train_epochs(Trainer& trainer, RunDirectory& directory, const RlnasConfig& config, double& epoch_loss,
                  std::int64_t& epoch_pictures, const EndEpoch& end_epoch, const Save& save) {
    ProgressState shown;
    shown.phase = "train";
    shown.step = trainer.step_number();
    shown.steps = trainer.total_steps();
    shown.epochs = config.train.epochs;
    const auto began = std::chrono::steady_clock::now();
    auto one = [&](ProgressState& state) {
        const std::int64_t epoch = trainer.step_number() / trainer.steps_per_epoch();
        const auto result = trainer.step();
        epoch_loss += result.loss * result.pictures;
        epoch_pictures += result.pictures;
        if (trainer.step_number() % trainer.steps_per_epoch() == 0) end_epoch(epoch);
        state.step = trainer.step_number();
        state.epoch = static_cast<int>(epoch) + 1;
        state.images += result.pictures;
        state.loss = result.loss;
        state.data_wait = trainer.wait_seconds();
    };
    const ProcessOptions& run = config.run;
    TrainingLoop{"rlnas",
                 run.checkpoint_seconds,
                 run.checkpoint_steps,
                 run.progress_seconds,
                 [&] { return trainer.done(); },
                 one,
                 save}
        .run(directory, shown);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
    directory.log().line(
        fmt::format("activations, gradients and scratch took at most {:.1f} MiB, waiting for data {:.2f} % of the time",
                    static_cast<double>(trainer.high_water()) / (1 << 20),
                    100 * trainer.wait_seconds() / std::max(1e-9, seconds.count())));
}

}  // namespace nascent
