// What a search by gradients leaves, to compare runs by.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tests/apps/program.h"

namespace nascent::test {

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
