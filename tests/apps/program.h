// Runs the programs as processes, and compares what runs leave.
#pragma once
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "nas/space/nasbench201.h"
#include "tests/temporary_folder.h"

namespace nascent::test {

using nlohmann::json;
using Environment = std::vector<std::pair<std::string, std::string>>;

struct Outcome {
    int code;
    std::string out, err;
};

/// Starts it with its output in folder/out and folder/err.
inline pid_t start(const std::vector<std::string>& arguments, const std::string& folder,
                   const Environment& environment = {}, std::string program = NASCENT_RLNAS) {
    fflush(nullptr);  // or the child would print what is buffered again
    const pid_t pid = fork();
    if (pid != 0) return pid;
    std::vector<char*> argv;
    argv.push_back(program.data());
    std::vector<std::string> copies = arguments;
    for (std::string& a : copies) argv.push_back(a.data());
    argv.push_back(nullptr);
    if (!freopen((folder + "/out").c_str(), "w", stdout) || !freopen((folder + "/err").c_str(), "w", stderr)) _exit(98);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    execv(argv[0], argv.data());
    _exit(99);
}

inline Outcome finish(pid_t pid, const std::string& folder) {
    int status = 0;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_text(folder + "/out"),
            read_text(folder + "/err")};
}

/// Wall time.
inline double seconds(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Starts a program again and again, `command` giving the arguments of the next time, and sends it signal number
/// `attempt`; pauses before that grow with `whole` (seconds of an undisturbed run here and now), so that the first ones
/// come early in the run and the last time is let to its end. Returns the outcomes, the last one's code is 0.
inline std::vector<Outcome> disturb(double whole, const std::function<std::vector<std::string>()>& command,
                                    const std::function<int(int)>& signal, const std::string& folder,
                                    const std::string& program = NASCENT_RLNAS) {
    std::vector<Outcome> all;
    for (int attempt = 0; attempt < 100; attempt++) {
        const pid_t pid = start(command(), folder, {}, program);
        std::this_thread::sleep_for(std::chrono::duration<double>(whole * (0.01 + 0.04 * attempt)));
        kill(pid, signal(attempt));
        all.push_back(finish(pid, folder));
        if (all.back().code == 0) break;
    }
    return all;
}

inline Outcome rlnas(const std::vector<std::string>& arguments) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path()), folder.path());
}

inline Outcome darts_search(const std::vector<std::string>& arguments) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path(), {}, NASCENT_DARTS_SEARCH), folder.path());
}

/// A run of seconds; `more` after the common flags.
inline std::vector<std::string> small_run(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> a{"run", "--data",  "synthetic", "--synthetic-train", "256", "--size",  "16", "--channels",
                               "4",   "--cells", "1",         "--epochs",          "6",   "--batch", "32", "--seed",
                               "3",   "--out",   out};
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

/// A table in which every architecture's accuracy is a function of its operators.
inline void write_table(const std::string& path) {
    std::string text = "index,arch,cifar10_test_200\n";
    for (int i = 0; i < nascent::nb201::kArchitectures; i++) {
        const auto a = nascent::nb201::from_official_index(i);
        double accuracy = 50;
        for (auto op : a.ops) accuracy += 2.0 * (static_cast<int>(op) % 4);
        text += std::to_string(i) + "," + nascent::nb201::to_string(a) + "," + std::to_string(accuracy) + "\n";
    }
    write_text(path, text);
}

/// A run's journal without its wall times.
inline std::string events_of(const std::string& run) {
    std::string result;
    const std::string events = read_text(run + "/events.jsonl");
    for (std::size_t at = 0, end; (end = events.find('\n', at)) != std::string::npos; at = end + 1) {
        json record = json::parse(events.substr(at, end - at));
        record.erase("t");
        result += record.dump() + "\n";
    }
    return result;
}

inline std::string newest_checkpoint(const std::string& run) {
    std::string newest;
    for (const auto& e : std::filesystem::directory_iterator(run + "/ckpt"))
        if (e.is_directory() && e.path().filename().string().starts_with("step-"))
            newest = std::max(newest, e.path().string());
    return newest;
}

/// What a run leaves, wall times aside.
struct Remains {
    std::string initial, trained, arch, events, population, last_checkpoint;
    bool operator==(const Remains&) const = default;
};

inline Remains remains(const std::string& run) {
    Remains r{read_text(run + "/export/init.safetensors"),
              read_text(run + "/export/final.safetensors"),
              read_text(run + "/arch.json"),
              "",
              read_text(run + "/ckpt/search.json"),
              ""};
    r.events = events_of(run);
    r.last_checkpoint = read_text(newest_checkpoint(run) + "/state.safetensors");
    return r;
}

}  // namespace nascent::test
