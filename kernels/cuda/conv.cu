#include "kernels/common/dense_conv.cuh"
#include "kernels/common/summed.cuh"
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

template <class S>
void conv_forward(const Stream& stream, const ConvShape& shape, const S* x, Prologue<S> prologue,
                  ConvWeights<S> weights, S* z, double* sums, void* workspace) {
    using T = Compute<S>;
    const T* w = weights.w;
    if constexpr (std::is_same_v<T, float>)
        if (dense_forward<S>(stream, shape, x, prologue, weights, z, sums, workspace)) return;
    const ConvPlan plan = plan_convolution<T>(shape, false);
    const ConvTiles& s = plan.s;
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const bool is_wide = wide<S, kGroup<S>>(s.in_c, {x}) && wide_vectors({prologue.scale, prologue.shift});
    with_width<T>(is_wide, [&](auto n) {
        using Source = PrologueSource<S, (n > 1)>;
        launch_summed<T>(handle, plan, Source{x, s.in_h, s.in_w, s.in_c, prologue}, w, wide<T>(s.out_c, {w}),
                         StoreZ<S>{z, s.out_h, s.out_w, s.out_c, wide<S, kGroup<S>>(s.out_c, {z})}, sums, workspace);
    });
}

std::size_t conv_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    return of_element(element, [&](auto zero) {
        using S = decltype(zero);
        const std::size_t strict = summed_workspace(plan_convolution<Compute<S>>(shape, false).grid.x, shape.c_out);
        if constexpr (std::is_same_v<S, double>)
            return strict;
        else
            return std::max(strict, dense_forward_workspace<S>(stream, shape));
    });
}

#define NASCENT_CONV(S)                                                                                             \
    template void conv_forward(const Stream&, const ConvShape&, const S*, Prologue<S>, ConvWeights<S>, S*, double*, \
                               void*);
NASCENT_CONV(float)
NASCENT_CONV(double)
NASCENT_CONV(BFloat16)
#undef NASCENT_CONV

}  // namespace nascent::kernels::gpu
