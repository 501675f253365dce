#include "kernels/head.h"

#include <algorithm>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/head.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

template <class T>
void pool(const Stream& stream, const Image& s, const T* x, const T* scale, const T* shift, T* pooled) {
    const Chunks images(s.n);
    const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w;
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int c = 0; c < s.c; c += kLanes<T>) {
                const int left = s.c - c;
                const Vector<T> a = load_first(scale + c, left), b = load_first(shift + c, left);
                Vector<T> sum = zero<T>();
                const T* p = x + n * pixels * s.c + c;
                for (std::size_t i = 0; i < pixels; i++, p += s.c) {
                    const Vector<T> v = hn::MulAdd(load_first(p, left), a, b);
                    sum = hn::Add(sum, where_positive<T>(v, v));
                }
                store_first<T>(hn::Div(sum, set(static_cast<T>(pixels))),
                               pooled + static_cast<std::size_t>(n) * s.c + c, left);
            }
    });
}

template <class T>
void pool_backward_sums(const Stream& stream, const Image& s, const T* x, const T* scale, const T* shift,
                        const T* dpooled, double* sums, void* workspace) {
    const Chunks images(s.n);
    const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w, count = static_cast<std::size_t>(2) * s.c;
    double* partials = static_cast<double*>(workspace);
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        double* partial = partials + count * chunk;
        std::fill_n(partial, count, 0.0);
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int c = 0; c < s.c; c += kLanes<T>) {
                const int left = s.c - c;
                const Vector<T> a = load_first(scale + c, left), b = load_first(shift + c, left);
                // g is the same for all active pixels of an image: count them, and sum their x.
                Vector<T> active = zero<T>(), sum = zero<T>();
                const T* p = x + n * pixels * s.c + c;
                for (std::size_t i = 0; i < pixels; i++, p += s.c) {
                    const Vector<T> v = load_first(p, left), y = hn::MulAdd(v, a, b);
                    active = hn::Add(active, where_positive<T>(y, set(T(1))));
                    sum = hn::Add(sum, where_positive<T>(y, v));
                }
                const Vector<T> g = hn::Div(load_first(dpooled + static_cast<std::size_t>(n) * s.c + c, left),
                                            set(static_cast<T>(pixels)));
                add_to_double<T>(hn::Mul(g, active), partial + c, left);
                add_to_double<T>(hn::Mul(g, sum), partial + s.c + c, left);
            }
    });
    for (std::size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int chunk = 0; chunk < images.count; chunk++) sum += partials[count * chunk + i];
        sums[i] = sum;
    }
}

template <class T>
void pool_backward(const Stream& stream, const Image& s, const T* x, const T* scale, const T* shift, const T* dpooled,
                   const T* a, const T* b, const T* c, T* dx, bool accumulate) {
    const Chunks images(s.n);
    const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w;
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int k = 0; k < s.c; k += kLanes<T>) {
                const int left = s.c - k;
                const Vector<T> s1 = load_first(scale + k, left), s0 = load_first(shift + k, left);
                const Vector<T> b1 = load_first(b + k, left), c1 = load_first(c + k, left);
                const Vector<T> g = hn::Div(load_first(dpooled + static_cast<std::size_t>(n) * s.c + k, left),
                                            set(static_cast<T>(pixels)));
                const Vector<T> ga = hn::Mul(g, load_first(a + k, left));
                const std::size_t base = n * pixels * s.c + k;
                for (std::size_t i = 0; i < pixels; i++) {
                    const std::size_t at = base + i * s.c;
                    const Vector<T> v = load_first(x + at, left);
                    Vector<T> d = hn::MulAdd(v, b1, c1);
                    d = hn::Add(d, where_positive<T>(hn::MulAdd(v, s1, s0), ga));
                    if (accumulate) d = hn::Add(load_first(dx + at, left), d);
                    store_first<T>(d, dx + at, left);
                }
            }
    });
}

template <class T>
T sum_of_lanes(Vector<T> v) {
    alignas(64) T lanes[kLanes<T>];
    hn::Store(v, Tag<T>(), lanes);
    T sum = 0;
    for (T lane : lanes) sum += lane;
    return sum;
}

template <class T>
void linear(const Stream& stream, int n, int in, int out, const T* x, const T* w, const T* bias, T* y) {
    const Chunks rows(n);
    parallel(stream, rows.count, [&](int chunk, int) HWY_ATTR {
        for (int r = rows.begin(chunk); r < rows.end(chunk); r++)
            for (int o = 0; o < out; o++) {
                const T *p = x + static_cast<std::size_t>(r) * in, *q = w + static_cast<std::size_t>(o) * in;
                Vector<T> sum = zero<T>();
                for (int i = 0; i < in; i += kLanes<T>)
                    sum = hn::MulAdd(load_first(p + i, in - i), load_first(q + i, in - i), sum);
                y[static_cast<std::size_t>(r) * out + o] = sum_of_lanes<T>(sum) + (bias ? bias[o] : T(0));
            }
    });
}

template <class T>
void linear_gradients(const Stream& stream, int n, int in, int out, const T* x, const T* w, const T* dy, T* dx,
                      bool accumulate_dx, T* dw, bool accumulate_dw, T* dbias, bool accumulate_dbias) {
    if (dx) {
        const Chunks rows(n);
        parallel(stream, rows.count, [&](int chunk, int) HWY_ATTR {
            for (int r = rows.begin(chunk); r < rows.end(chunk); r++)
                for (int i = 0; i < in; i += kLanes<T>) {
                    T* to = dx + static_cast<std::size_t>(r) * in + i;
                    Vector<T> sum = zero<T>();
                    for (int o = 0; o < out; o++)
                        sum = hn::MulAdd(set(dy[static_cast<std::size_t>(r) * out + o]),
                                         load_first(w + static_cast<std::size_t>(o) * in + i, in - i), sum);
                    if (accumulate_dx) sum = hn::Add(load_first(to, in - i), sum);
                    store_first<T>(sum, to, in - i);
                }
        });
    }
    if (!dw && !dbias) return;
    const Chunks outputs(out);
    parallel(stream, outputs.count, [&](int chunk, int) HWY_ATTR {
        for (int o = outputs.begin(chunk); o < outputs.end(chunk); o++) {
            for (int i = 0; dw && i < in; i += kLanes<T>) {
                T* to = dw + static_cast<std::size_t>(o) * in + i;
                Vector<T> sum = zero<T>();
                for (int r = 0; r < n; r++)
                    sum = hn::MulAdd(set(dy[static_cast<std::size_t>(r) * out + o]),
                                     load_first(x + static_cast<std::size_t>(r) * in + i, in - i), sum);
                if (accumulate_dw) sum = hn::Add(load_first(to, in - i), sum);
                store_first<T>(sum, to, in - i);
            }
            if (!dbias) continue;
            T sum = 0;
            for (int r = 0; r < n; r++) sum += dy[static_cast<std::size_t>(r) * out + o];
            dbias[o] = accumulate_dbias ? dbias[o] + sum : sum;
        }
    });
}

#define NASCENT_HEAD(T, SUFFIX)                                                                                        \
    void norm_relu_pool_##SUFFIX(const Stream& s, const Image& i, const T* x, const T* scale, const T* shift,          \
                                 T* pooled) {                                                                          \
        pool<T>(s, i, x, scale, shift, pooled);                                                                        \
    }                                                                                                                  \
    void norm_relu_pool_backward_sums_##SUFFIX(const Stream& s, const Image& i, const T* x, const T* scale,            \
                                               const T* shift, const T* dpooled, double* sums, void* workspace) {      \
        pool_backward_sums<T>(s, i, x, scale, shift, dpooled, sums, workspace);                                        \
    }                                                                                                                  \
    void norm_relu_pool_backward_##SUFFIX(const Stream& s, const Image& i, const T* x, const T* scale, const T* shift, \
                                          const T* dpooled, const T* a, const T* b, const T* c, T* dx,                 \
                                          bool accumulate) {                                                           \
        pool_backward<T>(s, i, x, scale, shift, dpooled, a, b, c, dx, accumulate);                                     \
    }                                                                                                                  \
    void linear_forward_##SUFFIX(const Stream& s, int n, int in, int out, const T* x, const T* w, const T* bias,       \
                                 T* y) {                                                                               \
        linear<T>(s, n, in, out, x, w, bias, y);                                                                       \
    }                                                                                                                  \
    void linear_backward_##SUFFIX(const Stream& s, int n, int in, int out, const T* x, const T* w, const T* dy, T* dx, \
                                  bool add_dx, T* dw, bool add_dw, T* dbias, bool add_dbias) {                         \
        linear_gradients<T>(s, n, in, out, x, w, dy, dx, add_dx, dw, add_dw, dbias, add_dbias);                        \
    }
NASCENT_HEAD(float, f32)
NASCENT_HEAD(double, f64)
#undef NASCENT_HEAD

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(norm_relu_pool_f32);
HWY_EXPORT(norm_relu_pool_f64);
HWY_EXPORT(norm_relu_pool_backward_sums_f32);
HWY_EXPORT(norm_relu_pool_backward_sums_f64);
HWY_EXPORT(norm_relu_pool_backward_f32);
HWY_EXPORT(norm_relu_pool_backward_f64);
HWY_EXPORT(linear_forward_f32);
HWY_EXPORT(linear_forward_f64);
HWY_EXPORT(linear_backward_f32);
HWY_EXPORT(linear_backward_f64);

template <class T>
void norm_relu_pool(const Stream& stream, const Image& image, const T* x, const Compute<T>* scale,
                    const Compute<T>* shift, Compute<T>* pooled) {
    NASCENT_DISPATCH(norm_relu_pool, stream, image, x, scale, shift, pooled)
}
template <class T>
void norm_relu_pool_backward_sums(const Stream& stream, const Image& image, const T* x, const Compute<T>* scale,
                                  const Compute<T>* shift, const Compute<T>* dpooled, double* sums, void* workspace) {
    NASCENT_DISPATCH(norm_relu_pool_backward_sums, stream, image, x, scale, shift, dpooled, sums, workspace)
}
template <class T>
void norm_relu_pool_backward(const Stream& stream, const Image& image, const T* x, const Compute<T>* scale,
                             const Compute<T>* shift, const Compute<T>* dpooled, const Compute<T>* a,
                             const Compute<T>* b, const Compute<T>* c, T* dx, bool accumulate) {
    NASCENT_DISPATCH(norm_relu_pool_backward, stream, image, x, scale, shift, dpooled, a, b, c, dx, accumulate)
}
template <class T>
void linear_forward(const Stream& stream, int n, int in, int out, const T* x, const T* w, const T* bias, T* y) {
    NASCENT_DISPATCH(linear_forward, stream, n, in, out, x, w, bias, y)
}
template <class T>
void linear_backward(const Stream& stream, int n, int in, int out, const T* x, const T* w, const T* dy, T* dx,
                     bool accumulate_dx, T* dw, bool accumulate_dw, T* dbias,
                     bool accumulate_dbias){NASCENT_DISPATCH(linear_backward, stream, n, in, out, x, w, dy, dx,
                                                             accumulate_dx, dw, accumulate_dw, dbias, accumulate_dbias)}

#define NASCENT_HEAD(T)                                                                                               \
    template void norm_relu_pool(const Stream&, const Image&, const T*, const T*, const T*, T*);                      \
    template void norm_relu_pool_backward_sums(const Stream&, const Image&, const T*, const T*, const T*, const T*,   \
                                               double*, void*);                                                       \
    template void norm_relu_pool_backward(const Stream&, const Image&, const T*, const T*, const T*, const T*,        \
                                          const T*, const T*, const T*, T*, bool);                                    \
    template void linear_forward(const Stream&, int, int, int, const T*, const T*, const T*, T*);                     \
    template void linear_backward(const Stream&, int, int, int, const T*, const T*, const T*, T*, bool, T*, bool, T*, \
                                  bool);
NASCENT_HEAD(float) NASCENT_HEAD(double)
#undef NASCENT_HEAD

}  // namespace nascent::kernels::cpu
#endif
