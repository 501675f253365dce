// Short searches by gradients, and what they leave, to compare runs by.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tests/apps/program.h"

namespace nascent::test {

/// A search of a second on NAS-Bench-201, or of a few on DARTS's space.
inline std::vector<std::string> small_search(const std::string& preset, const std::string& out,
                                             const std::vector<std::string>& more = {}) {
    std::vector<std::string> a{"run", "--preset", preset, "--out", out};
    if (preset.find("darts") != std::string::npos)
        a.insert(a.end(),
                 {"--channels",
                  preset.find("pcdarts") != std::string::npos || preset.find("drnas") != std::string::npos ? "8" : "2",
                  "--layers", "3", "--size", preset.find("imagenet") != std::string::npos ? "64" : "8", "--epochs", "2",
                  "--synthetic-train", "64"});
    a.insert(a.end(), more.begin(), more.end());
    return a;
}

/// Wall times aside.
struct Left {
    std::string arch, events, weights, alphas, strip, checkpoint;
    bool operator==(const Left&) const = default;
};
inline Left left(const std::string& run) {
    return {read_text(run + "/arch.json"),
            events_of(run),
            read_text(run + "/export/final.safetensors"),
            read_text(run + "/export/alphas.json"),
            read_text(run + "/export/alphas.svg"),
            read_text(newest_checkpoint(run) + "/state.safetensors")};
}

inline std::vector<json> records(const std::string& run, const std::string& kind) {
    std::vector<json> found;
    const std::string events = events_of(run);
    for (std::size_t at = 0, end; (end = events.find('\n', at)) != std::string::npos; at = end + 1) {
        json record = json::parse(events.substr(at, end - at));
        if (record.at("kind") == kind) found.push_back(std::move(record));
    }
    return found;
}

}  // namespace nascent::test
