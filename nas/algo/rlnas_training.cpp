#include "nas/algo/rlnas_training.h"

#include "nas/algo/weight_decay.h"
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

SgdOptions sgd_options(const RlnasConfig::Train& c) {
    SgdOptions o;
    o.momentum = c.momentum;
    o.weight_decay = c.weight_decay;
    o.nesterov = c.nesterov;
    o.clip_norm = c.clip;
    o.inactive = c.inactive == "coast" ? SgdOptions::Inactive::coast : SgdOptions::Inactive::skip;
    o.clip_value = c.clip_value;
    o.decays = weight_decay_rule(c.decay);
    return o;
}

}  // namespace nascent
