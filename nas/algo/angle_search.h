// The second half of RLNAS on the DARTS and MobileNet spaces: from sums of a supernet to an architecture, by evolution
// as published and by solving for the largest angle, side by side.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/json_text.h"
#include "nas/algo/evolution.h"
#include "nas/algo/gene_spaces.h"
#include "nas/algo/largest_angle.h"
#include "nas/metric/darts_angle.h"
#include "nas/space/darts_net.h"

namespace nascent {

/// What both methods found.
struct AngleSearch {
    struct Candidate {
        std::vector<int> genes;
        double angle = 0;
        std::int64_t cost = 0;
    };
    std::optional<Candidate> evolved;  // none where only the optimum was asked for
    int generations = 0;
    std::int64_t scored = 0;
    std::optional<Candidate> best;  // the optimum, none where only evolution was
    double bound = 0;               // no candidate has a larger angle
    bool exact = false;
    std::int64_t linear_problems = 0, listed = 0;

    /// The optimum where there is one.
    const Candidate& winner() const { return best ? *best : *evolved; }
};

struct AngleSearchRequest {
    enum class Method { evolution, exact, both };
    Method method = Method::both;
    EvolutionConfig evolution;
    std::uint32_t seed = 1;                 // of the published generator
    std::int64_t max_cost = -1;             // -1: no limit
    std::optional<EvolutionState> state{};  // to go on from
    /// Called after each generation; may throw to stop.
    std::function<void(const EvolutionState&)> each = [](const EvolutionState&) {};
    /// Called often, within generations and within the search for the optimum; true stops: `each` gets the state after
    /// the last whole generation, if there is one, and Error(interrupted) is thrown where it does not throw itself.
    std::function<bool()> stop = [] { return false; };
};

/// `rules.max_cost` is taken from the request. Throws what DartsGenes and DartsProblem throw.
AngleSearch search_darts(const darts::Angle& angle, const darts::CodeCosts& costs, const AngleSearchRequest& request,
                         DartsGenes::Rules rules, const darts::EdgeOperators& operators = darts::all_operators());
AngleSearch search_chain(const ChainAngle& angle, const AngleSearchRequest& request);

/// {"winner": {...}, "evolution": {...}, "exact": {...}, "distance": ...}; `describe` adds to what is said of
/// candidates.
JsonObject to_json(const AngleSearch& search, const std::function<JsonObject(const AngleSearch::Candidate&)>& describe);
/// A few lines for people; `name` writes a candidate.
std::string to_text(const AngleSearch& search, const std::function<std::string(const AngleSearch::Candidate&)>& name);

/// Code, genotype, angle, thop FLOPs and parameters of a DARTS candidate in stand-alone networks of `config`.
JsonObject describe_darts(const AngleSearch::Candidate& candidate, const darts::NetConfig& config);

}  // namespace nascent
