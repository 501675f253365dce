#include "nas/algo/spos.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "nas/algo/training_epochs.h"
#include "nas/supernet/chain_state_dict.h"
#include "nas/supernet/training_state.h"

namespace nascent {

std::string supernet_path(const RunDirectory& run) { return run.export_folder() + "/supernet.safetensors"; }

struct SposTraining::Parts {
    Parts(const SposConfig& c, SposPictures& of)
        : device(run_device(c.run, c.train.precision)),
          target(target_of(*device)),
          pictures(of),
          space(space_of(c, pictures.classes(), pictures.size())),
          operators(operators_of(c, space)),
          source(of.train(c)),
          paths(chain_paths(space, sampling(c))),
          net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32, supernet_of(c, space)),
          trainer(net, source, paths, training_of(c, source.steps_per_epoch)) {}
    ChainSampling sampling(const SposConfig& c) const {
        ChainSampling s = sampling_of(c, source.steps_per_epoch);
        s.operators = operators;
        return s;
    }
    std::unique_ptr<Device> device;
    std::string target;  // the bits depend on it
    SposPictures& pictures;
    chain::Space space;
    std::vector<std::vector<int>> operators;  // of each block, what is left of the space
    BatchSource source;
    ChainPaths paths;
    ChainNet net;
    ChainTrainer trainer;
    TrainedOn trained_on() const { return {pictures.set, pictures.train_ids.size(), target}; }
    EpochLoss loss;
    std::vector<double> losses;  // of the first epoch and of the last so far
};

SposTraining::SposTraining(const SposConfig& config, SposPictures& pictures, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config, pictures)) {
    Parts& p = *parts_;
    RunLog& log = directory_.log();
    log.say(fmt::format("{}; supernet of {} with {} weights; {} on {}{}",
                        describe(p.pictures.set, std::to_string(p.pictures.train_ids.size()), p.pictures.norm.name),
                        p.space.name, p.net.store().parameter_count(), config.train.dtype, p.target,
                        p.device->pool() ? fmt::format(" with {} threads", p.device->pool()->threads()) : ""));
    if (p.pictures.set.skipped > 0) log.warn(fmt::format("{} corrupt pictures were left out", p.pictures.set.skipped));
    restore();
}
SposTraining::~SposTraining() { parts_->pictures.close(); }

std::int64_t SposTraining::step() const { return parts_->trainer.step_number(); }
std::int64_t SposTraining::total_steps() const { return parts_->trainer.total_steps(); }

void SposTraining::restore() {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory_.restore();
    if (!found) {
        initialise(p.net, static_cast<std::uint64_t>(config_.run.seed), start_of(config_, p.space));
        save();
        return;
    }
    TrainingState::restore(found->tensors, p.net.store(), p.trainer.optimizer(), &p.net.batch_counts());
    p.trained_on().restore(*found, directory_, p.loss, [&](const nlohmann::json& state) {
        if (state.contains("losses")) state.at("losses").get_to(p.losses);
        NASCENT_CHECK(state.at("operators").get<std::vector<std::vector<int>>>() == p.operators, data,
                      "{}: has other operators than when the run was stopped", config_.net.shrunk);
    });
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

void SposTraining::save() {
    const Parts& p = *parts_;
    JsonObject state = p.trained_on().state("train", p.loss);
    state.raw("losses", nlohmann::json(p.losses).dump()).raw("operators", nlohmann::json(p.operators).dump());
    const TrainingState tensors = TrainingState::of(p.net.store(), p.trainer.optimizer(), &p.net.batch_counts());
    directory_.save_checkpoint(step(), tensors.tensors(), state.text());
}

void SposTraining::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const double loss = p.loss.take();
    const double rate = learning_rate(p.trainer.training(), step() - 1);
    directory_.journal().append("epoch", step(),
                                JsonObject().add("epoch", epoch + 1).add("loss", loss).add("lr", rate));
    directory_.log().line(fmt::format("epoch {}: loss {:.4f}", epoch + 1, loss));
    p.losses.resize(p.losses.empty() ? 1 : 2);
    p.losses.back() = loss;
}

void SposTraining::train() {
    Parts& p = *parts_;
    train_epochs(
        "spos", p.trainer, directory_, config_.run, p.loss, [&](std::int64_t epoch) { end_epoch(epoch); },
        [&] { save(); });
    if (p.losses.size() == 2)
        directory_.log().say(
            fmt::format("mean loss {:.4f} in the first epoch, {:.4f} in the last", p.losses[0], p.losses[1]));
    p.pictures.warn_of_corrupt(directory_.log());
    const chain::Config& of = p.space.config;
    const std::map<std::string, std::string> about{
        {"space", std::string(p.space.name)},          {"input_size", std::to_string(of.input_size)},
        {"classes", std::to_string(of.classes)},       {"first_scale", std::to_string(of.first_scale)},
        {"last_scale", std::to_string(of.last_scale)}, {"width_multiple", std::to_string(of.width_multiple)},
        {"pipeline", config_.data.pipeline},           {"step", std::to_string(step())},
        {"seed", std::to_string(config_.run.seed)},    {"device", p.target}};
    state_dict(p.net, &p.trainer.optimizer()).write(supernet_path(directory_), p.net.store().dtype(), about);
}

}  // namespace nascent
