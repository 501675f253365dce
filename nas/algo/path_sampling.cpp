#include "nas/algo/path_sampling.h"

#include "engine/base/rng.h"
#include "nas/algo/shrink_nb201.h"

namespace nascent {

CellSampling cell_sampling(const std::string& name) {
    if (name == "per-cell") return CellSampling::per_cell;
    NASCENT_CHECK(name == "shared", usage, "sampling '{}': expected per-cell or shared", name);
    return CellSampling::shared;
}

Nb201Path sample_path(std::uint64_t seed, std::int64_t step, int cells, CellSampling sampling) {
    static const OperatorLists all = nb201_operators();
    return sample_path(seed, step, cells, sampling, all);
}

Nb201Path sample_path(std::uint64_t seed, std::int64_t step, int cells, CellSampling sampling,
                      const OperatorLists& operators) {
    Nb201Path path(static_cast<std::size_t>(cells));
    for (int c = 0; c < cells; c++) {
        if (c > 0 && sampling == CellSampling::shared) {
            path[static_cast<std::size_t>(c)] = path[0];
            continue;
        }
        for (int to = 1, edge = 0; to < nb201::kNodes; to++) {
            std::uint32_t combinations = 1;
            bool none = true;  // on every edge
            for (int from = 0; from < to; from++) {
                const std::vector<int>& ops = operators[static_cast<std::size_t>(edge + from)];
                combinations *= static_cast<std::uint32_t>(ops.size());
                none = none && ops[0] == 0;
            }
            const Random r(seed, RandomStream::path, static_cast<std::uint64_t>(step),
                           static_cast<std::uint32_t>(c * nb201::kNodes + to));
            // Combination 0 is then `none` everywhere; the digits of the others, in the lists' sizes, are the
            // operators.
            const std::uint32_t first = none && combinations > 1 ? 1 : 0;
            std::uint32_t combination = first + r.below(0, combinations - first);
            for (int from = 0; from < to; from++, edge++) {
                const std::vector<int>& ops = operators[static_cast<std::size_t>(edge)];
                const auto count = static_cast<std::uint32_t>(ops.size());
                path[static_cast<std::size_t>(c)].ops[static_cast<std::size_t>(edge)] =
                    static_cast<nb201::Op>(ops[combination % count]);
                combination /= count;
            }
        }
    }
    return path;
}

}  // namespace nascent
