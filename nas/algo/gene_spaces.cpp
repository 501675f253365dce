#include "nas/algo/gene_spaces.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"

namespace nascent {

using darts::Code;
using darts::kEdges;

DartsGenes::DartsGenes(const Rules& rules, const darts::CodeCosts& costs, darts::EdgeOperators operators)
    : rules_(rules), costs_(costs), operators_(std::move(operators)) {
    darts::check_operators(operators_);
    NASCENT_CHECK(rules.max_cost < 0 || costs.base <= rules.max_cost, usage,
                  "evolution: the limit {} is below the {} that every candidate costs", rules.max_cost, costs.base);
}

Genes DartsGenes::random(NumpyRandom& random) const {
    Genes genes(2 * kEdges);
    for (std::size_t i = 0; i < genes.size(); ++i) {
        const std::vector<int>& ops = operators_[i % kEdges];
        genes[i] = ops[static_cast<std::size_t>(random.below(static_cast<int>(ops.size())))];
    }
    return genes;
}

Genes DartsGenes::mutate(const Genes& parent, double probability, NumpyRandom& random) const {
    Genes genes = parent;
    for (std::size_t i = 0; i < (rules_.mutate_reduction ? 2 * kEdges : std::size_t{kEdges}); ++i) {
        if (random.random_sample() >= probability) continue;
        const std::vector<int>& ops = operators_[i % kEdges];
        const auto count = static_cast<int>(ops.size());
        const int first = rules_.mutate_to_none || count == 1 ? 0 : 1;
        genes[i] = ops[static_cast<std::size_t>(random.randint(first, count))];
    }
    return genes;
}

Genes DartsGenes::repair(const Genes& drawn, NumpyRandom& random) const {
    Code code = darts::code_from(drawn);
    darts::repair(code.normal, operators_, random);
    darts::repair(code.reduce, operators_, random);
    return darts::to_numbers(code);
}

bool DartsGenes::legal(const Genes& genes) const {
    return rules_.max_cost < 0 || costs_.of(darts::code_from(genes)) <= rules_.max_cost;
}

ChainGenes::ChainGenes(const ChainTable& table, std::int64_t max_cost) : table_(table), max_cost_(max_cost) {
    check(table);
    NASCENT_CHECK(max_cost < 0 || cheapest(table) <= max_cost, usage,
                  "evolution: the limit {} is below the {} of the cheapest candidate", max_cost, cheapest(table));
}

int ChainGenes::draw(std::size_t block, NumpyRandom& random) const {
    const std::vector<ChainChoice>& choices = table_.blocks[block];
    return choices[static_cast<std::size_t>(random.below(static_cast<int>(choices.size())))].op;
}

Genes ChainGenes::random(NumpyRandom& random) const {
    Genes genes(table_.blocks.size());
    for (std::size_t i = 0; i < genes.size(); ++i) genes[i] = draw(i, random);
    return genes;
}

Genes ChainGenes::mutate(const Genes& parent, double probability, NumpyRandom& random) const {
    Genes genes = parent;
    for (std::size_t i = 0; i < genes.size(); ++i) {
        if (random.random_sample() < probability) genes[i] = draw(i, random);
    }
    return genes;
}

bool ChainGenes::legal(const Genes& genes) const { return max_cost_ < 0 || cost_of(table_, genes) <= max_cost_; }

EvolutionConfig darts_evolution() {
    EvolutionConfig c;
    c.population = 50;
    c.select = 10;
    c.mutation = 25;
    c.crossover = 25;
    return c;
}

EvolutionConfig mobilenet_evolution() {
    EvolutionConfig c = darts_evolution();
    c.duplicates = EvolutionConfig::Duplicates::repaired;
    c.first = EvolutionConfig::First::crossover;
    c.tries = 1000;
    return c;
}

}  // namespace nascent
