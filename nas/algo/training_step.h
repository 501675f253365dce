// What a step of a supernet on one path is, whatever the supernet: forward, loss, backward and an update in memory that
// the next step takes again.
#pragma once
#include <memory>

#include "engine/autograd/execution.h"
#include "ops/optim/sgd.h"

namespace nascent {

struct TrainingStep {
    double loss;
    int pictures;
    double gradient_norm;  // 0 where clipping by norm is off
};

/// Where steps' activations, gradients and scratch are; with `capture`, where the device can, op calls that come again
/// are replayed from captures, which changes no bit.
class StepMemory {
  public:
    StepMemory(Device& device, bool capture);
    /// The most bytes that have been taken.
    std::size_t high_water() const { return arena_.high_water() + (slots_ ? slots_->high_water() : 0); }
    /// What has been captured; null where nothing is.
    const Segments* segments() const { return segments_.get(); }

  private:
    friend class RecordedStep;
    Arena arena_;
    std::unique_ptr<Slots> slots_;        // null where nothing is captured
    std::unique_ptr<Segments> segments_;  // before the memory it refers to goes
};

/// While it lives, ops are recorded for a step; what the memory held before is gone.
class RecordedStep {
  public:
    RecordedStep(StepMemory& memory, ParameterStore& store);
    /// Cross entropy of what was recorded, backward, and the optimizer's update. Waits for the device. Throws
    /// Error(runtime) when the loss is not finite; the parameters are then those before the step.
    TrainingStep update(Sgd& sgd, const Tensor& logits, const Tensor& labels, double label_smoothing);

  private:
    ExecutionScope execution_;
    CapturedScope captured_;
    Tape tape_;
    TapeScope recording_;
};

}  // namespace nascent
