// Runs of spos, and what they leave.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/apps/program.h"

namespace nascent::test {

inline Outcome spos(const std::vector<std::string>& arguments, const Environment& environment = {}) {
    TemporaryFolder folder;
    return finish(start(arguments, folder.path(), environment, NASCENT_SPOS), folder.path());
}

/// A run of some seconds: 12 candidates of three generations.
inline std::vector<std::string> small_spos(const std::string& command, const std::string& out,
                                           const std::vector<std::string>& more = {}) {
    std::vector<std::string> a{command, "--preset", "smoke/spos", "--threads", "1", "--out", out};
    if (command == "run") a.insert(a.end(), {"--synthetic-train", "48", "--epochs", "1"});
    a.insert(a.end(),
             {"--population", "4", "--select", "2", "--mutation", "2", "--crossover", "1", "--generations", "3"});
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

struct Leavings {
    std::string arch, candidates, svg, yaml, events, supernet, checkpoint;
    bool operator==(const Leavings&) const = default;
};
inline Leavings leavings(const std::string& run) {
    const std::string to = run + "/export/";
    Leavings l{read_text(run + "/arch.json"),
               read_text(to + "candidates.csv"),
               read_text(to + "arch.svg"),
               read_text(to + "arch.yaml"),
               events_of(run),
               "",
               read_text(newest_checkpoint(run) + "/state.json")};
    if (std::filesystem::exists(to + "supernet.safetensors")) l.supernet = read_text(to + "supernet.safetensors");
    return l;
}

inline std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
        lines.push_back(text.substr(at, end - at));
    return lines;
}

inline void refused(const std::vector<std::string>& arguments, const std::string& message, int code = 2) {
    const Outcome o = spos(arguments);
    CAPTURE(o.err);
    CHECK(o.code == code);
    CHECK(o.out.empty());
    CHECK(o.err.find(message) != std::string::npos);
}

}  // namespace nascent::test
