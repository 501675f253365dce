#include "nas/algo/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nascent {
namespace {
constexpr int tail = 5;  // epochs of the slow end, and of the warm-up
}

double cosine_lr(double lr, double lr_min, std::int64_t epochs, std::int64_t epoch) {
    return lr_min + (lr - lr_min) *
                        (1 + std::cos(std::numbers::pi * static_cast<double>(epoch) / static_cast<double>(epochs))) / 2;
}

double resumed_cosine_lr(double lr, double lr_min, std::int64_t epochs, std::int64_t from, std::int64_t epoch) {
    return lr_min + (lr - lr_min) * cosine_lr(1, 0, epochs, epoch) / cosine_lr(1, 0, epochs, from);
}

double linear_lr(double lr, std::int64_t epochs, std::int64_t epoch) {
    const auto left = static_cast<double>(epochs - epoch), whole = static_cast<double>(epochs - tail);
    return epochs - epoch > tail ? lr * (left - tail) / whole : lr * left / (tail * whole);
}

double linear_step_lr(double lr, double lr_min, std::int64_t steps, std::int64_t step) {
    return std::max(lr_min, lr - (lr - lr_min) * static_cast<double>(step) / static_cast<double>(steps));
}

double warm_linear_lr(double lr, std::int64_t epochs, std::int64_t epoch, int batch, WarmUp warm_up) {
    const double usual = linear_lr(lr, epochs, epoch);
    if (epoch >= tail || batch <= 256) return usual;
    return (warm_up == WarmUp::replace ? lr : usual) * static_cast<double>(epoch + 1) / tail;
}

}  // namespace nascent
