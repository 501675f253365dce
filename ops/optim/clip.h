// What optimizers share.
#pragma once
#include "engine/autograd/tape.h"

namespace nascent {

/// While it lives, which is while a tape's backward runs, kernels that end gradients of weights leave the sums of their
/// squares (kernels/clip.h) in the tape's arena, for sum_of_squares() to read in place of the gradients. Not on a CPU;
/// nor while calls are captured, since a replayed call could not say what it leaves. A sum in another order has other
/// last bits, so of one run all steps do, or none.
class SquaresScope {
  public:
    /// Gradients must have fixed places, unless there is nothing `wanted`.
    SquaresScope(Tape& tape, const ParameterStore& store, bool wanted);
    ~SquaresScope();
    SquaresScope(const SquaresScope&) = delete;
    SquaresScope& operator=(const SquaresScope&) = delete;

  private:
    Tape& tape_;
    const ParameterStore& store_;
    bool on_ = false;
};

/// The sum of squares of all gradients of the written ranges that `wanted` holds for (null: all), one double in the
/// device's memory: in `sum`, or where that is null in the tape's arena, whose scope is the caller's.
const double* sum_of_squares(const Tape& tape, const ParameterStore& store,
                             const std::function<bool(int range)>& wanted = nullptr, double* sum = nullptr);

}  // namespace nascent
