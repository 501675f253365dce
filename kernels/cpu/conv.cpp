#include "kernels/conv.h"

#include <algorithm>
#include <cstring>
#include <vector>

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
#include "kernels/cpu/conv_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

template <class T>
void forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w, T* z,
             double* sums, void* workspace) {
    const ConvPlan p(shape, sizeof(T));
    const ConvShape& s = p.s;
    const ForwardLayout layout(p, sizeof(T), stream.workers);
    T* packed = at_bytes<T>(workspace, layout.w);  // (taps, c_in, co_padded)
    const std::size_t rows = p.taps() * s.c_in;
    if (s.fold > 1) {
        for (std::size_t r = 0; r < rows; r++)
            fold_row(w + r * s.c_out, 1, s.c_out, s.fold, p.co_padded, packed + r * p.co_padded);
    } else if (s.c_out == p.co_padded) {
        std::memcpy(packed, w, rows * s.c_out * sizeof(T));
    } else {
        for (std::size_t r = 0; r < rows; r++) {
            std::copy_n(w + r * s.c_out, s.c_out, packed + r * p.co_padded);
            std::fill(packed + r * p.co_padded + s.c_out, packed + (r + 1) * p.co_padded, T(0));
        }
    }
    Taps<T> taps;
    taps.count = s.k * s.k;
    taps.channels = s.c_in;
    taps.block_size = p.a.block_size;
    taps.stride = p.co_padded;
    taps.group = s.fold;
    for (int t = 0; t < taps.count; t++) {
        taps.offset[t] = p.a.at(t / s.k, t % s.k);
        taps.w[t] = packed + static_cast<std::size_t>(t) * s.c_in * p.co_padded;
    }
    parallel(stream, p.chunks, [&](int chunk, int worker) HWY_ATTR {
        T* plane = at_bytes<T>(workspace, layout.scratch + layout.scratch_size * worker);
        T* row_sums = sums ? at_bytes<T>(plane, layout.sums) : nullptr;  // flushed to doubles row by row
        double* partial =
            at_bytes<double>(workspace, layout.partials) + static_cast<std::size_t>(chunk) * 2 * p.co_padded;
        if (sums) {
            std::fill_n(row_sums, 2 * p.co_padded, T(0));
            std::fill_n(partial, 2 * p.co_padded, 0.0);
        }
        clear_padding(p.a, plane);
        const int last = std::min(s.n, (chunk + 1) * p.images_per_chunk);
        for (int n = chunk * p.images_per_chunk; n < last; n++) {
            fill_plane(p.a, s.h, s.w, s.in(), static_cast<std::size_t>(n) * s.h * s.w * s.in(), FillA<T>{x, prologue},
                       plane);
            for (int y = 0; y < p.oh; y++) {
                T* row = z + (static_cast<std::size_t>(n) * p.oh + y) * p.ow * s.out();
                gemm_taps(taps, plane + p.a.row * y * s.stride, p.ow,
                          StoreZ<T>{row, s.out(), s.out(), row_sums, static_cast<std::size_t>(p.co_padded)});
                if (!sums) continue;
                for (int c = 0; c < 2 * p.co_padded; c++)
                    partial[c] += static_cast<double>(row_sums[c]), row_sums[c] = 0;
            }
        }
    });
    if (!sums) return;
    const double* partial = at_bytes<double>(workspace, layout.partials);
    for (int half = 0; half < 2; half++)
        for (int c = 0; c < s.c_out; c++) {
            double sum = 0;
            for (int chunk = 0; chunk < p.chunks; chunk++)
                for (int g = 0; g < s.fold; g++) sum += partial[(chunk * 2 + half) * p.co_padded + c * s.fold + g];
            sums[half * s.c_out + c] = sum;
        }
}

/// The data gradient of one image. Pixels (py + stride i, px + stride j) meet the same taps: each such phase is a dense
/// convolution of dz, so no product with a zero is formed.
template <class T>
void data_gradient(const ConvPlan& p, const T* w, const T* a, const T* dz, bool relu, T* da, bool accumulate) {
    const ConvShape& s = p.s;
    for (int py = 0; py < s.stride && py < s.h; py++)
        for (int px = 0; px < s.stride && px < s.w; px++) {
            Taps<T> taps;
            taps.channels = s.c_out;
            taps.block_size = p.dz.block_size;
            taps.stride = p.ci_padded;
            taps.group = s.fold;
            for (int t = 0; t < s.k * s.k; t++) {
                const int dy = py + p.pad - t / s.k, dx = px + p.pad - t % s.k;
                if (dy % s.stride != 0 || dx % s.stride != 0) continue;
                taps.offset[taps.count] = p.dz.at(dy / s.stride + p.dz.pad, dx / s.stride + p.dz.pad);
                taps.w[taps.count++] = w + static_cast<std::size_t>(t) * s.c_out * p.ci_padded;
            }
            const int width = ceil_div(s.w - px, s.stride);
            for (int y = py, i = 0; y < s.h; y += s.stride, i++)
                gemm_taps(
                    taps, dz + p.dz.row * i, width,
                    StoreGradient<T>{da + (static_cast<std::size_t>(y) * s.w + px) * s.in(), s.stride * s.in(), s.in(),
                                     accumulate, relu ? a + p.a.at(y + p.pad, px + p.pad) : nullptr, p.a.block_size});
        }
}

/// dw (taps, ci_padded, co_padded) += the weight gradient of one image, some rows at a time so that they stay in cache.
template <class T>
void weight_gradients(const ConvPlan& p, const T* a, const T* dz, T* dw) {
    const ConvShape& s = p.s;
    const int vectors = ceil_div(s.out(), kLanes<T>);
    const std::size_t row_bytes = (p.a.row * s.stride * p.a.blocks + p.dz.row * p.dz.blocks) * sizeof(T);
    const int group = std::max(1, static_cast<int>(32768 / row_bytes));
    if (s.fold > 1) {
        std::vector<GroupRow> rows;
        for (int t = 0; t < s.k * s.k; t++)
            for (int i = 0; i < s.c_in; i++) {
                const int lane = i * s.fold;
                rows.push_back({static_cast<std::ptrdiff_t>(p.a.at(t / s.k, t % s.k) +
                                                            lane / kBlock<T> * p.a.block_size + lane % kBlock<T>),
                                (static_cast<std::ptrdiff_t>(t) * s.c_in + i) * p.co_padded});
            }
        for (int y = 0; y < p.oh; y += group)
            group_weight_gradient(
                Window<T>{a + p.a.row * y * s.stride, p.a.row * s.stride, dz + p.dz.at(y + p.dz.pad, p.dz.pad),
                          p.dz.row, p.dz.block_size, std::min(group, p.oh - y), p.ow},
                s.fold, rows, vectors, dw);
        return;
    }
    for (int y = 0; y < p.oh; y += group)
        for (int t = 0; t < s.k * s.k; t++)
            for (int b = 0; b < p.a.blocks; b++) {
                const Window<T> window{a + p.a.at(y * s.stride + t / s.k, t % s.k) + b * p.a.block_size,
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

template <class T>
void backward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w, const T* dy,
              NormFold<T> fold, T* da, bool accumulate_da, T* dw, bool accumulate_dw, void* workspace) {
    if (!da && !dw) return;
    const ConvPlan p(shape, sizeof(T));
    const ConvShape& s = p.s;
    const BackwardLayout layout(p, sizeof(T), stream.workers);
    T* transposed = at_bytes<T>(workspace, layout.w);  // (taps, c_out, ci_padded)
    if (da)
        for (std::size_t t = 0; t < p.taps(); t++)
            for (int o = 0; o < s.c_out; o++) {
                T* to = transposed + (t * s.c_out + o) * p.ci_padded;
                fold_row(w + t * s.c_in * s.c_out + o, s.c_out, s.c_in, s.fold, p.ci_padded, to);
            }
    T* partials = at_bytes<T>(workspace, layout.partials);
    parallel(stream, p.chunks, [&](int chunk, int worker) HWY_ATTR {
        T* a = at_bytes<T>(workspace, layout.scratch + layout.scratch_size * worker);
        T* dz = at_bytes<T>(a, layout.dz);
        T* partial = partials + layout.partial_size * chunk;
        if (dw) std::fill_n(partial, layout.partial_size, T(0));
        clear_padding(p.a, a);
        clear_padding(p.dz, dz);
        const int last = std::min(s.n, (chunk + 1) * p.images_per_chunk);
        for (int n = chunk * p.images_per_chunk; n < last; n++) {
            const std::size_t in = static_cast<std::size_t>(n) * s.h * s.w * s.in();
            const std::size_t out = static_cast<std::size_t>(n) * p.oh * p.ow * s.out();
            if (dw || prologue.relu) fill_plane(p.a, s.h, s.w, s.in(), in, FillA<T>{x, prologue}, a);
            if (fold.z)
                fill_plane(p.dz, p.oh, p.ow, s.out(), out, FillDz<T>{dy, fold}, dz);
            else
                fill_plane(p.dz, p.oh, p.ow, s.out(), out, FillDy<T>{dy}, dz);
            if (da) data_gradient(p, transposed, a, dz, prologue.relu, da + in, accumulate_da);
            if (dw) weight_gradients(p, a, dz, partial);
        }
    });
    if (!dw) return;
    // Chunks are added in order, whoever ran them.
    if (s.fold > 1)
        return add_folded(partials, layout.partial_size, p.chunks, static_cast<int>(p.taps()) * s.c_in, s.c_out, s.fold,
                          static_cast<std::size_t>(p.co_padded), dw, accumulate_dw);
    parallel(stream, static_cast<int>(p.taps()), [&](int t, int) HWY_ATTR {
        for (int i = 0; i < s.c_in; i++)
            for (int o = 0; o < s.c_out; o += kLanes<T>) {
                T* to = dw + (static_cast<std::size_t>(t) * s.c_in + i) * s.c_out + o;
                const T* from = partials + (static_cast<std::size_t>(t) * p.ci_padded + i) * p.co_padded + o;
                Vector<T> sum = accumulate_dw ? load_first(to, s.c_out - o) : zero<T>();
                for (int chunk = 0; chunk < p.chunks; chunk++, from += layout.partial_size)
                    sum = hn::Add(sum, load(from));
                store_first<T>(sum, to, s.c_out - o);
            }
    });
}

void conv_forward_f32(const Stream& s, const ConvShape& c, const float* x, Prologue<float> p, const float* w, float* z,
                      double* sums, void* workspace) {
    forward(s, c, x, p, w, z, sums, workspace);
}
void conv_forward_f64(const Stream& s, const ConvShape& c, const double* x, Prologue<double> p, const double* w,
                      double* z, double* sums, void* workspace) {
    forward(s, c, x, p, w, z, sums, workspace);
}
void conv_backward_f32(const Stream& s, const ConvShape& c, const float* x, Prologue<float> p, const float* w,
                       const float* dy, NormFold<float> f, float* da, bool add_da, float* dw, bool add_dw,
                       void* workspace) {
    backward(s, c, x, p, w, dy, f, da, add_da, dw, add_dw, workspace);
}
void conv_backward_f64(const Stream& s, const ConvShape& c, const double* x, Prologue<double> p, const double* w,
                       const double* dy, NormFold<double> f, double* da, bool add_da, double* dw, bool add_dw,
                       void* workspace) {
    backward(s, c, x, p, w, dy, f, da, add_da, dw, add_dw, workspace);
}

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
void conv_forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w, T* z,
                  double* sums, void* workspace) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return winograd_forward(stream, shape, x, prologue, w, z, sums, workspace);
    NASCENT_DISPATCH(conv_forward, stream, shape, x, prologue, w, z, sums, workspace)
}
template <class T>
void conv_backward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w,
                   const T* dy, NormFold<T> fold, T* da, bool accumulate_da, T* dw, bool accumulate_dw,
                   void* workspace) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return winograd_backward(stream, shape, x, prologue, w, dy, fold, da, accumulate_da, dw, accumulate_dw,
                                 workspace);
    NASCENT_DISPATCH(conv_backward, stream, shape, x, prologue, w, dy, fold, da, accumulate_da, dw, accumulate_dw,
                     workspace)
}

template void conv_forward(const Stream&, const ConvShape&, const float*, Prologue<float>, const float*, float*,
                           double*, void*);
template void conv_forward(const Stream&, const ConvShape&, const double*, Prologue<double>, const double*, double*,
                           double*, void*);
template void conv_backward(const Stream&, const ConvShape&, const float*, Prologue<float>, const float*, const float*,
                            NormFold<float>, float*, bool, float*, bool, void*);
template void conv_backward(const Stream&, const ConvShape&, const double*, Prologue<double>, const double*,
                            const double*, NormFold<double>, double*, bool, double*, bool, void*);

std::size_t conv_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return WinogradForwardLayout(WinogradPlan(shape, element), element, stream.workers).used;
    return ForwardLayout(ConvPlan(shape, element), element, stream.workers).used;
}
std::size_t conv_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element) {
    if (stream.winograd && WinogradPlan::applies(shape))
        return WinogradBackwardLayout(WinogradPlan(shape, element), element, stream.workers).used;
    return BackwardLayout(ConvPlan(shape, element), element, stream.workers).used;
}

}  // namespace nascent::kernels::cpu
#endif
