#include "nas/algo/rlnas_config.h"

#include <utility>

#include "engine/base/error.h"
#include "nas/algo/weight_decay.h"

namespace nascent {

bool is_chain(const std::string& space) { return space.starts_with("mobilenet"); }

OptionTable rlnas_options(RlnasConfig& c) {
    const RlnasConfig given = std::exchange(c, {});  // the table takes the fields' present values for the defaults
    const int many = 1'000'000'000;
    OptionTable t;
    using Words = std::vector<std::string>;
    t.add("preset", "--preset", c.preset, rlnas_preset_names(),
          "settings to begin with; what else is given comes on top");
    t.add("space", "--space", c.space, Words{"nasbench201", "darts", "mobilenet", "mobilenet-fairnas"}, "search space");

    add_picture_options(t, c.data);
    add_pipeline_option(t, c.data);
    t.add("data.split", "--split", c.data.split, Words{"auto", "nb201", "all"},
          "training pictures used: nb201 is the benchmark's half of CIFAR-10, auto takes it where the data set is "
          "CIFAR-10");
    t.add("data.hold_out", "--hold-out", c.data.hold_out, 0, many,
          "pictures of each class that are not trained on, drawn by the seed");
    t.add("data.order", "--order", c.data.order, Words{"epochs", "one-shuffle", "replacement"},
          "pictures are shuffled anew each epoch, once for all (RLNAS's ImageNet code), or drawn with replacement "
          "(AngleNAS's)");
    t.add("data.labels", "--labels", c.data.labels, Words{"true", "fixed-random", "per-access-random"},
          "true labels, one random label per picture, or a new random label each time a picture is used");
    t.add("data.label_seed", "--label-seed", c.data.label_seed, -1, "seed of the random labels, -1 for the run's seed");

    t.add("net.channels", "--channels", c.net.channels, 1, 4096, "channels of the first stage");
    t.add("net.cells", "--cells", c.net.cells, 1, 100, "cells per stage (nasbench201)");
    t.add("net.layers", "--layers", c.net.layers, 1, 100, "cells in all (darts)");
    t.add("net.affine", "--affine", c.net.affine, "scale and shift in the cells' batch normalisations");
    t.add("net.stem", "--stem", c.net.stem, Words{"cifar", "imagenet"},
          "a convolution, or three that halve the pictures for ImageNet's (darts)");
    t.add("net.start", "--start", c.net.start, Words{"torch", "kaiming"},
          "weights at the start: PyTorch's defaults, or Kaiming's uniform ones (the paper's ImageNet code; darts)");
    t.add("net.shrunk", "--shrunk", c.net.shrunk,
          "a shrunk space that rlnas shrink wrote: only its operators are trained and searched, empty for the whole "
          "space");

    t.add("train.epochs", "--epochs", c.train.epochs, 1, many, "passes over the training pictures");
    t.add("train.batch", "--batch", c.train.batch, 1, 1'000'000, "pictures per step");
    t.add("train.lr", "--lr", c.train.lr, 0, 1e6, "learning rate at the start");
    t.add("train.lr_min", "--lr-min", c.train.lr_min, 0, 1e6, "learning rate the schedule ends at");
    t.add("train.schedule", "--schedule", c.train.schedule, Words{"cosine", "linear"},
          "how the rate falls: along a cosine, by epochs (of mobilenet by steps), or by steps on a line (darts, "
          "mobilenet)");
    t.add("train.schedule_epochs", "--schedule-epochs", c.train.schedule_epochs, 0, many,
          "epochs over which the rate falls, 0 for all that are trained");
    t.add("train.momentum", "--momentum", c.train.momentum, 0, 1, "momentum of SGD");
    t.add("train.nesterov", "--nesterov", c.train.nesterov, "Nesterov's momentum");
    t.add("train.weight_decay", "--weight-decay", c.train.weight_decay, 0, 1e6, "weight decay");
    t.add("train.decay", "--decay", c.train.decay, weight_decay_names(),
          "which weights decay: all, those of convolutions, or these and the classifier's");
    t.add("train.clip", "--clip", c.train.clip, 0, 1e300, "largest norm of the gradient, 0 for no limit");
    t.add("train.clip_value", "--clip-value", c.train.clip_value, 0, 1e300,
          "largest size of each element of the gradient, 0 for no limit");
    t.add("train.label_smoothing", "--label-smoothing", c.train.label_smoothing, 0, 1,
          "part of the target spread over all classes");
    t.add("train.inactive", "--inactive", c.train.inactive, Words{"coast", "skip"},
          "weights off the sampled path: coast on momentum and decay (the paper's code), or stay as they are");
    t.add("train.sampling", "--sampling", c.train.sampling, Words{"per-cell", "shared"},
          "each cell draws its own operators (the paper's code), or all cells share one draw (nasbench201)");
    t.add("train.draws", "--draws", c.train.draws, Words{"numpy", "counters"},
          "paths as the paper's code draws them with NumPy, or the same law by counters (darts, mobilenet)");
    t.add("train.lr_step", "--lr-step", c.train.lr_step, Words{"after", "before"},
          "the schedule's step comes after an epoch or an update, or before it as in the paper's code (darts, "
          "mobilenet)");
    t.add("train.dtype", "--dtype", c.train.dtype, Words{"float32", "float64"}, "type of weights and activations");
    t.add("train.conv", "--conv", c.train.conv, Words{"direct", "winograd"},
          "3x3 convolutions on the cpu as they are defined, or by Winograd's algorithm: faster, other rounding");
    add_precision_option(t, c.train.precision);

    t.add("angle.pool", "--angle-pool", c.angle.pool, "pooling counts as constant weights 1/9 in the angle");
    t.add("angle.identity", "--angle-identity", c.angle.identity, Words{"none", "eye"},
          "skip connections count as nothing or as the identity matrix in the angle");
    t.add("angle.blocked", "--angle-blocked", c.angle.blocked, Words{"zero", "fixed"},
          "angle of a cell without a path: 0, or that of the fixed blocks");
    t.add("angle.rules", "--angle-rules", c.angle.rules,
          Words{"auto", "rlnas-cifar10", "rlnas-imagenet", "rlnas", "anglenas"},
          "whose rules of what counts in the angle (darts, mobilenet); auto takes RLNAS's, on darts by the stem");

    t.add("search.method", "--method", c.search.method, Words{"evolution", "exhaustive", "exact", "both"},
          "how architectures are searched: by evolution; all of them (nasbench201); by solving for the largest angle "
          "(darts, mobilenet); or by evolution and the other way of the space");
    t.add("search.max_flops", "--max-flops", c.search.max_flops, -1,
          "most FLOPs of a candidate as RLNAS counts them, -1 for no limit (darts, mobilenet)");
    t.add("search.flops_size", "--flops-size", c.search.flops_size, 32, 4096,
          "side of the pictures that FLOPs are counted for, whatever the training's (mobilenet)");
    t.add("search.mutate_none", "--mutate-none", c.search.mutate_none,
          "mutated genes may become none, as in the paper's CIFAR-10 search (darts)");
    t.add("search.mutate_reduction", "--mutate-reduction", c.search.mutate_reduction,
          "genes of the reduction cell mutate too, unlike in the paper's code (darts)");
    t.add("search.population", "--population", c.search.population, 1, many, "candidates per generation");
    t.add("search.select", "--select", c.search.select, 1, many, "best candidates that become parents");
    t.add("search.mutation", "--mutation", c.search.mutation, 0, many, "mutated candidates per generation");
    t.add("search.crossover", "--crossover", c.search.crossover, 0, many, "crossed candidates per generation");
    t.add("search.m_prob", "--m-prob", c.search.m_prob, 0, 1, "probability that a gene mutates");
    t.add("search.generations", "--generations", c.search.generations, 1, many, "generations");
    t.add("search.seed", "--search-seed", c.search.seed, -1, "seed of the evolution, -1 for the run's seed");
    t.add("search.table", "--table", c.search.table, "benchmark table (CSV) to compare with, empty for none");
    t.add("search.table_column", "--table-column", c.search.table_column,
          "accuracy column of the table, empty for the data set's");

    add_process_options(t, c.run, "rlnas");
    t.add("run.until", "--until", c.run.until, Words{"train", "search", "shrink"},
          "the last step of the run; shrink drops operators instead of searching");

    t.add("shrink.by", "--by", c.shrink.by, Words{"angle", "accuracy", "magnitude"},
          "operators are scored by the mean angle of architectures that have them, by their mean accuracy with the "
          "supernet's weights, or by the softmax of alphas (nasbench201)");
    t.add("shrink.alphas", "--alphas", c.shrink.alphas,
          "with --by magnitude: alphas as JSON, or the folder of a darts_search run on nasbench201");
    t.add("shrink.batch", "--score-batch", c.shrink.batch, 1, 1'000'000,
          "with --by accuracy: held-out pictures that each architecture is measured on");
    t.add("shrink.rule", "--shrink-rule", c.shrink.rule, Words{"lowest", "one-per-layer"},
          "which operators a stage drops: those of the lowest mean angle in all, or that of each layer");
    t.add("shrink.drops", "--drops", c.shrink.drops, 1, many, "operators a stage drops, by the rule lowest");
    t.add("shrink.first_epochs", "--first-epochs", c.shrink.first_epochs, 1, many, "epochs before the first drop");
    t.add("shrink.other_epochs", "--other-epochs", c.shrink.other_epochs, 1, many, "epochs before each later drop");
    t.add("shrink.max_stages", "--max-stages", c.shrink.max_stages, 1, many, "drops at most");
    t.add("shrink.stop_at", "--stop-at", c.shrink.stop_at, 0, 1e300, "architectures left that are few enough");
    t.add("shrink.samples", "--samples", c.shrink.samples, 1, many, "architectures that score an operator");
    t.add("shrink.max_flops", "--shrink-max-flops", c.shrink.max_flops, -1,
          "most FLOPs of those architectures, -1 for no limit");
    t.add("shrink.replace_base_above", "--replace-base-above", c.shrink.replace_base_above, -1, many,
          "angles are measured from the current weights once stages x drops is above this, -1: from the first ones");
    t.add("shrink.warm_up_cells", "--warm-up-cells", c.shrink.warm_up_cells, 0, 100,
          "cells that are inserted one after the other before the first stage; angles are measured from the weights "
          "then (darts)");
    t.add("shrink.warm_up_epochs", "--warm-up-epochs", c.shrink.warm_up_epochs, 1, many, "epochs before each of them");
    c = given;
    return t;
}

void resolve(RlnasConfig& c, bool training) {
    if (c.data.label_seed < 0) c.data.label_seed = c.run.seed;
    const bool darts = c.space == "darts", chain = is_chain(c.space), cells = !darts && !chain;
    NASCENT_CHECK(c.search.method != (cells ? "exact" : "exhaustive"), usage, "search.method = {} is not of space = {}",
                  c.search.method, c.space);
    NASCENT_CHECK(cells || c.search.table.empty(), usage, "search.table: there is no table of the space {}", c.space);
    NASCENT_CHECK(!cells || c.search.max_flops < 0, usage, "search.max_flops is of the spaces darts and mobilenet");
    NASCENT_CHECK(!cells || c.train.schedule == "cosine", usage,
                  "train.schedule = linear is of the spaces darts and mobilenet");
    NASCENT_CHECK(darts || (c.net.stem == "cifar" && c.net.start == "torch"), usage,
                  "net.stem and net.start are of space = darts");
    NASCENT_CHECK(cells || c.shrink.by == "angle", usage, "shrink.by = {} is of space = nasbench201", c.shrink.by);
    NASCENT_CHECK((c.shrink.by == "magnitude") == !c.shrink.alphas.empty(), usage,
                  "shrink.by = magnitude and shrink.alphas need each other");
    NASCENT_CHECK(!training || c.shrink.by != "magnitude", usage,
                  "shrink.by = magnitude needs no supernet of rlnas: give --alphas and no data");
    NASCENT_CHECK(!darts || c.run.until != "shrink" || c.net.layers >= 3 + c.shrink.warm_up_cells, usage,
                  "shrink.warm_up_cells = {} of net.layers = {}: a growing supernet begins with three cells or more",
                  c.shrink.warm_up_cells, c.net.layers);
    NASCENT_CHECK(darts || c.shrink.warm_up_cells == 0, usage, "shrink.warm_up_cells is of space = darts");
    if (c.search.seed < 0) c.search.seed = c.run.seed;
    NASCENT_CHECK(c.net.shrunk.empty() || c.run.until != "shrink", usage,
                  "shrink begins with the whole space, not with net.shrunk");
    const bool rules_of_darts = c.angle.rules.starts_with("rlnas-");
    NASCENT_CHECK(c.angle.rules == "auto" || c.angle.rules == "anglenas" || (rules_of_darts ? darts : chain), usage,
                  "angle.rules = {} is not of space = {}", c.angle.rules, c.space);
    if (!cells && c.data.split == "auto") c.data.split = "all";
    if (training) {
        check_source(c.data);
        check_pipeline_option(c.data);
    }
    check_precision(c.train.precision, c.train.dtype, c.run, chain ? "space = " + c.space : "");
    NASCENT_CHECK(c.train.lr_min <= c.train.lr, usage, "train.lr_min = {} is above train.lr = {}", c.train.lr_min,
                  c.train.lr);
    // NumPy's seeds: labels and the search's draws start from them.
    constexpr std::int64_t largest_seed = 0xffffffff;
    NASCENT_CHECK(c.run.seed <= largest_seed && c.data.label_seed <= largest_seed && c.search.seed <= largest_seed,
                  usage, "run.seed = {}, data.label_seed = {}, search.seed = {}: expected at most {}", c.run.seed,
                  c.data.label_seed, c.search.seed, largest_seed);
    NASCENT_CHECK(c.train.clip == 0 || c.train.clip_value == 0, usage,
                  "gradients are clipped by train.clip or by train.clip_value, not by both");
    NASCENT_CHECK(c.train.label_smoothing < 1, usage, "train.label_smoothing = 1 leaves nothing of the label");
    NASCENT_CHECK(!c.train.nesterov || c.train.momentum > 0, usage, "train.nesterov needs train.momentum > 0, it is 0");
    NASCENT_CHECK(c.search.select <= c.search.population, usage, "search.select = {} is above search.population = {}",
                  c.search.select, c.search.population);
    NASCENT_CHECK(c.search.mutation + c.search.crossover <= c.search.population, usage,
                  "search.mutation + search.crossover = {} is above search.population = {}",
                  static_cast<std::int64_t>(c.search.mutation) + c.search.crossover, c.search.population);
}

}  // namespace nascent
