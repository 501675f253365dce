#include "nas/algo/chain_trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/autograd/execution.h"
#include "ops/reference.h"

namespace nascent {
namespace {

ChainTraining checked(const ChainTraining& t) {
    NASCENT_CHECK(t.steps >= 1, usage, "{} training steps, expected at least 1", t.steps);
    NASCENT_CHECK(t.lr_steps >= 0, usage, "learning rates for {} steps", t.lr_steps);
    NASCENT_CHECK(t.lr_min >= 0 && t.lr_min <= t.lr, usage, "learning rates from {} to {}", t.lr, t.lr_min);
    return t;
}

}  // namespace

double learning_rate(const ChainTraining& t, std::int64_t step) {
    const double length = t.lr_steps > 0 ? t.lr_steps : static_cast<double>(t.steps);
    const double done = static_cast<double>(step + (t.lr_step == ChainTraining::LrStep::before));
    const double share = std::min(1.0, done / length);
    const double left =
        t.schedule == ChainTraining::Schedule::linear ? 1 - share : (1 + std::cos(std::numbers::pi * share)) / 2;
    return t.lr_min + (t.lr - t.lr_min) * left;
}

ChainTrainer::ChainTrainer(ChainNet& net, BatchSource source, ChainPaths paths, const ChainTraining& training)
    : net_(net),
      training_(checked(training)),
      source_(std::move(source)),
      paths_(std::move(paths)),
      sgd_(net.store(), training.sgd, [t = training](std::int64_t step) { return learning_rate(t, step); }),
      arena_(net.store().device()) {
    Device& device = net.store().device();
    if (!training.capture || !device.can_capture()) return;
    slots_ = std::make_unique<Slots>(device);
    segments_ = std::make_unique<Segments>(device);
}

ChainTrainer::Step ChainTrainer::step() {
    const std::int64_t step = step_number();
    Scope scope("step {}", step);
    arena_.reset();
    if (slots_) slots_->reset();
    ExecutionScope execution(arena_);
    CapturedScope captured(segments_.get(), slots_.get());
    Tape tape(arena_, &net_.store(), slots_ ? Tape::Gradients::fixed : Tape::Gradients::reused);
    TapeScope recording(&tape);
    const LabelledBatch batch = source_.batch(step);
    ChainPass pass;
    if (training_.dropout) pass.dropout = DropoutKey{training_.seed, static_cast<std::uint64_t>(step)};
    const Tensor logits = net_.forward(batch.x, paths_(step), pass);
    const Tensor loss = cross_entropy(logits, batch.labels, training_.label_smoothing);
    backward_from(tape, loss);
    // The host waits here, once a step, with all of the step but the update queued.
    Step result{finite_loss(loss, "a smaller train.lr, or train.clip = 5"), batch.pictures(), 0};
    result.gradient_norm = sgd_.step(tape);
    return result;
}

}  // namespace nascent
