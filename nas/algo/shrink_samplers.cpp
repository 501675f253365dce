#include <algorithm>

#include "engine/base/error.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/shrink.h"

namespace nascent {
namespace {

int draw_one(const std::vector<int>& ops, std::size_t of, NumpyRandom& random) {
    return ops[static_cast<std::size_t>(random.below(static_cast<int>(of)))];
}

bool has_identity(const std::vector<int>& ops) { return std::find(ops.begin(), ops.end(), -1) != ops.end(); }

bool within(const ChainTable& table, const Genes& genes, std::int64_t max_cost) {
    return max_cost < 0 || cost_of(table, genes) <= max_cost;
}

}  // namespace

Genes SposSampler::draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const {
    Genes genes;
    std::vector<std::size_t> places;  // where an identity may go
    for (std::size_t l = 0; l < operators.size(); ++l) {
        const std::vector<int>& ops = operators[l];
        const bool own = static_cast<int>(l) == forced.layer, identity = has_identity(ops);
        NASCENT_CHECK(!identity || ops.back() == -1, data, "layer {}: the identity is not the last operator", l);
        genes.push_back(own               ? forced.op
                        : ops.size() == 1 ? ops[0]
                                          : draw_one(ops, ops.size() - (identity ? 1 : 0), random));
        if (identity && !own) places.push_back(l);
    }
    const auto most = static_cast<int>(places.size());
    const int identities = random.below(most + 1);
    if (most > 0) {  // NumPy's choice from nothing draws nothing
        for (int i : random.choice(most, identities)) genes[places[static_cast<std::size_t>(i)]] = -1;
    }
    return genes;
}

bool SposSampler::legal(const Genes& genes) const { return within(table_, genes, max_cost_); }

Genes UniformSampler::draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const {
    Genes genes;
    for (std::size_t l = 0; l < operators.size(); ++l) {
        const bool own = static_cast<int>(l) == forced.layer;
        genes.push_back(own ? forced.op : draw_one(operators[l], operators[l].size(), random));
    }
    return genes;
}

bool UniformSampler::legal(const Genes& genes) const { return within(table_, genes, max_cost_); }

Genes DartsCellSampler::draw(const OperatorLists& operators, LayerOperator forced, NumpyRandom& random) const {
    darts::check_operators(operators);
    darts::CellCode cell{};
    for (std::size_t e = 0; e < cell.size(); ++e)
        cell[e] = static_cast<std::uint8_t>(draw_one(operators[e], operators[e].size(), random));
    darts::repair(cell, operators, random);
    cell[static_cast<std::size_t>(forced.layer)] = static_cast<std::uint8_t>(forced.op);
    return Genes(cell.begin(), cell.end());
}

}  // namespace nascent
