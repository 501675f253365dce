#include "nas/algo/rlnas.h"

#include "engine/io/atomic_file.h"
#include "nas/algo/rlnas_training.h"
#include "nas/algo/shrink_json.h"
#include "nas/supernet/angle_table.h"

namespace nascent {

SupernetTraining nb201_training_of(const RlnasConfig& c) {
    SupernetTraining t;
    t.schedule_epochs = c.train.schedule_epochs;
    t.epochs = c.train.epochs;
    t.lr = c.train.lr;
    t.lr_min = c.train.lr_min;
    t.label_smoothing = c.train.label_smoothing;
    t.sampling = cell_sampling(c.train.sampling);
    t.seed = static_cast<std::uint64_t>(c.run.seed);
    t.sgd = sgd_options(c.train);
    return t;
}

nb201::NetConfig nb201_net_config(const RlnasConfig& c, const Dataset& set) {
    return {set.classes, square_side(set), c.net.channels, c.net.cells};
}

std::string initial_path(const RunDirectory& run) { return run.export_folder() + "/init.safetensors"; }
std::string trained_path(const RunDirectory& run) { return run.export_folder() + "/final.safetensors"; }

struct RlnasRun::Parts {
    explicit Parts(const RlnasConfig& c)
        : device(run_device(c.run, c.train.precision)),
          target(target_of(*device)),
          pictures(c.data, c.run),
          ids(training_pictures(c, pictures.set)),
          operators(operators_left(c.net.shrunk, "nasbench201", nb201_operators())),
          net(*device, c.train.dtype == "float64" ? DType::f64 : DType::f32, nb201_net_config(c, pictures.set),
              {.affine = c.net.affine}) {
        device->kernel_options.winograd = c.train.conv == "winograd";
        const LoaderOptions options = loader_options(c, pictures.set);
        if (!pictures.in_memory())
            trainer = std::make_unique<SupernetTrainer>(
                net, pictures.open(net.store().dtype(), RunPictures::Split::train, ids, options), training(c));
        else if (net.store().dtype() == DType::f64)
            begin(wide, c, options);
        else
            begin(narrow, c, options);
    }
    /// Pictures in memory may go to the device, whose trainer then makes the batches itself.
    template <class T>
    void begin(std::unique_ptr<Loader<T>>& loader, const RlnasConfig& c, const LoaderOptions& options) {
        const Dataset& set = pictures.set;
        loader = std::make_unique<Loader<T>>(set.train, ids, set.classes, pictures.norm, options);
        trainer = std::make_unique<SupernetTrainer>(net, *loader, training(c));
    }
    SupernetTraining training(const RlnasConfig& c) const {
        SupernetTraining t = nb201_training_of(c);
        t.operators = operators;
        return t;
    }
    std::unique_ptr<Device> device;
    std::string target;  // the bits depend on it
    RunPictures pictures;
    std::vector<std::uint32_t> ids;
    OperatorLists operators;
    Nb201Supernet net;
    std::unique_ptr<Loader<float>> narrow;
    std::unique_ptr<Loader<double>> wide;
    std::unique_ptr<SupernetTrainer> trainer;
    std::optional<BenchmarkTable> table;
    std::string column;
    // For the ranking after each epoch: the network at the start, as a file has it or on the gpu.
    std::optional<StateDict> initial;
    std::unique_ptr<Nb201Supernet> start;
    TrainedOn trained_on() const { return {pictures.set, ids.size(), target}; }
    EpochLoss loss;
};

RlnasRun::RlnasRun(const RlnasConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    say_beginning(directory_.log(), config, p.pictures, p.ids.size(), *p.device);
    if (!config.search.table.empty()) {
        p.table = BenchmarkTable::read(config.search.table);
        p.column = chosen_column(*p.table, config.search.table_column, p.pictures.set.classes,
                                 [&](const std::string& text) { directory_.log().say(text); });
    }
    restore();
}
RlnasRun::~RlnasRun() = default;

std::int64_t RlnasRun::step() const { return parts_->trainer->step_number(); }
std::int64_t RlnasRun::total_steps() const { return parts_->trainer->total_steps(); }

void RlnasRun::restore() {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory_.restore();
    if (!found) {
        p.net.initialise(static_cast<std::uint64_t>(config_.run.seed));
        StateDict::of(p.net).write(initial_path(directory_), p.net.store().dtype(),
                                   state_metadata(config_, p.net.config().input_size, 0));
        save();
        return;
    }
    TrainingState::restore(found->tensors, p.net, p.trainer->optimizer());
    p.trained_on().restore(*found, directory_, p.loss);
    directory_.log().line(fmt::format("goes on from step {} of {}", step(), total_steps()));
}

void RlnasRun::save() {
    const Parts& p = *parts_;
    directory_.save_checkpoint(step(), TrainingState::of(p.net, p.trainer->optimizer()).tensors(),
                               p.trained_on().state("train", p.loss).text());
}

Nb201AngleTable RlnasRun::angles_so_far() {
    Parts& p = *parts_;
    const Sgd* optimizer = &p.trainer->optimizer();
    if (p.device->kind() == DeviceKind::cpu) {
        if (!p.initial) p.initial = StateDict::read(initial_path(directory_));
        const SupernetShape shape{p.net.config(), p.net.style()};
        return angle_table(shape, *p.initial, StateDict::of(p.net, optimizer), "the start", "now");
    }
    if (!p.start) {
        p.start = std::make_unique<Nb201Supernet>(*p.device, p.net.store().dtype(), p.net.config(), p.net.style());
        StateDict::read(initial_path(directory_)).load_into(*p.start, initial_path(directory_));
    }
    return angle_table(*p.start, p.net, optimizer);
}

void RlnasRun::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const double loss = p.loss.take();
    JsonObject record;
    record.add("epoch", epoch + 1).add("loss", loss).add("lr", cosine_lr(nb201_training_of(config_), epoch));
    std::string line = fmt::format("epoch {}/{}: loss {:.4f}", epoch + 1, config_.train.epochs, loss);
    if (p.table) {
        const Nb201Angle angle(angles_so_far(), angle_rules(config_.angle));
        const std::vector<double> angles = angles_within(angle, p.operators);
        const Judgement j = judge(*p.table, p.column, angles, search_exhaustive(angles).arch);
        record.add("judgement", to_json(j));
        line += fmt::format(", Kendall tau {:.4f}, largest angle {} ({:.2f} %)", j.ordinal.value,
                            nb201::to_string(j.winner), j.winner_accuracy);
    }
    directory_.journal().append("epoch", step(), record);
    directory_.log().line(line);
    p.pictures.warn_of_corrupt(directory_.log());
}

void RlnasRun::train() {
    Parts& p = *parts_;
    train_epochs(
        "rlnas", *p.trainer, directory_, config_.run, p.loss, [&](std::int64_t epoch) { end_epoch(epoch); },
        [&] { save(); });
    auto about = state_metadata(config_, p.net.config().input_size, step());
    about["device"] = p.target;
    StateDict::of(p.net, &p.trainer->optimizer()).write(trained_path(directory_), p.net.store().dtype(), about);
}

}  // namespace nascent
