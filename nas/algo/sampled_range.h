// What DrNAS's users look at over a search: the true accuracies of architectures drawn from the present Dirichlet
// distributions, beside that of their mean, which is derived.
#pragma once
#include <string>
#include <vector>

#include "engine/streams/device.h"
#include "nas/metric/table.h"

namespace nascent {

struct SampledRange {
    double least = 0, mean = 0, most = 0;  // percent
};
/// Of `count` architectures of NAS-Bench-201 (at most 800), each the largest entries of one draw; alphas (6, 5). A
/// function of seed and epoch.
SampledRange sampled_range(Device& device, const std::vector<double>& alphas, std::uint64_t seed, std::int64_t epoch,
                           const BenchmarkTable& table, const std::string& column, int count = 100);

struct RangeMoment {
    int epoch = 0;
    double derived = 0;  // accuracy
    SampledRange sampled;
};
struct RangeHistory {
    std::string column;
    std::vector<RangeMoment> moments;
};
/// From a run's journal; without moments where the search has no table or draws nothing.
RangeHistory range_history(const std::string& run);
/// The range as a band with its mean as a line, and the derived architecture's accuracy as another, over the epochs.
/// SVG that stands alone. At least one moment.
std::string range_plot(const RangeHistory& history);

}  // namespace nascent
