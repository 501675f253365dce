#include "nas/algo/angle_search.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/error.h"
#include "nas/algo/chain_optimum.h"
#include "nas/algo/darts_optimum.h"

namespace nascent {
namespace {

using Method = AngleSearchRequest::Method;

void evolve(AngleSearch& result, const GeneSpace& space, const AngleSearchRequest& request,
            const std::function<double(const Genes&)>& angle, const std::function<std::int64_t(const Genes&)>& cost) {
    if (request.method == Method::exact) return;
    const Evolution evolution = run_evolution(space, request.evolution, NumpyRandom(request.seed), request.state, angle,
                                              request.each, request.stop);
    const EvolutionState& state = evolution.state();
    result.evolved = {evolution.best().genes, evolution.best().score, cost(evolution.best().genes)};
    result.generations = state.generation;
    result.scored = std::count_if(state.visited.begin(), state.visited.end(), [](const auto& c) { return c.scored; });
}

void solve(AngleSearch& result, AngleProblem& problem, const AngleSearchRequest& request,
           const std::function<std::int64_t(const Genes&)>& cost) {
    problem.poll = [&] {
        if (request.stop()) fail(ErrorKind::interrupted, "stopped while the largest angle was looked for");
    };
    const LargestAngle found = maximise_angle(problem);
    result.best = {found.genes, found.angle, cost(found.genes)};
    result.bound = found.bound;
    result.exact = found.exact;
    result.linear_problems = found.linear_problems;
    result.listed = found.listed;
}

}  // namespace

AngleSearch search_darts(const darts::Angle& angle, const darts::CodeCosts& costs, const AngleSearchRequest& request,
                         DartsGenes::Rules rules, const darts::EdgeOperators& operators) {
    AngleSearch result;
    rules.max_cost = request.max_cost;
    auto cost = [&](const Genes& g) { return costs.of(darts::code_from(g)); };
    // First of all: it knows whether any candidate is within the limit, evolution would draw and draw.
    DartsProblem problem(angle, costs, request.max_cost, operators);
    evolve(
        result, DartsGenes(rules, costs, operators), request,
        [&](const Genes& g) { return angle.angle(darts::code_from(g)); }, cost);
    if (request.method == Method::evolution) return result;
    solve(result, problem, request, cost);
    return result;
}

AngleSearch search_chain(const ChainAngle& angle, const AngleSearchRequest& request) {
    AngleSearch result;
    auto cost = [&](const Genes& g) { return cost_of(angle.table(), g); };
    evolve(
        result, ChainGenes(angle.table(), request.max_cost), request, [&](const Genes& g) { return angle.angle(g); },
        cost);
    if (request.method == Method::evolution) return result;
    ChainProblem problem(angle.table(), request.max_cost);
    solve(result, problem, request, cost);
    return result;
}

JsonObject to_json(const AngleSearch& s, const std::function<JsonObject(const AngleSearch::Candidate&)>& describe) {
    JsonObject all;
    all.add("winner", describe(s.winner()));
    if (s.evolved)
        all.add("evolution",
                describe(*s.evolved).add("generations", std::int64_t{s.generations}).add("scored", s.scored));
    if (s.best) {
        all.add("exact", describe(*s.best)
                             .add("bound", s.bound)
                             .add("proved", s.exact)
                             .add("linear_problems", s.linear_problems)
                             .add("listed", s.listed));
    }
    if (s.evolved && s.best) all.add("distance", s.best->angle - s.evolved->angle);
    return all;
}

std::string to_text(const AngleSearch& s, const std::function<std::string(const AngleSearch::Candidate&)>& name) {
    std::string text;
    if (s.evolved) {
        text += fmt::format("evolution ({} generations, {} scored): {:.9f} rad, cost {}\n  {}\n", s.generations,
                            s.scored, s.evolved->angle, s.evolved->cost, name(*s.evolved));
    }
    if (s.best) {
        text += fmt::format("largest angle{}: {:.9f} rad, cost {}\n  {}\n", s.exact ? ", proved" : "", s.best->angle,
                            s.best->cost, name(*s.best));
        if (!s.exact) text += fmt::format("  none is above {:.9f} rad\n", s.bound);
    }
    if (s.evolved && s.best)
        text += fmt::format("evolution is {:.3g} rad below the largest\n", s.best->angle - s.evolved->angle);
    return text;
}

JsonObject describe_darts(const AngleSearch::Candidate& candidate, const darts::NetConfig& config) {
    const darts::Code code = darts::code_from(candidate.genes);
    const darts::Cost cost = darts::cost_of(darts::evaluation_net(config, darts::to_genotype(code)));
    return JsonObject()
        .add("code", darts::to_string(code))
        .add("genotype", darts::to_string(darts::to_genotype(code)))
        .add("angle", candidate.angle)
        .add("cost", candidate.cost)
        .add("params", cost.params)
        .add("macs", darts::macs_json(cost));
}

}  // namespace nascent
