// What optimizers share.
#pragma once
#include "engine/autograd/tape.h"

namespace nascent {

/// The sum of squares of all gradients of the written ranges that `wanted` holds for (null: all), one double in the
/// device's memory: in `sum`, or where that is null in the tape's arena, whose scope is the caller's.
const double* sum_of_squares(const Tape& tape, const ParameterStore& store,
                             const std::function<bool(int range)>& wanted = nullptr, double* sum = nullptr);

}  // namespace nascent
