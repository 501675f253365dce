#include "nas/algo/loss.h"

#include <cmath>

#include "engine/autograd/execution.h"

namespace nascent {

void backward_from(Tape& tape, const Tensor& loss) {
    with_type(loss.dtype, [&](auto zero) {
        const decltype(zero) one = 1;
        const Tensor seed = empty({1}, loss.dtype);
        seed.device->copy_in(seed.data, &one, sizeof(one));
        tape.backward(loss, seed);
    });
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
