#include "nas/algo/shrink.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "engine/base/error.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {

constexpr std::array<std::string_view, 4> kSchedules = {"spos", "fairnas", "darts", "nasbench201"};

std::vector<int>& layer(OperatorLists& operators, LayerOperator which) {
    NASCENT_CHECK(which.layer >= 0 && static_cast<std::size_t>(which.layer) < operators.size(), usage,
                  "shrinking: layer {} of {}", which.layer, operators.size());
    return operators[static_cast<std::size_t>(which.layer)];
}

void drop(OperatorLists& operators, LayerOperator which) {
    std::vector<int>& left = layer(operators, which);
    const auto at = std::find(left.begin(), left.end(), which.op);
    NASCENT_CHECK(at != left.end(), usage, "shrinking: layer {} has no operator {}", which.layer, which.op);
    NASCENT_CHECK(left.size() > 1, runtime, "shrinking: layer {} would be left without operators", which.layer);
    left.erase(at);
}

}  // namespace

double space_size(const OperatorLists& operators) {
    double size = 1;
    for (const auto& ops : operators) size *= static_cast<double>(ops.size());
    return size;
}

std::vector<LayerOperator> droppable(const OperatorLists& operators) {
    std::vector<LayerOperator> all;
    for (std::size_t l = 0; l < operators.size(); ++l) {
        if (operators[l].size() < 2) continue;
        for (int op : operators[l]) all.push_back({static_cast<int>(l), op});
    }
    return all;
}

std::vector<LayerOperator> drop_operators(OperatorLists& operators, std::vector<OperatorScore> scores,
                                          const DropRule& rule) {
    for (const OperatorScore& s : scores) {
        NASCENT_CHECK(!std::isnan(s.score), usage, "shrinking: the score of operator {} of layer {} is no number",
                      s.which.op, s.which.layer);
    }
    std::stable_sort(scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.score < b.score; });
    std::vector<LayerOperator> dropped;
    if (rule.kind == DropRule::Kind::one_per_layer) {
        for (std::size_t l = 0; l < operators.size(); ++l) {
            const auto lowest = std::find_if(scores.begin(), scores.end(), [&](const OperatorScore& s) {
                return s.which.layer == static_cast<int>(l);
            });
            if (lowest == scores.end()) continue;
            drop(operators, lowest->which);
            dropped.push_back(lowest->which);
        }
        return dropped;
    }
    for (std::size_t i = 0; i < scores.size() && static_cast<int>(dropped.size()) < rule.count; ++i) {
        const bool higher_left = std::any_of(scores.begin() + static_cast<std::ptrdiff_t>(i) + 1, scores.end(),
                                             [&](const auto& s) { return s.which.layer == scores[i].which.layer; });
        if (!higher_left) continue;
        drop(operators, scores[i].which);
        dropped.push_back(scores[i].which);
    }
    return dropped;
}

std::vector<OperatorScore> score_operators(const OperatorLists& operators, const OperatorSampler& sampler,
                                           const ScoreFunction& scores_of, int samples, NumpyRandom& random) {
    std::vector<OperatorScore> scores;
    std::map<LayerOperator, std::size_t> place;
    for (LayerOperator which : droppable(operators)) {
        place.emplace(which, scores.size());
        scores.push_back({which, 0, 0});
    }
    auto each_operator = [&](const Genes& genes, auto&& visit) {
        for (std::size_t l = 0; l < genes.size(); ++l) {
            const auto found = place.find({static_cast<int>(l), genes[l]});
            if (found != place.end()) visit(found->second);
        }
    };
    std::vector<int> pool(scores.size());
    std::vector<Genes> drawn;
    std::set<Genes> known;
    for (std::size_t s = 0; s < scores.size(); ++s) {
        const int missing = samples - pool[s];
        const std::size_t first = drawn.size();
        std::int64_t tries = std::int64_t{100} * missing;
        for (int found = 0; found < missing && tries > 0; --tries) {
            Genes genes = sampler.draw(operators, scores[s].which, random);
            if (known.contains(genes) || !sampler.legal(genes)) continue;
            known.insert(genes);
            drawn.push_back(std::move(genes));
            ++found;
        }
        for (std::size_t i = first; i < drawn.size(); ++i) each_operator(drawn[i], [&](std::size_t p) { ++pool[p]; });
    }
    const std::vector<double> values = scores_of(drawn);
    NASCENT_CHECK(values.size() == drawn.size(), runtime, "shrinking: {} scores for {} architectures", values.size(),
                  drawn.size());
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        each_operator(drawn[i], [&](std::size_t p) {
            if (scores[p].count == samples) return;
            scores[p].score += values[i];
            ++scores[p].count;
        });
    }
    for (OperatorScore& s : scores) {
        if (s.count > 0) s.score /= s.count;
    }
    return scores;
}

ShrinkSchedule shrink_schedule(std::string_view name) {
    ShrinkSchedule s;
    if (name == kSchedules[0]) {
        s.max_cost = 600'000'000;
    } else if (name == kSchedules[1]) {
        s.rule = {DropRule::Kind::one_per_layer, 0};
        s.max_stages = 6;
        s.max_cost = 330'000'000;
        s.drops_per_stage = 19;
    } else if (name == kSchedules[2]) {
        s.rule = {DropRule::Kind::one_per_layer, 0};
        s.first_epochs = 150;
        s.other_epochs = 20;
        s.max_stages = 8;
        s.base = ShrinkSchedule::Base::after_warm_up;
        s.replace_base_above = -1;
        s.drops_per_stage = 14;
        s.warm_up_cells = 11;
        s.warm_up_epochs = 5;
    } else if (name == kSchedules[3]) {
        s.rule = {DropRule::Kind::lowest, 20};
        s.max_stages = 1;
        s.stop_at = 0;  // never by size
        s.samples = 0;  // every architecture
        s.replace_base_above = -1;
        s.drops_per_stage = 20;
    } else {
        fail(ErrorKind::usage, "no shrinking schedule is called '{}'; nearest: {}", name.substr(0, 100),
             nearest_name(name, kSchedules));
    }
    return s;
}

bool shrink_done(const ShrinkState& state, const ShrinkSchedule& schedule) {
    return space_size(state.operators) <= schedule.stop_at ||
           state.stages.size() >= static_cast<std::size_t>(schedule.max_stages);
}

int shrink_epochs(const ShrinkState& state, const ShrinkSchedule& schedule) {
    return state.stages.empty() ? schedule.first_epochs : schedule.other_epochs;
}

const ShrinkState::Stage& shrink_step(ShrinkState& state, const ShrinkSchedule& schedule,
                                      std::vector<OperatorScore> scores) {
    NASCENT_CHECK(!shrink_done(state, schedule), usage, "shrinking: all {} stages are done", state.stages.size());
    ShrinkState::Stage stage;
    stage.dropped = drop_operators(state.operators, scores, schedule.rule);
    stage.scores = std::move(scores);
    const bool replaced =
        std::any_of(state.stages.begin(), state.stages.end(), [](const auto& s) { return s.base_replaced; });
    const int counted = static_cast<int>(state.stages.size() + 1) * schedule.drops_per_stage;
    stage.base_replaced = !replaced && schedule.replace_base_above >= 0 && counted > schedule.replace_base_above;
    state.stages.push_back(std::move(stage));
    return state.stages.back();
}

}  // namespace nascent
