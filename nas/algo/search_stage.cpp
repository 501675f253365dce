// From one stage of a progressive search to the next.
#include <fmt/format.h>

#include "nas/algo/search_parts.h"
#include "nas/supernet/widen.h"
#include "ops/constants.h"

namespace nascent {
namespace {

/// Alphas of pruned operators are 0 from now on, as in DrNAS's program: their concentration is 1, and draws of all
/// operators leave them out.
void write_pruned(SearchNet& net, const Kept& kept) {
    const std::vector<int> parameters = net.alphas();
    for (std::size_t m = 0; m < parameters.size(); m++) {
        const Tensor t = net.store().raw(parameters[m]);
        std::vector<double> alphas = numbers_of(t);
        for (std::size_t i = 0; i < alphas.size(); i++)
            if (!kept[m][i]) alphas[i] = 0;
        write_numbers(t, alphas);
    }
}

}  // namespace

bool SearchRun::stage_is_due() const {
    const Parts& p = *parts_;
    const auto next = static_cast<std::size_t>(p.stage) + 1;
    return next < p.stages.size() && p.ended == p.stages[next].epoch && !p.stopped;
}

/// No step of its own: a run that is killed here does it again, to the same bits.
void SearchRun::change_stage() {
    Parts& p = *parts_;
    const std::vector<AlphaMatrix> matrices = p.space.matrices();
    p.stage++;
    const Stage& to = p.stages[static_cast<std::size_t>(p.stage)];
    p.kept = pruned(p.trainer->alphas(), matrices, to.operators);
    const std::unique_ptr<SearchNet> before_net = std::move(p.net);
    const std::unique_ptr<BilevelTrainer> before = std::move(p.trainer);
    p.high_water_before = std::max(p.high_water_before, before->high_water());
    const TrainingState::BatchCounts* counts = nullptr;
    if (auto* nb201 = dynamic_cast<Nb201Supernet*>(before_net.get())) counts = &nb201->batch_counts();
    p.build(config_);
    widen(*before_net, *p.net, config_.net.widening == "released" ? Widening::released : Widening::net2wider,
          static_cast<std::uint64_t>(config_.run.seed), static_cast<std::uint64_t>(p.stage));
    if (counts) *p.batch_counts() = *counts;
    p.trainer->go_on_from(*before);
    write_pruned(*p.net, p.kept);
    const std::vector<std::string> edges = describe(p.kept, matrices);
    directory_.journal().append("stage", step(),
                                JsonObject()
                                    .add("epoch", p.ended)
                                    .add("stage", p.stage + 1)
                                    .add("partial", to.partial)
                                    .add("operators", to.operators)
                                    .add("edges", edges));
    directory_.log().say(fmt::format("stage {} of {}: operators see one channel in {}, {} of an edge are left",
                                     p.stage + 1, p.stages.size(), to.partial, to.operators));
    for (const std::string& edge : edges) directory_.log().line("  " + edge);
}

}  // namespace nascent
