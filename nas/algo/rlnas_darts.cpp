#include "nas/algo/rlnas_darts.h"

#include "nas/algo/darts_path_trainer.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_training.h"
#include "nas/algo/shrink_json.h"
#include "nas/supernet/darts_state_dict.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/training_state.h"

namespace nascent {
DartsPathTraining darts_training_of(const RlnasConfig& c, std::size_t pictures) {
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
    t.schedule =
        c.train.schedule == "linear" ? DartsPathTraining::Schedule::linear : DartsPathTraining::Schedule::cosine;
    t.schedule_epochs = c.train.schedule_epochs > 0 ? c.train.schedule_epochs : c.train.epochs;
    t.linear_steps = static_cast<std::int64_t>(whole_batches(c, pictures)) * t.schedule_epochs;
    return t;
}

darts::NetConfig darts_net_config(const RlnasConfig& c, const Dataset& set) {
    const bool imagenet = c.net.stem == "imagenet";
    return {.stem = imagenet ? darts::Stem::imagenet : darts::Stem::cifar,
            .classes = set.classes,
            .input_size = square_side(set),
            .channels = c.net.channels,
            .layers = c.net.layers,
            .stem_multiplier = imagenet ? 1 : 3};
}

WeightStart darts_start(const RlnasConfig& c) {
    return c.net.start == "kaiming" ? WeightStart::kaiming : WeightStart::torch;
}

struct DartsRlnasRun::Parts {
    explicit Parts(const RlnasConfig& c)
        : device(run_device(c.run, c.train.precision)),
          target(target_of(*device)),
          pictures(c.data, c.run, false),
          ids(training_pictures(c, pictures.set)),
          net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32,
              darts::search_net(darts_net_config(c, pictures.set), {.affine = c.net.affine})) {
        device->kernel_options.winograd = c.train.conv == "winograd";
        DartsPathTraining training = darts_training_of(c, ids.size());
        training.operators = operators_left(c.net.shrunk, "darts", darts::all_operators());
        trainer = std::make_unique<DartsPathTrainer>(
            net, pictures.open(net.store().dtype(), RunPictures::Split::train, ids, loader_options(c, pictures.set)),
            training);
    }
    std::unique_ptr<Device> device;
    std::string target;  // the bits depend on it
    RunPictures pictures;
    std::vector<std::uint32_t> ids;
    DartsNet net;
    std::unique_ptr<DartsPathTrainer> trainer;
    TrainedOn trained_on() const { return {pictures.set, ids.size(), target}; }
    EpochLoss loss;
};

DartsRlnasRun::DartsRlnasRun(const RlnasConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    say_beginning(directory_.log(), config, p.pictures, p.ids.size(), *p.device);
    restore();
}
DartsRlnasRun::~DartsRlnasRun() = default;

std::int64_t DartsRlnasRun::step() const { return parts_->trainer->step_number(); }
std::int64_t DartsRlnasRun::total_steps() const { return parts_->trainer->total_steps(); }

void DartsRlnasRun::restore() {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory_.restore();
    if (!found) {
        initialise(p.net.store(), static_cast<std::uint64_t>(config_.run.seed), GammaStart::ones, darts_start(config_));
        state_dict(p.net).write(initial_path(directory_), p.net.store().dtype(),
                                state_metadata(config_, p.net.net().config.input_size, 0));
        save();
        return;
    }
    TrainingState::restore(found->tensors, p.net.store(), p.trainer->optimizer(), &p.net.batch_counts());
    p.trained_on().restore(*found, directory_, p.loss);
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

void DartsRlnasRun::save() {
    const Parts& p = *parts_;
    directory_.save_checkpoint(
        step(), TrainingState::of(p.net.store(), p.trainer->optimizer(), &p.net.batch_counts()).tensors(),
        p.trained_on().state("train", p.loss).text());
}

void DartsRlnasRun::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const double loss = p.loss.take();
    JsonObject record;
    const std::int64_t steps = p.trainer->steps_per_epoch();
    record.add("epoch", epoch + 1).add("loss", loss);
    record.add("lr", learning_rate(p.trainer->training(), epoch * steps, steps));
    directory_.journal().append("epoch", step(), record);
    directory_.log().line(fmt::format("epoch {}/{}: loss {:.4f}", epoch + 1, config_.train.epochs, loss));
    p.pictures.warn_of_corrupt(directory_.log());
}

void DartsRlnasRun::train() {
    Parts& p = *parts_;
    train_epochs(
        "rlnas", *p.trainer, directory_, config_.run, p.loss, [&](std::int64_t epoch) { end_epoch(epoch); },
        [&] { save(); });
    auto about = state_metadata(config_, p.net.net().config.input_size, step());
    about["device"] = p.target;
    state_dict(p.net, &p.trainer->optimizer()).write(trained_path(directory_), p.net.store().dtype(), about);
}

}  // namespace nascent
