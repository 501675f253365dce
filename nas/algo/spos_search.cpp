#include "nas/algo/spos_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "nas/algo/evolution_json.h"
#include "nas/algo/shrink.h"
#include "nas/run/interrupt.h"
#include "nas/run/training_loop.h"

namespace nascent {
namespace {

double mebibytes(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

ScoringOptions scoring_options(const SposSearchOptions& o) {
    ScoringOptions s;
    s.norms = norm_policy(o.norms);
    s.calibration_batch = o.calibration_batch;
    s.batch = o.batch;
    s.slice = o.evaluation == "slices" ? static_cast<std::size_t>(o.pictures) : 0;
    s.share_prefixes = o.prefix_sharing;
    s.walk.together = o.together;
    s.walk.capture = o.capture;
    return s;
}

PathGenes::Draws draws_of(const SposSearchOptions& o) {
    return o.random == "legal" ? PathGenes::Draws::legal : PathGenes::Draws::rejected;
}

}  // namespace

SposSearch::SposSearch(const SposSearchInput& input, RunDirectory& directory, const std::optional<Checkpoint>& found)
    : in_(input),
      directory_(directory),
      genes_(input.net.space(), input.limits.paths, draws_of(input.options), input.operators),
      scores_(input.net, input.calibration, input.evaluation, scoring_options(input.options)) {
    const SposSearchOptions& o = in_.options;
    check(o);
    const auto state = found ? nlohmann::json::parse(found->state, nullptr, false) : nlohmann::json();
    const bool goes_on = state.is_object() && state.value("phase", "") == "search";
    if (goes_on)
        restore(*found);
    else
        begin_generation();
    RunLog& log = directory_.log();
    std::string statistics = o.norms;
    if (in_.calibration && (o.norms == "exact" || o.norms == "ema"))
        statistics += fmt::format(" of {} training pictures in {}s ({:.1f} MiB)", in_.calibration->count(),
                                  o.calibration_views == "train" ? "training view" : "evaluation view",
                                  mebibytes(in_.calibration->bytes()));
    log.say(fmt::format("search: {} populations of {}; batch norms {}; evaluated on {} ({:.1f} MiB){}", o.generations,
                        o.population, statistics, in_.pictures, mebibytes(in_.evaluation.bytes()),
                        o.evaluation == "slices" ? fmt::format(", {} for each candidate", o.pictures) : ""));
    if (in_.operators != chain::all_operators(in_.net.space()))
        log.say(fmt::format("a shrunk space: {:.6g} choices of operators", space_size(in_.operators)));
    if (in_.limits.paths) {
        const std::optional<PathCount> legal = in_.limits.paths->count();
        log.say(fmt::format("limits: {}{}", in_.limits.text,
                            legal ? fmt::format("; {} architectures are legal", to_string(*legal)) : ""));
    }
    if (o.norms == "ema") {
        const auto batches = (in_.calibration->count() + static_cast<std::size_t>(o.calibration_batch) - 1) /
                             static_cast<std::size_t>(o.calibration_batch);
        const double start = std::pow(0.9, static_cast<double>(batches));
        if (start > 0.01)
            log.warn(
                fmt::format("moving averages over {} batches are to {:.0f} % what they start with, mean 0 and "
                            "variance 1: give 44 batches or more, or --norms exact",
                            batches, 100 * start));
    }
    if (in_.limits.grid > 1)
        log.say(fmt::format("latencies are rounded up to multiples of {} ns: sums of finer ones are too many to count",
                            in_.limits.grid));
    if (goes_on) {
        log.line(fmt::format("the search goes on in generation {}, batch {} of {}", evolution_->state().generation + 1,
                             scores_.step_number(), scores_.steps()));
    }
}
SposSearch::~SposSearch() = default;

std::int64_t SposSearch::step() const {
    return in_.first_step + units_ + (evolution_->done() ? 0 : scores_.step_number());
}

double SposSearch::key(const Score& s) const {
    const SposSearchOptions& o = in_.options;
    const double first = o.rounding > 0 ? std::round(s.accuracy() / o.rounding) : static_cast<double>(s.top1);
    if (o.order == "top1") return first;
    // All candidates have as many pictures: this orders by the first, then by the second.
    return first * static_cast<double>(s.pictures + 1) + static_cast<double>(s.top5);
}

void SposSearch::begin_generation() {
    if (!evolution_)
        evolution_.emplace(genes_, evolution_config(in_.options),
                           NumpyRandom(static_cast<std::uint32_t>(in_.process.seed)));
    if (evolution_->done()) return;
    const EvolutionState& s = evolution_->state();
    std::vector<chain::Architecture> candidates;
    for (int place : s.candidates)
        candidates.push_back(genes_.architecture(s.visited[static_cast<std::size_t>(place)].genes));
    const auto before = std::count_if(s.visited.begin(), s.visited.end(), [](const Candidate& c) { return c.scored; });
    scores_.begin(std::move(candidates), before);
}

void SposSearch::end_generation() {
    const std::vector<int> places = evolution_->state().candidates;
    const int generation = evolution_->state().generation + 1;
    scored_.resize(evolution_->state().visited.size());
    std::vector<double> keys;
    for (std::size_t i = 0; i < places.size(); i++) {
        scored_[static_cast<std::size_t>(places[i])] = scores_.scores()[i];
        keys.push_back(key(scores_.scores()[i]));
    }
    std::size_t computed = 0, all = 0;
    for (int width : scores_.trie().width()) {
        computed += static_cast<std::size_t>(width);
        all += places.size();
    }
    units_ += scores_.steps();
    evolution_->step([&](const std::vector<Genes>&) { return keys; });
    const int best = evolution_->state().parents[0];
    const Score& score = scored_[static_cast<std::size_t>(best)];
    const std::string arch = chain::to_string(genes_.architecture(evolution_->best().genes));
    directory_.journal().append("generation", in_.first_step + units_,
                                JsonObject()
                                    .add("generation", generation)
                                    .add("candidates", places.size())
                                    .add("norms", in_.options.norms)
                                    .add("best", described(best)));
    directory_.log().say(fmt::format(
        "generation {}/{}: {} candidates, {} of {} pieces computed a batch; best so far {:.2f} % (top-5 {:.2f} %) {}",
        generation, in_.options.generations, places.size(), computed, all, score.accuracy(), score.accuracy5(), arch));
    begin_generation();
}

void SposSearch::advance(ProgressState& shown) {
    const std::int64_t passes = scores_.passes();
    if (!scores_.step(InterruptGuard::requested)) return;
    shown.images += scores_.passes() - passes;
    shown.epoch = evolution_->state().generation + 1;
    if (scores_.done()) end_generation();
    shown.step = step();
}

void SposSearch::run() {
    ProgressState shown;
    shown.phase = "search";
    shown.step = step();
    shown.steps = in_.first_step + scores_.steps() * in_.options.generations;
    shown.epochs = in_.options.generations;
    shown.loss = NAN;
    shown.epoch = evolution_->state().generation + 1;
    const ProcessOptions& p = in_.process;
    if (!evolution_->done()) {
        TrainingLoop{"spos",
                     p.checkpoint_seconds,
                     p.checkpoint_steps,
                     p.progress_seconds,
                     [&] { return evolution_->done(); },
                     [&](ProgressState& state) { advance(state); },
                     [&] { save(); }}
            .run(directory_, shown);
    }
    directory_.log().line(fmt::format("activations took at most {:.1f} MiB, statistics of candidates {:.1f} MiB",
                                      mebibytes(scores_.high_water()), mebibytes(scores_.statistics_bytes())));
    write_result();
}

void SposSearch::save() {
    const CandidateScores::State state = scores_.state();
    std::vector<JsonObject> scored;
    for (std::size_t i = 0; i < scored_.size(); i++) {
        const Score& s = scored_[i];
        if (s.pictures == 0) continue;
        scored.push_back(JsonObject()
                             .add("place", i)
                             .add("pictures", s.pictures)
                             .add("top1", s.top1)
                             .add("top5", s.top5)
                             .add("loss", s.loss));
    }
    JsonObject all;
    all.add("phase", "search").add("first_step", in_.first_step).add("units", units_).add("target", in_.target);
    all.add("evaluation", in_.evaluation.count()).add("calibration", in_.calibration ? in_.calibration->count() : 0);
    all.raw("operators", nlohmann::json(in_.operators).dump());
    all.raw("evolution", evolution_to_json(evolution_->state())).add("scored", scored);
    directory_.save_checkpoint(step(), state.tensors(), all.text());
}

void SposSearch::check_candidates() const {
    for (const EvolutionState::Candidate& c : evolution_->state().visited) {
        try {
            (void)genes_.path(c.genes);
        } catch (const Error& e) {
            fail(ErrorKind::checkpoint, "{}: state.json of the search has a candidate that is none of its space: {}",
                 directory_.path(), e.what());
        }
    }
}

void SposSearch::restore(const Checkpoint& found) {
    try {
        const auto state = nlohmann::json::parse(found.state);
        const auto same = [&](const char* what, std::size_t now) {
            const auto before = state.at(what).get<std::size_t>();
            NASCENT_CHECK(now == before, data, "there are {} {} pictures, there were {} when the run was stopped", now,
                          what, before);
        };
        same("evaluation", in_.evaluation.count());
        same("calibration", in_.calibration ? in_.calibration->count() : 0);
        NASCENT_CHECK(state.at("operators").get<OperatorLists>() == in_.operators, data,
                      "{}: the shrunk space has other operators than when the run was stopped", directory_.path());
        evolution_.emplace(genes_, evolution_config(in_.options),
                           evolution_from_json(state.at("evolution").dump(), directory_.path()));
        check_candidates();
        state.at("units").get_to(units_);
        scored_.resize(evolution_->state().visited.size());
        for (const auto& s : state.at("scored")) {
            Score& score = scored_.at(s.at("place").get<std::size_t>());
            s.at("pictures").get_to(score.pictures);
            s.at("top1").get_to(score.top1);
            s.at("top5").get_to(score.top5);
            score.loss = s.at("loss").is_null() ? NAN : s.at("loss").get<double>();
        }
        warn_if_elsewhere(directory_.log(), in_.target, state.at("target").get<std::string>());
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: state.json of the search: {}", directory_.path(), e.what());
    } catch (const std::out_of_range&) {
        fail(ErrorKind::checkpoint, "{}: state.json of the search scores a candidate that is none", directory_.path());
    }
    begin_generation();
    if (!evolution_->done()) scores_.restore(CandidateScores::read_state(found.tensors));
}

}  // namespace nascent
