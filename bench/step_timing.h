// What the timed step programs share: arguments, the measured loop, and the line of JSON that bench/compare.py reads
// (the keys of bench/torch/timing.py, where both have them).
#pragma once
#include <sys/resource.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/io/json_text.h"
#include "engine/streams/device.h"
#include "kernels/target.h"

namespace nascent::bench {

struct StepArguments {
    int batch = 64, threads = 1, steps = 20, warmup = 3;
    std::uint64_t seed = 0;
    std::string device = "cpu", precision = "float32";
    bool winograd = false;

    /// `bf16`: the network has activations that may be stored so.
    explicit StepArguments(CLI::App& app, bool bf16 = false) {
        app.add_option("--batch", batch)->check(CLI::PositiveNumber);
        app.add_option("--device", device)->check(CLI::IsMember({"cpu", "gpu"}));
        app.add_option("--threads", threads)->check(CLI::PositiveNumber);
        app.add_option("--steps", steps, "steps measured")->check(CLI::PositiveNumber);
        app.add_option("--warmup", warmup, "steps before them")->check(CLI::NonNegativeNumber);
        app.add_option("--seed", seed, "of weights, pictures and whatever else is drawn");
        app.add_option("--precision", precision, "tf32 and bf16 on the gpu alone")
            ->check(bf16 ? CLI::IsMember({"float32", "tf32", "bf16"}) : CLI::IsMember({"float32", "tf32"}));
        app.add_flag("--winograd", winograd, "3x3 convolutions by Winograd's algorithm");
        app.callback([this] {
            if (precision != "float32" && device == "cpu")
                throw CLI::ValidationError("--precision", precision + " needs --device gpu");
        });
    }
    StepArguments(const StepArguments&) = delete;
    StepArguments& operator=(const StepArguments&) = delete;
};

/// Make it when the pictures are loaded and before the network is built: memory is counted from here.
class StepTiming {
  public:
    explicit StepTiming(const StepArguments& arguments) : arguments_(arguments) {
        std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts again from here
        before_ = memory("VmRSS");
        device_ = make_device(arguments.device, arguments.threads);
        device_->kernel_options.winograd = arguments.winograd;
        if (arguments.precision == "tf32") device_->kernel_options.precision = Precision::tf32;
        if (arguments.precision == "bf16") device_->kernel_options.precision = Precision::bf16;
    }
    Device& device() { return *device_; }

    /// `step` does one step and returns its loss, which waits for its end; `waited` says how many seconds have been
    /// waited for pictures so far; `between` is called before each measured step.
    void run(
        const std::function<double()>& step, const std::function<double()>& waited,
        const std::function<void()>& between = [] {}) {
        for (int i = 0; i < arguments_.warmup; i++) step();
        waited_ = -waited();
        launches_ = -device_->launches();
        for (int i = 0; i < arguments_.steps; i++) {
            between();
            const double w = seconds(CLOCK_MONOTONIC), c = seconds(CLOCK_PROCESS_CPUTIME_ID);
            loss_ = step();
            wall_.push_back(seconds(CLOCK_MONOTONIC) - w);
            core_.push_back(seconds(CLOCK_PROCESS_CPUTIME_ID) - c);
        }
        waited_ += waited();
        launches_ += device_->launches();
    }

    /// Times in seconds, memory in bytes, launches of one step.
    JsonObject result() const {
        JsonObject all;
        all.add("program", "nascent").add("version", kernels::cpu_target());
        all.add("batch", arguments_.batch).add("threads", arguments_.threads).add("steps", arguments_.steps);
        add(all, "wall", wall_);
        add(all, "core", core_);
        all.add("wait_share", waited_ / std::accumulate(wall_.begin(), wall_.end(), 0.0));
        all.add("rss_growth", memory("VmHWM") - before_).add("loss", loss_).add("device", device_->name());
        all.add("precision", arguments_.precision);
        return all.add("launches", static_cast<double>(launches_) / arguments_.steps);
    }

  private:
    static double seconds(clockid_t clock) {
        timespec t;
        clock_gettime(clock, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    }
    /// From /proc/self/status, in bytes.
    static std::int64_t memory(const std::string& key) {
        std::ifstream in("/proc/self/status");
        for (std::string line; std::getline(in, line);)
            if (line.starts_with(key + ":")) return 1024 * std::stoll(line.substr(key.size() + 1));
        return 0;
    }
    static void add(JsonObject& to, const std::string& name, std::vector<double> v) {
        std::sort(v.begin(), v.end());
        to.add(name + "_median", (v[v.size() / 2] + v[(v.size() - 1) / 2]) / 2).add(name + "_min", v[0]);
        to.add(name + "_mean", std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()));
    }

    const StepArguments& arguments_;
    std::int64_t before_ = 0, launches_ = 0;
    std::unique_ptr<Device> device_;
    std::vector<double> wall_, core_;
    double waited_ = 0, loss_ = 0;
};

}  // namespace nascent::bench
