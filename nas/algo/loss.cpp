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

void backward_from(Tape& tape, const Tensor& loss) { backward_from(tape, loss, Cotangents{}); }
void backward_from(Tape& tape, const Tensor& plus, const Tensor& minus) { backward_from(tape, plus, minus, {}); }

void backward_from(Tape& tape, const Tensor& loss, const Cotangents& of) {
    tape.backward(loss, of.one.defined() ? of.one : scalar(loss.dtype, 1));
}

void backward_from(Tape& tape, const Tensor& plus, const Tensor& minus, const Cotangents& of) {
    const Tape::Cotangent difference[] = {{plus, of.one.defined() ? of.one : scalar(plus.dtype, 1)},
                                          {minus, of.minus_one.defined() ? of.minus_one : scalar(minus.dtype, -1)}};
    tape.backward(difference);
}

double read_scalar(const Tensor& t) {
    return with_type(t.dtype, [&](auto zero) {
        decltype(zero) value;
        t.device->copy_out(&value, t.data, sizeof(value));
        return static_cast<double>(value);
    });
}

double finite_loss(const Tensor& loss, const char* advice) { return finite_loss(read_scalar(loss), advice); }

double finite_loss(double value, const char* advice) {
    NASCENT_CHECK(std::isfinite(value), runtime, "the loss is {}: the training has diverged; try {}",
                  std::isnan(value) ? "not a number" : "infinite", advice);
    return value;
}

}  // namespace nascent
