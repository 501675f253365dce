// Training by epochs in a run directory, whatever the space: the loop, and what checkpoints say of it.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/io/json_text.h"
#include "nas/algo/common_options.h"
#include "nas/data/dataset.h"
#include "nas/run/training_loop.h"

namespace nascent {

/// The loss of an epoch so far.
class EpochLoss {
  public:
    /// Of one step, whose mean is `loss`.
    void add(double loss, int pictures) {
        sum_ += loss * pictures;
        pictures_ += pictures;
    }
    /// The mean over the epoch's pictures; the next epoch begins.
    double take();

  private:
    friend struct TrainedOn;
    double sum_ = 0;
    std::int64_t pictures_ = 0;
};

/// What a training depends on besides its settings, and must find again when it goes on.
struct TrainedOn {
    const Dataset& set;
    std::size_t used;           // of its training pictures
    const std::string& target;  // device and instruction set, on which the bits depend

    /// The beginning of a checkpoint's state.
    JsonObject state(std::string_view phase, const EpochLoss& loss) const;
    /// Reads it back, then `others` what else is in it. Warns where the training goes on elsewhere. Throws
    /// Error(checkpoint) for a state without its members, and what check_pictures() and `others` throw.
    void restore(const Checkpoint& found, RunDirectory& directory, EpochLoss& loss,
                 const std::function<void(const nlohmann::json& state)>& others = {}) const;
};

/// Trains to the end: `end_epoch(epoch)` after each epoch's last step and after the last of all, `save()` for
/// checkpoints; `program` goes on with an interrupted run. Throws Error(interrupted) after a checkpoint when a signal
/// came.
template <class Trainer, class EndEpoch, class Save>
void train_epochs(const char* program, Trainer& trainer, RunDirectory& directory, const ProcessOptions& run,
                  EpochLoss& loss, const EndEpoch& end_epoch, const Save& save) {
    const std::int64_t per_epoch = trainer.steps_per_epoch();
    ProgressState shown;
    shown.phase = "train";
    shown.step = trainer.step_number();
    shown.steps = trainer.total_steps();
    shown.epochs = static_cast<int>((trainer.total_steps() + per_epoch - 1) / per_epoch);
    const auto began = std::chrono::steady_clock::now();
    auto one = [&](ProgressState& state) {
        const std::int64_t epoch = trainer.step_number() / per_epoch;
        const auto result = trainer.step();
        loss.add(result.loss, result.pictures);
        if (trainer.step_number() % per_epoch == 0 || trainer.step_number() == trainer.total_steps()) end_epoch(epoch);
        state.step = trainer.step_number();
        state.epoch = static_cast<int>(epoch) + 1;
        state.images += result.pictures;
        state.loss = result.loss;
        state.data_wait = trainer.wait_seconds();
    };
    TrainingLoop{program,
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
