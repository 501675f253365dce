// AngleNAS's shrinking between the stages of a training, and what is said of it.
#include <algorithm>

#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_chain_parts.h"
#include "nas/algo/rlnas_shrink.h"
#include "nas/algo/rlnas_training.h"
#include "nas/algo/shrink_json.h"
#include "nas/supernet/chain_angle_table.h"
#include "nas/supernet/chain_state_dict.h"

namespace nascent {

OperatorLists operators_of(const chain::Space& space) {
    OperatorLists all;
    for (const chain::Block& b : space.blocks) all.push_back(b.ops);
    return all;
}

OperatorLists operators_of(const RlnasConfig& config, const chain::Space& space) {
    return operators_left(config.net.shrunk, space.name, operators_of(space));
}

ShrinkSchedule shrink_schedule(const RlnasConfig& config, const chain::Space& space) {
    ShrinkSchedule s = shrink_schedule(config);
    if (s.rule.kind == DropRule::Kind::one_per_layer) s.drops_per_stage = static_cast<int>(space.blocks.size());
    return s;
}

std::string base_path(const RunDirectory& run, const ShrinkState& state) {
    const bool replaced =
        std::any_of(state.stages.begin(), state.stages.end(), [](const auto& s) { return s.base_replaced; });
    return replaced ? run.export_folder() + "/base.safetensors" : initial_path(run);
}

void ChainRlnasRun::shrink() {
    Parts& p = *parts_;
    const auto stage = static_cast<std::int64_t>(p.shrunk.stages.size());
    Scope scope("shrinking, stage {}", stage + 1);
    chain::Config counted = p.net.space().config;
    counted.input_size = config_.search.flops_size;
    const std::string base = base_path(directory_, p.shrunk);
    const StateDict now = state_dict(p.net, &p.trainer->optimizer());
    const ChainAngleRules rules =
        config_.angle.rules == "rlnas" ? ChainAngleRules::rlnas() : ChainAngleRules::anglenas();
    const ChainAngle angle(chain::angle_table(chain::space(config_.space, counted),
                                              angle_parts(p.net.net(), StateDict::read(base), now, base, "now"), rules,
                                              chain::MacConvention::thop, p.shrunk.operators));
    // A stream of its own for each stage: what is drawn depends on nothing but the seed and what is left.
    NumpyRandom random(static_cast<std::uint32_t>(config_.run.seed + stage));
    auto scores_of = [&](const std::vector<Genes>& drawn) {
        std::vector<double> angles;
        for (const Genes& g : drawn) angles.push_back(angle.angle(g));
        return angles;
    };
    const std::int64_t limit = p.schedule.max_cost;
    std::unique_ptr<OperatorSampler> sampler;
    if (p.net.space().rules == chain::Rules::fairnas)
        sampler = std::make_unique<UniformSampler>(angle.table(), limit);
    else
        sampler = std::make_unique<SposSampler>(angle.table(), limit);
    std::vector<OperatorScore> scores =
        score_operators(p.shrunk.operators, *sampler, scores_of, p.schedule.samples, random);
    for (const OperatorScore& s : scores)
        if (s.count == 0)
            directory_.log().warn(fmt::format("block {}: no architecture with operator {} was within {} FLOPs",
                                              s.which.layer, s.which.op, limit));
    const ShrinkState::Stage& done = shrink_step(p.shrunk, p.schedule, std::move(scores));
    // Before the checkpoint that says so; done again after a kill, it is written again with the same bytes.
    if (done.base_replaced)
        now.write(base_path(directory_, p.shrunk), p.net.store().dtype(),
                  state_metadata(config_, p.net.space().config.input_size, step()));
    std::vector<JsonObject> dropped;
    for (const LayerOperator& d : done.dropped) {
        const auto of =
            std::find_if(done.scores.begin(), done.scores.end(), [&](const auto& s) { return s.which == d; });
        dropped.push_back(JsonObject().add("block", d.layer).add("op", d.op).add("score", of->score));
    }
    const double left = space_size(p.shrunk.operators);
    directory_.journal().append("shrink", step(),
                                JsonObject()
                                    .add("stage", stage + 1)
                                    .add("dropped", dropped)
                                    .add("base_replaced", done.base_replaced)
                                    .add("size", left));
    directory_.log().line(fmt::format("stage {}: {} operators dropped, {:.3g} architectures are left{}", stage + 1,
                                      done.dropped.size(), left,
                                      done.base_replaced ? "; angles are measured from these weights now" : ""));
    draw_from(p.shrunk.operators);
}

std::string shrunk_text(const ShrinkState& state, const chain::Space& space) {
    std::string text;
    for (std::size_t i = 0; i < state.stages.size(); i++) {
        const ShrinkState::Stage& s = state.stages[i];
        text += fmt::format("stage {}: dropped", i + 1);
        for (const LayerOperator& d : s.dropped) text += fmt::format(" {}:{}", d.layer, d.op);
        text += s.base_replaced ? "; base weights replaced\n" : "\n";
    }
    text += fmt::format("{:.6g} architectures are left:\n", space_size(state.operators));
    for (std::size_t b = 0; b < state.operators.size(); b++) {
        text += fmt::format("  block {:2}:", b);
        for (int op : state.operators[b])
            text += fmt::format(" {}", op == chain::kIdentity ? "identity" : space.op(op).name);
        text += "\n";
    }
    return text;
}

}  // namespace nascent
