// Which pictures a batch holds and with which labels: what both loaders share.
#pragma once
#include <cstdint>
#include <vector>

#include "nas/data/loader.h"

namespace nascent {

struct BatchPlan {
    std::uint64_t seed = 0;
    std::uint64_t batch_size = 1;
    BatchOrder order = BatchOrder::epochs;
    std::uint64_t epoch_pictures = 0;  // in an epoch, at least 1
    std::vector<std::uint32_t> ids;
    std::uint32_t classes = 1;
    LabelPolicy policy = LabelPolicy::truth;
    std::vector<int> fixed_labels;

    std::uint64_t steps_per_epoch() const { return (epoch_pictures + batch_size - 1) / batch_size; }
    /// Pictures in batch `step`.
    int count(std::uint64_t step) const;
    /// The place in `ids` of the picture at `position` of batch `step`.
    std::size_t place(std::uint64_t step, int position) const;
    /// Its label; `labels`: the true ones.
    int label(const std::vector<int>& labels, std::uint32_t id, std::uint64_t step, int position) const;
};

/// The plan of a loader's options; checks them against `labels`, the true ones of all pictures. Throws Error(usage) on
/// an option, an id or a label out of range.
BatchPlan batch_plan(std::vector<std::uint32_t> ids, const std::vector<int>& labels, int classes, std::uint64_t seed,
                     int batch_size, BatchOrder order, std::size_t epoch_pictures, LabelPolicy policy,
                     std::vector<int> fixed_labels);

/// Of both loaders. Throws Error(usage).
void check_workers(int workers, int ahead);

}  // namespace nascent
