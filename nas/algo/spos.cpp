#include "nas/algo/spos.h"

#include <fmt/ranges.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "nas/algo/spos_pictures.h"
#include "nas/run/training_loop.h"
#include "nas/supernet/chain_state_dict.h"
#include "nas/supernet/training_state.h"

namespace nascent {

std::string supernet_path(const RunDirectory& run) { return run.export_folder() + "/supernet.safetensors"; }

struct SposTraining::Parts {
    explicit Parts(const SposConfig& c)
        : device(run_device(c.run, c.train.precision)),
          target(target_of(*device)),
          pictures(c),
          space(space_of(c, pictures.classes(), pictures.size())),
          operators(operators_of(c, space)),
          source(pictures.train(c)),
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
    SposPictures pictures;
    chain::Space space;
    std::vector<std::vector<int>> operators;  // of each block, what is left of the space
    BatchSource source;
    ChainPaths paths;
    ChainNet net;
    ChainTrainer trainer;
    double epoch_loss = 0;  // sum over the epoch's pictures so far
    std::int64_t epoch_pictures = 0;
};

SposTraining::SposTraining(const SposConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    RunLog& log = directory_.log();
    log.say(fmt::format("{}; supernet of {} with {} weights; {} on {}{}",
                        describe(p.pictures.set, std::to_string(p.pictures.train_ids.size()), p.pictures.norm.name),
                        p.space.name, p.net.store().parameter_count(), config.train.dtype, p.target,
                        p.device->pool() ? fmt::format(" with {} threads", p.device->pool()->threads()) : ""));
    if (!p.pictures.warning.empty()) log.warn(p.pictures.warning);
    if (p.pictures.set.skipped > 0) log.warn(fmt::format("{} corrupt pictures were left out", p.pictures.set.skipped));
    restore();
}
SposTraining::~SposTraining() = default;

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
    try {
        const auto state = nlohmann::json::parse(found->state);
        state.at("epoch_loss").get_to(p.epoch_loss);
        state.at("epoch_pictures").get_to(p.epoch_pictures);
        check_pictures(p.pictures.set, p.pictures.train_ids.size(), state.at("pictures").get<std::size_t>());
        warn_if_elsewhere(directory_.log(), p.target, state.at("target").get<std::string>());
        NASCENT_CHECK(state.at("operators").get<std::vector<std::vector<int>>>() == p.operators, data,
                      "{}: has other operators than when the run was stopped", config_.net.shrunk);
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: state.json: {}", directory_.path(), e.what());
    }
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

void SposTraining::save() {
    const Parts& p = *parts_;
    const std::string state = JsonObject()
                                  .add("phase", "train")
                                  .add("epoch_loss", p.epoch_loss)
                                  .add("epoch_pictures", p.epoch_pictures)
                                  .add("pictures", p.pictures.train_ids.size())
                                  .add("target", p.target)
                                  .raw("operators", nlohmann::json(p.operators).dump())
                                  .text();
    const TrainingState tensors = TrainingState::of(p.net.store(), p.trainer.optimizer(), &p.net.batch_counts());
    directory_.save_checkpoint(step(), tensors.tensors(), state);
}

void SposTraining::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const double loss = p.epoch_loss / static_cast<double>(p.epoch_pictures);
    const double rate = learning_rate(p.trainer.training(), step() - 1);
    directory_.journal().append("epoch", step(),
                                JsonObject().add("epoch", epoch + 1).add("loss", loss).add("lr", rate));
    directory_.log().line(fmt::format("epoch {}: loss {:.4f}", epoch + 1, loss));
    p.epoch_loss = 0;
    p.epoch_pictures = 0;
}

void SposTraining::train() {
    Parts& p = *parts_;
    const std::int64_t per_epoch = p.trainer.steps_per_epoch();
    ProgressState shown;
    shown.phase = "train";
    shown.step = step();
    shown.steps = total_steps();
    shown.epochs = static_cast<int>((total_steps() + per_epoch - 1) / per_epoch);
    const auto began = std::chrono::steady_clock::now();
    auto one = [&](ProgressState& state) {
        const std::int64_t epoch = step() / per_epoch;
        const ChainTrainer::Step result = p.trainer.step();
        p.epoch_loss += result.loss * result.pictures;
        p.epoch_pictures += result.pictures;
        if (step() % per_epoch == 0 || p.trainer.done()) end_epoch(epoch);
        state.step = step();
        state.epoch = static_cast<int>(epoch) + 1;
        state.images += result.pictures;
        state.loss = result.loss;
        state.data_wait = p.trainer.wait_seconds();
    };
    const ProcessOptions& run = config_.run;
    TrainingLoop{
        "spos", run.checkpoint_seconds, run.checkpoint_steps, run.progress_seconds, [&] { return p.trainer.done(); },
        one,    [&] { save(); }}
        .run(directory_, shown);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
    directory_.log().line(
        fmt::format("activations, gradients and scratch took at most {:.1f} MiB, waiting for data {:.2f} % of the time",
                    static_cast<double>(p.trainer.high_water()) / (1 << 20),
                    100 * p.trainer.wait_seconds() / std::max(1e-9, seconds.count())));
    warn_of_corrupt();
    const chain::Config& of = p.space.config;
    const std::map<std::string, std::string> about{
        {"space", std::string(p.space.name)},          {"input_size", std::to_string(of.input_size)},
        {"classes", std::to_string(of.classes)},       {"first_scale", std::to_string(of.first_scale)},
        {"last_scale", std::to_string(of.last_scale)}, {"width_multiple", std::to_string(of.width_multiple)},
        {"pipeline", config_.data.pipeline},           {"step", std::to_string(step())},
        {"seed", std::to_string(config_.run.seed)},    {"device", p.target}};
    state_dict(p.net, &p.trainer.optimizer()).write(supernet_path(directory_), p.net.store().dtype(), about);
}

void SposTraining::warn_of_corrupt() {
    const std::vector<std::string> names = parts_->pictures.corrupt();
    if (names.empty()) return;
    constexpr std::size_t shown = 10;
    const std::vector<std::string> first(names.begin(),
                                         names.begin() + static_cast<std::ptrdiff_t>(std::min(shown, names.size())));
    directory_.log().warn(fmt::format("{} corrupt pictures, whose places others took: {}{}", names.size(),
                                      fmt::join(first, ", "), names.size() > shown ? ", ..." : ""));
}

void train_spos(const SposConfig& config, RunDirectory& directory) {
    if (std::filesystem::exists(supernet_path(directory))) return;
    SposTraining(config, directory).train();
}

}  // namespace nascent
