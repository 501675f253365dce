#include "kernels/common/dense_conv.cuh"
#include "kernels/common/summed.cuh"
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

template <class T>
void conv_forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w, T* z,
                  double* sums, void* workspace) {
    if constexpr (std::is_same_v<T, float>)
        if (dense_forward(stream, shape, x, prologue, w, z, sums, workspace)) return;
    const ConvPlan plan = plan_convolution<T>(shape, false);
    const ConvTiles& s = plan.s;
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    with_width<T>(wide<T>(s.in_c, {x, prologue.scale, prologue.shift}), [&](auto n) {
        using Source = PrologueSource<T, (n > 1)>;
        launch_summed<T>(handle, plan, Source{x, s.in_h, s.in_w, s.in_c, prologue}, w, wide<T>(s.out_c, {w}),
                         StoreZ<T>{z, s.out_h, s.out_w, s.out_c, wide<T>(s.out_c, {z})}, sums, workspace);
    });
}

std::size_t conv_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    const ConvPlan plan =
        element == sizeof(float) ? plan_convolution<float>(shape, false) : plan_convolution<double>(shape, false);
    return std::max(summed_workspace(plan.grid.x, shape.c_out),
                    element == sizeof(float) ? dense_forward_workspace(stream, shape) : 0);
}

#define NASCENT_CONV(T) \
    template void conv_forward(const Stream&, const ConvShape&, const T*, Prologue<T>, const T*, T*, double*, void*);
NASCENT_CONV(float)
NASCENT_CONV(double)
#undef NASCENT_CONV

}  // namespace nascent::kernels::gpu
