#include "nas/space/darts_derive.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"

namespace nascent::darts {
namespace {

struct Choice {
    double weight;
    Gene gene;
};

/// The strongest primitive other than `none` of row `edge`.
Choice strongest(std::span<const double> weights, int edge, int from) {
    const std::span<const double> row =
        weights.subspan(static_cast<std::size_t>(edge) * kPrimitives, static_cast<std::size_t>(kPrimitives));
    std::size_t best = static_cast<std::size_t>(Op::none) + 1;
    for (std::size_t op = 0; op < row.size(); ++op) {
        NASCENT_CHECK(!std::isnan(row[op]), runtime, "edge {}, {}: the weight is NaN", edge, kOpNames[op]);
        if (op > best && row[op] > row[best]) best = op;
    }
    return {row[best], {static_cast<Op>(best), from}};
}

/// Nodes whose edges have `numbers` weights.
int node_count(std::size_t numbers) {
    int nodes = 1;
    while (nodes < kMaxNodes && static_cast<std::size_t>(edge_count(nodes)) * kPrimitives < numbers) ++nodes;
    NASCENT_CHECK(static_cast<std::size_t>(edge_count(nodes)) * kPrimitives == numbers, usage,
                  "{} weights are not those of a cell; expected edges x {} with {} edges for four nodes", numbers,
                  kPrimitives, edge_count(4));
    return nodes;
}

}  // namespace

std::vector<double> softmax_rows(std::span<const double> alphas, int columns) {
    const auto width = static_cast<std::size_t>(columns);
    NASCENT_CHECK(columns > 0 && alphas.size() % width == 0, usage, "{} alphas are not rows of {}", alphas.size(),
                  columns);
    std::vector<double> weights(alphas.begin(), alphas.end());
    for (std::size_t row = 0; row < weights.size(); row += width) {
        for (std::size_t k = 0; k < width; ++k) {
            NASCENT_CHECK(weights[row + k] < INFINITY, runtime, "alpha of edge {}, operator {} is {}", row / width, k,
                          weights[row + k]);
        }
        const auto first = weights.begin() + static_cast<std::ptrdiff_t>(row), last = first + columns;
        const double top = *std::max_element(first, last);
        NASCENT_CHECK(std::isfinite(top), runtime, "all operators of edge {} were pruned", row / width);
        double sum = 0;
        for (auto w = first; w != last; ++w) sum += * w = std::exp(*w - top);
        for (auto w = first; w != last; ++w) *w /= sum;
    }
    return weights;
}

std::vector<Gene> derive_genes(std::span<const double> weights) {
    const int nodes = node_count(weights.size());
    std::vector<Gene> genes;
    for (int node = 0; node < nodes; ++node) {
        std::vector<Choice> choices;
        for (int from = 0; from < kInputs + node; ++from) {
            choices.push_back(strongest(weights, edge_index(node, from), from));
        }
        std::stable_sort(choices.begin(), choices.end(),
                         [](const Choice& a, const Choice& b) { return a.weight > b.weight; });
        for (std::size_t i = 0; i < 2; ++i) genes.push_back(choices[i].gene);
    }
    return genes;
}

std::vector<double> softmax_edges(std::span<const double> betas) {
    std::vector<double> shares;
    for (int node = 0; shares.size() < betas.size(); ++node) {
        const std::size_t count = kInputs + static_cast<std::size_t>(node);
        NASCENT_CHECK(shares.size() + count <= betas.size(), usage,
                      "{} betas are not those of a cell's edges; expected {} for four nodes", betas.size(),
                      edge_count(4));
        for (std::size_t e = shares.size(); e < shares.size() + count; ++e)
            NASCENT_CHECK(std::isfinite(betas[e]), runtime, "beta of edge {} is {}", e, betas[e]);
        const std::vector<double> row = softmax_rows(betas.subspan(shares.size(), count), static_cast<int>(count));
        shares.insert(shares.end(), row.begin(), row.end());
    }
    return shares;
}

std::vector<double> weigh_edges(std::vector<double> weights, std::span<const double> betas) {
    NASCENT_CHECK(weights.size() == betas.size() * kPrimitives, usage, "{} betas for {} weights of {} edges",
                  betas.size(), weights.size(), weights.size() / kPrimitives);
    const std::vector<double> shares = softmax_edges(betas);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= shares[i / kPrimitives];
    return weights;
}

Genotype genotype_of_weights(std::span<const double> normal, std::span<const double> reduce, int multiplier) {
    Genotype genotype;
    auto derive = [multiplier](const char* kind, std::span<const double> weights, std::vector<Gene>& genes,
                               std::vector<int>& concat) {
        Scope scope("{} cell", kind);
        genes = derive_genes(weights);
        const int states = kInputs + static_cast<int>(genes.size() / 2);
        NASCENT_CHECK(multiplier > 0 && multiplier <= states - kInputs, usage, "multiplier {}; expected 1..{}",
                      multiplier, states - kInputs);
        for (int state = states - multiplier; state < states; ++state) concat.push_back(state);
    };
    derive("normal", normal, genotype.normal, genotype.normal_concat);
    derive("reduction", reduce, genotype.reduce, genotype.reduce_concat);
    return genotype;
}

Genotype derive_genotype(std::span<const double> alphas_normal, std::span<const double> alphas_reduce, int multiplier) {
    auto rows = [](const char* kind, std::span<const double> alphas) {
        Scope scope("{} cell", kind);
        return softmax_rows(alphas);
    };
    const std::vector<double> normal = rows("normal", alphas_normal);
    return genotype_of_weights(normal, rows("reduction", alphas_reduce), multiplier);
}

int skip_connects(std::span<const Gene> genes) {
    return static_cast<int>(
        std::count_if(genes.begin(), genes.end(), [](const Gene& g) { return g.op == Op::skip_connect; }));
}

bool collapsed(const Genotype& genotype, int skips) { return skip_connects(genotype.normal) >= skips; }

}  // namespace nascent::darts
