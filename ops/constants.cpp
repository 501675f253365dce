#include "ops/constants.h"

#include <vector>

#include "engine/autograd/execution.h"

namespace nascent {

Tensor constants(const Shape& shape, DType dtype, std::span<const double> values) {
    const Tensor t = empty(shape, dtype);
    write_numbers(t, values);
    return t;
}

Tensor constants(const Shape& shape, DType dtype, double value) {
    return constants(shape, dtype, std::vector<double>(shape.size(), value));
}

std::vector<double> numbers_of(const Tensor& t) {
    return with_type(t.dtype, [&](auto zero) {
        std::vector<decltype(zero)> typed(t.size());
        t.device->copy_out(typed.data(), t.data, t.bytes());
        return std::vector<double>(typed.begin(), typed.end());
    });
}

void write_numbers(const Tensor& t, std::span<const double> values) {
    NASCENT_CHECK(values.size() == t.size(), runtime, "{} values for {}", values.size(), t.shape.text());
    with_type(t.dtype, [&](auto zero) {
        const std::vector<decltype(zero)> typed(values.begin(), values.end());
        t.device->copy_in(t.data, typed.data(), t.bytes());
    });
}

}  // namespace nascent
