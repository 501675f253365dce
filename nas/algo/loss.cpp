#include "nas/algo/loss.h"

#include <cmath>

#include "engine/autograd/execution.h"

namespace nascent {

namespace {
Tensor scalar(DType dtype, double value) {
    const Tensor t = empty({1}, dtype);
    with_type(dtype, [&](auto zero) {
        const auto typed = static_cast<decltype(zero)>(value);
        t.device->copy_in(t.data, &typed, sizeof(typed));
    });
    return t;
}
}  // namespace

void backward_from(Tape& tape, const Tensor& loss) { tape.backward(loss, scalar(loss.dtype, 1)); }

void backward_from(Tape& tape, const Tensor& plus, const Tensor& minus) {
    const Tape::Cotangent difference[] = {{plus, scalar(plus.dtype, 1)}, {minus, scalar(minus.dtype, -1)}};
    tape.backward(difference);
}

double read_scalar(const Tensor& t) {
    return with_type(t.dtype, [&](auto zero) {
        decltype(zero) value;
        t.device->copy_out(&value, t.data, sizeof(value));
        return static_cast<double>(value);
    });
}

double finite_loss(const Tensor& loss, const char* advice) {
    const double value = read_scalar(loss);
    NASCENT_CHECK(std::isfinite(value), runtime, "the loss is {}: the training has diverged; try {}",
                  std::isnan(value) ? "not a number" : "infinite", advice);
    return value;
}

}  // namespace nascent
