#include "nas/algo/supernet_trainer.h"

#include <chrono>

#include "nas/algo/batches.h"
#include "nas/algo/schedules.h"
#include "nas/data/augment.h"
#include "ops/reference.h"

namespace nascent {

double cosine_lr(const SupernetTraining& t, std::int64_t epoch) {
    return cosine_lr(t.lr, t.lr_min, t.schedule_epochs > 0 ? t.schedule_epochs : t.epochs, epoch);
}

struct SupernetTrainer::Source {
    virtual ~Source() = default;
    /// Logits of batch `step` on the path, and its labels, in tensors of the current arena.
    virtual std::pair<Tensor, Tensor> forward(Nb201Supernet& net, std::int64_t step, const Nb201Path& path) = 0;
    virtual std::int64_t steps_per_epoch() const = 0;
    virtual double wait_seconds() const = 0;
};

/// Batches as a loader has prepared them.
struct SupernetTrainer::PreparedSource final : Source {
    explicit PreparedSource(BatchSource s) : source(std::move(s)) {}
    std::pair<Tensor, Tensor> forward(Nb201Supernet& net, std::int64_t step, const Nb201Path& path) override {
        const LabelledBatch batch = source.batch(step);
        return {net.forward(batch.x, path, true), batch.labels};
    }
    std::int64_t steps_per_epoch() const override { return source.steps_per_epoch; }
    double wait_seconds() const override { return source.wait_seconds(); }
    BatchSource source;
};

/// The data set lies on the device; a batch is 20 bytes a picture.
template <class T>
struct SupernetTrainer::ResidentSource final : Source {
    ResidentSource(Loader<T>& l, Device& device) : loader(l), arena(device) {
        const Pictures& p = loader.pictures();
        input.pictures = arena.tensor({static_cast<std::int64_t>(p.count()), p.height, p.width, 3}, DType::u8);
        input.table = arena.tensor({256, 3}, dtype_of<T>());
        input.pad_y = crop_padding(p.height);
        input.pad_x = crop_padding(p.width);
        device.copy_in(input.pictures.data, p.pixels.data(), input.pictures.bytes());
        device.copy_in(input.table.data, loader.table().data(), input.table.bytes());
    }
    std::pair<Tensor, Tensor> forward(Nb201Supernet& net, std::int64_t step, const Nb201Path& path) override {
        const auto start = std::chrono::steady_clock::now();
        loader.draws(static_cast<std::uint64_t>(step), draws, labels);
        input.draws = empty({static_cast<std::int64_t>(draws.size()), 4}, DType::i32);
        input.draws.device->copy_in(input.draws.data, draws.data(), input.draws.bytes());
        const Tensor on_device = labels_to_device(labels);
        waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return {net.forward(input, path, true), on_device};
    }
    std::int64_t steps_per_epoch() const override { return static_cast<std::int64_t>(loader.steps_per_epoch()); }
    double wait_seconds() const override { return waited; }
    Loader<T>& loader;
    Arena arena;
    PictureInput input;
    std::vector<std::array<std::int32_t, 4>> draws;
    std::vector<int> labels;
    double waited = 0;
};

template <class T>
std::unique_ptr<SupernetTrainer::Source> SupernetTrainer::make_source(Nb201Supernet& net, Loader<T>& loader) {
    constexpr std::size_t most = std::size_t{16} << 30;  // bytes of pictures that are kept on a gpu
    Device& device = net.store().device();
    NASCENT_CHECK(dtype_of<T>() == net.store().dtype(), runtime, "the loader makes {}, the network is {}",
                  name_of(dtype_of<T>()), name_of(net.store().dtype()));
    const bool resident =
        device.kind() == DeviceKind::gpu && !loader.transforms() && loader.pictures().pixels.size() <= most;
    if (resident) return std::make_unique<ResidentSource<T>>(loader, device);
    return std::make_unique<PreparedSource>(source_of(loader, net.config().input_size));
}

SupernetTrainer::SupernetTrainer(Nb201Supernet& net, std::unique_ptr<Source> source, const SupernetTraining& training)
    : net_(net),
      training_(training),
      source_(std::move(source)),
      steps_per_epoch_(source_->steps_per_epoch()),
      sgd_(net.store(), training.sgd,
           [t = training, n = steps_per_epoch_](std::int64_t step) { return cosine_lr(t, step / n); }),
      memory_(net.store().device(), training.capture) {}
template <class T>
SupernetTrainer::SupernetTrainer(Nb201Supernet& net, Loader<T>& loader, const SupernetTraining& training)
    : SupernetTrainer(net, make_source(net, loader), training) {}
SupernetTrainer::SupernetTrainer(Nb201Supernet& net, BatchSource source, const SupernetTraining& training)
    : SupernetTrainer(net, std::make_unique<PreparedSource>(std::move(source)), training) {}
SupernetTrainer::~SupernetTrainer() = default;
template SupernetTrainer::SupernetTrainer(Nb201Supernet&, Loader<float>&, const SupernetTraining&);
template SupernetTrainer::SupernetTrainer(Nb201Supernet&, Loader<double>&, const SupernetTraining&);

double SupernetTrainer::wait_seconds() const { return source_->wait_seconds(); }

SupernetTrainer::Step SupernetTrainer::step() {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    RecordedStep recorded(memory_, net_.store());
    const SupernetTraining& t = training_;
    const Nb201Path path = t.operators.empty()
                               ? sample_path(t.seed, step, net_.search_cells(), t.sampling)
                               : sample_path(t.seed, step, net_.search_cells(), t.sampling, t.operators);
    const auto [logits, labels] = source_->forward(net_, step, path);
    return recorded.update(sgd_, logits, labels, t.label_smoothing);
}

}  // namespace nascent
