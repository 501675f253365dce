#include "ops/copy.h"

#include "kernels/primitive.h"
#include "ops/kernel_stream.h"

namespace nascent {

void copy_into(const Tensor& to, const Tensor& from) {
    NASCENT_CHECK(to.shape == from.shape && to.dtype == from.dtype, runtime, "{} {} copied to {} {}",
                  name_of(from.dtype), from.shape.text(), name_of(to.dtype), to.shape.text());
    with_stored(from.dtype, [&](auto zero) {
        using T = decltype(zero);
        kernels::copy_or_add<T>(kernel_stream(), from.size(), from.as<T>(), to.as<T>(), false);
    });
}

}  // namespace nascent
