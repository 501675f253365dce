#include "kernels/cpu/winograd.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/winograd_plan.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/winograd_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// The zeros around a picture, and beyond it in tiles that stand over its edge.
template <class T>
void clear_plane(const WinogradPlan& p, const Plane& plane, T* to) {
    if (p.s.h % kTile == 0 && p.s.w % kTile == 0)
        clear_padding(plane, to);
    else
        std::fill_n(to, plane.size(), T(0));
}

/// Filter (ky, kx) of one input channel and vector of output channels, read forwards or backwards.
template <class T>
struct Filter {
    const T* w;
    std::size_t tap;
    int left;
    bool reversed;
    HWY_INLINE Vector<T> operator()(int y, int x) const {
        const int t = y * 3 + x;
        return load_first(w + static_cast<std::size_t>(reversed ? 8 - t : t) * tap, left);
    }
};

/// u (position, in, out_padded) from w (tap, in, out).
template <class T>
void weights_to_points(const Stream& stream, const WinogradPlan& p, const T* w, int in, int out, int w_out,
                       int out_padded, bool reversed, T* u) {
    const std::size_t stride = p.weight_stride(in, out_padded);
    parallel(stream, in, [&](int i, int) HWY_ATTR {
        for (int o = 0; o < out; o += kLanes<T>)
            transform<WeightTransform<T>, T>(
                Filter<T>{w + static_cast<std::size_t>(i) * w_out + o, static_cast<std::size_t>(in) * w_out, out - o,
                          reversed},
                To<T>{u + static_cast<std::size_t>(i) * out_padded + o, kPoints * stride, stride});
    });
}

/// f(first picture, pictures, first row of tiles, tiles) for the groups of a chunk.
template <class F>
void for_each_group(const WinogradPlan& p, int chunk, const F& f) {
    const int last = std::min(p.s.n, (chunk + 1) * p.images_per_chunk);
    for (int n = chunk * p.images_per_chunk; n < last; n += p.group_images)
        for (int row = 0; row < p.tiles_y; row += p.group_rows) {
            const int images = std::min(p.group_images, last - n), rows = std::min(p.group_rows, p.tiles_y - row);
            f(n, images, row, images * rows * p.tiles_x);
        }
}

template <class T>
void forward_winograd(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w, T* z,
                      double* sums, void* workspace) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const WinogradPlan p(shape, sizeof(T));
    const ConvShape& s = p.s;
    const WinogradForwardLayout layout(p, sizeof(T), stream.workers);
    T* u = at_bytes<T>(workspace, layout.u);
    weights_to_points(stream, p, w, s.c_in, s.c_out, s.c_out, p.co_padded, false, u);
    parallel(stream, p.chunks, [&](int chunk, int worker) HWY_ATTR {
        T* plane = at_bytes<T>(workspace, layout.scratch + layout.scratch_size * worker);
        T *v = at_bytes<T>(plane, layout.v), *m = at_bytes<T>(plane, layout.m);
        T* group_sums = sums ? at_bytes<T>(plane, layout.sums) : nullptr;  // flushed to doubles group by group
        double* partial =
            at_bytes<double>(workspace, layout.partials) + static_cast<std::size_t>(chunk) * 2 * p.co_padded;
        if (sums) {
            std::fill_n(group_sums, 2 * p.co_padded, T(0));
            std::fill_n(partial, 2 * p.co_padded, 0.0);
        }
        clear_plane(p, p.a, plane);
        const int tiles_per_image = p.group_rows * p.tiles_x;
        const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w;
        for_each_group(p, chunk, [&](int n, int images, int row, int tiles) HWY_ATTR {
            for (int i = 0; i < images; i++) {
                if (row == 0)
                    fill_plane(p.a, s.h, s.w, s.c_in, (n + i) * pixels * s.c_in, FillA<T>{x, prologue}, plane);
                tiles_to_points<InputTransform<T>>(p, p.a, s.c_in, plane, row, v + i * tiles_per_image * B,
                                                   p.tile_stride(p.ci_padded));
            }
            const int vectors = ceil_div(s.c_out, L);
            for (int first = 0; first < vectors; first += 2) {
                const int count = std::min(2, vectors - first), width = count * L;
                const std::size_t m_stride = static_cast<std::size_t>(p.group_tiles) * width + B;
                multiply(p, v, s.c_in, p.ci_padded, u, p.co_padded, tiles, first, count, m, m_stride);
                const int c = first * L;
                for (int i = 0; i < images; i++)
                    points_to_tiles(
                        p, m + i * tiles_per_image * width, m_stride, count, row,
                        WinogradStoreZ<T>{z + (n + i) * pixels * s.c_out + c, s.w * s.c_out, s.c_out, s.c_out - c,
                                          sums ? group_sums + c : nullptr, static_cast<std::size_t>(p.co_padded)});
            }
            if (!sums) return;
            for (int c = 0; c < 2 * p.co_padded; c++)
                partial[c] += static_cast<double>(group_sums[c]), group_sums[c] = 0;
        });
    });
    if (!sums) return;
    const double* partial = at_bytes<double>(workspace, layout.partials);
    for (int half = 0; half < 2; half++)
        for (int c = 0; c < s.c_out; c++) {
            double sum = 0;
            for (int chunk = 0; chunk < p.chunks; chunk++) sum += partial[(chunk * 2 + half) * p.co_padded + c];
            sums[half * s.c_out + c] = sum;
        }
}

template <class T>
void backward_winograd(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w,
                       const T* dy, NormFold<T> fold, T* da, bool accumulate_da, T* dw, bool accumulate_dw,
                       void* workspace) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    if (!da && !dw) return;
    const WinogradPlan p(shape, sizeof(T));
    const ConvShape& s = p.s;
    const WinogradBackwardLayout layout(p, sizeof(T), stream.workers);
    T* u = at_bytes<T>(workspace, layout.u);
    if (da) {
        T* transposed = at_bytes<T>(workspace, layout.w);  // (taps, c_out, ci_padded)
        for (std::size_t t = 0; t < 9; t++)
            for (int o = 0; o < s.c_out; o++) {
                T* to = transposed + (t * s.c_out + o) * p.ci_padded;
                for (int i = 0; i < s.c_in; i++) to[i] = w[(t * s.c_in + i) * s.c_out + o];
                std::fill(to + s.c_in, to + p.ci_padded, T(0));
            }
        weights_to_points(stream, p, transposed, s.c_out, p.ci_padded, p.ci_padded, p.ci_padded, true, u);
    }
    T* partials = at_bytes<T>(workspace, layout.partials);
    parallel(stream, p.chunks, [&](int chunk, int worker) HWY_ATTR {
        T* a = at_bytes<T>(workspace, layout.scratch + layout.scratch_size * worker);
        T* dz = at_bytes<T>(a, layout.dz);
        T *va = at_bytes<T>(a, layout.va), *v = at_bytes<T>(a, layout.v), *d = at_bytes<T>(a, layout.d),
          *m = at_bytes<T>(a, layout.m);
        T* partial = partials + layout.partial_size * chunk;
        if (dw) {
            std::fill_n(partial, layout.partial_size, T(0));
            clear_plane(p, p.a, a);
        }
        clear_plane(p, p.dz, dz);
        const int tiles_per_image = p.group_rows * p.tiles_x;
        const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w;
        const FillA<T> fill_a{x, prologue};
        for_each_group(p, chunk, [&](int n, int images, int row, int tiles) HWY_ATTR {
            // x first: the data gradient's mask reads it again while it is in the cache.
            for (int i = 0; dw && i < images; i++) {
                if (row == 0) fill_plane(p.a, s.h, s.w, s.c_in, (n + i) * pixels * s.c_in, fill_a, a);
                tiles_to_points<InputTransform<T>>(p, p.a, s.c_in, a, row, va + i * tiles_per_image * B,
                                                   p.tile_stride(p.ci_padded));
            }
            for (int i = 0; i < images; i++) {
                const std::size_t out = (n + i) * pixels * s.c_out;
                if (row == 0 && fold.z)
                    fill_plane(p.dz, s.h, s.w, s.c_out, out, FillDz<T>{dy, fold}, dz);
                else if (row == 0)
                    fill_plane(p.dz, s.h, s.w, s.c_out, out, FillDy<T>{dy}, dz);
                if (da)
                    tiles_to_points<InputTransform<T>>(p, p.dz, s.c_out, dz, row, v + i * tiles_per_image * B,
                                                       p.tile_stride(p.co_padded));
                if (dw)
                    tiles_to_points<GradientTransform<T>>(p, p.dz, s.c_out, dz, row, d + i * tiles_per_image * B,
                                                          p.tile_stride(p.co_padded));
            }
            const int vectors = ceil_div(s.c_in, L);
            for (int first = 0; da && first < vectors; first += 2) {
                const int count = std::min(2, vectors - first), width = count * L, c = first * L;
                const std::size_t m_stride = static_cast<std::size_t>(p.group_tiles) * width + B;
                multiply(p, v, s.c_out, p.co_padded, u, p.ci_padded, tiles, first, count, m, m_stride);
                for (int i = 0; i < images; i++) {
                    const std::size_t base = (n + i) * pixels * s.c_in + c;
                    WinogradStoreGradient<T> to{da + base,     s.w * s.c_in, s.c_in, s.c_in - c,
                                                accumulate_da, fill_a,       base,   {}};
                    for (int k = 0; k < count; k++) to.constants[k] = fill_a.constants(c + k * L, s.c_in - c - k * L);
                    points_to_tiles(p, m + i * tiles_per_image * width, m_stride, count, row, to);
                }
            }
            if (!dw) return;
            const int out_vectors = ceil_div(s.c_out, L);
            constexpr int R1 = std::min(kRows1, B), R2 = std::min(kRows2, B);
            int first = 0;
            for (; first + 2 <= out_vectors; first += 2)
                for (int i = 0; i < s.c_in; i += R2) weights_from_points<R2, 2>(p, va, d, tiles, i, first, m, partial);
            if (first < out_vectors)
                for (int i = 0; i < s.c_in; i += R1) weights_from_points<R1, 1>(p, va, d, tiles, i, first, m, partial);
        });
    });
    if (!dw) return;
    // Chunks are added in order, whoever ran them.
    parallel(stream, 9, [&](int t, int) HWY_ATTR {
        for (int i = 0; i < s.c_in; i++)
            for (int o = 0; o < s.c_out; o += L) {
                T* to = dw + (static_cast<std::size_t>(t) * s.c_in + i) * s.c_out + o;
                const T* from = partials + (static_cast<std::size_t>(t) * p.ci_padded + i) * p.co_padded + o;
                Vector<T> sum = accumulate_dw ? load_first(to, s.c_out - o) : zero<T>();
                for (int chunk = 0; chunk < p.chunks; chunk++, from += layout.partial_size)
                    sum = hn::Add(sum, load(from));
                store_first<T>(sum, to, s.c_out - o);
            }
    });
}

void winograd_forward_f32(const Stream& s, const ConvShape& c, const float* x, Prologue<float> p, const float* w,
                          float* z, double* sums, void* workspace) {
    forward_winograd(s, c, x, p, w, z, sums, workspace);
}
void winograd_forward_f64(const Stream& s, const ConvShape& c, const double* x, Prologue<double> p, const double* w,
                          double* z, double* sums, void* workspace) {
    forward_winograd(s, c, x, p, w, z, sums, workspace);
}
void winograd_backward_f32(const Stream& s, const ConvShape& c, const float* x, Prologue<float> p, const float* w,
                           const float* dy, NormFold<float> f, float* da, bool add_da, float* dw, bool add_dw,
                           void* workspace) {
    backward_winograd(s, c, x, p, w, dy, f, da, add_da, dw, add_dw, workspace);
}
void winograd_backward_f64(const Stream& s, const ConvShape& c, const double* x, Prologue<double> p, const double* w,
                           const double* dy, NormFold<double> f, double* da, bool add_da, double* dw, bool add_dw,
                           void* workspace) {
    backward_winograd(s, c, x, p, w, dy, f, da, add_da, dw, add_dw, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels {

HWY_EXPORT(winograd_forward_f32);
HWY_EXPORT(winograd_forward_f64);
HWY_EXPORT(winograd_backward_f32);
HWY_EXPORT(winograd_backward_f64);

template <class T>
void winograd_forward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w, T* z,
                      double* sums, void* workspace) {
    NASCENT_DISPATCH(winograd_forward, stream, shape, x, prologue, w, z, sums, workspace)
}
template <class T>
void winograd_backward(const Stream& stream, const ConvShape& shape, const T* x, Prologue<T> prologue, const T* w,
                       const T* dy, NormFold<T> fold, T* da, bool accumulate_da, T* dw, bool accumulate_dw,
                       void* workspace) {
    NASCENT_DISPATCH(winograd_backward, stream, shape, x, prologue, w, dy, fold, da, accumulate_da, dw, accumulate_dw,
                     workspace)
}

template void winograd_forward(const Stream&, const ConvShape&, const float*, Prologue<float>, const float*, float*,
                               double*, void*);
template void winograd_forward(const Stream&, const ConvShape&, const double*, Prologue<double>, const double*, double*,
                               double*, void*);
template void winograd_backward(const Stream&, const ConvShape&, const float*, Prologue<float>, const float*,
                                const float*, NormFold<float>, float*, bool, float*, bool, void*);
template void winograd_backward(const Stream&, const ConvShape&, const double*, Prologue<double>, const double*,
                                const double*, NormFold<double>, double*, bool, double*, bool, void*);

}  // namespace nascent::kernels
#endif
