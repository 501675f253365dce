#include "nas/data/batch_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/rng.h"

namespace nascent {

int BatchPlan::count(std::uint64_t step) const {
    const bool fresh = order == BatchOrder::first_of_shuffle;
    const std::uint64_t first = fresh ? 0 : step % steps_per_epoch() * batch_size;
    return static_cast<int>(std::min<std::uint64_t>(batch_size, epoch_pictures - first));
}

std::size_t BatchPlan::place(std::uint64_t step, int position) const {
    const auto at = static_cast<std::uint64_t>(position);
    const std::uint64_t epoch = step / steps_per_epoch(), first = step % steps_per_epoch() * batch_size;
    switch (order) {
        case BatchOrder::first_of_shuffle:
            return shuffled(seed, RandomStream::order, step, ids.size(), at);
        case BatchOrder::replacement:
            return Random(seed, RandomStream::order, step, static_cast<std::uint32_t>(position))
                .below(0, static_cast<std::uint32_t>(ids.size()));
        case BatchOrder::in_order:
            return static_cast<std::size_t>(first + at);
        case BatchOrder::one_shuffle:
            return shuffled(seed, RandomStream::order, 0, ids.size(), first + at);
        case BatchOrder::epochs:
            break;
    }
    return shuffled(seed, RandomStream::order, epoch, ids.size(), first + at);
}

int BatchPlan::label(const std::vector<int>& labels, std::uint32_t id, std::uint64_t step, int position) const {
    switch (policy) {
        case LabelPolicy::truth:
            return labels[id];
        case LabelPolicy::fixed:
            return fixed_labels[id];
        case LabelPolicy::per_access:
            break;
    }
    return static_cast<int>(
        Random(seed, RandomStream::labels, step, static_cast<std::uint32_t>(position)).below(0, classes));
}

BatchPlan batch_plan(std::vector<std::uint32_t> ids, const std::vector<int>& labels, int classes, std::uint64_t seed,
                     int batch_size, BatchOrder order, std::size_t epoch_pictures, LabelPolicy policy,
                     std::vector<int> fixed_labels) {
    const std::size_t count = labels.size();
    NASCENT_CHECK(batch_size >= 1, usage, "batch size {}, expected at least 1", batch_size);
    NASCENT_CHECK(classes >= 1, usage, "{} classes, expected at least 1", classes);
    NASCENT_CHECK(count > 0 && count <= 0xFFFFFFFF, usage, "a split of {} pictures", count);
    NASCENT_CHECK(epoch_pictures == 0 || order == BatchOrder::replacement, usage,
                  "an epoch of {} pictures is for draws with replacement alone", epoch_pictures);
    for (std::uint32_t id : ids) {
        NASCENT_CHECK(id < count, usage, "picture {} is asked for, the split has {}", id, count);
    }
    if (ids.empty()) {
        ids.resize(count);
        std::iota(ids.begin(), ids.end(), 0u);
    }
    const bool fixed = policy == LabelPolicy::fixed;
    NASCENT_CHECK(fixed ? fixed_labels.size() == count : fixed_labels.empty(), usage, "{} fixed labels, expected {}",
                  fixed_labels.size(), fixed ? count : 0);
    for (int l : fixed ? fixed_labels : labels) {
        NASCENT_CHECK(l >= 0 && l < classes, usage, "label {}, expected 0..{}", l, classes - 1);
    }
    const std::uint64_t in_epoch = epoch_pictures > 0 ? epoch_pictures : ids.size();
    return {seed,           static_cast<std::uint64_t>(batch_size), order,  in_epoch,
            std::move(ids), static_cast<std::uint32_t>(classes),    policy, std::move(fixed_labels)};
}

void check_workers(int workers, int ahead) {
    NASCENT_CHECK(workers >= 0 && workers <= 256, usage, "{} loader threads, expected 0..256", workers);
    NASCENT_CHECK(ahead >= 1 && ahead <= 4096, usage, "{} batches ahead, expected 1..4096", ahead);
}

}  // namespace nascent
