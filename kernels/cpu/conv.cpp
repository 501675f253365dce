#include "kernels/conv.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "kernels/cpu/conv_group.h"
#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd_plan.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/conv_fill-inl.h"
#include "kernels/cpu/conv_gradients-inl.h"
#include "kernels/cpu/conv_points-inl.h"
#include "kernels/cpu/conv_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// The packed weights of a convolution, and where its taps read.
template <class T>
Taps<T> packed_taps(const ConvPlan& p, const T* w, int k, T* packed) {  // packed: (taps, c_in, co_padded)
    const ConvShape& s = p.s;
    const int size = k * k, shift = p.pad - k / 2;
    const std::size_t rows = static_cast<std::size_t>(size) * s.c_in;
    if (s.fold == 1 && s.c_out == p.co_padded) {
        std::memcpy(packed, w, rows * s.c_out * sizeof(T));
    } else {
        for (std::size_t r = 0; r < rows; r++)
            fold_row(w + r * s.c_out, 1, s.c_out, s.fold, p.co_padded, packed + r * p.co_padded);
    }
    Taps<T> taps;
    taps.count = size;
    taps.channels = s.c_in;
    taps.block_size = p.a.block_size;
    taps.stride = p.co_padded;
    taps.group = s.fold;
    if (k == 3 && s.stride == 1) taps.threes = 9;
    for (int t = 0; t < size; t++) {
        taps.offset[t] = p.a.at(shift + t / k, shift + t % k);
        taps.w[t] = packed + static_cast<std::size_t>(t) * s.c_in * p.co_padded;
    }
    return taps;
}

/// Pixels whose sums are taken in T before they are added to doubles.
inline constexpr int kSummedPixels = 64;

/// z of one image in a plane, and its sums by way of row_sums, which are zero before and after.
template <class T>
void forward_image(const ConvPlan& p, const Taps<T>& taps, const T* plane, T* z, T* row_sums, double* partial) {
    const ConvShape& s = p.s;
    const int rows = std::max(1, kSummedPixels / p.ow);
    for (int y = 0; y < p.oh; y++) {
        gemm_taps(taps, plane + p.a.row * y * s.stride, p.ow,
                  StoreZ<T>{z + static_cast<std::size_t>(y) * p.ow * s.out(), s.out(), s.out(), row_sums,
                            static_cast<std::size_t>(p.co_padded)});
        if (!row_sums || ((y + 1) % rows != 0 && y + 1 < p.oh)) continue;
        for (int c = 0; c < 2 * p.co_padded; c++) partial[c] += static_cast<double>(row_sums[c]), row_sums[c] = 0;
    }
}

template <class T>
void forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue,
             std::span<const cpu::GroupConv<T>> convs, double* moments, void* workspace) {
    const ConvPlan p(shape, sizeof(T));
    const ConvShape& s = p.s;
    const ForwardLayout layout(p, sizeof(T), stream.workers, convs.size());
    std::vector<Taps<T>> taps;
    for (const cpu::GroupConv<T>& c : convs)
        taps.push_back(packed_taps(p, c.w, c.k, at_bytes<T>(workspace, layout.w + layout.w_size * taps.size())));
    const bool with_sums = !convs.empty() && convs[0].sums;
    double* const partials = at_bytes<double>(workspace, layout.partials);  // (chunks, convolutions, 2, co_padded)
    const std::size_t sums_size = std::size_t{2} * p.co_padded;
    const auto moments_size = static_cast<std::size_t>(s.c_in + 1) * s.in();
    std::vector<double> moments_of(moments ? static_cast<std::size_t>(p.chunks) * moments_size : 0);  // by chunk
    parallel(stream, p.chunks, [&](int chunk, int worker) HWY_ATTR {
        T* plane = at_bytes<T>(workspace, layout.scratch + layout.scratch_size * worker);
        T* row_sums = with_sums ? at_bytes<T>(plane, layout.sums) : nullptr;
        double* partial = partials + static_cast<std::size_t>(chunk) * convs.size() * sums_size;
        if (with_sums) {
            std::fill_n(row_sums, sums_size, T(0));
            std::fill_n(partial, convs.size() * sums_size, 0.0);
        }
        clear_padding(p.a, plane);
        std::optional<PointRuns<T>> runs;
        if (moments) runs.emplace(s.in(), s.fold, 1);
        const int last = std::min(s.n, (chunk + 1) * p.images_per_chunk);
        for (int n = chunk * p.images_per_chunk; n < last; n++) {
            const std::size_t in = static_cast<std::size_t>(n) * s.h * s.w * s.in();
            if (moments) add_moments(*runs, x + in, s.h * s.w, s.in(), &moments_of[chunk * moments_size]);
            if (convs.empty()) continue;
            fill_plane(p.a, s.h, s.w, s.in(), in, FillA<T>{x, prologue}, plane);
            for (std::size_t i = 0; i < convs.size(); i++)
                forward_image(p, taps[i], plane, convs[i].z + static_cast<std::size_t>(n) * p.oh * p.ow * s.out(),
                              row_sums, partial + i * sums_size);
        }
    });
    for (std::size_t i = 0; with_sums && i < convs.size(); i++)
        for (int half = 0; half < 2; half++)
            for (int c = 0; c < s.c_out; c++) {
                double sum = 0;
                for (int chunk = 0; chunk < p.chunks; chunk++)
                    for (int g = 0; g < s.fold; g++)
                        sum += partials[(static_cast<std::size_t>(chunk) * convs.size() + i) * sums_size +
                                        static_cast<std::size_t>(half * p.co_padded + c * s.fold + g)];
                convs[i].sums[half * s.c_out + c] = sum;
            }
    for (int i = 0; moments && i < (s.c_in + 1) * s.c_in; i++) {
        double sum = 0;
        for (int chunk = 0; chunk < p.chunks; chunk++)
            for (int g = 0; g < s.fold; g++) sum += moments_of[chunk * moments_size + i * s.fold + g];
        moments[i] = sum;
    }
}

template <class T>
void backward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue,
              std::span<const cpu::GroupConvBackward<T>> convs, T* da, bool accumulate_da, void* workspace) {
    const bool any_dw = std::any_of(convs.begin(), convs.end(), [](const auto& c) { return c.dw; });
    if (!da && !any_dw) return;
    const ConvPlan p(shape, sizeof(T));
    const ConvShape& s = p.s;
    const BackwardLayout layout(p, sizeof(T), stream.workers, convs.size());
    std::vector<const T*> weights;
    for (const cpu::GroupConvBackward<T>& c : convs) {
        T* const to = at_bytes<T>(workspace, layout.w + layout.w_size * weights.size());
        weights.push_back(da && !c.point() ? transposed(p, c.w, c.k, to) : nullptr);
    }
    const GroupPoints<T> points(p, convs, da != nullptr, layout, workspace, weights);
    T* const partials = at_bytes<T>(workspace, layout.partials);  // (chunks, convolutions, taps, ci_padded, co_padded)
    const std::size_t step = convs.size() * layout.partial_size;
    parallel(stream, p.chunks, [&](int chunk, int worker) HWY_ATTR {
        T* a = at_bytes<T>(workspace, layout.scratch + layout.scratch_size * worker);
        T *dz = at_bytes<T>(a, layout.dz), *dy = at_bytes<T>(a, layout.dy);
        T* partial = partials + step * chunk;
        for (std::size_t i = 0; i < convs.size(); i++)
            if (convs[i].dw)
                std::fill_n(partial + i * layout.partial_size,
                            static_cast<std::size_t>(convs[i].k * convs[i].k) * tap_size(p), T(0));
        clear_padding(p.a, a);
        clear_padding(p.dz, dz);
        const int last = std::min(s.n, (chunk + 1) * p.images_per_chunk);
        for (int n = chunk * p.images_per_chunk; n < last; n++) {
            const std::size_t in = static_cast<std::size_t>(n) * s.h * s.w * s.in();
            const std::size_t out = static_cast<std::size_t>(n) * p.oh * p.ow * s.out();
            if (any_dw || prologue.relu) fill_plane(p.a, s.h, s.w, s.in(), in, FillA<T>{x, prologue}, a);
            bool first = true;
            for (std::size_t i = 0; i < convs.size(); i++) {
                const cpu::GroupConvBackward<T>& c = convs[i];
                if (da ? points.goes_along[i] != 0 : !c.dw) continue;
                if (points.along[i] && c.fold.z)
                    fill_plane(p.dz, p.oh, p.ow, s.out(), out, FillBoth<T>{{c.dy, c.fold}, dy - dz}, dz);
                else if (c.fold.z)
                    fill_plane(p.dz, p.oh, p.ow, s.out(), out, FillDz<T>{c.dy, c.fold}, dz);
                else
                    fill_plane(p.dz, p.oh, p.ow, s.out(), out, FillDy<T>{c.dy}, dz);
                if (da) {
                    GradientTaps<T> taps{dz, c.k, weights[i]};
                    if (points.along[i]) taps.add(c.fold.z ? dy : dz, points.along[i]);
                    if (first && points.by_input) taps.add(a, points.by_input), taps.start = points.shift;
                    data_gradient(p, taps, a, prologue.relu, da + in, accumulate_da || !first);
                    first = false;
                }
                if (c.dw) weight_gradients(p, c.k, a, dz, partial + i * layout.partial_size);
            }
        }
    });
    for (std::size_t i = 0; i < convs.size(); i++)
        if (convs[i].dw) add_partials(stream, p, convs[i], partials + i * layout.partial_size, step);
}

#define NASCENT_CONV(T, SUFFIX)                                                                              \
    void conv_forward_##SUFFIX(const Stream& s, const ConvShape& c, const T* x, Prologue<T> p,               \
                               std::span<const cpu::GroupConv<T>> convs, double* moments, void* workspace) { \
        forward<T>(s, c, x, p, convs, moments, workspace);                                                   \
    }                                                                                                        \
    void conv_backward_##SUFFIX(const Stream& s, const ConvShape& c, const T* x, Prologue<T> p,              \
                                std::span<const cpu::GroupConvBackward<T>> convs, T* da, bool accumulate_da, \
                                void* workspace) {                                                           \
        backward<T>(s, c, x, p, convs, da, accumulate_da, workspace);                                        \
    }
NASCENT_CONV(float, f32)
NASCENT_CONV(double, f64)
#undef NASCENT_CONV

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(conv_forward_f32);
HWY_EXPORT(conv_forward_f64);
HWY_EXPORT(conv_backward_f32);
HWY_EXPORT(conv_backward_f64);

template <class T>
void conv_group_forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue,
                        std::span<const GroupConv<T>> convs, double* moments, void* workspace) {
    NASCENT_DISPATCH(conv_forward, stream, shape, x, prologue, convs, moments, workspace)
}
template <class T>
void conv_group_backward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue,
                         std::span<const GroupConvBackward<T>> convs, T* da, bool accumulate_da, void* workspace){
    NASCENT_DISPATCH(conv_backward, stream, shape, x, prologue, convs, da, accumulate_da, workspace)} std::size_t
    conv_group_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element, std::size_t count) {
    return ForwardLayout(ConvPlan(shape, element), element, stream.workers, count).used;
}
std::size_t conv_group_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                          std::size_t count) {
    return BackwardLayout(ConvPlan(shape, element), element, stream.workers, count).used;
}
std::size_t conv_group_most(const ConvShape& shape, std::size_t element) {
    const ConvPlan p(shape, element);
    const std::size_t each = p.taps() * p.ci_padded * p.co_padded * static_cast<std::size_t>(p.chunks) * element;
    return std::max<std::size_t>(1, (std::size_t{2} << 20) / each);
}

template <class T>
void conv_forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue,
                  ConvWeights<T> weights, T* z, double* sums, void* workspace) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return winograd_forward(stream, shape, x, prologue, weights.w, z, sums, workspace);
    const GroupConv<T> conv[] = {{weights.w, shape.k, z, sums}};
    conv_group_forward<T>(stream, shape, x, prologue, conv, nullptr, workspace);
}
template <class T>
void conv_backward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue,
                   ConvWeights<T> weights, const T* dy, NormFold<T> fold, T* da, bool accumulate_da, Compute<T>* dw,
                   bool accumulate_dw, void* workspace) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return winograd_backward(stream, shape, x, prologue, weights.w, dy, fold, da, accumulate_da, dw, accumulate_dw,
                                 workspace);
    const GroupConvBackward<T> conv[] = {{weights.w, shape.k, dy, fold, dw, accumulate_dw}};
    conv_group_backward<T>(stream, shape, x, prologue, conv, da, accumulate_da, workspace);
}
std::size_t conv_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return WinogradForwardLayout(WinogradPlan(shape, element), element, stream.workers).used;
    return conv_group_forward_workspace(stream, shape, element, 1);
}
std::size_t conv_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return WinogradBackwardLayout(WinogradPlan(shape, element), element, stream.workers).used;
    return conv_group_backward_workspace(stream, shape, element, 1);
}

#define NASCENT_CONV(T)                                                                                             \
    template void conv_group_forward(const Stream&, const ConvShape&, const T*, Prologue<T>,                        \
                                     std::span<const GroupConv<T>>, double*, void*);                                \
    template void conv_group_backward(const Stream&, const ConvShape&, const T*, Prologue<T>,                       \
                                      std::span<const GroupConvBackward<T>>, T*, bool, void*);                      \
    template void conv_forward(const Stream&, const ConvShape&, const T*, Prologue<T>, ConvWeights<T>, T*, double*, \
                               void*);                                                                              \
    template void conv_backward(const Stream&, const ConvShape&, const T*, Prologue<T>, ConvWeights<T>, const T*,   \
                                NormFold<T>, T*, bool, T*, bool, void*);
NASCENT_CONV(float)
NASCENT_CONV(double)
#undef NASCENT_CONV

}  // namespace nascent::kernels::cpu
#endif
