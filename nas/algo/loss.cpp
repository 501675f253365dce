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

double finite_loss(const Tensor& loss, const char* advice) {
    double value = 0;
    with_type(loss.dtype, [&](auto zero) {
        decltype(zero) v;
        loss.device->copy_out(&v, loss.data, sizeof(v));
        value = v;
    });
    NASCENT_CHECK(std::isfinite(value), runtime, "the loss is {}: the training has diverged; try {}",
                  std::isnan(value) ? "not a number" : "infinite", advice);
    return value;
}

}  // namespace nascent
