// What scoring candidates of a supernet costs with and without shared prefixes, and how far policies of batch norms'
// statistics agree on their ranking, as lines of JSON.
//
//     bench_candidates sharing --space shufflenet --size 224 --batch 8 --candidates 50 --max-flops 330000000
//     bench_candidates together --space shufflenet --size 224 --batch 64 --threads 2
//     bench_candidates policies --run DIR --candidates 50
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>

#include "bench/core_seconds.h"
#include "nas/algo/candidate_scores.h"
#include "nas/algo/path_genes.h"
#include "nas/algo/path_trie.h"
#include "nas/algo/search_limits.h"
#include "nas/algo/spos_run.h"
#include "nas/data/dataset.h"
#include "nas/metric/correlation.h"
#include "nas/run/program.h"
#include "nas/supernet/chain_start.h"
#include "nas/supernet/chain_state_dict.h"

using namespace nascent;

namespace {

/// Different legal ones, uniformly drawn.
std::vector<chain::Architecture> draw(const chain::Space& space, std::shared_ptr<const ConstrainedPaths> limits,
                                      int count, std::uint32_t seed) {
    const PathGenes genes(space, std::move(limits));
    NumpyRandom random(seed);
    std::set<Genes> seen;
    std::vector<chain::Architecture> all;
    while (static_cast<int>(all.size()) < count)
        if (const Genes g = genes.random(random); seen.insert(g).second) all.push_back(genes.architecture(g));
    return all;
}

struct Arguments {
    std::string space = "shufflenet", device = "cpu", run;
    int size = 224, classes = 1000, batch = 8, candidates = 50, rounds = 2, threads = 1;
    int together = 0, shared = TrieWalk::Options{}.shared;
    std::int64_t max_flops = 330'000'000;
    std::uint32_t seed = 1;
};

/// What scoring random candidates with random weights on random pictures needs.
struct Setting {
    explicit Setting(const Arguments& a) : space(space_of(a)), device(make_device(a.device, a.threads)) {
        SposSearchOptions o;
        o.max_flops = a.max_flops;
        candidates = draw(space, SearchLimits::of(o, space).paths, a.candidates, a.seed);
        net = std::make_unique<ChainNet>(*device, DType::f32, chain::supernet(space));
        initialise(*net, 1, ChainStart::torch);
        DatasetOptions made;
        made.size = a.size;
        made.classes = a.classes;
        made.train_count = made.test_count = static_cast<std::size_t>(a.batch);
        const Dataset set = load_dataset("synthetic", made);
        HeldRequest r;
        r.ids = first_shuffled(1, 0, static_cast<std::size_t>(a.batch), 0);
        r.count = r.ids.size();
        pictures =
            std::make_unique<HeldPictures>(*device, DType::f32, set.train, a.classes, normalisation("half", set), r);
    }
    static chain::Space space_of(const Arguments& a) {
        chain::Config config;
        config.input_size = a.size;
        config.classes = a.classes;
        return chain::space(a.space, config);
    }
    /// A calibration and an evaluation batch for all.
    std::unique_ptr<CandidateScores> scored(const Arguments& a, const ScoringOptions& options) {
        ScoringOptions s = options;
        s.batch = s.calibration_batch = a.batch;
        auto all = std::make_unique<CandidateScores>(*net, pictures.get(), *pictures, s);
        all->begin(candidates, 0);
        while (!all->done()) (void)all->step();
        return all;
    }

    chain::Space space;
    std::vector<chain::Architecture> candidates;
    std::unique_ptr<Device> device;
    std::unique_ptr<ChainNet> net;
    std::unique_ptr<HeldPictures> pictures;
};

/// What scoring all candidates took, round by round, and the most bytes.
struct Cost {
    std::vector<double> cores, walls;  // seconds
    std::size_t high_water = 0;
};
double least(const std::vector<double>& times) { return *std::min_element(times.begin(), times.end()); }

/// A calibration and an evaluation batch of random pictures for all candidates, in turns in two ways, which are named;
/// the losses must be the same to the bit. Prints what both took and adds `more`.
void compare(const Arguments& a, Setting& setting, const char* const (&names)[2], const ScoringOptions (&ways)[2],
             const JsonObject& more) {
    Cost costs[2];
    std::vector<Score> scores[2];
    for (int round = -1; round < a.rounds; round++) {
        for (int way : {round & 1, 1 - (round & 1)}) {
            Cost& cost = costs[way];
            const double begin = bench::core_seconds();
            const auto wall = std::chrono::steady_clock::now();
            const auto all = setting.scored(a, ways[way]);
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - wall;
            if (round >= 0) {
                cost.cores.push_back(bench::core_seconds() - begin);
                cost.walls.push_back(took.count());
            }
            cost.high_water = all->high_water();
            scores[way] = all->scores();
        }
    }
    for (std::size_t i = 0; i < scores[0].size(); i++)
        NASCENT_CHECK(scores[0][i].loss == scores[1][i].loss, verification, "candidate {}: {} and {}", i,
                      scores[0][i].loss, scores[1][i].loss);
    JsonObject line;
    line.add("space", a.space).add("size", a.size).add("batch", a.batch).add("candidates", a.candidates);
    line.add("max_flops", a.max_flops).add("threads", a.threads);
    for (int way : {0, 1})
        line.add(names[way], JsonObject()
                                 .add("core_seconds", costs[way].cores)
                                 .add("wall_seconds", costs[way].walls)
                                 .add("high_water", costs[way].high_water));
    line.add("core_ratio_of_least", least(costs[0].cores) / least(costs[1].cores));
    line.add("wall_ratio_of_least", least(costs[0].walls) / least(costs[1].walls));
    fmt::print("{{{},{}}}\n", line.members(), more.members());
}

/// One candidate after the other, and branches side by side.
void together(const Arguments& a) {
    Setting setting(a);
    ScoringOptions ways[2];
    for (ScoringOptions& s : ways) s.walk.shared = a.shared;
    ways[0].walk.together = 1;
    ways[1].walk.together = a.together;
    compare(a, setting, {"in_turn", "together"}, ways, JsonObject().add("group", a.together).add("shared", a.shared));
}

/// Each candidate from the pictures on, and with what it shares with others computed once.
void sharing(const Arguments& a) {
    Setting setting(a);
    ScoringOptions ways[2];
    ways[0].share_prefixes = false;
    compare(a, setting, {"unshared", "shared"}, ways,
            JsonObject().add("pieces", PathTrie(*setting.net, setting.candidates, true).width()));
}

/// Of a trained run: scores of random candidates under every policy, and Kendall's tau-b between any two; by `exact`
/// also on other calibration pictures.
void policies(const Arguments& a) {
    SposConfig c;
    spos_options(c).read_toml(a.run + "/run.toml");
    c.search.norms = "exact";
    const SposPictures pictures(c);
    const chain::Space space = space_of(c, pictures.classes(), pictures.size());
    const std::vector<chain::Architecture> candidates =
        draw(space, SearchLimits::of(c.search, space).paths, a.candidates, a.seed);
    const auto device = make_device(a.device, a.threads);
    ChainNet net(*device, DType::f32, supernet_of(c, space));
    const std::string path = a.run + "/export/supernet.safetensors";
    load(net, StateDict::read(path), path);
    SearchPictures held = hold_pictures(c, pictures, *device);
    SposConfig other = c;
    other.run.seed++;
    other.search.pictures = c.search.batch;  // only its calibration pictures are used
    const SearchPictures again = hold_pictures(other, pictures, *device);
    std::vector<std::string> names;
    std::vector<std::vector<double>> ranked;
    const auto score = [&](NormPolicy policy, const HeldPictures& calibration, const std::string& name) {
        ScoringOptions s;
        s.norms = policy;
        s.calibration_batch = c.search.calibration_batch;
        s.batch = c.search.batch;
        CandidateScores all(net, &calibration, *held.evaluation, s);
        all.begin(candidates, 0);
        const double begin = bench::core_seconds();
        while (!all.done()) (void)all.step();
        std::vector<double> accuracy;
        for (const Score& one : all.scores()) accuracy.push_back(one.accuracy());
        const auto [low, high] = std::minmax_element(accuracy.begin(), accuracy.end());
        fmt::print("{}\n", JsonObject()
                               .add("policy", name)
                               .add("pictures", held.evaluation->count())
                               .add("calibration", calibration.count())
                               .add("lowest", *low)
                               .add("highest", *high)
                               .add("core_seconds", bench::core_seconds() - begin)
                               .text());
        std::fflush(stdout);
        names.push_back(name);
        ranked.push_back(std::move(accuracy));
    };
    for (NormPolicy policy : {NormPolicy::exact, NormPolicy::ema, NormPolicy::batch, NormPolicy::none})
        score(policy, *held.calibration, std::string(name_of(policy)));
    score(NormPolicy::exact, *again.calibration, "exact, other calibration pictures");
    for (std::size_t i = 0; i < names.size(); i++)
        for (std::size_t j = i + 1; j < names.size(); j++)
            fmt::print("{}\n", JsonObject()
                                   .add("between", std::vector<std::string>{names[i], names[j]})
                                   .add("kendall_tau_b", kendall_tau_b(ranked[i], ranked[j]).value)
                                   .add("spearman", spearman_rho(ranked[i], ranked[j]).value)
                                   .text());
}

}  // namespace

static int run(int argc, char** argv) {
    Arguments a;
    CLI::App app("candidates of a supernet: what scoring them costs, how policies rank them");
    app.require_subcommand(1);
    CLI::App* share = app.add_subcommand("sharing", "with and without shared prefixes");
    CLI::App* group = app.add_subcommand("together", "branches of threads' own against one candidate after the other");
    group->add_option("--group", a.together, "branches in a group, 0: four for each thread");
    group->add_option("--shared", a.shared, "depths that all threads compute together");
    CLI::App* policy = app.add_subcommand("policies", "agreement of policies on a trained run");
    policy->add_option("--run", a.run, "folder of the run")->required();
    for (CLI::App* sub : {share, group}) {
        sub->add_option("--space", a.space);
        sub->add_option("--size", a.size)->check(CLI::PositiveNumber);
        sub->add_option("--classes", a.classes)->check(CLI::PositiveNumber);
        sub->add_option("--batch", a.batch)->check(CLI::PositiveNumber);
        sub->add_option("--max-flops", a.max_flops);
        sub->add_option("--rounds", a.rounds, "after one that does not count")->check(CLI::PositiveNumber);
    }
    for (CLI::App* sub : {share, group, policy}) {
        sub->add_option("--candidates", a.candidates)->check(CLI::PositiveNumber);
        sub->add_option("--threads", a.threads)->check(CLI::PositiveNumber);
        sub->add_option("--device", a.device)->check(CLI::IsMember({"cpu", "gpu"}));
        sub->add_option("--seed", a.seed, "of the candidates");
    }
    CLI11_PARSE(app, argc, argv);
    try {
        *share ? sharing(a) : *group ? together(a) : policies(a);
    } catch (const Error& e) {
        fmt::print(stderr, "bench_candidates: {}\n", e.what());
        return e.exit_code();
    }
    return 0;
}

int main(int argc, char** argv) { return nascent::run_program("bench_candidates", run, argc, argv); }
