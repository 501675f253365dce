#include "nas/algo/path_sampling.h"

#include "engine/base/rng.h"

namespace nascent {

CellSampling cell_sampling(const std::string& name) {
    if (name == "per-cell") return CellSampling::per_cell;
    NASCENT_CHECK(name == "shared", usage, "sampling '{}': expected per-cell or shared", name);
    return CellSampling::shared;
}

Nb201Path sample_path(std::uint64_t seed, std::int64_t step, int cells, CellSampling sampling) {
    Nb201Path path(static_cast<std::size_t>(cells));
    for (int c = 0; c < cells; c++) {
        if (c > 0 && sampling == CellSampling::shared) {
            path[static_cast<std::size_t>(c)] = path[0];
            continue;
        }
        for (int to = 1, edge = 0; to < nb201::kNodes; to++) {
            std::uint32_t combinations = 1;
            for (int from = 0; from < to; from++) combinations *= nb201::kOps;
            const Random r(seed, RandomStream::path, static_cast<std::uint64_t>(step),
                           static_cast<std::uint32_t>(c * nb201::kNodes + to));
            // Combination 0 is `none` everywhere; the digits of the others, in base 5, are the operators.
            std::uint32_t combination = 1 + r.below(0, combinations - 1);
            for (int from = 0; from < to; from++, edge++, combination /= nb201::kOps)
                path[static_cast<std::size_t>(c)].ops[static_cast<std::size_t>(edge)] =
                    static_cast<nb201::Op>(combination % nb201::kOps);
        }
    }
    return path;
}

}  // namespace nascent
