// What a step needs that is launched as a whole: the host's numbers at places of the device, and places for what the
// host reads of it, which is done once, at the end.
#pragma once
#include <vector>

#include "engine/memory/host_values.h"
#include "nas/algo/loss.h"

namespace nascent {

/// What the host reads of a step.
enum class Read { loss, logits, labels, squares, arch_loss, look_ahead_squares, alphas };

/// Tensors that a step's work has set aside, read with one copy.
class StepReads {
  public:
    explicit StepReads(Device& device) : arena_(device, std::size_t{1} << 34, false) {}
    /// What was kept, in order.
    using Kept = std::vector<std::pair<Read, Tensor>>;
    /// Before the work of a step.
    void begin();
    /// Within it, in one launch: sets tensors aside.
    void keep(const Kept& tensors);
    const Kept& kept() const { return kept_; }
    /// Waits for the device and reads what was kept of this step or, replayed, of another one of the same work.
    void read(const Kept& kept);
    /// The next of this name that was read and not asked for; throws Error(runtime) where there is none.
    Tensor next(Read what);
    /// That one, of shape (1).
    double number(Read what);

  private:
    Arena arena_;  // unchecked: what is kept lies side by side
    Kept kept_;
    std::vector<std::byte> host_;
    std::vector<std::pair<Read, Tensor>> read_;  // tensors of the host's memory
};

struct HeldStep {
    HeldStep(Device& device, DType dtype);
    HostValues values;
    StepReads reads;
    Cotangents cotangents;
};

}  // namespace nascent
