// Adam over the ranges a tape has written: for parameters of an architecture, which are few.
#pragma once
#include "engine/autograd/tape.h"
#include "engine/memory/host_values.h"

namespace nascent {
namespace kernels {
struct AdamStep;
}

struct AdamOptions {
    double beta1 = 0.9, beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;  // added to the gradient, as L2 (not AdamW's)
    double clip_norm = 0;     // gradients are scaled to this global L2 norm where theirs is larger; 0: off
};

/// torch.optim.Adam's update. A range without a gradient is left as it is, and its own count of steps, which corrects
/// the moments' bias, does not go on: as torch does for a parameter whose gradient is None.
class Adam {
  public:
    /// `learning_rate(step)` must be a pure function. `ranges`: those it steps, and has memory for; empty: all of the
    /// store, which must outlive it.
    Adam(ParameterStore& store, AdamOptions options, std::function<double(std::int64_t)> learning_rate,
         const std::vector<int>& ranges = {});

    /// The step about to be computed, of which the learning rate is a function.
    std::int64_t step_number() const { return step_; }
    void set_step_number(std::int64_t step) { step_ = step; }
    /// Updates those of its ranges that the tape has written and counts the step. Returns the norm of their gradients,
    /// or 0 where clipping is off.
    double step(const Tape& tape);

    /// As Sgd's: step() launches what can be captured, prepare() comes before each, nothing is read back.
    void hold(HostValues& values);
    void prepare();
    const std::vector<int>& stepped() const { return stepped_; }
    void count_replayed(std::span<const int> ranges);

    /// What a checkpoint holds of a range besides its weights: the moments as they are stored, of the store's type and
    /// shape (count), zero at first; and how many steps are in them. Throws Error(runtime) for a range it does not
    /// step.
    struct State {
        Tensor first, second;
        std::int64_t steps = 0;
    };
    const State& state(int range) const;
    /// For a restored state, whose moments were copied into state(range)'s tensors. Throws Error(runtime) as state(),
    /// and for a negative number.
    void set_steps(int range, std::int64_t steps);
    bool has(int range) const { return states_[static_cast<std::size_t>(range)].first.defined(); }

  private:
    ParameterStore& store_;
    AdamOptions options_;
    std::function<double(std::int64_t)> learning_rate_;
    Arena moments_;
    std::vector<State> states_;  // by range; undefined tensors: not stepped
    std::int64_t step_ = 0;
    std::vector<int> stepped_;
    HostValues* values_ = nullptr;
    std::vector<double*> corrections_;  // by range, in values_
    Tensor squares_;
    kernels::AdamStep step_now() const;
};

}  // namespace nascent
