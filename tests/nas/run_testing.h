// What the tests of run directories, journals and checkpoints share.
#pragma once
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "nas/run/run_directory.h"
#include "tests/temporary_folder.h"
#include "tests/texts.h"

namespace nascent::test {

/// A checkpoint whose content tells its step.
inline void save(RunDirectory& run, std::int64_t step) {
    const std::array<float, 3> w = {static_cast<float>(step), 2, 3};
    run.save_checkpoint(step, {safe_tensor("w", {3}, std::span(w))}, fmt::format("{{\"cursor\":{}}}", step));
}

inline void check_is(const Checkpoint& c, std::int64_t step) {
    CHECK(c.step == step);
    std::array<float, 3> w{};
    c.tensors.copy("w", std::span(w));
    CHECK(w[0] == static_cast<float>(step));
    CHECK(c.state == fmt::format("{{\"cursor\":{}}}", step));
}

/// The journal without its times.
inline std::string journal_of(const std::string& path) {
    std::string all;
    std::istringstream lines(read_text(path));
    for (std::string line; std::getline(lines, line);) {
        nlohmann::ordered_json record = nlohmann::ordered_json::parse(line);
        record.erase("t");
        all += record.dump() + "\n";
    }
    return all;
}

/// The exit code, or 1000 and the signal.
inline int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace nascent::test
