#include "nas/algo/rlnas_training.h"

#include "nas/algo/weight_decay.h"
#include "nas/data/holdout.h"
#include "nas/data/labels.h"
#include "nas/data/split.h"

namespace nascent {

std::size_t whole_batches(const RlnasConfig& c, std::size_t used) {
    return std::max<std::size_t>(1, used / static_cast<std::size_t>(c.train.batch));
}

std::vector<std::uint32_t> training_pictures(const RlnasConfig& c, const Dataset& set) {
    std::vector<std::uint32_t> ids = training_ids(c.data.split, set);
    if (c.data.hold_out == 0) return ids;
    NASCENT_CHECK(ids.size() == set.train.count(), usage, "data.hold_out = {} needs data.split = all", c.data.hold_out);
    return hold_out(set.train.labels, set.class_names, c.data.hold_out, static_cast<std::uint64_t>(c.run.seed),
                    HoldOutPolicy::separate)
        .train;
}

LoaderOptions loader_options(const RlnasConfig& c, const Dataset& set) {
    LoaderOptions o;
    o.seed = static_cast<std::uint64_t>(c.run.seed);
    o.batch_size = c.train.batch;
    o.workers = c.run.loader_workers;
    o.order = c.data.order == "replacement"   ? BatchOrder::replacement
              : c.data.order == "one-shuffle" ? BatchOrder::one_shuffle
                                              : BatchOrder::epochs;
    o.labels = label_policy(c.data.labels);
    if (o.labels == LabelPolicy::fixed) {
        const auto labels = random_labels(static_cast<std::uint32_t>(c.data.label_seed), set.classes,
                                          static_cast<std::int64_t>(set.train.count()));
        o.fixed_labels.assign(labels.begin(), labels.end());
    }
    return o;
}

std::map<std::string, std::string> state_metadata(const RlnasConfig& c, int input_size, std::int64_t step) {
    return {{"space", c.space},
            {"input_size", std::to_string(input_size)},  // not in the tensors
            {"step", std::to_string(step)},
            {"seed", std::to_string(c.run.seed)}};
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

void say_beginning(RunLog& log, const RlnasConfig& c, const RunPictures& pictures, std::size_t used, Device& device) {
    const Dataset& set = pictures.set;
    log.say(fmt::format("{}; labels {}; {} on {}{}", describe(set, std::to_string(used), pictures.norm.name),
                        c.data.labels, c.train.dtype, target_of(device),
                        device.pool() ? fmt::format(" with {} threads", device.pool()->threads()) : ""));
    if (device.kind() != DeviceKind::cpu && c.train.conv == "winograd")
        log.warn("train.conv = winograd is of the cpu alone: this device computes convolutions directly");
    if (set.skipped > 0) log.warn(fmt::format("{} corrupt pictures were left out", set.skipped));
}

}  // namespace nascent
