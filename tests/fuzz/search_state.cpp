#include "nas/algo/evolution_json.h"
#include "tests/fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return nascent::fuzz::expect_error_or_nothing([&] {
        const nascent::EvolutionState state = nascent::evolution_from_json(nascent::fuzz::text(data, size), "fuzz");
        const nascent::Nb201Genes genes;
        // A state that passes the checks can be gone on with.
        nascent::EvolutionConfig config;
        config.population = config.select = 10, config.mutation = config.crossover = 4,
        config.generations = state.generation < 1000 ? state.generation + 1 : 0;
        config.patience = 1000;
        nascent::Evolution evolution(genes, config, state);
        if (!evolution.done()) evolution.step([](const auto& all) { return std::vector<double>(all.size(), 1.0); });
    });
}
