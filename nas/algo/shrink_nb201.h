// Node dropping on NAS-Bench-201 (AngleNAS, its section 4): all operators of the cell scored at once, the 20 lowest of
// 30 dropped, and where the dropped ones truly stand.
#pragma once
#include <map>
#include <span>
#include <vector>

#include "nas/algo/shrink.h"
#include "nas/space/nasbench201.h"

namespace nascent {

/// Six edges of five operators.
OperatorLists nb201_operators();

bool nb201_within(const OperatorLists& operators, const nb201::Architecture& arch);

/// The mean over all architectures of the lists that have the operator of a score by lexicographic architecture id:
/// angles, accuracies. Throws ErrorKind::usage for another number of scores than 15 625.
std::vector<OperatorScore> nb201_mean_scores(const OperatorLists& operators, std::span<const double> by_architecture);
/// Softmax over each edge's five alphas (6, 5).
std::vector<OperatorScore> nb201_magnitudes(const OperatorLists& operators, std::span<const double> alphas);

/// Of all that can be dropped, 1 for the operator with the best mean accuracy; `accuracy` by lexicographic id.
std::map<LayerOperator, int> nb201_true_ranks(const OperatorLists& operators, std::span<const double> accuracy);

struct Nb201Dropped {
    LayerOperator which;  // edge, operator
    double score = 0;
    int true_rank = 0;  // of 30 (of all that could be dropped): 1 has the best mean accuracy
};
/// Drops by `scores`. `accuracy` by lexicographic architecture id ranks the operators; as published, operators of equal
/// score go in the order of their true rank.
std::vector<Nb201Dropped> nb201_drop(OperatorLists& operators, std::vector<OperatorScore> scores,
                                     std::span<const double> accuracy, const DropRule& rule);

}  // namespace nascent
