// See dense_conv.cuh. A file for each type.
#pragma once
#include "kernels/common/bf16.cuh"
#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/dense_gradient.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/summed.cuh"

namespace nascent::kernels::gpu {
namespace {
template <class S>
bool wide_input(const ConvShape& s, const S* x, const Prologue<S>& prologue) {
    return wide<S>(s.c_in, {x}) && wide_vectors({prologue.scale, prologue.shift});
}
template <class S>
bool wide_gradient(const ConvShape& s, const S* dy, const NormFold<S>& fold) {
    return wide<S>(s.c_out, {dy, fold.z}) && wide_vectors({fold.scale, fold.slope, fold.shift});
}
simt::stream_t handle(const Stream& stream) { return static_cast<simt::stream_t>(stream.handle); }
}  // namespace

template <class S>
bool dense_forward(const Stream& stream, const ConvShape& shape, const S* x, const Prologue<S>& prologue,
                   ConvWeights<S> w, S* z, double* sums, void* workspace) {
    if (!has_dense<S>(stream, shape.c_in, shape.c_out) || !wide_input(shape, x, prologue) || !wide_vectors({w.w}) ||
        !wide<S>(shape.c_out, {z}))
        return false;
    using P = typename Dense<S>::Products;
    const ConvShape s = flattened(shape);
    const DensePlan plan = plan_dense<P>(s, false);
    launch_dense_summed<P>(handle(stream), plan, typename Dense<S>::Input{x, s.h, s.w, s.c_in, prologue},
                           {w.w, w.rounded}, StoreZ<S>{z, s.out_h(), s.out_w(), s.c_out, true}, sums, workspace);
    return true;
}

template <class S>
bool dense_input_gradient(const Stream& stream, const ConvShape& shape, const S* x, const Prologue<S>& prologue,
                          ConvWeights<S> w, const S* dy, const NormFold<S>& fold, S* da, bool accumulate) {
    if (!has_dense<S>(stream, shape.c_in, shape.c_out) || !wide_gradient(shape, dy, fold) || !wide_vectors({w.w}))
        return false;
    using P = typename Dense<S>::Products;
    const ConvShape s = flattened(shape);
    const bool is_wide = wide_input(s, x, prologue) && wide<S>(s.c_in, {da});
    launch_dense<P, true>(handle(stream), plan_dense<P>(s, true),
                          typename Dense<S>::Gradient{dy, s.out_h(), s.out_w(), s.c_out, fold}, {w.w, w.rounded},
                          StoreGradient<S>{da, {x, s.h, s.w, s.c_in, prologue}, is_wide, accumulate}, nullptr);
    return true;
}

template <class S>
bool dense_weight_gradients(const Stream& stream, const ConvShape& shape, const Prologue<S>& prologue,
                            std::span<const WeightGradient<S>> list, void* workspace) {
    bool can = has_dense<S>(stream, shape.c_in, shape.c_out);
    for (const WeightGradient<S>& g : list)
        can = can && wide_gradient(shape, g.dy, g.fold) && wide_input(shape, g.x, prologue);
    if (!can) return false;
    using P = typename Dense<S>::Products;
    using Input = typename Dense<S>::Input;
    using Gradient = typename Dense<S>::Gradient;
    const ConvShape s = flattened(shape);
    const DenseGradientPlan plan = plan_dense_gradient<P>(s, gradients_of_launch(list.size()));
    auto make = [&](const WeightGradient<S>& g) {
        return GradientItem<Input, Gradient>{{g.x, s.h, s.w, s.c_in, prologue},
                                             {g.dy, s.out_h(), s.out_w(), s.c_out, g.fold}};
    };
    launch_gradients<Input, Gradient>(
        handle(stream), plan.grid, s, list, static_cast<float*>(workspace), make,
        [&](const auto& items, unsigned count, float* partials) {
            if (s.k == 1)
                launch_dense_gradients<P, 1>(handle(stream), plan, items, count, partials);
            else
                launch_dense_gradients<P, 3>(handle(stream), plan, items, count, partials);
        });
    return true;
}

template <class S>
std::size_t dense_forward_workspace(const Stream& stream, const ConvShape& s) {
    if (!has_dense<S>(stream, s.c_in, s.c_out)) return 0;
    return summed_workspace(plan_dense<typename Dense<S>::Products>(flattened(s), false).grid.x, s.c_out);
}
template <class S>
std::size_t dense_backward_workspace(const Stream& stream, const ConvShape& s, std::size_t count) {
    if (!has_dense<S>(stream, s.c_in, s.c_out)) return 0;
    return count * plan_dense_gradient<typename Dense<S>::Products>(flattened(s), gradients_of_launch(count)).grid.x *
           static_cast<std::size_t>(s.k * s.k) * s.c_in * s.c_out * sizeof(float);
}

#define NASCENT_DENSE(S)                                                                                              \
    template bool dense_forward(const Stream&, const ConvShape&, const S*, const Prologue<S>&, ConvWeights<S>, S*,    \
                                double*, void*);                                                                      \
    template bool dense_input_gradient(const Stream&, const ConvShape&, const S*, const Prologue<S>&, ConvWeights<S>, \
                                       const S*, const NormFold<S>&, S*, bool);                                       \
    template bool dense_weight_gradients(const Stream&, const ConvShape&, const Prologue<S>&,                         \
                                         std::span<const WeightGradient<S>>, void*);                                  \
    template std::size_t dense_forward_workspace<S>(const Stream&, const ConvShape&);                                 \
    template std::size_t dense_backward_workspace<S>(const Stream&, const ConvShape&, std::size_t);

}  // namespace nascent::kernels::gpu
