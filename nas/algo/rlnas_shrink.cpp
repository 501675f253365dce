#include "nas/algo/rlnas_shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/evaluate.h"
#include "nas/algo/rlnas_search.h"
#include "nas/algo/run_pictures.h"
#include "nas/algo/search_space.h"
#include "nas/data/split.h"
#include "nas/metric/table.h"
#include "nas/run/interrupt.h"
#include "nas/supernet/angle_table.h"

namespace nascent {
namespace {

std::vector<OperatorScore> magnitudes(const std::string& given, const OperatorLists& operators) {
    const std::string path = std::filesystem::is_directory(given) ? given + "/export/alphas.json" : given;
    const SpaceAlphas read = alphas_from_json(read_file(path), path);
    NASCENT_CHECK(read.space->name() == "nasbench201", data, "{}: alphas of {}, expected nasbench201", path,
                  read.space->name());
    return nb201_magnitudes(operators, read.alphas[0]);
}

/// Batches of held-out pictures as they are, each the first of a shuffle of its own: the benchmark's half of CIFAR-10
/// that is not trained on, else the test (or val) pictures.
BatchSource held_out_batches(const RlnasConfig& c, DType dtype, RunPictures& pictures) {
    LoaderOptions o;
    o.seed = static_cast<std::uint64_t>(c.run.seed) ^ 0xC2B2AE3D27D4EB4F;  // not the training's
    o.batch_size = c.shrink.batch;
    o.workers = c.run.loader_workers;
    o.order = BatchOrder::first_of_shuffle;
    o.augment = false;
    const Dataset& set = pictures.set;
    if (training_ids(c.data.split, set).size() < set.train.count())  // the benchmark's halves
        return pictures.open(dtype, RunPictures::Split::train, nb201_split().valid, o);
    NASCENT_CHECK(set.test.count() > 0, usage, "{} has no held-out pictures to measure accuracies on", set.name);
    return pictures.open(dtype, RunPictures::Split::test, {}, o);
}

std::vector<OperatorScore> accuracies(const RlnasConfig& c, const StateDict& trained, const std::string& file,
                                      const OperatorLists& operators) {
    auto device = run_device(c.run, c.train.precision);
    RunPictures pictures(c.data, c.run);
    SupernetShape shape = supernet_shape(trained, file);
    shape.config.input_size = square_side(pictures.set);
    NASCENT_CHECK(pictures.set.classes == shape.config.classes, usage, "{}: {} classes, the supernet {} has {}",
                  c.data.source, pictures.set.classes, file, shape.config.classes);
    Nb201Supernet net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32, shape.config, shape.style);
    trained.load_into(net, file);
    return nb201_accuracy_scores(net, held_out_batches(c, net.store().dtype(), pictures), operators,
                                 [] { stop_if_requested("operators were scored"); });
}

}  // namespace

std::string layer_name(const std::string& space, int layer) {
    const auto at = static_cast<std::size_t>(layer);
    if (space == "darts")
        return fmt::format("{}<-{}", darts::kEdgePlaces[at].node + darts::kInputs, int{darts::kEdgePlaces[at].from});
    const auto [to, from] = nb201::kEdgeList[at];
    return fmt::format("{}<-{}", to, from);
}

std::string operator_name(const std::string& space, int op) {
    return std::string(space == "darts" ? darts::op_name(static_cast<darts::Op>(op))
                                        : nb201::op_name(static_cast<nb201::Op>(op)));
}

ShrinkResult shrink_result(const std::string& space, const ShrinkState& state, const std::string& by,
                           std::span<const double> accuracy) {
    ShrinkResult result;
    result.space = space;
    result.state = state;
    result.by = by;
    OperatorLists operators = state.operators;  // before the stages: with all that they dropped, in order
    for (const ShrinkState::Stage& s : state.stages)
        for (LayerOperator which : s.dropped) operators[static_cast<std::size_t>(which.layer)].push_back(which.op);
    for (auto& ops : operators) std::sort(ops.begin(), ops.end());
    for (std::size_t s = 0; s < state.stages.size(); ++s) {
        std::map<LayerOperator, int> rank;
        if (!accuracy.empty()) rank = nb201_true_ranks(operators, accuracy);
        for (LayerOperator which : state.stages[s].dropped) {
            const auto& scores = state.stages[s].scores;
            const auto score =
                std::find_if(scores.begin(), scores.end(), [&](const OperatorScore& o) { return o.which == which; });
            result.dropped.push_back({static_cast<int>(s) + 1, layer_name(space, which.layer),
                                      operator_name(space, which.op), score == scores.end() ? 0 : score->score,
                                      rank[which], static_cast<int>(rank.size())});
        }
        for (LayerOperator which : state.stages[s].dropped)
            std::erase(operators[static_cast<std::size_t>(which.layer)], which.op);
    }
    for (std::size_t l = 0; l < state.operators.size(); ++l) {
        ShrinkResult::Layer& layer =
            result.left.emplace_back(ShrinkResult::Layer{layer_name(space, static_cast<int>(l)), {}});
        for (int op : state.operators[l]) layer.operators.push_back(operator_name(space, op));
    }
    return result;
}

ShrinkSchedule shrink_schedule(const RlnasConfig& config) {
    const RlnasConfig::Shrink& c = config.shrink;
    ShrinkSchedule s;
    const bool lowest = c.rule == "lowest";
    s.rule = {lowest ? DropRule::Kind::lowest : DropRule::Kind::one_per_layer, lowest ? c.drops : 0};
    s.first_epochs = c.first_epochs;
    s.other_epochs = c.other_epochs;
    s.max_stages = c.max_stages;
    s.stop_at = c.stop_at;
    s.samples = c.samples;
    s.max_cost = c.max_flops;
    s.base = c.warm_up_cells > 0 ? ShrinkSchedule::Base::after_warm_up : ShrinkSchedule::Base::initial;
    s.replace_base_above = c.replace_base_above;
    s.drops_per_stage = c.drops;
    s.warm_up_cells = c.warm_up_cells;
    s.warm_up_epochs = c.warm_up_cells > 0 ? c.warm_up_epochs : 0;
    return s;
}

std::vector<OperatorScore> nb201_accuracy_scores(Nb201Supernet& net, const BatchSource& source,
                                                 const OperatorLists& operators, const std::function<void()>& poll) {
    Arena arena(net.store().device());
    std::vector<double> accuracy(nb201::kArchitectures);
    for (int id = 0; id < nb201::kArchitectures; ++id) {
        const nb201::Architecture arch = nb201::Architecture::from_id(id);
        if (!nb201_within(operators, arch)) continue;
        poll();
        arena.reset();
        ExecutionScope execution(arena);
        const LabelledBatch batch = source.batch(id);
        const Nb201Path path(static_cast<std::size_t>(net.search_cells()), arch);
        accuracy[static_cast<std::size_t>(id)] = hits(net.forward(batch.x, path, false), batch.labels).accuracy();
    }
    return nb201_mean_scores(operators, accuracy);
}

ShrinkResult shrink_states(const RlnasConfig& config, const std::string& initial_file,
                           const std::string& trained_file) {
    ShrinkState state{nb201_operators()};
    const std::string& by = config.shrink.by;
    std::vector<OperatorScore> scores;
    int classes = 10;
    if (by == "magnitude") {  // states play no part
        scores = magnitudes(config.shrink.alphas, state.operators);
    } else {
        const StateDict initial = StateDict::read(initial_file), trained = StateDict::read(trained_file);
        const SupernetShape shape = supernet_shape(initial, initial_file);
        const SupernetShape other = supernet_shape(trained, trained_file);
        NASCENT_CHECK(shape.config == other.config && shape.style == other.style, checkpoint,
                      "{} and {} are not two states of one network", initial_file, trained_file);
        classes = shape.config.classes;
        AngleRules rules = angle_rules(config.angle);
        rules.blocked = AngleRules::Blocked::fixed_only;
        if (by == "angle") {
            const Nb201Angle angle(angle_table(shape, initial, trained, initial_file, trained_file), rules);
            scores = nb201_mean_scores(state.operators, angle.all_angles());
        } else {
            scores = accuracies(config, trained, trained_file, state.operators);
        }
    }
    std::vector<double> accuracy;
    std::string column;
    if (!config.search.table.empty()) {
        const BenchmarkTable table = BenchmarkTable::read(config.search.table);
        column = chosen_column(table, config.search.table_column, classes, [](const std::string&) {});
        accuracy = table.accuracy(column);
    }
    if (!accuracy.empty()) {  // as published, operators of equal score go in the order of their true rank
        const std::map<LayerOperator, int> rank = nb201_true_ranks(state.operators, accuracy);
        std::stable_sort(scores.begin(), scores.end(),
                         [&](const auto& a, const auto& b) { return rank.at(a.which) < rank.at(b.which); });
    }
    shrink_step(state, shrink_schedule("nasbench201"), std::move(scores));
    ShrinkResult result = shrink_result("nasbench201", state, by, accuracy);
    result.column = column;
    return result;
}

std::string to_json(const ShrinkResult& r) {
    JsonObject all, left;
    all.add("space", r.space).add("by", r.by).add("size", space_size(r.state.operators));
    if (!r.column.empty()) all.add("column", r.column);
    std::vector<JsonObject> dropped;
    for (const ShrinkResult::Dropped& d : r.dropped) {
        JsonObject& o = dropped.emplace_back();
        o.add("stage", d.stage).add("edge", d.layer).add("op", d.op).add("score", d.score);
        if (d.true_rank > 0) o.add("true_rank", d.true_rank).add("of", d.of);
    }
    for (const ShrinkResult::Layer& l : r.left) left.add(l.name, l.operators);
    return all.add("dropped", dropped).add("left", left).text();
}

std::string to_text(const ShrinkResult& r) {
    std::string text = fmt::format("{} operators dropped, the lowest {} first{}\n", r.dropped.size(),
                                   r.by == "magnitude" ? r.by : "mean " + r.by,
                                   r.column.empty() ? "" : "; true ranks by the mean of " + r.column);
    int stage = 0;
    for (const ShrinkResult::Dropped& d : r.dropped) {
        if (r.state.stages.size() > 1 && d.stage != stage) text += fmt::format(" stage {}\n", stage = d.stage);
        text += fmt::format("  {:<5} {:<13} {:.6f}{}", d.layer, d.op, d.score, r.by == "angle" ? " rad" : "");
        text += d.true_rank > 0 ? fmt::format("  rank {} of {}\n", d.true_rank, d.of) : "\n";
    }
    text += fmt::format("{:.0f} architectures are left:\n", space_size(r.state.operators));
    for (const ShrinkResult::Layer& l : r.left)
        text += fmt::format("  {:<5} {}\n", l.name, fmt::join(l.operators, " "));
    return text;
}

}  // namespace nascent
