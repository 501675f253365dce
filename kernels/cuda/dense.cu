#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/dense_gradient.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/summed.cuh"

namespace nascent::kernels::gpu {
namespace {
using Input = PrologueSource<float, true>;
using Gradient = FoldSource<float, true>;

Input input(const ConvShape& s, const float* x, const Prologue<float>& prologue) {
    return {x, s.h, s.w, s.c_in, prologue};
}
bool wide_input(const ConvShape& s, const float* x, const Prologue<float>& prologue) {
    return wide<float>(s.c_in, {x, prologue.scale, prologue.shift});
}
bool wide_gradient(const ConvShape& s, const float* dy, const NormFold<float>& fold) {
    return wide<float>(s.c_out, {dy, fold.z, fold.scale, fold.slope, fold.shift});
}
simt::stream_t handle(const Stream& stream) { return static_cast<simt::stream_t>(stream.handle); }
}  // namespace

bool dense_forward(const Stream& stream, const ConvShape& shape, const float* x, const Prologue<float>& prologue,
                   const float* w, float* z, double* sums, void* workspace) {
    if (!has_dense(stream, shape.c_in, shape.c_out) || !wide_input(shape, x, prologue) ||
        !wide<float>(shape.c_out, {w, z}))
        return false;
    const ConvShape s = flattened(shape);
    const DensePlan plan = plan_dense(s, false);
    launch_dense_summed<Tf32>(handle(stream), plan, input(s, x, prologue), w,
                              StoreZ<float>{z, s.out_h(), s.out_w(), s.c_out, true}, sums, workspace);
    return true;
}

bool dense_input_gradient(const Stream& stream, const ConvShape& shape, const float* x, const Prologue<float>& prologue,
                          const float* w, const float* dy, const NormFold<float>& fold, float* da, bool accumulate) {
    if (!has_dense(stream, shape.c_in, shape.c_out) || !wide_gradient(shape, dy, fold) ||
        !wide<float>(shape.c_out, {w}))
        return false;
    const ConvShape s = flattened(shape);
    const bool is_wide = wide_input(s, x, prologue) && wide<float>(s.c_in, {da});
    launch_dense<Tf32, true>(handle(stream), plan_dense(s, true), Gradient{dy, s.out_h(), s.out_w(), s.c_out, fold}, w,
                             StoreGradient<float>{da, {x, s.h, s.w, s.c_in, prologue}, is_wide, accumulate}, nullptr);
    return true;
}

bool dense_weight_gradient(const Stream& stream, const ConvShape& shape, const float* x,
                           const Prologue<float>& prologue, const float* dy, const NormFold<float>& fold, float* dw,
                           bool accumulate, void* workspace) {
    if (!has_dense(stream, shape.c_in, shape.c_out) || !wide_gradient(shape, dy, fold) ||
        !wide_input(shape, x, prologue))
        return false;
    const ConvShape s = flattened(shape);
    const DenseGradientPlan plan = plan_dense_gradient(s);
    float* partials = static_cast<float*>(workspace);
    const Gradient gradient{dy, s.out_h(), s.out_w(), s.c_out, fold};
    if (s.k == 1)
        launch_dense_gradient<Tf32, 1>(handle(stream), plan, input(s, x, prologue), gradient, partials);
    else
        launch_dense_gradient<Tf32, 3>(handle(stream), plan, input(s, x, prologue), gradient, partials);
    add_partials(handle(stream), partials, plan.grid.x, static_cast<std::size_t>(s.k * s.k) * s.c_in * s.c_out, dw,
                 accumulate);
    return true;
}

std::size_t dense_forward_workspace(const Stream& stream, const ConvShape& s) {
    if (!has_dense(stream, s.c_in, s.c_out)) return 0;
    return summed_workspace(plan_dense(flattened(s), false).grid.x, s.c_out);
}
std::size_t dense_backward_workspace(const Stream& stream, const ConvShape& s) {
    if (!has_dense(stream, s.c_in, s.c_out)) return 0;
    return std::size_t{plan_dense_gradient(flattened(s)).grid.x} * static_cast<std::size_t>(s.k * s.k) * s.c_in *
           s.c_out * sizeof(float);
}

}  // namespace nascent::kernels::gpu
