// Candidates of NAS-Bench-201.
#include <numeric>

#include "engine/base/error.h"
#include "nas/algo/evolution.h"
#include "nas/data/labels.h"

namespace nascent {

Nb201Genes::Nb201Genes() {
    std::vector<int> ops(nb201::kOps);
    std::iota(ops.begin(), ops.end(), 0);
    operators_.assign(nb201::kEdges, ops);
}

Genes Nb201Genes::random(NumpyRandom& random) const {
    Genes genes;
    for (const std::vector<int>& ops : operators_)
        genes.push_back(ops[static_cast<std::size_t>(random.below(static_cast<int>(ops.size())))]);
    return genes;
}

Genes Nb201Genes::mutate(const Genes& parent, double probability, NumpyRandom& random) const {
    Genes genes = parent;
    for (std::size_t e = 0; e < genes.size(); ++e) {
        if (!(random.random_sample() < probability)) continue;
        const std::vector<int>& ops = operators_[e];
        const int first = ops[0] == 0 ? 1 : 0, others = static_cast<int>(ops.size()) - first;
        if (others > 0) genes[e] = ops[static_cast<std::size_t>(first + random.below(others))];
    }
    return genes;
}

Genes to_genes(const nb201::Architecture& arch) {
    Genes genes;
    for (nb201::Op op : arch.ops) genes.push_back(static_cast<int>(op));
    return genes;
}

nb201::Architecture to_architecture(const Genes& genes) {
    NASCENT_CHECK(genes.size() == nb201::kEdges, data, "a NAS-Bench-201 candidate has {} genes, not {}", nb201::kEdges,
                  genes.size());
    nb201::Architecture arch;
    for (std::size_t e = 0; e < genes.size(); ++e) {
        NASCENT_CHECK(genes[e] >= 0 && genes[e] < nb201::kOps, data, "gene {} is {}; expected 0..{}", e, genes[e],
                      nb201::kOps - 1);
        arch.ops[e] = static_cast<nb201::Op>(genes[e]);
    }
    return arch;
}

NumpyRandom rlnas_nb201_search_random(std::uint32_t seed, int classes) {
    NASCENT_CHECK(classes == 10 || classes == 100 || classes == 120, usage,
                  "RLNAS searched NAS-Bench-201 with 10, 100 and 120 classes, not {}", classes);
    NumpyRandom random(seed);
    random_labels(random, classes, classes == 120 ? 151700 : 50000);
    return random;
}

}  // namespace nascent
