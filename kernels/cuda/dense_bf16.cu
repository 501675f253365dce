#include "kernels/common/bf16.cuh"
#include "kernels/common/bf16_conv.cuh"
#include "kernels/common/dense_gradient.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/summed.cuh"

namespace nascent::kernels::gpu {
namespace {
simt::stream_t handle(const Stream& stream) { return static_cast<simt::stream_t>(stream.handle); }
}  // namespace

void bf16_conv_forward(const Stream& stream, const ConvShape& shape, const std::uint16_t* x,
                       const Prologue<float>& prologue, const float* w, std::uint16_t* z, double* sums,
                       void* workspace) {
    const ConvShape s = flattened(shape);
    const DensePlan plan = plan_dense<Bf16>(s, false);
    launch_dense_summed<Bf16>(handle(stream), plan, StoredSource{x, s.h, s.w, s.c_in, prologue}, w,
                              StoreZStored{z, s.out_h(), s.out_w(), s.c_out}, sums, workspace);
}

void bf16_conv_backward(const Stream& stream, const ConvShape& shape, const std::uint16_t* x,
                        const Prologue<float>& prologue, const float* w, const std::uint16_t* dy,
                        const StoredFold& fold, std::uint16_t* da, float* dw, void* workspace) {
    const ConvShape s = flattened(shape);
    const StoredSource input{x, s.h, s.w, s.c_in, prologue};
    const StoredGradient gradient{dy, s.out_h(), s.out_w(), s.c_out, fold};
    if (da)
        launch_dense<Bf16, true>(handle(stream), plan_dense<Bf16>(s, true), gradient, w, StoreGradientStored{da, input},
                                 nullptr);
    if (!dw) return;
    const DenseGradientPlan plan = plan_dense_gradient<Bf16>(s);
    float* partials = static_cast<float*>(workspace);
    if (s.k == 1)
        launch_dense_gradient<Bf16, 1>(handle(stream), plan, input, gradient, partials);
    else
        launch_dense_gradient<Bf16, 3>(handle(stream), plan, input, gradient, partials);
    add_partials(handle(stream), partials, plan.grid.x, static_cast<std::size_t>(s.k * s.k) * s.c_in * s.c_out, dw,
                 false);
}

std::size_t bf16_forward_workspace(const ConvShape& s) {
    return summed_workspace(plan_dense<Bf16>(flattened(s), false).grid.x, s.c_out);
}
std::size_t bf16_backward_workspace(const ConvShape& s) {
    return std::size_t{plan_dense_gradient<Bf16>(flattened(s)).grid.x} * static_cast<std::size_t>(s.k * s.k) * s.c_in *
           s.c_out * sizeof(float);
}

}  // namespace nascent::kernels::gpu
