// The bridge between the siblings: the engine's current device as a kernel's stream, and shapes as kernels take them.
#pragma once
#include "engine/autograd/op.h"
#include "kernels/conv.h"
#include "kernels/element.h"
#include "kernels/node.h"
#include "kernels/pool_plain.h"
#include "kernels/window.h"

namespace nascent {

template <>
constexpr DType dtype_of<kernels::BFloat16>() {
    return DType::bf16;
}

/// with_type for kernels that know what is stored from what is computed with: f may get a BFloat16 too.
template <class F>
decltype(auto) with_stored(DType t, F&& f) {
    if (t == DType::bf16) return f(kernels::BFloat16{});
    return with_type(t, f);
}
/// Of the parameters, vectors and arithmetic that belong to tensors of `stored`.
inline DType compute_type(DType stored) { return stored == DType::bf16 ? DType::f32 : stored; }

/// What activations of a network whose parameters are of this type are stored as on the current device, by its
/// precision.
DType activation_type(DType parameters);

/// The stream that kernels on this device run on.
kernels::Stream kernel_stream(Device& device);
inline kernels::Stream kernel_stream() { return kernel_stream(current_arena().device()); }

/// The instruction set that the CPU's kernels run on: avx512, avx2 or fallback; results differ between them by
/// rounding. Throws Error(usage) where NASCENT_CPU_TARGET names one that this machine lacks.
std::string kernel_target();

/// (n, h, w, c) of an image tensor; throws Error(runtime) for another rank, Error(usage) for 2^31 pixels (some less).
kernels::Image image_of(const Tensor& x, const char* what = "x");
/// The convolution of x (n, h, w, c_in) with w (k, k, c_in, c_out), padding k / 2; checks ranks, channels, k in {1, 3},
/// and that w is what x is computed with.
kernels::ConvShape conv_shape(const Tensor& x, const Tensor& w, int stride);
inline Shape conv_output(const kernels::ConvShape& s) { return {s.n, s.out_h(), s.out_w(), s.c_out}; }
/// A convolution's weights as its kernel takes them.
template <class S>
kernels::ConvWeights<S> conv_weights(const Tensor& w) {
    return {w.as<kernels::Compute<S>>(), static_cast<const kernels::BFloat16*>(w.rounded)};
}
/// The output of windows on an image; throws Error(runtime) where none fits, or for a stride or dilation below 1.
Shape window_output(const kernels::Image& x, const kernels::Window& at, std::int64_t channels);
/// A pool of k x k pixels over x; throws Error(runtime) unless k is in [1, 15], padding at most k / 2, and one fits.
kernels::PoolShape pool_shape(const Tensor& x, int k, int stride, int padding);
/// Throws Error(runtime) unless t is a vector of `size` elements of this type.
void check_vector(const Tensor& t, std::int64_t size, DType dtype, const char* what);

/// Bytes from the current arena for a kernel; released by the caller's ScratchScope.
inline void* workspace(std::size_t bytes) { return current_arena().allocate(bytes); }

/// Scratch or saved doubles from the current arena.
inline double* doubles(std::size_t count) {
    return static_cast<double*>(current_arena().allocate(count * sizeof(double)));
}

}  // namespace nascent
