#include "ops/kernel_stream.h"

#include <stdexcept>

#include "kernels/target.h"

namespace nascent {

kernels::Stream kernel_stream(Device& device) {
    ThreadPool* pool = device.pool();
    if (!pool) return {kernels::Where::gpu, device.stream()};
    return {kernels::Where::cpu, pool, pool->threads(),
            [](void* handle, int chunks, ThreadPool::Body body, void* context) {
                static_cast<ThreadPool*>(handle)->run(chunks, body, context);
            },
            device.kernel_options.winograd};
}

std::string kernel_target() {
    try {
        return std::string(kernels::cpu_target());
    } catch (const std::invalid_argument& e) {
        fail(ErrorKind::usage, "{}", e.what());
    }
}

kernels::Image image_of(const Tensor& x, const char* what) {
    NASCENT_CHECK(x.shape.rank() == 4, runtime, "{}: expected (n, h, w, c), got {}", what, x.shape.text());
    return {static_cast<int>(x.shape[0]), static_cast<int>(x.shape[1]), static_cast<int>(x.shape[2]),
            static_cast<int>(x.shape[3])};
}

kernels::ConvShape conv_shape(const Tensor& x, const Tensor& w, int stride) {
    const kernels::Image i = image_of(x);
    NASCENT_CHECK(w.shape.rank() == 4 && w.shape[0] == w.shape[1] && (w.shape[0] == 1 || w.shape[0] == 3), runtime,
                  "weights: expected (k, k, c_in, c_out) with k 1 or 3, got {}", w.shape.text());
    NASCENT_CHECK(w.shape[2] == i.c, runtime, "weights {} do not fit the {} channels of x {}", w.shape.text(), i.c,
                  x.shape.text());
    NASCENT_CHECK(stride == 1 || stride == 2, runtime, "stride: expected 1 or 2, got {}", stride);
    NASCENT_CHECK(w.dtype == x.dtype, runtime, "weights are {}, x is {}", name_of(w.dtype), name_of(x.dtype));
    return {i.n, i.h, i.w, i.c, static_cast<int>(w.shape[3]), static_cast<int>(w.shape[0]), stride};
}

void check_vector(const Tensor& t, std::int64_t size, DType dtype, const char* what) {
    NASCENT_CHECK(t.shape == Shape({size}) && t.dtype == dtype, runtime, "{}: expected {} ({}), got {} {}", what,
                  name_of(dtype), size, name_of(t.dtype), t.shape.text());
}

}  // namespace nascent
