#include "nas/algo/bilevel.h"

#include <cmath>

#include "nas/algo/schedules.h"
#include "ops/reference.h"

namespace nascent {

double learning_rate(const BilevelTraining& t, std::int64_t epoch) {
    return cosine_lr(t.lr, t.lr_min, t.epochs, epoch + (t.lr_step == BilevelTraining::LrStep::before));
}

BilevelTrainer::BilevelTrainer(SearchNet& net, BatchSource train, BatchSource alpha, const BilevelTraining& training)
    : net_(net),
      training_(training),
      train_(std::move(train)),
      alpha_(std::move(alpha)),
      arena_(net.store().device()),
      architect_(net, arena_,
                 {training.second_order, training.sgd.momentum, training.sgd.weight_decay,
                  training.twin.value_or(net.store().device().can_capture())}),
      sgd_(
          net.store(), training.sgd,
          [t = training, n = train_.steps_per_epoch](std::int64_t step) { return learning_rate(t, step / n); },
          architect_.weight_ranges()),
      adam_(
          net.store(), training.arch, [lr = training.arch_lr](std::int64_t) { return lr; }, architect_.alpha_ranges()) {
    Device& device = net.store().device();
    if (training.capture && device.can_capture()) segments_ = std::make_unique<Segments>(device);
}

void BilevelTrainer::step_weights(const LabelledBatch& batch, Step& result) {
    ScratchScope scratch(arena_);
    const std::vector<int> none;
    const ConstantRanges constant(net_.store(), training_.clip_with_alphas ? none : architect_.alpha_ranges());
    Tape tape(arena_, &net_.store(), Tape::Gradients::parameters_fixed);
    TapeScope recording(&tape);
    const Tensor logits = net_.logits(batch.x, true);
    const Tensor loss = cross_entropy(logits, batch.labels);
    backward_from(tape, loss);
    result.score.add(finite_loss(loss, "a smaller train.lr, or train.clip = 5"), hits(logits, batch.labels));
    result.gradient_norm = sgd_.step(tape);
}

BilevelTrainer::Step BilevelTrainer::step(bool move_alphas) {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    arena_.reset();
    ExecutionScope execution(arena_);
    CapturedScope captured(segments_.get(), nullptr);
    Step result;
    const LabelledBatch train = train_.batch(step);
    const LabelledBatch alpha = move_alphas ? alpha_.batch(step) : LabelledBatch{};
    const double lr = learning_rate(training_, step / steps_per_epoch());
    auto step_alphas = [&] {
        result.arch_loss = architect_.gradients(train, alpha, lr, [&](const Tape& tape) { adam_.step(tape); });
        alphas();  // throws where one is not finite
    };
    if (move_alphas && !training_.weights_first) step_alphas();
    step_weights(train, result);
    if (move_alphas && training_.weights_first) step_alphas();
    return result;
}

std::vector<std::vector<double>> BilevelTrainer::alphas() const {
    std::vector<std::vector<double>> all;
    for (int p : net_.alphas()) {
        const Tensor t = net_.store().raw(p);
        std::vector<double>& to = all.emplace_back(t.size());
        with_type(t.dtype, [&](auto zero) {
            std::vector<decltype(zero)> host(t.size());
            t.device->copy_out(host.data(), t.data, t.bytes());
            std::copy(host.begin(), host.end(), to.begin());
        });
        for (std::size_t i = 0; i < to.size(); i++)
            NASCENT_CHECK(std::isfinite(to[i]), runtime,
                          "'{}' is {} at edge {}, operator {}: the search has diverged; try a smaller arch.lr",
                          net_.store().parameters()[static_cast<std::size_t>(p)].name, to[i],
                          static_cast<std::int64_t>(i) / t.shape[1], static_cast<std::int64_t>(i) % t.shape[1]);
    }
    return all;
}

Score BilevelTrainer::evaluate(const BatchSource& source, std::int64_t epoch, const std::function<bool()>& stop) {
    return nascent::evaluate(net_, arena_, source, epoch * source.steps_per_epoch, source.steps_per_epoch, stop);
}

}  // namespace nascent
