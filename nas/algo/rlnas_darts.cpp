#include "nas/algo/rlnas_darts.h"

#include <nlohmann/json.hpp>

#include "nas/algo/darts_path_trainer.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_training.h"
#include "nas/data/split.h"
#include "nas/supernet/darts_state_dict.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/training_state.h"

namespace nascent {
namespace {

DartsPathTraining training_of(const RlnasConfig& c) {
    DartsPathTraining t;
    t.epochs = c.train.epochs;
    t.lr = c.train.lr;
    t.lr_min = c.train.lr_min;
    t.lr_step =
        c.train.lr_step == "before" ? DartsPathTraining::LrStep::before_epoch : DartsPathTraining::LrStep::after_epoch;
    t.label_smoothing = c.train.label_smoothing;
    t.draws = c.train.draws == "numpy" ? DartsPathTraining::Draws::numpy : DartsPathTraining::Draws::counters;
    t.seed = static_cast<std::uint64_t>(c.run.seed);
    t.sgd = sgd_options(c.train);
    return t;
}

darts::NetConfig net_config(const RlnasConfig& c, const Dataset& set) {
    return {.classes = set.classes,
            .input_size = square_side(set),
            .channels = c.net.channels,
            .layers = c.net.layers,
            .stem_multiplier = 3};
}

std::map<std::string, std::string> metadata(const RlnasConfig& c, const darts::NetConfig& net, std::int64_t step) {
    return {{"space", c.space},
            {"input_size", std::to_string(net.input_size)},
            {"step", std::to_string(step)},
            {"seed", std::to_string(c.run.seed)}};
}

}  // namespace

struct DartsRlnasRun::Parts {
    explicit Parts(const RlnasConfig& c)
        : device(make_device(c.run.device, c.run.threads)),
          target(target_of(*device)),
          set(load_pictures(c.data, c.run)),
          ids(training_ids(c.data.split, set)),
          net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32,
              darts::search_net(net_config(c, set), {.affine = c.net.affine})) {
        device->kernel_options.winograd = c.train.conv == "winograd";
        const Normalisation norm = normalisation(c.data.norm, set);
        normalisation_name = norm.name;
        const int size = net.net().config.input_size;
        BatchSource source;
        if (net.store().dtype() == DType::f64) {
            wide = std::make_unique<Loader<double>>(set.train, ids, set.classes, norm, loader_options(c, set));
            source = source_of(*wide, size);
        } else {
            narrow = std::make_unique<Loader<float>>(set.train, ids, set.classes, norm, loader_options(c, set));
            source = source_of(*narrow, size);
        }
        trainer = std::make_unique<DartsPathTrainer>(net, std::move(source), training_of(c));
    }
    std::unique_ptr<Device> device;
    std::string target;  // the bits depend on it
    Dataset set;
    std::vector<std::uint32_t> ids;
    DartsNet net;
    std::string normalisation_name;
    std::unique_ptr<Loader<float>> narrow;
    std::unique_ptr<Loader<double>> wide;
    std::unique_ptr<DartsPathTrainer> trainer;
    double epoch_loss = 0;  // sum over the epoch's pictures so far
    std::int64_t epoch_pictures = 0;
};

DartsRlnasRun::DartsRlnasRun(const RlnasConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    directory_.log().say(
        fmt::format("{}; labels {}; {} on {}{}", describe(p.set, std::to_string(p.ids.size()), p.normalisation_name),
                    config.data.labels, config.train.dtype, p.target,
                    p.device->pool() ? fmt::format(" with {} threads", p.device->pool()->threads()) : ""));
    if (p.set.skipped > 0) directory_.log().warn(fmt::format("{} corrupt pictures were left out", p.set.skipped));
    restore();
}
DartsRlnasRun::~DartsRlnasRun() = default;

std::int64_t DartsRlnasRun::step() const { return parts_->trainer->step_number(); }
std::int64_t DartsRlnasRun::total_steps() const { return parts_->trainer->total_steps(); }

void DartsRlnasRun::restore() {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory_.restore();
    if (!found) {
        initialise(p.net.store(), static_cast<std::uint64_t>(config_.run.seed));
        state_dict(p.net).write(initial_path(directory_), p.net.store().dtype(),
                                metadata(config_, p.net.net().config, 0));
        save();
        return;
    }
    TrainingState::restore(found->tensors, p.net.store(), p.trainer->optimizer());
    try {
        const auto state = nlohmann::json::parse(found->state);
        state.at("epoch_loss").get_to(p.epoch_loss);
        state.at("epoch_pictures").get_to(p.epoch_pictures);
        check_pictures(p.set, p.ids.size(), state.at("pictures").get<std::size_t>());
        warn_if_elsewhere(directory_.log(), p.target, state.at("target").get<std::string>());
    } catch (const nlohmann::json::exception& e) {
        fail(ErrorKind::checkpoint, "{}: state.json: {}", directory_.path(), e.what());
    }
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

void DartsRlnasRun::save() {
    const Parts& p = *parts_;
    const std::string state = JsonObject()
                                  .add("phase", "train")
                                  .add("epoch_loss", p.epoch_loss)
                                  .add("epoch_pictures", p.epoch_pictures)
                                  .add("pictures", p.ids.size())
                                  .add("target", p.target)
                                  .text();
    directory_.save_checkpoint(step(), TrainingState::of(p.net.store(), p.trainer->optimizer()).tensors(), state);
}

void DartsRlnasRun::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const double loss = p.epoch_loss / static_cast<double>(p.epoch_pictures);
    JsonObject record;
    record.add("epoch", epoch + 1).add("loss", loss).add("lr", learning_rate(training_of(config_), epoch));
    directory_.journal().append("epoch", step(), record);
    directory_.log().line(fmt::format("epoch {}/{}: loss {:.4f}", epoch + 1, config_.train.epochs, loss));
    p.epoch_loss = 0;
    p.epoch_pictures = 0;
}

void DartsRlnasRun::train() {
    Parts& p = *parts_;
    train_epochs(
        *p.trainer, directory_, config_, p.epoch_loss, p.epoch_pictures, [&](std::int64_t epoch) { end_epoch(epoch); },
        [&] { save(); });
    auto about = metadata(config_, p.net.net().config, step());
    about["device"] = p.target;
    state_dict(p.net, &p.trainer->optimizer()).write(trained_path(directory_), p.net.store().dtype(), about);
}

}  // namespace nascent
