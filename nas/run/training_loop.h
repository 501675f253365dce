// The loop around training steps: progress, checkpoints, signals.
#pragma once
#include <functional>
#include <string>

#include "nas/run/progress.h"
#include "nas/run/run_directory.h"

namespace nascent {

struct TrainingLoop {
    std::string program;  // that goes on with the run, for the message of an interrupted one
    int checkpoint_seconds, checkpoint_steps, progress_seconds;
    std::function<bool()> done;
    /// One step; sets step, epoch, images (adds to them), loss and data_wait.
    std::function<void(ProgressState&)> step;
    std::function<void()> save;

    /// Steps until done; saves when it is time, when a signal came, and at the end. Throws Error(interrupted) after a
    /// signal. `shown` has phase, step, steps and epochs.
    void run(RunDirectory& directory, ProgressState shown) const;
};

/// Warns where a run goes on on another device or instruction set than it was on.
void warn_if_elsewhere(RunLog& log, const std::string& now, const std::string& before);

/// Does `work` in a run's folder: what it throws is logged first, and a `fresh` run without a checkpoint is taken back,
/// so that a wrong path may be corrected under the same name.
void work_in(RunDirectory& directory, bool fresh, const std::function<void()>& work);

}  // namespace nascent
