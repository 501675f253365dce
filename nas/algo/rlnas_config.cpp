#include "nas/algo/rlnas_config.h"

#include <utility>

#include "engine/base/error.h"
#include "nas/algo/weight_decay.h"

namespace nascent {

OptionTable rlnas_options(RlnasConfig& c) {
    const RlnasConfig given = std::exchange(c, {});  // the table takes the fields' present values for the defaults
    const int many = 1'000'000'000;
    OptionTable t;
    using Words = std::vector<std::string>;
    t.add("preset", "--preset", c.preset, rlnas_preset_names(),
          "settings to begin with; what else is given comes on top");
    t.add("space", "--space", c.space, Words{"nasbench201", "darts"}, "search space");

    add_picture_options(t, c.data);
    t.add("data.split", "--split", c.data.split, Words{"auto", "nb201", "all"},
          "training pictures used: nb201 is the benchmark's half of CIFAR-10, auto takes it where the data set is "
          "CIFAR-10");
    t.add("data.labels", "--labels", c.data.labels, Words{"true", "fixed-random", "per-access-random"},
          "true labels, one random label per picture, or a new random label each time a picture is used");
    t.add("data.label_seed", "--label-seed", c.data.label_seed, -1, "seed of the random labels, -1 for the run's seed");

    t.add("net.channels", "--channels", c.net.channels, 1, 4096, "channels of the first stage");
    t.add("net.cells", "--cells", c.net.cells, 1, 100, "cells per stage (nasbench201)");
    t.add("net.layers", "--layers", c.net.layers, 1, 100, "cells in all (darts)");
    t.add("net.affine", "--affine", c.net.affine, "scale and shift in the cells' batch normalisations");

    t.add("train.epochs", "--epochs", c.train.epochs, 1, many, "passes over the training pictures");
    t.add("train.batch", "--batch", c.train.batch, 1, 1'000'000, "pictures per step");
    t.add("train.lr", "--lr", c.train.lr, 0, 1e6, "learning rate of the first epoch; cosine per epoch from here");
    t.add("train.lr_min", "--lr-min", c.train.lr_min, 0, 1e6, "learning rate the cosine ends at");
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
          "paths as the paper's code draws them with NumPy, or the same law by counters (darts)");
    t.add("train.lr_step", "--lr-step", c.train.lr_step, Words{"after", "before"},
          "the schedule's step comes after an epoch, or before it as in the paper's DARTS code (darts)");
    t.add("train.dtype", "--dtype", c.train.dtype, Words{"float32", "float64"}, "type of weights and activations");
    t.add("train.conv", "--conv", c.train.conv, Words{"direct", "winograd"},
          "3x3 convolutions on the cpu as they are defined, or by Winograd's algorithm: faster, other rounding");

    t.add("angle.pool", "--angle-pool", c.angle.pool, "pooling counts as constant weights 1/9 in the angle");
    t.add("angle.identity", "--angle-identity", c.angle.identity, Words{"none", "eye"},
          "skip connections count as nothing or as the identity matrix in the angle");
    t.add("angle.blocked", "--angle-blocked", c.angle.blocked, Words{"zero", "fixed"},
          "angle of a cell without a path: 0, or that of the fixed blocks");
    t.add("angle.rules", "--angle-rules", c.angle.rules, Words{"auto", "rlnas-cifar10", "rlnas-imagenet", "anglenas"},
          "whose rules of what counts in the angle (darts); auto takes RLNAS's by the stem");

    t.add("search.method", "--method", c.search.method, Words{"evolution", "exhaustive", "exact", "both"},
          "how architectures are searched: by evolution; all of them (nasbench201); by solving for the largest angle "
          "(darts); or by evolution and the other way of the space");
    t.add("search.max_flops", "--max-flops", c.search.max_flops, -1,
          "most FLOPs of a candidate as RLNAS counts them, -1 for no limit (darts)");
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
    t.add("search.table", "--table", c.search.table, "benchmark table (CSV) to compare with, empty for none");
    t.add("search.table_column", "--table-column", c.search.table_column,
          "accuracy column of the table, empty for the data set's");

    add_process_options(t, c.run, "rlnas");
    t.add("run.until", "--until", c.run.until, Words{"train", "search"}, "the last step of the run");
    c = given;
    return t;
}

void resolve(RlnasConfig& c, bool training) {
    if (c.data.label_seed < 0) c.data.label_seed = c.run.seed;
    const bool darts = c.space == "darts";
    NASCENT_CHECK(c.search.method != (darts ? "exhaustive" : "exact"), usage, "search.method = {} is not of space = {}",
                  c.search.method, c.space);
    NASCENT_CHECK(!darts || c.search.table.empty(), usage, "search.table: there is no table of the space darts");
    NASCENT_CHECK(darts || c.search.max_flops < 0, usage, "search.max_flops is of space = darts");
    if (darts && c.data.split == "auto") c.data.split = "all";
    if (training) check_source(c.data);
    NASCENT_CHECK(c.train.lr_min <= c.train.lr, usage, "train.lr_min = {} is above train.lr = {}", c.train.lr_min,
                  c.train.lr);
    // NumPy's seeds: labels and the search's draws start from them.
    constexpr std::int64_t largest_seed = 0xffffffff;
    NASCENT_CHECK(c.run.seed <= largest_seed && c.data.label_seed <= largest_seed, usage,
                  "run.seed = {}, data.label_seed = {}: expected at most {}", c.run.seed, c.data.label_seed,
                  largest_seed);
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
