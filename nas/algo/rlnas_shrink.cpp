#include "nas/algo/rlnas_shrink.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/error.h"
#include "nas/algo/rlnas_search.h"
#include "nas/metric/table.h"
#include "nas/supernet/angle_table.h"

namespace nascent {
namespace {

std::string edge_name(LayerOperator which) {
    const auto [to, from] = nb201::kEdgeList[static_cast<std::size_t>(which.layer)];
    return fmt::format("{}<-{}", to, from);
}

std::string_view name_of_op(LayerOperator which) { return nb201::op_name(static_cast<nb201::Op>(which.op)); }

}  // namespace

ShrinkResult shrink_states(const RlnasConfig& config, const std::string& initial_file,
                           const std::string& trained_file) {
    const StateDict initial = StateDict::read(initial_file), trained = StateDict::read(trained_file);
    const SupernetShape shape = supernet_shape(initial, initial_file);
    const SupernetShape other = supernet_shape(trained, trained_file);
    NASCENT_CHECK(shape.config == other.config && shape.style == other.style, checkpoint,
                  "{} and {} are not two states of one network", initial_file, trained_file);
    AngleRules rules = angle_rules(config.angle);
    rules.blocked = AngleRules::Blocked::fixed_only;
    const Nb201Angle angle(angle_table(shape, initial, trained, initial_file, trained_file), rules);

    ShrinkResult result{{}, {nb201_operators()}, ""};
    std::vector<double> accuracy;
    if (!config.search.table.empty()) {
        const BenchmarkTable table = BenchmarkTable::read(config.search.table);
        result.column =
            chosen_column(table, config.search.table_column, shape.config.classes, [](const std::string&) {});
        accuracy = table.accuracy(result.column);
    }
    const ShrinkSchedule schedule = shrink_schedule("nasbench201");
    const std::vector<OperatorScore> scores = nb201_mean_scores(result.state.operators, angle.all_angles());
    ShrinkState::Stage stage;
    stage.scores = scores;
    if (accuracy.empty()) {
        for (LayerOperator which : drop_operators(result.state.operators, scores, schedule.rule)) {
            const auto of = std::find_if(scores.begin(), scores.end(), [&](const auto& s) { return s.which == which; });
            result.dropped.push_back({which, of->score, 0});
        }
    } else {
        result.dropped = nb201_drop(result.state.operators, scores, accuracy, schedule.rule);
    }
    for (const Nb201Dropped& d : result.dropped) stage.dropped.push_back(d.which);
    result.state.stages.push_back(std::move(stage));
    return result;
}

std::string to_json(const ShrinkResult& r) {
    JsonObject all;
    all.add("space", "nasbench201").add("size", space_size(r.state.operators));
    if (!r.column.empty()) all.add("column", r.column);
    std::vector<JsonObject> dropped;
    for (const Nb201Dropped& d : r.dropped) {
        JsonObject& o = dropped.emplace_back();
        o.add("edge", edge_name(d.which)).add("op", name_of_op(d.which)).add("score", d.score);
        if (!r.column.empty()) o.add("true_rank", d.true_rank);
    }
    return all.add("dropped", dropped).text();
}

std::string to_text(const ShrinkResult& r) {
    std::string text = fmt::format("{} operators dropped, the lowest mean angle first{}\n", r.dropped.size(),
                                   r.column.empty() ? "" : "; true ranks of 30 by the mean of " + r.column);
    for (const Nb201Dropped& d : r.dropped) {
        text += fmt::format("  {} {:<13} {:.6f} rad", edge_name(d.which), name_of_op(d.which), d.score);
        text += r.column.empty() ? "\n" : fmt::format("  rank {}\n", d.true_rank);
    }
    text += fmt::format("{:.0f} architectures are left:\n", space_size(r.state.operators));
    for (std::size_t e = 0; e < r.state.operators.size(); ++e) {
        text += fmt::format("  {}", edge_name({static_cast<int>(e), 0}));
        for (int op : r.state.operators[e]) text += fmt::format(" {}", nb201::op_name(static_cast<nb201::Op>(op)));
        text += "\n";
    }
    return text;
}

}  // namespace nascent
