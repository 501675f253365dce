// RLNAS's search and its judgement: the architecture with the largest angle, by evolution or by looking at all of them,
// and how well angles rank a benchmark's accuracies.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/json_text.h"
#include "nas/algo/evolution.h"
#include "nas/algo/rlnas_config.h"
#include "nas/algo/shrink_nb201.h"
#include "nas/metric/angle.h"
#include "nas/metric/correlation.h"
#include "nas/metric/table.h"

namespace nascent {

AngleRules angle_rules(const RlnasConfig::Angle& config);
EvolutionConfig evolution_config(const RlnasConfig::Search& config);

/// What a search found.
struct Found {
    nb201::Architecture arch;
    double angle = 0;
    std::string method;       // evolution | exhaustive
    std::int64_t scored = 0;  // architectures whose angle was computed
    int generations = 0;      // of the evolution
};

/// Angles by id, not a number for architectures that are not in the space.
std::vector<double> angles_within(const Nb201Angle& angle, const OperatorLists& operators);
/// The best of them; the first in enumeration order among equals.
Found search_exhaustive(const std::vector<double>& angles);

/// Evolution from where the published code's random numbers stand after its label draw, or from `state`. `each` is
/// called after every generation and may throw to stop; `stop` as run_evolution() has it.
Found search_evolution(
    const Nb201Angle& angle, const OperatorLists& operators, const EvolutionConfig& config, std::uint32_t seed,
    int classes, const std::optional<EvolutionState>& state, const std::function<void(const EvolutionState&)>& each,
    const std::function<bool()>& stop = [] { return false; });

/// A score of all architectures against a column of a benchmark table.
struct Judgement {
    std::string column;
    Correlation ordinal, tau_b, spearman;
    std::vector<TopK> top;  // k = 1, 10, 100
    nb201::Architecture best, winner;
    double best_accuracy = 0, winner_accuracy = 0;
    int winner_rank = 0;  // 1: no architecture of the table is truly better
};
Judgement judge(const BenchmarkTable& table, const std::string& column, const std::vector<double>& angles,
                const nb201::Architecture& winner);
JsonObject to_json(const Judgement& judgement);
/// A few lines for people.
std::string to_text(const Judgement& judgement);

}  // namespace nascent
