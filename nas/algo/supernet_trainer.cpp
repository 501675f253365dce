#include "nas/algo/supernet_trainer.h"

#include <cmath>
#include <numbers>

#include "ops/reference.h"

namespace nascent {

double cosine_lr(const SupernetTraining& t, std::int64_t epoch) {
    return t.lr_min + (t.lr - t.lr_min) * (1 + std::cos(std::numbers::pi * static_cast<double>(epoch) / t.epochs)) / 2;
}

struct SupernetTrainer::Source {
    virtual ~Source() = default;
    /// Copies batch `step` to the device, into tensors of the current arena.
    virtual std::pair<Tensor, Tensor> next(std::int64_t step, int size) = 0;
    virtual std::int64_t steps_per_epoch() const = 0;
    virtual double wait_seconds() const = 0;
};

template <class T>
struct SupernetTrainer::LoaderSource final : Source {
    explicit LoaderSource(Loader<T>& l) : loader(l) {}
    std::pair<Tensor, Tensor> next(std::int64_t step, int size) override {
        loader.batch(static_cast<std::uint64_t>(step), batch);
        Tensor x = empty({batch.n, size, size, 3}, dtype_of<T>()), labels = empty({batch.n}, DType::i32);
        NASCENT_CHECK(batch.pixels.size() == x.size(), runtime, "the pictures are not of the network's size {}", size);
        x.device->copy_in(x.data, batch.pixels.data(), x.bytes());
        labels.device->copy_in(labels.data, batch.labels.data(), labels.bytes());
        return {x, labels};
    }
    std::int64_t steps_per_epoch() const override { return static_cast<std::int64_t>(loader.steps_per_epoch()); }
    double wait_seconds() const override { return loader.wait_seconds(); }
    Loader<T>& loader;
    Batch<T> batch;
};

template <class T>
SupernetTrainer::SupernetTrainer(Nb201Supernet& net, Loader<T>& loader, const SupernetTraining& training)
    : net_(net),
      training_(training),
      source_(std::make_unique<LoaderSource<T>>(loader)),
      steps_per_epoch_(source_->steps_per_epoch()),
      sgd_(net.store(), training.sgd,
           [t = training, n = steps_per_epoch_](std::int64_t step) { return cosine_lr(t, step / n); }),
      arena_(net.store().device()) {
    NASCENT_CHECK(dtype_of<T>() == net.store().dtype(), runtime, "the loader makes {}, the network is {}",
                  name_of(dtype_of<T>()), name_of(net.store().dtype()));
    Device& device = net.store().device();
    if (!training.capture || !device.can_capture()) return;
    slots_ = std::make_unique<Slots>(device);
    segments_ = std::make_unique<Segments>(device);
}
SupernetTrainer::~SupernetTrainer() = default;
template SupernetTrainer::SupernetTrainer(Nb201Supernet&, Loader<float>&, const SupernetTraining&);
template SupernetTrainer::SupernetTrainer(Nb201Supernet&, Loader<double>&, const SupernetTraining&);

double SupernetTrainer::wait_seconds() const { return source_->wait_seconds(); }

SupernetTrainer::Step SupernetTrainer::step() {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    arena_.reset();
    if (slots_) slots_->reset();
    ExecutionScope execution(arena_);
    CapturedScope captured(segments_.get(), slots_.get());
    Tape tape(arena_, &net_.store(), slots_ ? Tape::Gradients::fixed : Tape::Gradients::reused);
    TapeScope recording(&tape);
    const auto [x, labels] = source_->next(step, net_.config().input_size);
    const Nb201Path path = sample_path(training_.seed, step, net_.search_cells(), training_.sampling);
    const Tensor loss = cross_entropy(net_.forward(x, path, true), labels, training_.label_smoothing);
    Step result{0, static_cast<int>(labels.size()), 0};
    with_type(loss.dtype, [&](auto zero) {
        decltype(zero) value, one = 1;
        loss.device->copy_out(&value, loss.data, sizeof(value));
        result.loss = value;
        NASCENT_CHECK(std::isfinite(result.loss), runtime,
                      "the loss is {}: the training has diverged; try a smaller train.lr, or train.clip = 5",
                      std::isnan(result.loss) ? "not a number" : "infinite");
        Tensor seed = empty({1}, loss.dtype);
        seed.device->copy_in(seed.data, &one, sizeof(one));
        tape.backward(loss, seed);
    });
    result.gradient_norm = sgd_.step(tape);
    return result;
}

}  // namespace nascent
