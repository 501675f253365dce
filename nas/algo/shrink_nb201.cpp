#include "nas/algo/shrink_nb201.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/base/error.h"

namespace nascent {

using nb201::Architecture;
using nb201::kArchitectures;
using nb201::kEdges;
using nb201::kOps;

OperatorLists nb201_operators() {
    std::vector<int> ops(kOps);
    std::iota(ops.begin(), ops.end(), 0);
    return OperatorLists(kEdges, ops);
}

bool nb201_within(const OperatorLists& operators, const Architecture& arch) {
    for (std::size_t e = 0; e < kEdges; ++e) {
        const int op = static_cast<int>(arch.ops[e]);
        if (std::find(operators[e].begin(), operators[e].end(), op) == operators[e].end()) return false;
    }
    return true;
}

std::vector<OperatorScore> nb201_mean_scores(const OperatorLists& operators, std::span<const double> by_architecture) {
    NASCENT_CHECK(by_architecture.size() == kArchitectures && operators.size() == kEdges, usage,
                  "shrinking: {} scores and {} edges; expected {} and {}", by_architecture.size(), operators.size(),
                  static_cast<int>(kArchitectures), static_cast<int>(kEdges));
    std::vector<OperatorScore> scores;
    std::map<LayerOperator, std::size_t> place;
    for (LayerOperator which : droppable(operators)) {
        place.emplace(which, scores.size());
        scores.push_back({which, 0, 0});
    }
    for (int id = 0; id < kArchitectures; ++id) {
        const Architecture arch = Architecture::from_id(id);
        if (!nb201_within(operators, arch)) continue;
        for (std::size_t e = 0; e < kEdges; ++e) {
            const auto found = place.find({static_cast<int>(e), static_cast<int>(arch.ops[e])});
            if (found == place.end()) continue;
            scores[found->second].score += by_architecture[static_cast<std::size_t>(id)];
            ++scores[found->second].count;
        }
    }
    for (OperatorScore& s : scores) {
        if (s.count > 0) s.score /= s.count;
    }
    return scores;
}

std::vector<OperatorScore> nb201_magnitudes(const OperatorLists& operators, std::span<const double> alphas) {
    NASCENT_CHECK(alphas.size() == std::size_t{kEdges} * kOps && operators.size() == kEdges, usage,
                  "shrinking: {} alphas and {} edges; expected {} and {}", alphas.size(), operators.size(),
                  kEdges * kOps, static_cast<int>(kEdges));
    std::vector<OperatorScore> scores;
    for (LayerOperator which : droppable(operators)) {
        const auto row = alphas.subspan(static_cast<std::size_t>(which.layer) * kOps, kOps);
        const double most = *std::max_element(row.begin(), row.end());
        double sum = 0;
        for (double a : row) sum += std::exp(a - most);
        scores.push_back({which, std::exp(row[static_cast<std::size_t>(which.op)] - most) / sum, 1});
    }
    return scores;
}

std::map<LayerOperator, int> nb201_true_ranks(const OperatorLists& operators, std::span<const double> accuracy) {
    std::vector<OperatorScore> truth = nb201_mean_scores(operators, accuracy);
    std::stable_sort(truth.begin(), truth.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    std::map<LayerOperator, int> rank;
    for (std::size_t i = 0; i < truth.size(); ++i) rank[truth[i].which] = static_cast<int>(i) + 1;
    return rank;
}

std::vector<Nb201Dropped> nb201_drop(OperatorLists& operators, std::vector<OperatorScore> scores,
                                     std::span<const double> accuracy, const DropRule& rule) {
    std::map<LayerOperator, int> rank = nb201_true_ranks(operators, accuracy);
    std::stable_sort(scores.begin(), scores.end(),
                     [&](const auto& a, const auto& b) { return rank[a.which] < rank[b.which]; });
    std::map<LayerOperator, double> score;
    for (const OperatorScore& s : scores) score[s.which] = s.score;
    std::vector<Nb201Dropped> dropped;
    for (LayerOperator which : drop_operators(operators, std::move(scores), rule))
        dropped.push_back({which, score[which], rank[which]});
    return dropped;
}

}  // namespace nascent
