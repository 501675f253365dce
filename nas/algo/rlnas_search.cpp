#include "nas/algo/rlnas_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/error.h"
#include "nas/data/labels.h"

namespace nascent {

AngleRules angle_rules(const RlnasConfig::Angle& c) {
    return {c.pool, c.identity == "eye" ? AngleRules::Identity::eye : AngleRules::Identity::none,
            c.blocked == "fixed" ? AngleRules::Blocked::fixed_only : AngleRules::Blocked::zero};
}

EvolutionConfig evolution_config(const RlnasConfig::Search& c) {
    EvolutionConfig e;
    e.population = c.population;
    e.select = c.select;
    e.mutation = c.mutation;
    e.crossover = c.crossover;
    e.mutation_probability = c.m_prob;
    e.generations = c.generations;
    return e;
}

std::vector<double> angles_within(const Nb201Angle& angle, const OperatorLists& operators) {
    std::vector<double> angles = angle.all_angles();
    for (int id = 0; id < nb201::kArchitectures; ++id)
        if (!nb201_within(operators, nb201::Architecture::from_id(id)))
            angles[static_cast<std::size_t>(id)] = std::numeric_limits<double>::quiet_NaN();
    return angles;
}

Found search_exhaustive(const std::vector<double>& angles) {
    const int best = rank_descending(angles).front();
    const auto known = std::count_if(angles.begin(), angles.end(), [](double a) { return !std::isnan(a); });
    return {nb201::Architecture::from_id(best), angles[static_cast<std::size_t>(best)], "exhaustive",
            static_cast<std::int64_t>(known), 0};
}

Found search_evolution(const Nb201Angle& angle, const OperatorLists& operators, const EvolutionConfig& config,
                       std::uint32_t seed, int classes, const std::optional<EvolutionState>& state,
                       const std::function<void(const EvolutionState&)>& each, const std::function<bool()>& stop) {
    const Nb201Genes genes(operators);
    const bool published = classes == 10 || classes == 100 || classes == 120;
    const Evolution evolution = run_evolution(
        genes, config, published ? rlnas_nb201_search_random(seed, classes) : NumpyRandom(seed), state,
        [&](const Genes& g) { return angle.angle(to_architecture(g)); }, each, stop);
    const EvolutionState::Candidate& best = evolution.best();
    const auto scored = std::count_if(evolution.state().visited.begin(), evolution.state().visited.end(),
                                      [](const auto& c) { return c.scored; });
    return {to_architecture(best.genes), best.score, "evolution", scored, evolution.state().generation};
}

Judgement judge(const BenchmarkTable& table, const std::string& column, const std::vector<double>& angles,
                const nb201::Architecture& winner) {
    const std::vector<double> truth = table.accuracy(column);
    Judgement j;
    j.column = column;
    j.ordinal = kendall_tau_ordinal(truth, angles);
    j.tau_b = kendall_tau_b(truth, angles);
    j.spearman = spearman_rho(truth, angles);
    for (int k : {1, 10, 100}) j.top.push_back(top_k(truth, angles, k));
    const auto best = std::max_element(truth.begin(), truth.end());
    j.best = nb201::Architecture::from_id(static_cast<int>(best - truth.begin()));
    j.best_accuracy = *best;
    j.winner = winner;
    j.winner_accuracy = truth[static_cast<std::size_t>(winner.id())];
    j.winner_rank = rank_of(truth, j.winner_accuracy);
    return j;
}

JsonObject to_json(const Judgement& j) {
    JsonObject regret, precision;
    for (const TopK& t : j.top) {
        regret.add(std::to_string(t.k), t.regret);
        precision.add(std::to_string(t.k), t.precision);
    }
    auto described = [](const nb201::Architecture& a, double accuracy) {
        return JsonObject()
            .add("arch", nb201::to_string(a))
            .add("index", nb201::official_index(a))
            .add("accuracy", accuracy);
    };
    return JsonObject()
        .add("column", j.column)
        .add("kendall_ordinal", j.ordinal.value)
        .add("kendall_b", j.tau_b.value)
        .add("spearman", j.spearman.value)
        .add("top_k_regret", regret)
        .add("top_k_precision", precision)
        .add("used", j.ordinal.used)
        .add("dropped", j.ordinal.dropped)
        .add("winner", described(j.winner, j.winner_accuracy).add("rank", j.winner_rank))
        .add("best", described(j.best, j.best_accuracy));
}

std::string to_text(const Judgement& j) {
    std::string text =
        fmt::format("against {}:\n  Kendall tau {:.4f} (as RLNAS computes it), tau-b {:.4f}, Spearman {:.4f}\n",
                    j.column, j.ordinal.value, j.tau_b.value, j.spearman.value);
    for (const TopK& t : j.top)
        text += fmt::format("  best of the top {:>3} by angle: {:.2f} points below the table's best\n", t.k, t.regret);
    text +=
        fmt::format("  the winner's accuracy {:.2f} %, rank {} of {}; the table's best {:.2f} %: {}\n",
                    j.winner_accuracy, j.winner_rank, nb201::kArchitectures, j.best_accuracy, nb201::to_string(j.best));
    return text;
}

}  // namespace nascent
