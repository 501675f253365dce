#include "nas/run/training_loop.h"

#include <chrono>

#include "engine/base/error.h"
#include "nas/run/interrupt.h"

namespace nascent {

void TrainingLoop::run(RunDirectory& directory, ProgressState shown) const {
    using Clock = std::chrono::steady_clock;
    Progress progress(Progress::for_stderr(progress_seconds, &directory.log()));
    Clock::time_point saved = Clock::now();
    std::int64_t saved_step = shown.step;
    while (!done()) {
        step(shown);
        progress.update(shown);
        const bool stop = InterruptGuard::requested();
        const bool due = checkpoint_steps > 0 && shown.step - saved_step >= checkpoint_steps;
        const std::chrono::duration<double> since = Clock::now() - saved;
        if (stop || due || since.count() >= checkpoint_seconds) {
            save();
            saved = Clock::now();
            saved_step = shown.step;
        }
        if (stop)
            fail(ErrorKind::interrupted, "stopped at step {} of {}; go on with: {} resume {}", shown.step, shown.steps,
                 program, directory.path());
    }
    progress.finish();
    if (saved_step != shown.step) save();
}

void warn_if_elsewhere(RunLog& log, const std::string& now, const std::string& before) {
    if (now == before) return;
    log.warn(fmt::format(
        "goes on on {}, was on {}: the result is the same but for rounding; to the bit it is only on the same "
        "device (on the cpu NASCENT_CPU_TARGET chooses the instruction set)",
        now, before));
}

void work_in(RunDirectory& directory, bool fresh, const std::function<void()>& work) {
    try {
        work();
    } catch (const std::exception& e) {
        directory.log().line(e.what());
        if (fresh && directory.checkpoints().steps().empty()) directory.discard();
        throw;
    }
}

}  // namespace nascent
