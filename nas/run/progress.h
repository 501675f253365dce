// The progress line: images/s, time left, loss and the share of time spent waiting for data.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace nascent {

class RunLog;

/// Where a loop stands; sums since its start in this process.
struct ProgressState {
    std::string phase;          // "train", "search"
    std::int64_t step = 0;      // done, of the whole run
    std::int64_t steps = 0;     // in the whole run
    int epoch = 0, epochs = 0;  // 1-based; epochs 0: not shown
    std::int64_t images = 0;    // worked on by this process; unit "images" may be candidates
    std::string unit = "images";
    double loss = 0;       // NaN: not shown
    double data_wait = 0;  // seconds this process waited for data
};

/// Speeds over the last ten seconds or so (exponentially weighted), from the differences of the states given.
class ProgressRate {
  public:
    void update(double now, const ProgressState& state);
    double images_per_second() const;
    double steps_per_second() const;
    double wait_share() const;  // 0..1

  private:
    double last_time_ = -1, last_wait_ = 0;
    std::int64_t last_images_ = 0, last_step_ = 0;
    double seconds_ = 0, images_ = 0, steps_ = 0, wait_ = 0;  // decayed sums
};

/// "train epoch 3/250 step 1200/97750  812 images/s  ETA 1:02:03  loss 2.3026  data wait 4 %"
std::string format_progress(const ProgressState& state, const ProgressRate& rate);
/// "0:07", "12:34", "1:02:03", "3 d 04:05:06".
std::string format_duration(double seconds);

class Progress {
  public:
    struct Options {
        bool terminal = false;                          // one line drawn again and again, at most ten times a second
        std::function<int()> columns;                   // the terminal's width now; empty or 0: not known
        double seconds = 30;                            // else a line this often
        RunLog* log = nullptr;                          // also gets a line every `seconds`
        std::function<double()> clock;                  // seconds; empty: the steady clock
        std::function<void(const std::string&)> write;  // empty: to stderr
    };
    /// Terminal if stderr is one.
    static Options for_stderr(double seconds, RunLog* log);
    explicit Progress(Options options);
    /// Ends the drawn line.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    /// Cheap when nothing is due; call it every step.
    void update(const ProgressState& state);
    /// Writes the last state, as at the end of a phase, and starts afresh.
    void finish();

  private:
    void draw(double now);
    Options options_;
    ProgressState state_;
    ProgressRate rate_;
    double last_rate_ = -1e300, last_line_ = -1e300;
    bool any_ = false, drawn_ = false;
};

}  // namespace nascent
