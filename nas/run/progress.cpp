#include "nas/run/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>

#include "nas/run/run_directory.h"

namespace nascent {
namespace {
constexpr double memory_seconds = 10;  // after this long a measurement counts 1/e
constexpr double redraw_seconds = 0.1;
}  // namespace

void ProgressRate::update(double now, const ProgressState& state) {
    if (last_time_ >= 0 && now > last_time_) {
        const double elapsed = now - last_time_, decay = std::exp(-elapsed / memory_seconds);
        seconds_ = seconds_ * decay + elapsed;
        images_ = images_ * decay + static_cast<double>(state.images - last_images_);
        steps_ = steps_ * decay + static_cast<double>(state.step - last_step_);
        wait_ = wait_ * decay + (state.data_wait - last_wait_);
    } else if (last_time_ >= 0) {
        return;  // no time has passed: the difference counts next time
    }
    last_time_ = now, last_wait_ = state.data_wait, last_images_ = state.images, last_step_ = state.step;
}

double ProgressRate::images_per_second() const { return seconds_ > 0 ? images_ / seconds_ : 0; }
double ProgressRate::steps_per_second() const { return seconds_ > 0 ? steps_ / seconds_ : 0; }
double ProgressRate::wait_share() const { return seconds_ > 0 ? std::fmin(1, wait_ / seconds_) : 0; }

std::string format_duration(double seconds) {
    const auto s = static_cast<std::int64_t>(std::llround(std::fmax(0, seconds)));
    const std::int64_t days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;
    if (days > 0) return fmt::format("{} d {:02}:{:02}:{:02}", days, hours, minutes, s % 60);
    if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, s % 60);
    return fmt::format("{}:{:02}", minutes, s % 60);
}

std::string format_progress(const ProgressState& state, const ProgressRate& rate) {
    std::string text = state.phase;
    if (state.epochs > 0) text += fmt::format(" epoch {}/{}", state.epoch, state.epochs);
    text += fmt::format(" step {}/{}", state.step, state.steps);
    const double speed = rate.images_per_second();
    text += fmt::format("  {:.{}f} {}/s", speed, speed >= 100 ? 0 : 2, state.unit);
    if (speed >= 0.005) {  // what is shown is not 0: after a long pause the estimate would mean nothing
        text += "  ETA " + format_duration(static_cast<double>(state.steps - state.step) / rate.steps_per_second());
    }
    if (!std::isnan(state.loss)) text += fmt::format("  loss {:.4f}", state.loss);
    text += fmt::format("  data wait {:.0f} %", 100 * rate.wait_share());
    return text;
}

Progress::Options Progress::for_stderr(double seconds, RunLog* log) {
    Options options;
    options.terminal = ::isatty(STDERR_FILENO) == 1;
    options.columns = [] {
        struct winsize size {};
        return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    };
    options.seconds = seconds;
    options.log = log;
    return options;
}

Progress::Progress(Options options) : options_(std::move(options)) {
    if (!options_.clock) {
        options_.clock = [] {
            return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
        };
    }
    if (!options_.write) {
        options_.write = [](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); };
    }
}

Progress::~Progress() {
    if (drawn_) options_.write("\n");
}

void Progress::update(const ProgressState& state) {
    const double now = options_.clock();
    state_ = state;
    if (!any_) {
        any_ = true;
        last_line_ = now;  // the first line comes when there is a speed to tell
        rate_.update(now, state_);
        last_rate_ = now;
        return;
    }
    if (now - last_rate_ < redraw_seconds) return;
    rate_.update(now, state_);
    last_rate_ = now;
    draw(now);
}

void Progress::draw(double now) {
    const std::string text = format_progress(state_, rate_);
    if (options_.terminal) {
        // A line that wraps could not be drawn again in its place.
        const int columns = options_.columns ? options_.columns() : 0;
        const std::size_t room = columns > 1 ? static_cast<std::size_t>(columns) - 1 : text.size();
        options_.write("\r" + text.substr(0, room) + "\x1b[K");  // and clear what a longer line left
        drawn_ = true;
    }
    if (now - last_line_ < options_.seconds) return;
    last_line_ = now;
    if (!options_.terminal) options_.write(text + "\n");
    if (options_.log != nullptr) options_.log->line(text);
}

void Progress::finish() {
    if (!any_) return;
    const double now = options_.clock();
    rate_.update(now, state_);
    last_line_ = -1e300;  // due now
    draw(now);
    if (drawn_) options_.write("\n");
    drawn_ = any_ = false;
    rate_ = {};
}

}  // namespace nascent
