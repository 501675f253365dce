#include "nas/algo/training_step.h"

#include "nas/algo/loss.h"
#include "ops/reference.h"

namespace nascent {

StepMemory::StepMemory(Device& device, bool capture) : arena_(device) {
    if (!capture || !device.can_capture()) return;
    slots_ = std::make_unique<Slots>(device);
    segments_ = std::make_unique<Segments>(device);
}

namespace {
Arena& cleared(Arena& arena, Slots* slots) {
    arena.reset();
    if (slots) slots->reset();
    return arena;
}
}  // namespace

RecordedStep::RecordedStep(StepMemory& m, ParameterStore& store)
    : execution_(cleared(m.arena_, m.slots_.get())),
      captured_(m.segments_.get(), m.slots_.get()),
      tape_(m.arena_, &store, m.slots_ ? Tape::Gradients::fixed : Tape::Gradients::reused),
      recording_(&tape_) {}

TrainingStep RecordedStep::update(Sgd& sgd, const Tensor& logits, const Tensor& labels, double label_smoothing) {
    const Tensor loss = cross_entropy(logits, labels, label_smoothing);
    backward_from(tape_, loss);
    // The host waits here, once a step, with all of the step but the update queued.
    TrainingStep result{finite_loss(loss, "a smaller train.lr, or train.clip = 5"), static_cast<int>(labels.size()), 0};
    result.gradient_norm = sgd.step(tape_);
    return result;
}

}  // namespace nascent
