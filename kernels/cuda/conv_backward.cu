#include <array>

#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/weight_gradient.cuh"
#include "kernels/conv.h"

namespace nascent::kernels::gpu {
namespace {
template <class S>
bool wide_dz(const ConvShape& s, const S* dy, const NormFold<S>& fold) {
    return wide<S, kGroup<S>>(s.c_out, {dy, fold.z}) && wide_vectors({fold.scale, fold.slope, fold.shift});
}
}  // namespace

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
    if constexpr (std::is_same_v<T, float>)
        if (da && dense_input_gradient<S>(stream, shape, x, prologue, weights, dy, fold, da, accumulate_da))
            da = nullptr;
    if (da) {
        const ConvPlan plan = plan_convolution<T>(shape, true);
        with_width<T>(wide_dz(shape, dy, fold), [&](auto n) {
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
    if (dw)
        weight_gradients<S>(stream, shape, prologue, std::array{WeightGradient<S>{x, dy, fold, dw, accumulate_dw}},
                            workspace);
}

template <class S>
void weight_gradients(const Stream& stream, const ConvShape& shape, const Prologue<S>& prologue,
                      std::span<const WeightGradient<S>> list, void* workspace) {
    using T = Compute<S>;
    if (list.empty()) return;
    if constexpr (std::is_same_v<T, float>)
        if (dense_weight_gradients<S>(stream, shape, prologue, list, workspace)) return;
    T* const partials = static_cast<T*>(workspace);
    bool is_wide = wide_vectors({prologue.scale, prologue.shift});
    for (const WeightGradient<S>& g : list)
        is_wide = is_wide && wide<S, kGroup<S>>(shape.c_in, {g.x}) && wide_dz(shape, g.dy, g.fold);
    const bool wide_partials = wide<T>(shape.c_out, {partials});
    const GradientPlan plan = plan_gradient<T>(shape, gradients_of_launch(list.size()));
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    with_width<T>(is_wide, [&](auto n) {
        using Input = PrologueSource<S, (n > 1)>;
        using Gradient = FoldSource<S, (n > 1)>;
        auto make = [&](const WeightGradient<S>& g) {
            return GradientItem<Input, Gradient>{{g.x, shape.h, shape.w, shape.c_in, prologue},
                                                 {g.dy, shape.out_h(), shape.out_w(), shape.c_out, g.fold}};
        };
        launch_gradients<Input, Gradient>(
            handle, plan.grid, shape, list, partials, make, [&](const auto& items, unsigned count, T* to) {
                if (shape.k == 1)
                    launch_weight_gradients<1, T>(handle, plan, items, count, wide_partials, to);
                else
                    launch_weight_gradients<3, T>(handle, plan, items, count, wide_partials, to);
            });
    });
}

std::size_t weight_gradients_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                       std::size_t count) {
    return of_element(element, [&](auto zero) {
        using S = decltype(zero);
        std::size_t most = 0;
        for (std::size_t some = 1; some <= count; some++) {  // of those whose gradient is wanted
            most = std::max(most, some * plan_gradient<Compute<S>>(shape, gradients_of_launch(some)).grid.x *
                                      static_cast<std::size_t>(shape.k * shape.k) * shape.c_in * shape.c_out *
                                      sizeof(Compute<S>));
            if constexpr (!std::is_same_v<S, double>)
                most = std::max(most, dense_backward_workspace<S>(stream, shape, some));
        }
        return most;
    });
}
std::size_t conv_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    return weight_gradients_workspace(stream, shape, element, 1);
}

#define NASCENT_CONV(S)                                                                                           \
    template void conv_backward(const Stream&, const ConvShape&, const S*, Prologue<S>, ConvWeights<S>, const S*, \
                                NormFold<S>, S*, bool, Compute<S>*, bool, void*);                                 \
    template void weight_gradients(const Stream&, const ConvShape&, const Prologue<S>&,                           \
                                   std::span<const WeightGradient<S>>, void*);
NASCENT_CONV(float)
NASCENT_CONV(double)
NASCENT_CONV(BFloat16)
#undef NASCENT_CONV

}  // namespace nascent::kernels::gpu
