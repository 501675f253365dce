#include "nas/algo/spos_search_options.h"

#include "engine/base/error.h"

namespace nascent {

void add_spos_search_options(OptionTable& t, SposSearchOptions& s) {
    const int many = 1'000'000'000;
    using Words = std::vector<std::string>;
    t.add("search.checkpoint", "--checkpoint", s.checkpoint,
          "a trained supernet (safetensors, the original's names), empty for the one that the run trains");
    t.add("search.population", "--population", s.population, 1, many, "candidates per generation");
    t.add("search.select", "--select", s.select, 1, many, "best candidates that become parents");
    t.add("search.mutation", "--mutation", s.mutation, 0, many, "mutated candidates per generation");
    t.add("search.crossover", "--crossover", s.crossover, 0, many, "crossed candidates per generation");
    t.add("search.m_prob", "--m-prob", s.m_prob, 0, 1, "probability that a gene mutates");
    t.add("search.generations", "--generations", s.generations, 1, many,
          "populations that are scored; SPOS's program scores the first one and 20 that it breeds");
    t.add("search.tries", "--tries", s.tries, 1, many,
          "candidates drawn for each one wanted before mutation or crossover gives up and random ones take the places");
    t.add("search.first", "--first", s.first, Words{"mutation", "crossover"},
          "what is bred first; with crossover mutations fill up the population");
    t.add("search.random", "--random", s.random, Words{"legal", "rejected"},
          "random candidates are drawn from the legal ones alone, or until legal ones turn up, as SPOS's program draws "
          "them");
    t.add("search.order", "--search-order", s.order, Words{"top1-top5", "top1"},
          "what candidates are ordered by: of equal top-1 accuracies the larger top-5 first, or top-1 alone");
    t.add("search.rounding", "--rounding", s.rounding, 0, 100,
          "top-1 accuracies are rounded to this, in percent; 0: not");
    t.add("search.top", "--top", s.top, 1, many, "best candidates that are reported");
    t.add("search.max_flops", "--max-flops", s.max_flops, -1, "most multiply-accumulates of a candidate, -1: no limit");
    t.add("search.min_flops", "--min-flops", s.min_flops, -1, "fewest multiply-accumulates, -1: no limit");
    t.add("search.flops", "--flops", s.flops, Words{"auto", "mac", "thop", "mmrazor"},
          "how limits count them: mac as SPOS, thop as AngleNAS and RLNAS, mmrazor; auto as the space's own program");
    t.add("search.max_params", "--max-params", s.max_params, -1, "most parameters of a candidate, -1: no limit");
    t.add("search.min_params", "--min-params", s.min_params, -1, "fewest parameters, -1: no limit");
    t.add("search.max_latency", "--max-latency", s.max_latency, 0, 1e9,
          "most milliseconds of a candidate by the latency table, 0: no limit");
    t.add("search.latency_table", "--latency-table", s.latency_table, "CSV file that spos latency wrote");
    t.add("search.norms", "--norms", s.norms, Words{"exact", "ema", "batch", "none"},
          "statistics of a candidate's batch normalisations: those of all calibration pictures; moving averages over "
          "them (momentum 0.1) as SPOS's program; those of each evaluation batch, as MMRazor; the supernet's running "
          "ones");
    t.add("search.calibration", "--calibration", s.calibration, 1, many,
          "training pictures that statistics are taken of, held in memory; SPOS's program: 25600");
    t.add("search.calibration_batch", "--calibration-batch", s.calibration_batch, 1, 1'000'000,
          "pictures of a calibration batch");
    t.add("search.calibration_views", "--calibration-views", s.calibration_views, Words{"train", "evaluation"},
          "calibration pictures are varied as in training (SPOS's program), or cut as in evaluation");
    t.add("search.evaluation", "--evaluation", s.evaluation, Words{"fixed", "slices"},
          "all candidates are evaluated on the same pictures, or each on the next ones, as SPOS's program does, which "
          "ranks them on different classes");
    t.add("search.pictures", "--pictures", s.pictures, 0, many,
          "pictures that a candidate is evaluated on, held in memory, 0 for all");
    t.add("search.batch", "--search-batch", s.batch, 1, 1'000'000, "pictures of an evaluation batch");
    t.add("search.prefix_sharing", "--prefix-sharing", s.prefix_sharing,
          "what candidates begin with in common is computed once per batch; no effect on the result");
    t.add(
        "search.together", "--together", s.together, 0, 4096,
        "on the cpu: candidates of which each thread computes others, so that threads seldom wait for one another, but "
        "each needs memory of its own; 1: one candidate after the other, by all threads; 0: four for each thread; no "
        "effect on the result");
    t.add("search.capture", "--search-capture", s.capture,
          "on a gpu: an operator's passes are captured and replayed for all candidates that have it; no effect on the "
          "result");
}

void check(const SposSearchOptions& s) {
    NASCENT_CHECK(s.select <= s.population, usage, "search.select = {} is above search.population = {}", s.select,
                  s.population);
    NASCENT_CHECK(s.mutation + s.crossover <= s.population, usage,
                  "search.mutation + search.crossover = {} is above search.population = {}",
                  std::int64_t{s.mutation} + s.crossover, s.population);
    NASCENT_CHECK(s.pictures == 0 || s.pictures >= s.batch, usage,
                  "search.pictures = {} is less than search.batch = {}: the evaluation set is smaller than a batch",
                  s.pictures, s.batch);
    NASCENT_CHECK(s.norms == "batch" || s.norms == "none" || s.calibration >= s.calibration_batch, usage,
                  "search.calibration = {} is less than search.calibration_batch = {}", s.calibration,
                  s.calibration_batch);
    NASCENT_CHECK(s.evaluation == "fixed" || s.pictures > 0, usage,
                  "search.evaluation = slices needs search.pictures, the size of a slice");
    NASCENT_CHECK((s.max_latency > 0) == !s.latency_table.empty(), usage, "{}",
                  s.max_latency > 0 ? "search.max_latency needs search.latency_table; measure one: spos latency"
                                    : "search.latency_table without search.max_latency limits nothing");
    for (const auto& [name, low, high] :
         {std::tuple("flops", s.min_flops, s.max_flops), {"params", s.min_params, s.max_params}})
        NASCENT_CHECK(low < 0 || high < 0 || low <= high, usage, "search.min_{} = {} is above search.max_{} = {}", name,
                      low, name, high);
    NASCENT_CHECK(s.flops == "auto" || s.max_flops >= 0 || s.min_flops >= 0, usage,
                  "search.flops = {} without search.max_flops or search.min_flops counts for nothing", s.flops);
}

EvolutionConfig evolution_config(const SposSearchOptions& s) {
    EvolutionConfig e;
    e.population = s.population;
    e.select = s.select;
    e.top = s.top;
    e.mutation = s.mutation;
    e.crossover = s.crossover;
    e.mutation_probability = s.m_prob;
    e.generations = s.generations;
    e.duplicates = EvolutionConfig::Duplicates::repaired;
    e.first = s.first == "mutation" ? EvolutionConfig::First::mutation : EvolutionConfig::First::crossover;
    e.tries = s.tries;
    e.random_gives_up = false;
    return e;
}

}  // namespace nascent
