#include "nas/algo/search_config.h"

#include <fmt/format.h>

#include <utility>

#include "engine/base/error.h"

namespace nascent {

OptionTable search_options(SearchConfig& c) {
    const SearchConfig given = std::exchange(c, {});  // the table takes the fields' present values for the defaults
    const int many = 1'000'000'000;
    OptionTable t;
    using Words = std::vector<std::string>;
    Words presets{"none"};
    presets.insert(presets.end(), preset_names().begin(), preset_names().end());
    t.add("preset", "--preset", c.preset, presets, "settings of a paper's row that all other options change");
    t.add(
        "algo", "--algo", c.algo, Words{"darts", "pcdarts", "drnas", "gdas", "snas", "rsps"},
        "how architectures are searched: mixed ops weighed by a softmax, by one times that of the edges, by Dirichlet "
        "draws, by the operator that Gumbel noise picks, or by concrete variables; or at random with shared weights");
    t.add("space", "--space", c.space, Words{"darts", "nasbench201"}, "search space");

    add_picture_options(t, c.data);
    add_pipeline_option(t, c.data);
    t.add("data.split", "--split", c.data.split, Words{"auto", "half", "nb201", "parts", "folders"},
          "pictures of the weights and of the alphas: the two halves in their order, the benchmark's halves of "
          "CIFAR-10, the two parts given, the training and the test (or val) pictures, or auto: nb201 for the "
          "benchmark's space on CIFAR-10, else half");
    t.add("data.train_part", "--train-part", c.data.train_part,
          "FIRST:LAST, pictures of the weights by place, LAST excluded, with --split parts");
    t.add("data.valid_part", "--valid-part", c.data.valid_part, "FIRST:LAST, pictures of the alphas likewise");

    t.add("net.channels", "--channels", c.net.channels, 1, 4096, "channels of the first cells");
    t.add("net.layers", "--layers", c.net.layers, 1, 1000, "cells, in the space darts");
    t.add("net.cells", "--cells", c.net.cells, 1, 100, "cells per stage, in the space nasbench201");
    t.add("net.track", "--track", c.net.track,
          "running statistics in the searched cells of nasbench201 (the daggered rows of its table)");
    t.add("net.partial", "--partial", c.net.partial, 1, 64,
          "operators see one channel in so many (K), the others go round them");
    t.add("net.shuffle", "--shuffle", c.net.shuffle,
          "with --partial, a node's channels are shuffled in K groups (PC-DARTS's random variant as it was released "
          "shuffles nothing)");
    t.add("net.random_order", "--random-order", c.net.random_order,
          "with --shuffle, a node's channels are put in an order that is drawn anew for each forward, cell and node, "
          "instead of in K groups (PC-DARTS's random variant as it was meant)");
    t.add("net.stem", "--stem", c.net.stem, Words{"cifar", "imagenet"},
          "in the space darts: a convolution, or three that halve the pictures for ImageNet's");
    t.add("net.none", "--none", c.net.none, "in the space darts: `none` is one of the operators (not so in drnas)");
    t.add("net.widening", "--widening", c.net.widening, Words{"released", "net2wider"},
          "new channels of operators in the next stage: copies of old ones as in DrNAS's program, or such that what "
          "reads copies divides by their number");
    t.add("net.bn_gamma", "--bn-gamma", c.net.bn_gamma, Words{"uniform", "ones"},
          "batch-norm's scale at the start: uniform in 0..1 (PyTorch up to 1.1) or 1");

    t.add("train.epochs", "--epochs", c.train.epochs, 1, many, "passes over the weights' pictures");
    t.add("train.batch", "--batch", c.train.batch, 1, 1'000'000, "pictures per step");
    t.add("train.lr", "--lr", c.train.lr, 0, 1e6, "learning rate of the weights; cosine per epoch from here");
    t.add("train.lr_min", "--lr-min", c.train.lr_min, 0, 1e6, "learning rate the cosine ends at");
    t.add("train.lr_step", "--lr-step", c.train.lr_step, Words{"after", "before"},
          "the schedule is stepped after an epoch, or before it (the program of 2018 on PyTorch 1.1 and later)");
    t.add("train.lr_stages", "--lr-stages", c.train.lr_stages, Words{"restart", "continue"},
          "a stage begins with --lr again, as in DrNAS's program, or the schedule goes on");
    t.add("train.warmup", "--warmup", c.train.warmup, 0, many,
          "first epochs, in which the rate is lr times 1 / so many, 2 / so many, ... instead");
    t.add("train.momentum", "--momentum", c.train.momentum, 0, 1, "momentum of SGD");
    t.add("train.nesterov", "--nesterov", c.train.nesterov, "Nesterov's momentum");
    t.add("train.weight_decay", "--weight-decay", c.train.weight_decay, 0, 1e6, "weight decay, on all weights");
    t.add("train.clip", "--clip", c.train.clip, 0, 1e300, "largest norm of the weights' gradient, 0 for no limit");
    t.add("train.inactive", "--inactive", c.train.inactive, Words{"coast", "skip"},
          "weights of operators that a step did not compute (gdas): coast on momentum and decay, or stay as they are");
    t.add("train.dtype", "--dtype", c.train.dtype, Words{"float32", "float64"}, "type of weights and activations");
    t.add(
        "train.conv", "--conv", c.train.conv, Words{"direct", "winograd"},
        "3x3 convolutions of all channels on the cpu (nasbench201's) as they are defined, or by Winograd's algorithm: "
        "faster, other rounding");
    add_precision_option(t, c.train.precision);

    t.add("arch.order", "--order", c.arch.order, 1, 2, "of the alphas' gradient; 2: through one unrolled step");
    t.add("arch.lr", "--arch-lr", c.arch.lr, 0, 1e300, "learning rate of the alphas (Adam)");
    t.add("arch.beta1", "--arch-beta1", c.arch.beta1, 0, 0.999999999, "Adam's decay of the first moment");
    t.add("arch.beta2", "--arch-beta2", c.arch.beta2, 0, 0.999999999, "Adam's decay of the second moment");
    t.add("arch.eps", "--arch-eps", c.arch.eps, 0, 1, "Adam's eps");
    t.add("arch.weight_decay", "--arch-weight-decay", c.arch.weight_decay, 0, 1e6,
          "weight decay of the alphas, added to the gradient");
    t.add("arch.clip", "--arch-clip", c.arch.clip, 0, 1e300, "largest norm of the alphas' gradient, 0 for no limit");
    t.add("arch.batches", "--arch-batches", c.arch.batches, Words{"fresh", "iterator", "pairs"},
          "the alphas' batch: the first of a new shuffle each step; the next of a shuffle, begun anew with each of the "
          "weights' epochs and where it ends; or a picture drawn for each of the weights'");
    t.add("arch.turn", "--arch-turn", c.arch.turn, Words{"first", "last", "together"},
          "a step updates the alphas before or after the weights, or both from the weights' batch (single-level)");
    t.add("arch.in_clip", "--arch-in-clip", c.arch.in_clip,
          "the alphas' gradient counts in the norm that the weights' step clips");
    t.add("arch.begin", "--arch-begin", c.arch.begin, 0, many, "epochs before the alphas begin to move, in each stage");
    t.add("arch.stages", "--stages", c.arch.stages,
          "with drnas: EPOCH:K:OPERATORS,...; from that epoch on operators see one channel in K, and so many are left "
          "of an edge");
    t.add("arch.kl", "--arch-kl", c.arch.kl, 0, 1e6,
          "with drnas: factor of the divergence from the uniform Dirichlet distribution in the alphas' loss");
    t.add("arch.tau", "--tau", c.arch.tau, 1e-3, 1e6, "with gdas and snas: temperature of the Gumbel noise at first");
    t.add("arch.tau_last", "--tau-last", c.arch.tau_last, 1e-3, 1e6, "and what it goes to, in equal steps per epoch");
    t.add("arch.tau_way", "--tau-way", c.arch.tau_way, Words{"to-end", "after", "before"},
          "it gets there in the last epoch, would after it, or is stepped before each epoch");
    t.add("arch.bare_sums", "--bare-sums", c.arch.bare_sums,
          "with gdas on nasbench201: the weights of operators that do not run are added to their node, as in the "
          "published code");
    t.add("arch.twin", "--arch-twin", c.arch.twin, Words{"auto", "on", "off"},
          "with --order 2, the last two passes as one over two copies of the network: fewer launches, twice the "
          "activations; auto: on a gpu");

    t.add("valid.augment", "--valid-augment", c.valid.augment,
          "validation pictures are cropped and mirrored too, else as they are (with a pipeline their centres)");
    t.add("valid.batch", "--valid-batch", c.valid.batch, 0, 1'000'000, "pictures per validation batch, 0: --batch");

    t.add("valid.last", "--valid-last", c.valid.last, 0, many,
          "validate only after so many epochs at the end, 0: after each");

    t.add("search.candidates", "--candidates", c.search.candidates, 1, 1'000'000,
          "with rsps: random architectures, a validation batch each, of which the best is taken");
    t.add("search.choose_last", "--choose-last", c.search.choose_last, 0, many,
          "with rsps: it is taken only after so many epochs at the end, 0: after each");
    t.add("search.collapse_skips", "--collapse-skips", c.search.collapse_skips, 0, 64,
          "skip-connects from which on a search counts as collapsed, 0: 2 in a normal cell, 4 in nasbench201");
    t.add("search.stop_on_collapse", "--stop-on-collapse", c.search.stop_on_collapse, "end a search that collapsed");
    t.add("search.table", "--table", c.search.table, "benchmark table (CSV) to look architectures up in");
    t.add("search.table_column", "--table-column", c.search.table_column,
          "accuracy column of the table, empty for the data set's");

    add_process_options(t, c.run, "darts_search");
    c = given;
    return t;
}

void check(const SearchConfig& c) {
    check_source(c.data);
    check_pipeline_option(c.data);
    check_precision(c.train.precision, c.train.dtype, c.run, "");
    NASCENT_CHECK(c.train.lr_min <= c.train.lr, usage, "train.lr_min = {} is above train.lr = {}", c.train.lr_min,
                  c.train.lr);
    NASCENT_CHECK(!c.train.nesterov || c.train.momentum > 0, usage, "train.nesterov needs train.momentum > 0, it is 0");
    NASCENT_CHECK(c.search.table.empty() || c.space == "nasbench201", usage,
                  "search.table is of the space nasbench201, the space is {}", c.space);
    const bool darts = c.algo == "darts" || c.algo == "pcdarts";
    NASCENT_CHECK(darts || c.arch.order == 1, usage, "arch.order = 2 is of darts and pcdarts, the algorithm is {}",
                  c.algo);
    NASCENT_CHECK(c.net.none || c.space == "darts", usage, "`none` is always an operator of {}", c.space);
    NASCENT_CHECK(c.net.channels % c.net.partial == 0, usage,
                  "net.partial = {} does not divide net.channels = {}, of which operators see one in so many",
                  c.net.partial, c.net.channels);
    const std::vector<Stage> stages = stages_of(c);
    NASCENT_CHECK(stages.size() == 1 || c.algo == "drnas", usage, "arch.stages is of drnas, the algorithm is {}",
                  c.algo);
    NASCENT_CHECK(stages.back().epoch < c.train.epochs, usage,
                  "arch.stages = {}: a stage from epoch {} on, but train.epochs = {}", c.arch.stages,
                  stages.back().epoch, c.train.epochs);
    // A genotype has no `none`.
    NASCENT_CHECK(stages.back().operators > 1 || c.space != "darts" || !c.net.none, usage,
                  "arch.stages = {}: of an edge `none` alone may be left; use --no-none, or 2 operators or more",
                  c.arch.stages);
    for (std::size_t s = 0; s < stages.size(); s++) {
        const int from = stages[s].epoch, to = s + 1 < stages.size() ? stages[s + 1].epoch : c.train.epochs;
        NASCENT_CHECK(c.arch.begin < to - from, usage, "arch.begin = {}: the alphas would never move in {}",
                      c.arch.begin,
                      stages.size() == 1 ? fmt::format("train.epochs = {}", to)
                                         : fmt::format("the stage from epoch {} to {}", from, to));
    }
    NASCENT_CHECK(stages.size() == 1 || c.train.lr_stages == "continue" || c.train.lr_step == "after", usage,
                  "train.lr_stages = restart needs train.lr_step = after");
    NASCENT_CHECK(c.net.stem == "cifar" || c.space == "darts", usage, "net.stem = {} is of the space darts, it is {}",
                  c.net.stem, c.space);
    NASCENT_CHECK(c.train.warmup <= c.train.epochs, usage, "train.warmup = {} is more than train.epochs = {}",
                  c.train.warmup, c.train.epochs);
    NASCENT_CHECK(!c.net.random_order || (stages.back().partial > 1 && c.net.shuffle && c.space == "darts"), usage,
                  "net.random_order is of partial channels that are shuffled, in the space darts: net.partial = {}, "
                  "net.shuffle = {}, the space is {}",
                  stages.back().partial, c.net.shuffle, c.space);
    NASCENT_CHECK(c.arch.turn != "together" || c.arch.order == 1, usage, "arch.turn = together needs arch.order = 1");
    const bool one_path = c.algo == "gdas" || c.algo == "rsps";  // of an edge's operators one runs
    NASCENT_CHECK(c.algo != "rsps" || c.space == "nasbench201", usage,
                  "rsps is of the space nasbench201, the space is {}", c.space);
    NASCENT_CHECK(c.arch.kl == 0 || c.algo == "drnas", usage, "arch.kl is of drnas, the algorithm is {}", c.algo);
    NASCENT_CHECK(c.arch.kl == 0 || c.arch.turn != "together", usage, "arch.kl needs a loss of the alphas' own");
    NASCENT_CHECK(!c.arch.bare_sums || c.algo == "gdas", usage, "arch.bare_sums is of gdas, the algorithm is {}",
                  c.algo);
    NASCENT_CHECK(!c.arch.bare_sums || c.space == "nasbench201", usage,
                  "arch.bare_sums is of the space nasbench201, the space is {}", c.space);
    NASCENT_CHECK(c.train.inactive == "skip" || one_path, usage,
                  "train.inactive = coast is of gdas and rsps, the algorithm is {}: it computes all operators", c.algo);
    NASCENT_CHECK(c.algo != "rsps" || (c.arch.begin == 0 && !c.arch.in_clip && c.arch.turn != "together"), usage,
                  "rsps has no alphas: arch.begin, arch.in_clip and arch.turn = together are not of it");
    NASCENT_CHECK(c.arch.tau_last <= c.arch.tau, usage, "arch.tau_last = {} is above arch.tau = {}", c.arch.tau_last,
                  c.arch.tau);
    const bool parts = !c.data.train_part.empty() || !c.data.valid_part.empty();
    NASCENT_CHECK(!parts || c.data.split == "parts", usage, "--train-part and --valid-part need --split parts");
    NASCENT_CHECK(c.data.split != "parts" || (!c.data.train_part.empty() && !c.data.valid_part.empty()), usage,
                  "--split parts needs --train-part FIRST:LAST and --valid-part FIRST:LAST");
}

const SearchSpace& space_of(const SearchConfig& c) { return search_space(c.space, c.algo == "pcdarts", c.net.none); }

std::vector<Stage> stages_of(const SearchConfig& c) {
    const int all = static_cast<int>(space_of(c).matrices()[0].operators.size());
    return read_stages(c.arch.stages, {0, c.net.partial, all}, c.net.channels);
}

BilevelTraining training_of(const SearchConfig& c) {
    BilevelTraining t;
    t.epochs = c.train.epochs;
    t.lr = c.train.lr;
    t.lr_min = c.train.lr_min;
    t.lr_step = c.train.lr_step == "before" ? BilevelTraining::LrStep::before : BilevelTraining::LrStep::after;
    t.warmup = c.train.warmup;
    t.sgd = {c.train.momentum,
             c.train.weight_decay,
             c.train.nesterov,
             c.train.clip,
             c.train.inactive == "coast" ? SgdOptions::Inactive::coast : SgdOptions::Inactive::skip,
             c.arch.in_clip};
    t.arch_lr = c.arch.lr;
    t.arch = {c.arch.beta1, c.arch.beta2, c.arch.eps, c.arch.weight_decay, c.arch.clip};
    t.second_order = c.arch.order == 2;
    t.weights_first = c.arch.turn == "last";
    t.clip_with_alphas = c.arch.in_clip;
    t.single_level = c.arch.turn == "together";
    t.rule.algo = c.algo == "drnas"  ? Algo::drnas
                  : c.algo == "gdas" ? Algo::gdas
                  : c.algo == "snas" ? Algo::snas
                  : c.algo == "rsps" ? Algo::rsps
                                     : Algo::darts;
    t.rule.seed = static_cast<std::uint64_t>(c.run.seed);
    t.rule.temperature = {c.arch.tau, c.arch.tau_last,
                          c.arch.tau_way == "to-end"  ? Temperature::Way::to_end
                          : c.arch.tau_way == "after" ? Temperature::Way::after
                                                      : Temperature::Way::before,
                          c.train.epochs};
    t.rule.kl = c.arch.kl;
    t.matrices = space_of(c).matrices();
    t.begin = c.algo == "rsps" ? c.train.epochs : c.arch.begin;
    for (const Stage& s : stages_of(c))
        if (s.epoch > 0) t.stages.push_back(s.epoch);
    t.lr_restarts = !t.stages.empty() && c.train.lr_stages == "restart";
    t.rule.bare_sums = c.arch.bare_sums;
    t.capture = !c.net.random_order;  // each step has an order of its own
    if (c.arch.twin != "auto") t.twin = c.arch.twin == "on";
    return t;
}

SearchSettings settings_of(const SearchConfig& c, int classes, int size) {
    SearchSettings s{c.space,     classes,     size,          c.net.channels, c.net.layers,
                     c.net.cells, c.net.track, c.net.partial, c.net.shuffle,  c.net.stem};
    if (c.net.random_order) s.order_seed = static_cast<std::uint64_t>(c.run.seed);
    return s;
}

}  // namespace nascent
