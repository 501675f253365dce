#include "nas/algo/rlnas_training.h"

#include "nas/data/labels.h"

namespace nascent {

LoaderOptions loader_options(const RlnasConfig& c, const Dataset& set) {
    LoaderOptions o;
    o.seed = static_cast<std::uint64_t>(c.run.seed);
    o.batch_size = c.train.batch;
    o.workers = c.run.loader_workers;
    o.labels = label_policy(c.data.labels);
    if (o.labels == LabelPolicy::fixed) {
        const auto labels = random_labels(static_cast<std::uint32_t>(c.data.label_seed), set.classes,
                                          static_cast<std::int64_t>(set.train.count()));
        o.fixed_labels.assign(labels.begin(), labels.end());
    }
    return o;
}

}  // namespace nascent
