#include "nas/algo/rlnas_chain.h"

#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_chain_parts.h"
#include "nas/algo/rlnas_training.h"
#include "nas/algo/shrink_json.h"
#include "nas/data/labels.h"
#include "nas/supernet/chain_start.h"
#include "nas/supernet/chain_state_dict.h"
#include "nas/supernet/training_state.h"

namespace nascent {
namespace {

bool shrinks(const RlnasConfig& c) { return c.run.until == "shrink"; }

chain::Space space_of(const RlnasConfig& c, const Dataset& set) {
    return chain::space(c.space, {.classes = set.classes, .input_size = square_side(set)});
}

/// Where NumPy's generator stands once the random labels are drawn.
NumpyRandom after_labels(const RlnasConfig& c, const Dataset& set) {
    NumpyRandom random(static_cast<std::uint32_t>(c.data.label_seed));
    random_labels(random, set.classes, static_cast<std::int64_t>(set.train.count()));
    return random;
}

/// `whole`: full batches in an epoch, which RLNAS counts the rates' steps by.
ChainTraining training_of(const RlnasConfig& c, std::int64_t epochs, std::int64_t steps_per_epoch, std::int64_t whole) {
    ChainTraining t;
    t.steps = epochs * steps_per_epoch;
    t.schedule = c.train.schedule == "linear" ? ChainTraining::Schedule::linear : ChainTraining::Schedule::cosine;
    t.lr_step = c.train.lr_step == "before" ? ChainTraining::LrStep::before : ChainTraining::LrStep::after;
    t.lr = c.train.lr;
    t.lr_min = c.train.lr_min;
    const std::int64_t falling = c.train.schedule_epochs > 0 ? c.train.schedule_epochs : epochs;
    t.lr_steps = static_cast<double>(falling * whole);
    t.label_smoothing = c.train.label_smoothing;
    t.seed = static_cast<std::uint64_t>(c.run.seed);
    t.sgd = sgd_options(c.train);
    return t;
}

}  // namespace

ChainRlnasRun::Parts::Parts(const RlnasConfig& c)
    : device(run_device(c.run, c.train.precision)),
      target(target_of(*device)),
      pictures(c.data, c.run, false),
      ids(training_pictures(c, pictures.set)),
      net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32, chain::supernet(space_of(c, pictures.set))),
      schedule(shrink_schedule(c, net.space())),
      shrunk{operators_of(c, net.space())} {
    device->kernel_options.winograd = c.train.conv == "winograd";
    std::int64_t epochs = c.train.epochs;
    if (shrinks(c)) epochs = schedule.first_epochs + std::int64_t{schedule.max_stages - 1} * schedule.other_epochs;
    BatchSource source =
        pictures.open(net.store().dtype(), RunPictures::Split::train, ids, loader_options(c, pictures.set));
    const auto whole = static_cast<std::int64_t>(whole_batches(c, ids.size()));
    const ChainTraining training = training_of(c, epochs, source.steps_per_epoch, whole);
    trainer = std::make_unique<ChainTrainer>(
        net, std::move(source),
        [this](std::int64_t step) {
            return chain::Architecture{draws->path(step), {}};
        },
        training);
}

ChainRlnasRun::ChainRlnasRun(const RlnasConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    say_beginning(directory_.log(), config, p.pictures, p.ids.size(), *p.device);
    restore();
    draw_from(p.shrunk.operators);
}
ChainRlnasRun::~ChainRlnasRun() = default;

std::int64_t ChainRlnasRun::step() const { return parts_->trainer->step_number(); }
std::int64_t ChainRlnasRun::total_steps() const { return parts_->trainer->total_steps(); }

void ChainRlnasRun::draw_from(const OperatorLists& operators) {
    const auto seed = static_cast<std::uint32_t>(config_.run.seed);
    if (config_.train.draws == "counters")
        parts_->draws = ChainDraws::counters(operators, seed);
    else if (shrinks(config_))
        parts_->draws = ChainDraws::reseeded(operators, seed);
    else
        parts_->draws = ChainDraws::stream(operators, after_labels(config_, parts_->pictures.set));
}

void ChainRlnasRun::restore() {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory_.restore();
    if (!found) {
        initialise(p.net, static_cast<std::uint64_t>(config_.run.seed), published_start(p.net.space()));
        state_dict(p.net).write(initial_path(directory_), p.net.store().dtype(),
                                state_metadata(config_, p.net.space().config.input_size, 0));
        save();
        return;
    }
    TrainingState::restore(found->tensors, p.net.store(), p.trainer->optimizer(), &p.net.batch_counts());
    p.trained_on().restore(*found, directory_, p.loss, [&](const nlohmann::json& state) {
        const ShrinkState before = read_shrunk_space(state.at("shrunk").get<std::string>(), directory_.path(),
                                                     p.net.space().name, operators_of(p.net.space()));
        NASCENT_CHECK(shrinks(config_) || before.operators == p.shrunk.operators, data,
                      "{}: has other operators than when the run was stopped", config_.net.shrunk);
        p.shrunk = before;
    });
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

void ChainRlnasRun::save() {
    Parts& p = *parts_;
    JsonObject state = p.trained_on().state("train", p.loss);
    state.add("shrunk", shrunk_space_json(p.net.space().name, p.shrunk));
    directory_.save_checkpoint(
        step(), TrainingState::of(p.net.store(), p.trainer->optimizer(), &p.net.batch_counts()).tensors(),
        state.text());
}

bool ChainRlnasRun::done() const {
    const Parts& p = *parts_;
    return p.trainer->done() || (shrinks(config_) && shrink_done(p.shrunk, p.schedule));
}

void ChainRlnasRun::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const double loss = p.loss.take();
    JsonObject record;
    record.add("epoch", epoch + 1).add("loss", loss).add("lr", learning_rate(p.trainer->training(), step() - 1));
    directory_.journal().append("epoch", step(), record);
    directory_.log().line(fmt::format("epoch {}: loss {:.4f}", epoch + 1, loss));
    p.pictures.warn_of_corrupt(directory_.log());
    if (!shrinks(config_)) return;
    const std::int64_t stages = static_cast<std::int64_t>(p.shrunk.stages.size());
    if (epoch + 1 == p.schedule.first_epochs + stages * p.schedule.other_epochs) shrink();
}

void ChainRlnasRun::train() {
    Parts& p = *parts_;
    /// The trainer with the run's own end.
    struct Stepped {
        ChainRlnasRun& run;
        ChainTrainer& t;
        std::int64_t step_number() const { return t.step_number(); }
        std::int64_t steps_per_epoch() const { return t.steps_per_epoch(); }
        std::int64_t total_steps() const { return t.total_steps(); }
        bool done() const { return run.done(); }
        auto step() { return t.step(); }
        double wait_seconds() const { return t.wait_seconds(); }
        std::size_t high_water() const { return t.high_water(); }
    } stepped{*this, *p.trainer};
    train_epochs(
        "rlnas", stepped, directory_, config_.run, p.loss, [&](std::int64_t epoch) { end_epoch(epoch); },
        [&] { save(); });
    if (shrinks(config_))
        write_file_atomic(directory_.export_folder() + "/shrunk_space.json",
                          shrunk_space_json(p.net.space().name, p.shrunk));
    auto about = state_metadata(config_, p.net.space().config.input_size, step());
    about["device"] = p.target;
    state_dict(p.net, &p.trainer->optimizer()).write(trained_path(directory_), p.net.store().dtype(), about);
}

}  // namespace nascent
