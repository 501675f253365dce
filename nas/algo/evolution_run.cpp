// An evolution to its end.
#include "engine/base/error.h"
#include "nas/algo/evolution.h"

namespace nascent {

Evolution run_evolution(const GeneSpace& space, EvolutionConfig config, const NumpyRandom& random,
                        const std::optional<EvolutionState>& state, const std::function<double(const Genes&)>& score,
                        const std::function<void(const EvolutionState&)>& each, const std::function<bool()>& stop) {
    struct Stopped {};
    config.poll = [&] {
        if (stop()) throw Stopped{};
    };
    auto scores_of = [&](const std::vector<Genes>& candidates) {
        std::vector<double> scores;
        for (const Genes& g : candidates) {
            config.poll();
            scores.push_back(score(g));
        }
        return scores;
    };
    std::optional<EvolutionState> whole = state;
    try {
        Evolution evolution = whole ? Evolution(space, config, *whole) : Evolution(space, config, random);
        while (!evolution.done()) {
            evolution.step(scores_of);
            whole = evolution.state();
            each(*whole);
        }
        evolution.config_.poll = [] {};
        return evolution;
    } catch (const Stopped&) {
        if (whole) each(*whole);
        fail(ErrorKind::interrupted, "stopped in generation {} of {}", whole ? whole->generation + 1 : 1,
             config.generations);
    }
}

}  // namespace nascent
