// What goes back through a convolution: an image's data gradient and its part of the weights', compiled once per
// target.
#if defined(NASCENT_KERNELS_CPU_CONV_GRADIENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CONV_GRADIENTS_INL_H_
#undef NASCENT_KERNELS_CPU_CONV_GRADIENTS_INL_H_
#else
#define NASCENT_KERNELS_CPU_CONV_GRADIENTS_INL_H_
#endif

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv_group.h"
#include "kernels/cpu/conv_tiles-inl.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/weight_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// What a data gradient is made of: a convolution's dz, and 1x1s of other planes (stride 1, dz's channels and padding).
template <class T>
struct GradientTaps {
    const T* dz;
    int k;
    const T* w;
    struct Point {
        const T* plane;
        const T* w;
    };
    Point points[kMostTaps - 9] = {};
    int count = 0;             // of the points
    const T* start = nullptr;  // as Taps's
    void add(const T* plane, const T* by) { points[count++] = {plane, by}; }
};

/// The data gradient of one image. Pixels (py + stride i, px + stride j) meet the same taps: each such phase is a dense
/// convolution of dz, so no product with a zero is formed.
template <class T>
void data_gradient(const ConvPlan& p, const GradientTaps<T>& of, const T* a, bool relu, T* da, bool accumulate) {
    const ConvShape& s = p.s;
    const int k = of.k;
    for (int py = 0; py < s.stride && py < s.h; py++)
        for (int px = 0; px < s.stride && px < s.w; px++) {
            Taps<T> taps;
            taps.channels = s.c_out;
            taps.block_size = p.dz.block_size;
            taps.stride = p.ci_padded;
            taps.group = s.fold;
            taps.start = of.start;
            if (k == 3 && s.stride == 1) taps.threes = 9;
            for (int t = k * k; t-- > 0;) {  // in the order of the pixels they read
                const int dy = py + k / 2 - t / k, dx = px + k / 2 - t % k;
                if (dy % s.stride != 0 || dx % s.stride != 0) continue;
                taps.offset[taps.count] = p.dz.at(dy / s.stride + p.dz.pad, dx / s.stride + p.dz.pad);
                taps.w[taps.count++] = of.w + static_cast<std::size_t>(t) * s.c_out * p.ci_padded;
            }
            for (int i = 0; i < of.count; i++) {  // planes of one worker's scratch
                taps.offset[taps.count] =
                    of.points[i].plane - of.dz + static_cast<std::ptrdiff_t>(p.dz.at(p.pad, p.pad));
                taps.w[taps.count++] = of.points[i].w;
            }
            const int width = ceil_div(s.w - px, s.stride);
            for (int y = py, i = 0; y < s.h; y += s.stride, i++)
                gemm_taps(
                    taps, of.dz + p.dz.row * i, width,
                    StoreGradient<T>{da + (static_cast<std::size_t>(y) * s.w + px) * s.in(), s.stride * s.in(), s.in(),
                                     accumulate, relu ? a + p.a.at(y + p.pad, px + p.pad) : nullptr, p.a.block_size});
        }
}

/// dw (taps, ci_padded, co_padded) += the weight gradient of one image, some rows at a time so that they stay in cache.
template <class T>
void weight_gradients(const ConvPlan& p, int k, const T* a, const T* dz, T* dw) {
    const ConvShape& s = p.s;
    const int shift = p.pad - k / 2;
    const int vectors = ceil_div(s.out(), kLanes<T>);
    const std::size_t row_bytes = (p.a.row * s.stride * p.a.blocks + p.dz.row * p.dz.blocks) * sizeof(T);
    const int group = std::max(1, static_cast<int>(32768 / row_bytes));
    if (s.fold > 1) {
        std::vector<GroupRow> rows;
        for (int t = 0; t < k * k; t++)
            for (int i = 0; i < s.c_in; i++) {
                const int lane = i * s.fold;
                rows.push_back({static_cast<std::ptrdiff_t>(p.a.at(shift + t / k, shift + t % k) +
                                                            lane / kBlock<T> * p.a.block_size + lane % kBlock<T>),
                                (static_cast<std::ptrdiff_t>(t) * s.c_in + i) * p.co_padded});
            }
        for (int y = 0; y < p.oh; y += group)
            group_weight_gradient(
                Window<T>{a + p.a.row * y * s.stride, p.a.row * s.stride, dz + p.dz.at(y + p.dz.pad, p.dz.pad),
                          p.dz.row, p.dz.block_size, std::min(group, p.oh - y), p.ow},
                s.fold, rows, vectors, dw, k == 3 && s.stride == 1 ? s.c_in : 0);
        return;
    }
    for (int y = 0; y < p.oh; y += group)
        for (int t = 0; t < k * k; t++)
            for (int b = 0; b < p.a.blocks; b++) {
                const Window<T> window{a + p.a.at(y * s.stride + shift + t / k, shift + t % k) + b * p.a.block_size,
                                       p.a.row * s.stride,
                                       dz + p.dz.at(y + p.dz.pad, p.dz.pad),
                                       p.dz.row,
                                       p.dz.block_size,
                                       std::min(group, p.oh - y),
                                       p.ow};
                weight_gradient(window, std::min(kBlock<T>, s.c_in - b * kBlock<T>), vectors,
                                dw + (static_cast<std::size_t>(t) * p.ci_padded + b * kBlock<T>)*p.co_padded,
                                static_cast<std::size_t>(p.co_padded));
            }
}

/// The weights of a data gradient: (taps, c_out, ci_padded).
template <class T>
const T* transposed(const ConvPlan& p, const T* w, int k, T* to) {
    const ConvShape& s = p.s;
    for (int t = 0; t < k * k; t++)
        for (int o = 0; o < s.c_out; o++)
            fold_row(w + static_cast<std::size_t>(t) * s.c_in * s.c_out + o, s.c_out, s.c_in, s.fold, p.ci_padded,
                     to + (static_cast<std::size_t>(t) * s.c_out + o) * p.ci_padded);
    return to;
}

/// Elements of one tap in a convolution's partial sums.
inline std::size_t tap_size(const ConvPlan& p) {
    return static_cast<std::size_t>(p.s.fold > 1 ? p.s.c_in : p.ci_padded) * p.co_padded;
}

/// dw from the chunks' partial sums, which are added in order, whoever ran them; into those of the first chunk.
template <class T>
void add_partials(const Stream& stream, const ConvPlan& p, const cpu::GroupConvBackward<T>& conv, T* partials,
                  std::size_t step) {
    const ConvShape& s = p.s;
    const std::size_t size = tap_size(p);
    parallel(stream, conv.k * conv.k, [&](int t, int) HWY_ATTR {
        T* const sums = partials + static_cast<std::size_t>(t) * size;
        for (int chunk = 1; chunk < p.chunks; chunk++) {
            const T* from = sums + static_cast<std::size_t>(chunk) * step;
            for (std::size_t i = 0; i < size; i += kLanes<T>)
                store<T>(hn::Add(load(sums + i), load(from + i)), sums + i);
        }
        T* to = conv.dw + static_cast<std::size_t>(t) * s.c_in * s.c_out;
        if (s.fold > 1)
            return add_folded(sums, 0, 1, s.c_in, s.c_out, s.fold, static_cast<std::size_t>(p.co_padded), to,
                              conv.accumulate_dw);
        for (int i = 0; i < s.c_in; i++, to += s.c_out)
            for (int o = 0; o < s.c_out; o += kLanes<T>) {
                const Vector<T> sum = load(sums + static_cast<std::size_t>(i) * p.co_padded + o);
                const Vector<T> old = conv.accumulate_dw ? load_first(to + o, s.c_out - o) : zero<T>();
                store_first<T>(hn::Add(old, sum), to + o, s.c_out - o);
            }
    });
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
