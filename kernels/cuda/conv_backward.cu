#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/weight_gradient.cuh"
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

template <class S>
void conv_backward(const Stream& stream, const ConvShape& shape, const S* x, Prologue<S> prologue,
                   ConvWeights<S> weights, const S* dy, NormFold<S> fold, S* da, bool accumulate_da, Compute<S>* dw,
                   bool accumulate_dw, void* workspace) {
    using T = Compute<S>;
    const T* w = weights.w;
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const int h = shape.h, w_in = shape.w, c_in = shape.c_in, c_out = shape.c_out;
    const int out_h = shape.out_h(), out_w = shape.out_w();
    const bool wide_in = wide<S, kGroup<S>>(c_in, {x}) && wide_vectors({prologue.scale, prologue.shift});
    const bool wide_dz = wide<S, kGroup<S>>(c_out, {dy, fold.z}) && wide_vectors({fold.scale, fold.slope, fold.shift});
    if constexpr (std::is_same_v<T, float>) {
        if (da && dense_input_gradient<S>(stream, shape, x, prologue, weights, dy, fold, da, accumulate_da))
            da = nullptr;
        if (dw && dense_weight_gradient<S>(stream, shape, x, prologue, dy, fold, dw, accumulate_dw, workspace))
            dw = nullptr;
    }
    if (da) {
        const ConvPlan plan = plan_convolution<T>(shape, true);
        with_width<T>(wide_dz, [&](auto n) {
            using Source = FoldSource<S, (n > 1)>;
            simt::launch(
                convolve_kernel<true, T, Source, StoreGradient<S>>,
                {plan.grid, plan.threads, plan.shared_bytes, handle}, plan.s, Source{dy, out_h, out_w, c_out, fold}, w,
                wide<T>(c_out, {w}),
                StoreGradient<S>{
                    da, {x, h, w_in, c_in, prologue}, wide_in && wide<S, kGroup<S>>(c_in, {da}), accumulate_da},
                nullptr);
        });
    }
    if (!dw) return;
    const GradientPlan plan = plan_gradient<T>(shape);
    T* partials = static_cast<T*>(workspace);
    with_width<T>(wide_in && wide_dz, [&](auto n) {
        auto launch = [&](auto k) {
            using Input = PrologueSource<S, (n > 1)>;
            using Gradient = FoldSource<S, (n > 1)>;
            simt::launch(weight_gradient_kernel<k, T, Input, Gradient>,
                         {plan.grid, plan.threads, plan.shared_bytes, handle}, plan.s,
                         Input{x, h, w_in, c_in, prologue}, Gradient{dy, out_h, out_w, c_out, fold},
                         wide<T>(c_out, {partials}), partials);
        };
        if (shape.k == 1)
            launch(std::integral_constant<int, 1>{});
        else
            launch(std::integral_constant<int, 3>{});
    });
    const std::size_t count = static_cast<std::size_t>(shape.k * shape.k) * c_in * c_out;
    add_partials(handle, partials, plan.grid.x, count, dw, accumulate_dw);
}

std::size_t conv_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    return of_element(element, [&](auto zero) {
        using S = decltype(zero);
        const std::size_t strict = std::size_t{plan_gradient<Compute<S>>(shape).grid.x} *
                                   static_cast<std::size_t>(shape.k * shape.k) * shape.c_in * shape.c_out *
                                   sizeof(Compute<S>);
        if constexpr (std::is_same_v<S, double>)
            return strict;
        else
            return std::max(strict, dense_backward_workspace<S>(stream, shape));
    });
}

#define NASCENT_CONV(S)                                                                                           \
    template void conv_backward(const Stream&, const ConvShape&, const S*, Prologue<S>, ConvWeights<S>, const S*, \
                                NormFold<S>, S*, bool, Compute<S>*, bool, void*);
NASCENT_CONV(float)
NASCENT_CONV(double)
NASCENT_CONV(BFloat16)
#undef NASCENT_CONV

}  // namespace nascent::kernels::gpu
