// Uniform single-path sampling over NAS-Bench-201 cells.
#pragma once
#include <cstdint>
#include <string>

#include "nas/algo/shrink.h"
#include "nas/supernet/nasbench201.h"

namespace nascent {

/// Whether the cells of a path are drawn independently (RLNAS) or one is drawn for all.
enum class CellSampling { per_cell, shared };
/// `per-cell | shared`; throws Error(usage) for another name.
CellSampling cell_sampling(const std::string& name);

/// The path of training step `step`: a pure function of its arguments. For every node, one operator per incoming edge,
/// uniform over all combinations but `none` on every edge, which is the law of the reference code's redrawing (edge
/// 1<-0 is never `none`; node 2 has 24 combinations, node 3 has 124).
Nb201Path sample_path(std::uint64_t seed, std::int64_t step, int cells, CellSampling sampling);

/// The same of a smaller space: every node's operators uniform over all combinations of its edges' lists but `none` on
/// every edge, unless that is all they allow. Of the whole space that is the path above, to the bit.
Nb201Path sample_path(std::uint64_t seed, std::int64_t step, int cells, CellSampling sampling,
                      const OperatorLists& operators);

}  // namespace nascent
