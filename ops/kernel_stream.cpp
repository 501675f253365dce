#include "ops/kernel_stream.h"

#include <stdexcept>

#include "kernels/target.h"

namespace nascent {

kernels::Stream kernel_stream(Device& device) {
    ThreadPool* pool = device.pool();
    if (!pool) {
        kernels::Stream stream{kernels::Where::gpu, device.stream()};
        // What of a network in bf16 is float32 is multiplied as tf32, which rounds less than its activations were.
        if (device.kernel_options.precision != Precision::float32) stream.precision = kernels::Precision::tf32;
        return stream;
    }
    return {kernels::Where::cpu,
            pool,
            pool->threads(),
            [](void* handle, int chunks, ThreadPool::Body body, void* context) {
                static_cast<ThreadPool*>(handle)->run(chunks, body, context);
            },
            device.kernel_options.winograd,
            kernels::Precision::float32};
}

DType activation_type(DType parameters) {
    const bool stored = current_arena().device().kernel_options.precision == Precision::bf16;
    return stored && parameters == DType::f32 ? DType::bf16 : parameters;
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
    // Kernels count pixels, and the rows of tiles beyond the last one, in 31 bits.
    const std::int64_t pixels = x.shape[0] * x.shape[1] * x.shape[2];
    NASCENT_CHECK(pixels < (std::int64_t{1} << 31) - 1024, usage,
                  "{} {}: {} pixels in a batch, expected less than 2^31; "
                  "a smaller batch",
                  what, x.shape.text(), pixels);
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
    NASCENT_CHECK(w.dtype == compute_type(x.dtype), runtime, "weights are {}, x is {}", name_of(w.dtype),
                  name_of(x.dtype));
    return {i.n, i.h, i.w, i.c, static_cast<int>(w.shape[3]), static_cast<int>(w.shape[0]), stride};
}

Shape window_output(const kernels::Image& x, const kernels::Window& at, std::int64_t channels) {
    NASCENT_CHECK(at.h.stride >= 1 && at.w.stride >= 1 && at.h.dilation >= 1 && at.w.dilation >= 1, runtime,
                  "strides {} and {}, dilations {} and {}: expected 1 or more", at.h.stride, at.w.stride, at.h.dilation,
                  at.w.dilation);
    const int h = at.h.windows(x.h), w = at.w.windows(x.w);
    NASCENT_CHECK(h > 0 && w > 0, runtime, "windows of {} x {} taps do not fit x ({}, {}, {}, {})", at.h.taps,
                  at.w.taps, x.n, x.h, x.w, x.c);
    return {x.n, h, w, channels};
}

kernels::PoolShape pool_shape(const Tensor& x, int k, int stride, int padding) {
    const kernels::Image image = image_of(x);
    NASCENT_CHECK(k >= 1 && k <= 15 && stride >= 1 && padding >= 0 && padding <= k / 2, runtime,
                  "a pool of {0} x {0} pixels, stride {1}, padding {2}: expected 1 to 15, at least 1, and at most half",
                  k, stride, padding);
    NASCENT_CHECK(image.h + 2 * padding >= k && image.w + 2 * padding >= k, runtime,
                  "a pool of {0} x {0} pixels, padding {1}, does not fit x {2}", k, padding, x.shape.text());
    return {image, k, stride, padding};
}

void check_vector(const Tensor& t, std::int64_t size, DType dtype, const char* what) {
    NASCENT_CHECK(t.shape == Shape({size}) && t.dtype == dtype, runtime, "{}: expected {} ({}), got {} {}", what,
                  name_of(dtype), size, name_of(t.dtype), t.shape.text());
}

}  // namespace nascent
