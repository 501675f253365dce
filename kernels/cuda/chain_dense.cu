#include "kernels/common/chain.cuh"
#include "kernels/common/dense_gradient.cuh"
#include "kernels/common/dense_link.cuh"
#include "kernels/common/partials.cuh"

namespace nascent::kernels::gpu {
namespace {
using Input = NormedSource<float, true>;
using Gradient = LinkSource<float, true>;

LinkShape flat(LinkShape s) {
    s.w *= s.n * s.h, s.n = s.h = 1;
    return s;
}
ConvShape conv_of(const LinkShape& s) { return {s.n, s.h, s.w, s.c_in, s.c_out, 1, 1}; }
simt::stream_t handle(const Stream& stream) { return static_cast<simt::stream_t>(stream.handle); }
}  // namespace

bool dense_link_forward(const Stream& stream, const LinkShape& shape, const Normed<float>& input, const float* w,
                        float* z, double* sums, void* workspace) {
    if (!has_dense<float>(stream, shape.c_in, shape.c_out) || !wide_normed(shape.c_in, input) ||
        !wide<float>(shape.c_out, {w, z}))
        return false;
    const LinkShape s = flat(shape);
    const DensePlan plan = plan_dense(conv_of(s), false);
    double* partials = sums ? static_cast<double*>(workspace) : nullptr;
    launch_dense<Tf32, false>(handle(stream), plan, Input{input, s.h, s.w, s.c_in}, w,
                              StoreZ<float>{z, s.h, s.w, s.c_out, true}, partials);
    if (sums) add_partials(handle(stream), partials, plan.grid.x, 2 * static_cast<std::size_t>(s.c_out), sums, false);
    return true;
}

bool dense_link_input_gradient(const Stream& stream, const LinkShape& shape, const Normed<float>& input, const float* w,
                               const NormedGradient<float>& gradient, const NormFold<float>& fold,
                               const LinkTarget<float>& target, void* workspace) {
    if (!has_dense<float>(stream, shape.c_in, shape.c_out) || !wide_gradient(shape, gradient, fold) ||
        !wide<float>(shape.c_out, {w}))
        return false;
    const LinkShape s = flat(shape);
    const DensePlan plan = plan_dense(conv_of(s), true);
    const Gradient source{gradient, fold, s.h, s.w, s.c_out};
    if (!target.sums) {
        launch_dense<Tf32, true>(handle(stream), plan, source, w, link_sink(s, input, target), nullptr);
        return true;
    }
    double* sums = static_cast<double*>(workspace);
    launch_dense<Tf32, true>(handle(stream), plan, source, w, summed_sink(s, input, target), sums);
    add_partials(handle(stream), sums, plan.grid.x, 2 * static_cast<std::size_t>(s.c_in), target.sums, false);
    return true;
}

bool dense_link_weight_gradient(const Stream& stream, const LinkShape& shape, const Normed<float>& input,
                                const NormedGradient<float>& gradient, const NormFold<float>& fold, float* dw,
                                bool accumulate, void* workspace) {
    if (!has_dense<float>(stream, shape.c_in, shape.c_out) || !wide_gradient(shape, gradient, fold) ||
        !wide_normed(shape.c_in, input))
        return false;
    const LinkShape s = flat(shape);
    const DenseGradientPlan plan = plan_dense_gradient(conv_of(s));
    float* partials = static_cast<float*>(workspace);
    launch_dense_gradient<Tf32, 1>(handle(stream), plan, Input{input, s.h, s.w, s.c_in},
                                   Gradient{gradient, fold, s.h, s.w, s.c_out}, partials);
    add_partials(handle(stream), partials, plan.grid.x, static_cast<std::size_t>(s.c_in) * s.c_out, dw, accumulate);
    return true;
}

std::size_t dense_link_workspace(const Stream& stream, const LinkShape& shape, bool backward) {
    if (!has_dense<float>(stream, shape.c_in, shape.c_out)) return 0;
    const ConvShape s = conv_of(flat(shape));
    const std::size_t sums = std::size_t{plan_dense(s, backward).grid.x} * 2 *
                             static_cast<std::size_t>(backward ? s.c_in : s.c_out) * sizeof(double);
    if (!backward) return sums;
    return std::max(
        sums, std::size_t{plan_dense_gradient(s).grid.x} * static_cast<std::size_t>(s.c_in) * s.c_out * sizeof(float));
}

}  // namespace nascent::kernels::gpu
