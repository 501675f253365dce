// Learning rates by epoch or step, as closed forms: nothing is carried from one to the next.
#pragma once
#include <cstdint>

namespace nascent {

/// lr_min + (lr - lr_min) (1 + cos(pi epoch / epochs)) / 2.
double cosine_lr(double lr, double lr_min, std::int64_t epochs, std::int64_t epoch);

/// What PyTorch's chainable cosine makes of the rate `lr` that it is given at epoch `from`, later epochs: each
/// multiplies what is above lr_min by (1 + cos(pi epoch / epochs)) / (1 + cos(pi (epoch - 1) / epochs)). DrNAS's second
/// stage begins so with the whole rate of the first (a new optimizer with the old scheduler's counter).
double resumed_cosine_lr(double lr, double lr_min, std::int64_t epochs, std::int64_t from, std::int64_t epoch);

/// Of the ImageNet training of PC-DARTS and EvNAS, epochs > 5: lr (epochs - 5 - epoch) / (epochs - 5) while more than
/// five epochs are left, then lr (epochs - epoch) / (5 (epochs - 5)).
double linear_lr(double lr, std::int64_t epochs, std::int64_t epoch);

/// That schedule with its first five epochs warmed up where the batch is above 256: PC-DARTS replaces the rate by
/// lr (epoch + 1) / 5, EvNAS multiplies it by (epoch + 1) / 5.
enum class WarmUp { replace, multiply };
double warm_linear_lr(double lr, std::int64_t epochs, std::int64_t epoch, int batch, WarmUp warm_up);

/// By steps, linear to a floor: max(lr_min, lr - (lr - lr_min) step / steps). RLNAS's and AngleNAS's ImageNet training,
/// which counts steps - the scheduler's before the update - from 1 and `steps` as whole batches.
double linear_step_lr(double lr, double lr_min, std::int64_t steps, std::int64_t step);

}  // namespace nascent
