#include "nas/algo/search_run.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "nas/algo/rsps.h"
#include "nas/algo/sampled_range.h"
#include "nas/algo/search_parts.h"
#include "nas/run/interrupt.h"
#include "nas/run/training_loop.h"

namespace nascent {
namespace {

JsonObject score_json(const Score& s) {
    return JsonObject().add("loss", s.mean_loss()).add("accuracy", s.accuracy()).add("accuracy5", s.accuracy5());
}

}  // namespace

SearchRun::SearchRun(const SearchConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory.restore();
    if (found) read_stage(*found);
    p.build(config);
    const Dataset& set = p.pictures.set;
    std::size_t weights = p.net->store().parameter_count();
    for (const AlphaMatrix& m : p.space.matrices()) weights -= m.size();
    directory_.log().say(fmt::format(
        "{}; {} weights, {} numbers of architecture; {} on {}{}",
        describe(set, fmt::format("{} + {}", p.pictures.halves.train.size(), p.pictures.halves.valid.size()),
                 p.pictures.norm.name),
        weights, p.net->store().parameter_count() - weights, config.train.dtype, p.target,
        p.device->pool() ? fmt::format(" with {} threads", p.device->pool()->threads()) : ""));
    if (p.device->kind() != DeviceKind::cpu && config.train.conv == "winograd")
        directory_.log().warn("train.conv = winograd is of the cpu alone: this device computes convolutions directly");
    if (config.arch.order == 2 && config.train.precision == "bf16")
        directory_.log().warn(
            "second order divides differences of gradients by a small step, and bf16's roundings with them: much of "
            "what moves the alphas is noise; --precision tf32 has less of it, float32 none");
    if (set.skipped > 0) directory_.log().warn(fmt::format("{} corrupt pictures were left out", set.skipped));
    if (!config.search.table.empty()) {
        p.table = BenchmarkTable::read(config.search.table);
        p.column = chosen_column(*p.table, config.search.table_column, set.classes,
                                 [&](const std::string& text) { directory_.log().say(text); });
    }
    if (const std::string& why = p.trainer->not_whole(); p.device->can_capture())
        directory_.log().line(why.empty() ? "each step is one launch"
                                          : fmt::format("steps are not launched as a whole: {}", why));
    start(found);
}
SearchRun::~SearchRun() = default;

std::int64_t SearchRun::step() const { return parts_->trainer->step_number(); }
std::int64_t SearchRun::total_steps() const { return parts_->trainer->total_steps(); }

bool SearchRun::epoch_is_due() const {
    return step() >= (std::int64_t{parts_->ended} + 1) * parts_->trainer->steps_per_epoch();
}
bool SearchRun::done() const {
    return parts_->recorded > parts_->ended && (parts_->stopped || parts_->ended == config_.train.epochs);
}

bool SearchRun::has_collapsed(int skips) const {
    const int own = parts_->space.collapse_skips(), wanted = config_.search.collapse_skips;
    return config_.algo != "rsps" && skips >= (wanted > 0 ? wanted : own);  // what is drawn at random cannot
}

void SearchRun::record_genotype() {
    Parts& p = *parts_;
    const Alphas alphas = p.alphas();
    const SearchSpace::Derived d = p.space.derive(alphas);
    JsonObject record;
    record.add("epoch", p.ended).add("genotype", d.text).add("skips", d.skips);
    record.raw("alphas", alphas_to_json(p.space, alphas));
    directory_.journal().append("genotype", step(), record);
    directory_.log().line(fmt::format("genotype after {} epochs: {}", p.ended, d.text));
    p.recorded = p.ended + 1;
}

/// False: a signal came; it is done again when the run goes on.
bool SearchRun::choose() {
    Parts& p = *parts_;
    const int last = config_.search.choose_last;
    if (config_.algo != "rsps" || (last > 0 && p.ended + last < config_.train.epochs)) return true;
    const auto found = choose_candidate(*p.trainer, p.valid, static_cast<std::uint64_t>(config_.run.seed), p.ended,
                                        config_.search.candidates, p.space.matrices()[0], InterruptGuard::requested);
    if (!found) return false;
    p.chosen = found->chosen;
    directory_.log().line(fmt::format("of {} candidates after {} epochs the best has {:.2f} % of its batch",
                                      config_.search.candidates, p.ended + 1, found->score.accuracy()));
    return true;
}

void SearchRun::end_epoch() {
    Parts& p = *parts_;
    if (!choose()) return;
    const SearchSpace::Derived d = p.derived();
    const bool collapsed = p.ended >= config_.arch.begin && has_collapsed(d.skips);  // of alphas that have moved
    const bool stops = collapsed && config_.search.stop_on_collapse;
    const int last = config_.valid.last;
    const bool validates = stops || last == 0 || p.ended + last >= config_.train.epochs;
    Score valid;
    if (validates) valid = p.trainer->evaluate(p.valid, p.ended, InterruptGuard::requested);
    if (InterruptGuard::requested()) return;  // done again when the run goes on
    JsonObject record;
    record.add("epoch", p.ended + 1)
        .add("lr", learning_rate(training_of(config_), p.ended))
        .add("train", score_json(p.epoch))
        .add("arch_loss", p.arch_loss / static_cast<double>(p.trainer->steps_per_epoch()));
    if (validates) record.add("valid", score_json(valid));
    record.add("genotype", d.text).add("skips", d.skips).add("collapsed", collapsed);
    std::string line = fmt::format("epoch {}/{}: loss {:.4f}, train {:.2f} %,{} {} skip-connects", p.ended + 1,
                                   config_.train.epochs, p.epoch.mean_loss(), p.epoch.accuracy(),
                                   validates ? fmt::format(" valid {:.2f} %,", valid.accuracy()) : "", d.skips);
    if (p.stages.size() > 1) {
        record.add("stage", p.stage + 1).add("operators", operators_left(p.kept, p.space.matrices()));
        line += fmt::format(", stage {} of {}", p.stage + 1, p.stages.size());
    }
    // Before a choice among candidates the alphas, which do not move, stand for nothing.
    if (p.table && (config_.algo != "rsps" || !p.chosen.empty())) {
        const auto [accuracy, rank] = p.table->standing(p.column, nb201::parse_architecture(d.text).id());
        JsonObject table = JsonObject().add("column", p.column).add("accuracy", accuracy).add("rank", rank);
        if (config_.algo == "drnas") {
            const SampledRange s =
                sampled_range(*p.device, p.trainer->alphas()[0], static_cast<std::uint64_t>(config_.run.seed), p.ended,
                              *p.table, p.column);
            table.add("sampled", JsonObject().add("least", s.least).add("mean", s.mean).add("most", s.most));
        }
        record.add("table", table);
        line += fmt::format(", {} truly {:.2f} %, rank {}", d.text, accuracy, rank);
    }
    directory_.journal().append("epoch", step(), record);
    directory_.log().say(line);
    if (collapsed && !p.warned) {
        p.warned = true;
        directory_.log().warn(fmt::format(
            "{} skip-connects: the search has collapsed, as DARTS does (--stop-on-collapse ends it)", d.skips));
    }
    p.stopped = stops;
    p.last_valid = valid;
    p.pictures.warn_of_corrupt(directory_.log());
    p.epoch = {};
    p.arch_loss = 0;
    p.ended++;
}

void SearchRun::advance(ProgressState& shown) {
    Parts& p = *parts_;
    shown.step = step();
    shown.epoch = std::min(p.ended + 1, config_.train.epochs);
    if (stage_is_due()) return change_stage();
    if (epoch_is_due()) {
        end_epoch();
        if (p.stopped || p.ended == config_.train.epochs) record_genotype();  // the one the search ends with
        return;
    }
    if (p.recorded == p.ended) record_genotype();  // before the epoch, as the original program
    const BilevelTrainer::Step result = p.trainer->step();
    p.epoch.loss += result.score.loss;
    p.epoch.pictures += result.score.pictures;
    p.epoch.top1 += result.score.top1;
    p.epoch.top5 += result.score.top5;
    p.arch_loss += result.arch_loss;
    shown.step = step();
    shown.images += result.score.pictures;
    shown.loss = result.score.mean_loss();
    shown.data_wait = p.trainer->wait_seconds();
}

void SearchRun::search() {
    Parts& p = *parts_;
    ProgressState shown;
    shown.phase = "search";
    shown.step = step();
    shown.steps = total_steps();
    shown.epochs = config_.train.epochs;
    const ProcessOptions& run = config_.run;
    if (!done()) {
        TrainingLoop{"darts_search",       run.checkpoint_seconds, run.checkpoint_steps,
                     run.progress_seconds, [&] { return done(); }, [&](ProgressState& state) { advance(state); },
                     [&] { save(); }}
            .run(directory_, shown);
        save();  // the last epoch's end has no step of its own
    }
    directory_.log().line(fmt::format(
        "activations and their gradients took at most {:.1f} MiB, second weights {:.1f} MiB",
        static_cast<double>(p.high_water()) / (1 << 20), static_cast<double>(p.trainer->second_bytes()) / (1 << 20)));
    write_result();
}

void SearchRun::write_result() {
    const Parts& p = *parts_;
    const SearchSpace::Derived d = p.derived();
    const std::string to = directory_.export_folder();
    for (const SearchSpace::File& f : p.space.drawings(d.text)) write_file_atomic(to + "/" + f.name, f.content);
    write_file_atomic(to + "/alphas.json", alphas_to_json(p.space, p.alphas()) + "\n");
    std::vector<Alphas> history;
    for (AlphaMoment& m : alpha_history(directory_.path()).moments) history.push_back(std::move(m.alphas));
    write_file_atomic(to + "/alphas.svg", alpha_strip(p.space, history));
    const RangeHistory ranges = range_history(directory_.path());
    if (!ranges.moments.empty()) write_file_atomic(to + "/range.svg", range_plot(ranges));
    p.space.state_of(*p.net, p.trainer->optimizer(), p.trainer->batches())
        .write(to + "/final.safetensors", p.net->store().dtype(),
               {{"space", config_.space}, {"step", std::to_string(step())}, {"device", p.target}});
    JsonObject all;
    all.add("algo", config_.algo).add("space", config_.space).add("genotype", d.text).add("skips", d.skips);
    all.add("collapsed", has_collapsed(d.skips)).add("stopped", p.stopped).add("epochs", p.ended);
    all.add("classes", p.pictures.set.classes).add("valid", score_json(p.last_valid)).add("device", p.target);
    p.space.add_cost(all, d.text, p.pictures.set.classes);
    if (p.table) {
        const auto [accuracy, rank] = p.table->standing(p.column, nb201::parse_architecture(d.text).id());
        all.add("table", JsonObject().add("column", p.column).add("accuracy", accuracy).add("rank", rank));
    }
    write_file_atomic(directory_.arch_path(), all.text() + "\n");  // last: a finished run has it
}

}  // namespace nascent
