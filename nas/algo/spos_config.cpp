#include "nas/algo/spos_config.h"

#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "nas/algo/shrink_json.h"
#include "nas/algo/weight_decay.h"

namespace nascent {
namespace {

constexpr int many = 1'000'000'000;
using Words = std::vector<std::string>;

template <std::size_t N>
Words words(const std::array<std::string_view, N>& names, Words first = {}) {
    first.insert(first.end(), names.begin(), names.end());
    return first;
}

void add_training_options(OptionTable& t, SposConfig::Train& c) {
    t.add("train.epochs", "--epochs", c.epochs, 1, many, "passes over the training pictures, where --steps is 0");
    t.add("train.steps", "--steps", c.steps, 0, "training steps, 0 for --epochs");
    t.add("train.batch", "--batch", c.batch, 1, 1'000'000, "pictures per step");
    t.add("train.order", "--order", c.order, Words{"epochs", "replacement"},
          "each picture once an epoch, or every picture drawn anew from all of them (AngleNAS)");
    t.add("train.lr", "--lr", c.lr, 0, 1e6, "learning rate of the first step, from which it falls step by step");
    t.add("train.lr_min", "--lr-min", c.lr_min, 0, 1e6, "learning rate it falls to");
    t.add("train.schedule", "--schedule", c.schedule, Words{"linear", "cosine"}, "how it falls");
    t.add("train.lr_step", "--lr-step", c.lr_step, Words{"after", "before"},
          "the schedule's step comes after the optimizer's, or before it, so that the first step has the second rate");
    t.add("train.momentum", "--momentum", c.momentum, 0, 1, "momentum of SGD");
    t.add("train.nesterov", "--nesterov", c.nesterov, "Nesterov's momentum");
    t.add("train.weight_decay", "--weight-decay", c.weight_decay, 0, 1e6, "weight decay");
    t.add("train.decay", "--decay", c.decay, weight_decay_names(),
          "what decays: all; original, weights of more than one dimension (SPOS); mmrazor, those but depthwise ones; "
          "anglenas, convolutions and the classifier with its bias");
    t.add("train.clip", "--clip", c.clip, 0, 1e300, "largest norm of the gradient, 0 for no limit");
    t.add("train.clip_value", "--clip-value", c.clip_value, 0, 1e300,
          "largest element of the gradient, 0 for no limit");
    t.add("train.label_smoothing", "--label-smoothing", c.label_smoothing, 0, 1,
          "part of the target spread over all classes");
    t.add("train.inactive", "--inactive", c.inactive, Words{"coast", "skip"},
          "operators off the sampled path: coast on momentum and decay (MMRazor on PyTorch 1.x), or stay as they are");
    t.add("train.sampling", "--sampling", c.sampling, Words{"uniform", "buckets", "fair"},
          "paths: uniform; SPOS's, uniform in one of several ranges of FLOPs; or strictly fair (FairNAS)");
    t.add("train.flops", "--bucket-flops", c.flops, words(chain::kMacConventions, {"auto"}),
          "how FLOPs are counted for the ranges; auto: mac, thop (mobilenet) or mmrazor by the space");
    t.add("train.bucket_low", "--bucket-low", c.bucket_low, 0, "lower end of the first range");
    t.add("train.bucket_high", "--bucket-high", c.bucket_high, 1, "upper end of the last one");
    t.add("train.bucket_width", "--bucket-width", c.bucket_width, 1, "width of a range");
    t.add("train.bucket_tries", "--bucket-tries", c.bucket_tries, 0, many,
          "the law of drawing paths until one is in the range and taking any after so many in vain, 0: never any");
    t.add("train.widen_from", "--widen-from", c.widen_from, 0, 1e9,
          "epochs with the widest channel scale alone (shufflenet-channels)");
    t.add("train.widen_every", "--widen-every", c.widen_every, 0, 1e9,
          "epochs after which one more channel scale below is drawn, 0: all at once (shufflenet-channels)");
    t.add("train.dtype", "--dtype", c.dtype, Words{"float32", "float64"}, "type of weights and activations");
    add_precision_option(t, c.precision);
}

}  // namespace

OptionTable spos_options(SposConfig& c) {
    SposConfig given;
    std::swap(c, given);  // the table takes the fields' present values for the defaults
    OptionTable t;
    t.add("preset", "--preset", c.preset, spos_preset_names(),
          "settings to begin with; what else is given comes on top");
    t.add("space", "--space", c.space, words(chain::kSpaces), "search space");

    add_picture_options(t, c.data);
    add_pipeline_option(t, c.data);
    t.add("data.holdout", "--holdout", c.data.holdout, 0, many,
          "training pictures of each class to compare candidates on, not trained on; 0: the validation split");
    t.add("data.holdout_from_train", "--holdout-from-train", c.data.holdout_from_train,
          "those pictures stay in the training set, for classes that have no picture to spare");

    t.add("net.first_scale", "--first-scale", c.net.first_scale, 0, chain::kScales - 1,
          "lowest channel scale (id + 1) / 5 (shufflenet-channels)");
    t.add("net.last_scale", "--last-scale", c.net.last_scale, 0, chain::kScales - 1,
          "highest channel scale (shufflenet-channels)");
    t.add("net.width_multiple", "--width-multiple", c.net.width_multiple, 1, 64,
          "inner widths are rounded up to a multiple (shufflenet-channels)");
    t.add("net.affine", "--affine", c.net.affine, Words{"published", "yes", "no"},
          "scale and shift in batch normalisations; SPOS's supernet has none");
    t.add("net.dropout", "--dropout", c.net.dropout, -1, 0.999, "before the classifier, -1: as published");
    t.add("net.start", "--start", c.net.start, Words{"published", "spos", "anglenas", "mmrazor", "torch"},
          "whose initial weights");
    t.add("net.shrunk", "--shrunk", c.net.shrunk,
          "a shrunk space that rlnas shrink wrote: only its operators are trained and searched, empty for the whole "
          "space");

    add_training_options(t, c.train);
    add_spos_search_options(t, c.search);
    add_process_options(t, c.run, "spos");
    t.add("run.until", "--until", c.run.until, Words{"train", "search"}, "the last step of the run");
    std::swap(c, given);
    return t;
}

void resolve(SposConfig& c) {
    check_source(c.data);
    check_pipeline_option(c.data);
    if (c.train.flops == "auto")
        c.train.flops = c.space.ends_with("-mmrazor") ? "mmrazor" : c.space.starts_with("mobilenet") ? "thop" : "mac";
    NASCENT_CHECK(!c.data.holdout_from_train || c.data.holdout > 0, usage,
                  "data.holdout_from_train says where held-out pictures stay, and none are held out: give --holdout K");
    check_precision(c.train.precision, c.train.dtype, c.run, "space = " + c.space);
    NASCENT_CHECK(c.train.lr_min <= c.train.lr, usage, "train.lr_min = {} is above train.lr = {}", c.train.lr_min,
                  c.train.lr);
    NASCENT_CHECK(c.train.label_smoothing < 1, usage, "train.label_smoothing = 1 leaves nothing of the label");
    NASCENT_CHECK(!c.train.nesterov || c.train.momentum > 0, usage, "train.nesterov needs train.momentum > 0, it is 0");
    NASCENT_CHECK(c.net.first_scale <= c.net.last_scale, usage, "net.first_scale = {} is above net.last_scale = {}",
                  c.net.first_scale, c.net.last_scale);
    NASCENT_CHECK(c.net.dropout >= 0 || c.net.dropout == -1, usage, "net.dropout = {}: expected -1 or 0 to 0.999",
                  c.net.dropout);
    if (c.run.until == "search") check(c.search);
    NASCENT_CHECK(c.run.seed <= 0xffffffff, usage, "run.seed = {}: expected at most {}, the largest of NumPy's",
                  c.run.seed, 0xffffffffu);
    const bool channels = c.space == "shufflenet-channels";
    NASCENT_CHECK(channels || (c.train.widen_from == 0 && c.train.widen_every == 0), usage,
                  "train.widen_from and train.widen_every are of space = shufflenet-channels");
}

chain::Space space_of(const SposConfig& c, int classes, int size) {
    chain::Config config;
    config.classes = classes;
    config.input_size = size;
    config.first_scale = c.net.first_scale;
    config.last_scale = c.net.last_scale;
    config.width_multiple = c.net.width_multiple;
    return chain::space(c.space, config);
}

chain::Net supernet_of(const SposConfig& c, const chain::Space& space) {
    chain::Style style = chain::supernet_style(space);
    if (c.net.affine != "published") style.affine = c.net.affine == "yes";
    if (c.net.dropout >= 0) style.dropout = c.net.dropout;
    return chain::supernet(space, style);
}

ChainStart start_of(const SposConfig& c, const chain::Space& space) {
    if (c.net.start == "spos") return ChainStart::spos;
    if (c.net.start == "anglenas") return ChainStart::anglenas;
    if (c.net.start == "mmrazor") return ChainStart::mmrazor;
    if (c.net.start == "torch") return ChainStart::torch;
    return published_start(space);
}

ChainTraining training_of(const SposConfig& c, std::int64_t steps_per_epoch) {
    ChainTraining t;
    t.steps = c.train.steps > 0 ? c.train.steps : c.train.epochs * steps_per_epoch;
    t.schedule = c.train.schedule == "linear" ? ChainTraining::Schedule::linear : ChainTraining::Schedule::cosine;
    t.lr_step = c.train.lr_step == "after" ? ChainTraining::LrStep::after : ChainTraining::LrStep::before;
    t.lr = c.train.lr;
    t.lr_min = c.train.lr_min;
    t.label_smoothing = c.train.label_smoothing;
    t.seed = static_cast<std::uint64_t>(c.run.seed);
    t.sgd.momentum = c.train.momentum;
    t.sgd.weight_decay = c.train.weight_decay;
    t.sgd.nesterov = c.train.nesterov;
    t.sgd.clip_norm = c.train.clip;
    t.sgd.clip_value = c.train.clip_value;
    t.sgd.inactive = c.train.inactive == "coast" ? SgdOptions::Inactive::coast : SgdOptions::Inactive::skip;
    t.sgd.decays = weight_decay_rule(c.train.decay);
    return t;
}

std::vector<std::vector<int>> operators_of(const SposConfig& c, const chain::Space& space) {
    return operators_left(c.net.shrunk, space.name, chain::all_operators(space));
}

ChainSampling sampling_of(const SposConfig& c, std::int64_t steps_per_epoch) {
    auto steps = [&](double epochs) { return std::llround(epochs * static_cast<double>(steps_per_epoch)); };
    ChainSampling s;
    using Law = ChainSampling::Law;
    s.law = c.train.sampling == "buckets" ? Law::buckets : c.train.sampling == "fair" ? Law::fair : Law::uniform;
    s.buckets = {c.train.bucket_low, c.train.bucket_high, c.train.bucket_width, c.train.bucket_tries};
    s.convention = chain::mac_convention(c.train.flops);
    s.seed = static_cast<std::uint64_t>(c.run.seed);
    s.widen_from = steps(c.train.widen_from);
    s.widen_steps = steps(c.train.widen_every);
    return s;
}

}  // namespace nascent
