#include "nas/algo/darts_shrink.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "nas/algo/rlnas.h"
#include "nas/algo/rlnas_darts.h"
#include "nas/algo/rlnas_shrink.h"
#include "nas/algo/rlnas_training.h"
#include "nas/algo/shrink_json.h"
#include "nas/run/interrupt.h"
#include "nas/supernet/darts_grow.h"
#include "nas/supernet/darts_state_dict.h"

namespace nascent {

struct DartsShrinkRun::Parts {
    explicit Parts(const RlnasConfig& c)
        : device(run_device(c.run, c.train.precision)),
          target(target_of(*device)),
          pictures(c.data, c.run, false),
          ids(training_pictures(c, pictures.set)),
          dtype(c.train.dtype == "float64" ? DType::f64 : DType::f32),
          batches(pictures.open(dtype, RunPictures::Split::train, ids, loader_options(c, pictures.set))),
          schedule(shrink_schedule(c)) {
        device->kernel_options.winograd = c.train.conv == "winograd";
    }
    std::unique_ptr<Device> device;
    std::string target;  // the bits depend on it
    RunPictures pictures;
    std::vector<std::uint32_t> ids;
    DType dtype;
    BatchSource batches;
    ShrinkSchedule schedule;
    std::unique_ptr<DartsNet> net;
    std::unique_ptr<DartsPathTrainer> trainer;  // of as many cells as are inserted

    // Of the run, in its checkpoints.
    int inserted = 0;  // cells
    ShrinkState shrunk{darts::all_operators()};
    TrainedOn trained_on() const { return {pictures.set, ids.size(), target}; }
    EpochLoss loss;
};

/// The trainer as train_epochs() wants it, up to a step of the run's.
struct DartsShrinkRun::Stretch {
    DartsPathTrainer& trainer;
    std::int64_t end;
    std::int64_t step_number() const { return trainer.training().first + trainer.step_number(); }
    std::int64_t steps_per_epoch() const { return trainer.steps_per_epoch(); }
    std::int64_t total_steps() const { return end; }
    bool done() const { return step_number() >= end; }
    DartsPathTrainer::Step step() { return trainer.step(); }
    double wait_seconds() const { return trainer.wait_seconds(); }
    std::size_t high_water() const { return trainer.high_water(); }
};

DartsShrinkRun::DartsShrinkRun(const RlnasConfig& config, RunDirectory& directory)
    : config_(config), directory_(directory), parts_(std::make_unique<Parts>(config)) {
    Parts& p = *parts_;
    say_beginning(directory_.log(), config, p.pictures, p.ids.size(), *p.device);
    restore();
}
DartsShrinkRun::~DartsShrinkRun() = default;

std::int64_t DartsShrinkRun::step() const { return Stretch{*parts_->trainer, 0}.step_number(); }

/// The network of so many inserted cells, its weights zero, and a trainer at its first step.
void DartsShrinkRun::begin(int inserted) {
    Parts& p = *parts_;
    const RlnasConfig& c = config_;
    const ShrinkSchedule& s = p.schedule;
    p.trainer.reset();
    p.inserted = inserted;
    darts::NetConfig net = darts_net_config(c, p.pictures.set);
    net.growing = s.warm_up_cells > 0;
    net.layers = c.net.layers - s.warm_up_cells + inserted;
    p.net = std::make_unique<DartsNet>(*p.device, p.dtype, darts::search_net(net, {.affine = c.net.affine}));
    DartsPathTraining t = darts_training_of(c, p.ids.size());
    t.one_cell = true;
    t.operators = p.shrunk.operators;
    t.first = inserted * s.warm_up_epochs * p.batches.steps_per_epoch;
    t.epochs = s.first_epochs + (s.max_stages - 1) * s.other_epochs;
    if (inserted < s.warm_up_cells) {  // a schedule of its own
        t.epochs = t.schedule_epochs = s.warm_up_epochs;
        t.linear_steps = static_cast<std::int64_t>(whole_batches(c, p.ids.size())) * t.epochs;
    }
    p.trainer = std::make_unique<DartsPathTrainer>(*p.net, p.batches, t);
}

std::string DartsShrinkRun::base_path() const {
    return parts_->schedule.warm_up_cells > 0 ? directory_.export_folder() + "/base.safetensors"
                                              : initial_path(directory_);
}

void DartsShrinkRun::write(const std::string& path) const {
    const Parts& p = *parts_;
    auto about = state_metadata(config_, p.net->net().config.input_size, step());
    about["device"] = p.target;
    state_dict(*p.net, &p.trainer->optimizer()).write(path, p.dtype, about);
}

void DartsShrinkRun::restore() {
    Parts& p = *parts_;
    const std::optional<Checkpoint> found = directory_.restore();
    if (!found) {
        begin(0);
        initialise(p.net->store(), static_cast<std::uint64_t>(config_.run.seed), GammaStart::ones,
                   darts_start(config_));
        write(initial_path(directory_));
        return save();
    }
    p.trained_on().restore(*found, directory_, p.loss, [&](const nlohmann::json& state) {
        const int inserted = state.at("inserted").get<int>();
        NASCENT_CHECK(inserted >= 0 && inserted <= p.schedule.warm_up_cells, checkpoint,
                      "{}: state.json: {} cells inserted, expected 0..{}", directory_.path(), inserted,
                      p.schedule.warm_up_cells);
        p.shrunk = read_shrunk_space(state.at("shrunk").get<std::string>(), directory_.path(), config_.space,
                                     darts::all_operators());
        begin(inserted);
    });
    TrainingState::restore(found->tensors, p.net->store(), p.trainer->optimizer(), &p.net->batch_counts());
    directory_.log().line(fmt::format("goes on from step {} with {} cells, {} stages done", step(),
                                      p.net->net().config.layers, p.shrunk.stages.size()));
}

void DartsShrinkRun::save() {
    const Parts& p = *parts_;
    JsonObject state = p.trained_on().state("shrink", p.loss);
    state.add("inserted", p.inserted).add("shrunk", shrunk_space_json(config_.space, p.shrunk));
    directory_.save_checkpoint(
        step(), TrainingState::of(p.net->store(), p.trainer->optimizer(), &p.net->batch_counts()).tensors(),
        state.text());
}

void DartsShrinkRun::end_epoch(std::int64_t epoch) {
    Parts& p = *parts_;
    const DartsPathTraining& t = p.trainer->training();
    const std::int64_t steps = p.batches.steps_per_epoch;
    const double loss = p.loss.take();
    JsonObject record;
    record.add("epoch", epoch + 1).add("loss", loss).add("lr", learning_rate(t, epoch * steps - t.first, steps));
    directory_.journal().append("epoch", step(), record);
    directory_.log().line(fmt::format("epoch {}: loss {:.4f}", epoch + 1, loss));
    p.pictures.warn_of_corrupt(directory_.log());
}

void DartsShrinkRun::train_to(std::int64_t end) {
    Parts& p = *parts_;
    Stretch stretch{*p.trainer, end};
    train_epochs(
        "rlnas", stretch, directory_, config_.run, p.loss, [&](std::int64_t epoch) { end_epoch(epoch); },
        [&] { save(); });
}

/// No step of its own: a run that is killed here does it again, to the same bits.
void DartsShrinkRun::insert() {
    Parts& p = *parts_;
    const StateDict now = state_dict(*p.net, &p.trainer->optimizer());
    begin(p.inserted + 1);
    insert_cell(now, *p.net, static_cast<std::uint64_t>(config_.run.seed));
    directory_.journal().append("cell", step(), JsonObject().add("cells", p.net->net().config.layers));
    directory_.log().say(fmt::format("cell {} of {} inserted", p.inserted, p.schedule.warm_up_cells));
    if (p.inserted == p.schedule.warm_up_cells) write(base_path());
    save();
}

void DartsShrinkRun::shrink() {
    Parts& p = *parts_;
    const auto stage = static_cast<std::int64_t>(p.shrunk.stages.size());
    Scope scope("shrinking, stage {}", stage + 1);
    const std::string base = base_path();
    const darts::AngleParts parts =
        angle_parts(p.net->net(), StateDict::read(base), state_dict(*p.net, &p.trainer->optimizer()), base, "now");
    const std::string& rules = config_.angle.rules;
    const darts::Angle angle(parts, darts::angle_switches(rules == "auto" ? "anglenas" : rules));
    // The program's generator goes on from the last path. By counters: a stream of its own for each stage.
    NumpyRandom random(static_cast<std::uint32_t>(config_.run.seed + stage));
    const DartsPathTraining& t = p.trainer->training();
    if (t.draws == DartsPathTraining::Draws::numpy)
        (void)darts::numpy_training_cell(t.seed, step() - 1, t.operators, &random);
    auto angles = [&](const std::vector<Genes>& all) {
        std::vector<double> values;
        for (const Genes& g : all) {
            darts::Code code;
            std::copy(g.begin(), g.end(), code.normal.begin());
            code.reduce = code.normal;
            values.push_back(angle.angle(code));
        }
        return values;
    };
    std::vector<OperatorScore> scores =
        score_operators(p.shrunk.operators, DartsCellSampler(), angles, p.schedule.samples, random);
    const ShrinkState::Stage& done = shrink_step(p.shrunk, p.schedule, std::move(scores));
    std::vector<std::string> dropped;
    for (LayerOperator d : done.dropped)
        dropped.push_back(layer_name(config_.space, d.layer) + " " + operator_name(config_.space, d.op));
    const double left = space_size(p.shrunk.operators);
    directory_.journal().append("shrink", step(),
                                JsonObject().add("stage", stage + 1).add("dropped", dropped).add("size", left));
    directory_.log().say(
        fmt::format("stage {}: {} operators dropped, {:.6g} cells are left", stage + 1, dropped.size(), left));
    p.trainer->set_operators(p.shrunk.operators);
    save();
}

void DartsShrinkRun::train() {
    Parts& p = *parts_;
    const ShrinkSchedule& s = p.schedule;
    const std::int64_t steps = p.batches.steps_per_epoch;
    const auto stop = [&] {
        if (InterruptGuard::requested())
            fail(ErrorKind::interrupted, "stopped at step {}; go on with: rlnas resume {}", step(), directory_.path());
    };
    while (p.inserted < s.warm_up_cells) {
        train_to((p.inserted + 1) * s.warm_up_epochs * steps);
        insert();
        stop();
    }
    while (!shrink_done(p.shrunk, s)) {
        const auto stages = static_cast<int>(p.shrunk.stages.size());
        train_to((s.warm_up_cells * s.warm_up_epochs + s.first_epochs + stages * s.other_epochs) * steps);
        shrink();
        stop();
    }
    write_file_atomic(directory_.export_folder() + "/shrunk_space.json", shrunk_space_json(config_.space, p.shrunk));
    write(trained_path(directory_));
}

}  // namespace nascent
