#include "kernels/node.h"

#include <algorithm>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/node.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// How many of q - 1, q, q + 1 lie in [0, size).
HWY_INLINE int neighbours(int q, int size) { return 1 + (q > 0) + (q + 1 < size); }

template <class T>
void combine(const Stream& stream, const Image& s, std::span<const NormTerm<T>> norms, std::span<const T* const> pools,
             std::span<const T* const> skips, T* y) {
    constexpr int L = kLanes<T>;
    const Chunks images(s.n);
    const std::size_t row = static_cast<std::size_t>(s.w) * s.c, pixel = static_cast<std::size_t>(s.c);
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int h = 0; h < s.h; h++) {
                const std::size_t base = (static_cast<std::size_t>(n) * s.h + h) * row;
                const int top = std::max(h - 1, 0) - h, bottom = std::min(h + 1, s.h - 1) - h;
                for (int c = 0; c < s.c; c += L) {
                    const int left = s.c - c;
                    for (int x = 0; x < s.w; x++) {
                        const std::size_t at = base + x * pixel + c;
                        Vector<T> sum = zero<T>();
                        for (const NormTerm<T>& t : norms)
                            sum = hn::Add(sum, hn::MulAdd(load_first(t.z + at, left), load_first(t.scale + c, left),
                                                          load_first(t.shift + c, left)));
                        const T share = T(1) / static_cast<T>(neighbours(h, s.h) * neighbours(x, s.w));
                        for (const T* p : pools) {
                            Vector<T> window = zero<T>();
                            for (int i = top; i <= bottom; i++) {
                                const T* q = p + at + i * static_cast<std::ptrdiff_t>(row);
                                if (x > 0) window = hn::Add(window, load_first(q - pixel, left));
                                window = hn::Add(window, load_first(q, left));
                                if (x + 1 < s.w) window = hn::Add(window, load_first(q + pixel, left));
                            }
                            sum = hn::MulAdd(window, set(share), sum);
                        }
                        for (const T* p : skips) sum = hn::Add(sum, load_first(p + at, left));
                        store_first<T>(sum, y + at, left);
                    }
                }
            }
    });
}

template <class T>
void input_gradient(const Stream& stream, const Image& s, const T* dy, bool skip, bool pool, T* dx, bool accumulate) {
    constexpr int L = kLanes<T>;
    const Chunks images(s.n);
    const std::size_t row = static_cast<std::size_t>(s.w) * s.c, pixel = static_cast<std::size_t>(s.c);
    const T part[4] = {0, 1, T(1) / 2, T(1) / 3};  // 1 / neighbours
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int h = 0; h < s.h; h++) {
                const std::size_t base = (static_cast<std::size_t>(n) * s.h + h) * row;
                const int top = std::max(h - 1, 0), bottom = std::min(h + 1, s.h - 1);
                for (int c = 0; c < s.c; c += L) {
                    const int left = s.c - c;
                    for (int x = 0; x < s.w; x++) {
                        const std::size_t at = base + x * pixel + c;
                        Vector<T> sum = accumulate ? load_first(dx + at, left) : zero<T>();
                        if (skip) sum = hn::Add(sum, load_first(dy + at, left));
                        // Each neighbour gave 1 / (rows x columns of its own window) of its gradient.
                        for (int i = top; pool && i <= bottom; i++) {
                            const T* q = dy + at + (i - h) * static_cast<std::ptrdiff_t>(row);
                            Vector<T> line = hn::Mul(load_first(q, left), set(part[neighbours(x, s.w)]));
                            if (x > 0)
                                line = hn::MulAdd(load_first(q - pixel, left), set(part[neighbours(x - 1, s.w)]), line);
                            if (x + 1 < s.w)
                                line = hn::MulAdd(load_first(q + pixel, left), set(part[neighbours(x + 1, s.w)]), line);
                            sum = hn::MulAdd(line, set(part[neighbours(i, s.h)]), sum);
                        }
                        store_first<T>(sum, dx + at, left);
                    }
                }
            }
    });
}

/// Sums over some pixels of x (nothing if first is 0), and of x * z_k; Square: of x * x.
template <int K, bool Square, class T>
HWY_INLINE void sums_of_run(std::size_t pixels, int channels, int c, const T* x, const T* const* z, bool first,
                            double* sums, int stride) {
    const int left = channels - c;
    Vector<T> plain = zero<T>(), products[K + 1];
#pragma GCC unroll 4
    for (int k = 0; k < K; k++) products[k] = zero<T>();
    for (std::size_t p = 0; p < pixels; p++) {
        const std::size_t at = p * channels + c;
        const Vector<T> v = load_first(x + at, left);
        plain = hn::Add(plain, v);
#pragma GCC unroll 4
        for (int k = 0; k < K; k++) products[k] = hn::MulAdd(v, Square ? v : load_first(z[k] + at, left), products[k]);
    }
    if (first) add_to_double<T>(plain, sums + c, left);
#pragma GCC unroll 4
    for (int k = 0; k < K; k++) add_to_double<T>(products[k], sums + (1 + k) * stride + c, left);
}

/// The partial sums of one chunk: runs of 64 pixels in T, then double. Up to 3 products share a read of x; more tensors
/// find it in the cache.
template <bool Square, class T>
void sums_of_chunk(std::size_t begin, std::size_t end, int channels, const T* x, std::span<const T* const> z,
                   double* sums) {
    constexpr std::size_t kRun = 64;
    for (std::size_t at = begin; at < end; at += kRun) {
        const std::size_t pixels = std::min(kRun, end - at), offset = at * channels;
        const int total = Square ? 1 : static_cast<int>(z.size());
        for (int k = 0; k == 0 || k < total; k += 3) {
            const T* terms[3] = {};
            const int count = std::min(3, total - k);
            for (int i = 0; !Square && i < count; i++) terms[i] = z[k + i] + offset;
            for (int c = 0; c < channels; c += kLanes<T>) {
                const T* from = x + offset;
                double* to = sums + static_cast<std::size_t>(k) * channels;
                const bool first = k == 0;
                // Sum 0 is that of x alone: for later terms `to` is moved so that the same indices fit.
                if (count == 0) sums_of_run<0, Square>(pixels, channels, c, from, terms, first, to, channels);
                if (count == 1) sums_of_run<1, Square>(pixels, channels, c, from, terms, first, to, channels);
                if (count == 2) sums_of_run<2, Square>(pixels, channels, c, from, terms, first, to, channels);
                if (count == 3) sums_of_run<3, Square>(pixels, channels, c, from, terms, first, to, channels);
            }
        }
    }
}

template <bool Square, class T>
void all_sums(const Stream& stream, const Image& s, const T* x, std::span<const T* const> z, double* sums,
              void* workspace) {
    const Chunks images(s.n);
    const std::size_t per_image = static_cast<std::size_t>(s.h) * s.w;
    const std::size_t count = (1 + (Square ? 1 : z.size())) * s.c;
    double* partials = static_cast<double*>(workspace);
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        double* partial = partials + count * chunk;
        std::fill_n(partial, count, 0.0);
        sums_of_chunk<Square>(images.begin(chunk) * per_image, images.end(chunk) * per_image, s.c, x, z, partial);
    });
    for (std::size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int chunk = 0; chunk < images.count; chunk++) sum += partials[count * chunk + i];
        sums[i] = sum;
    }
}

/// One pass over the pixels of the smaller image, (n, h / 2, w / 2, c).
template <class T>
void pool_2x2(const Stream& stream, const Image& s, const T* x, T* y) {
    const Chunks images(s.n);
    const std::size_t row = static_cast<std::size_t>(s.w) * s.c;
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int h = 0; h < s.h / 2; h++)
                for (int w = 0; w < s.w / 2; w++) {
                    const T* p =
                        x + (static_cast<std::size_t>(n) * s.h + 2 * h) * row + static_cast<std::size_t>(2) * w * s.c;
                    T* q = y + ((static_cast<std::size_t>(n) * (s.h / 2) + h) * (s.w / 2) + w) * s.c;
                    for (int c = 0; c < s.c; c += kLanes<T>) {
                        const int left = s.c - c;
                        const Vector<T> upper = hn::Add(load_first(p + c, left), load_first(p + s.c + c, left));
                        const Vector<T> lower =
                            hn::Add(load_first(p + row + c, left), load_first(p + row + s.c + c, left));
                        store_first<T>(hn::Mul(hn::Add(upper, lower), set(T(0.25))), q + c, left);
                    }
                }
    });
}

template <class T>
void pool_2x2_backward(const Stream& stream, const Image& s, const T* dy, T* dx, bool accumulate) {
    const Chunks images(s.n);
    const std::size_t row = static_cast<std::size_t>(s.w) * s.c;
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int h = 0; h < s.h; h++)
                for (int w = 0; w < s.w; w++) {
                    const T* p = dy + ((static_cast<std::size_t>(n) * (s.h / 2) + h / 2) * (s.w / 2) + w / 2) * s.c;
                    T* q = dx + (static_cast<std::size_t>(n) * s.h + h) * row + static_cast<std::size_t>(w) * s.c;
                    for (int c = 0; c < s.c; c += kLanes<T>) {
                        const int left = s.c - c;
                        const Vector<T> old = accumulate ? load_first(q + c, left) : zero<T>();
                        store_first<T>(hn::MulAdd(load_first(p + c, left), set(T(0.25)), old), q + c, left);
                    }
                }
    });
}

#define NASCENT_NODE(T, SUFFIX)                                                                                  \
    void node_combine_##SUFFIX(const Stream& s, const Image& i, std::span<const NormTerm<T>> norms,              \
                               std::span<const T* const> pools, std::span<const T* const> skips, T* y) {         \
        combine<T>(s, i, norms, pools, skips, y);                                                                \
    }                                                                                                            \
    void node_input_gradient_##SUFFIX(const Stream& s, const Image& i, const T* dy, bool skip, bool pool, T* dx, \
                                      bool accumulate) {                                                         \
        input_gradient<T>(s, i, dy, skip, pool, dx, accumulate);                                                 \
    }                                                                                                            \
    void norm_backward_sums_##SUFFIX(const Stream& s, const Image& i, const T* dy, std::span<const T* const> z,  \
                                     double* sums, void* workspace) {                                            \
        all_sums<false, T>(s, i, dy, z, sums, workspace);                                                        \
    }                                                                                                            \
    void channel_sums_##SUFFIX(const Stream& s, const Image& i, const T* x, double* sums, void* workspace) {     \
        all_sums<true, T>(s, i, x, {}, sums, workspace);                                                         \
    }                                                                                                            \
    void avg_pool_2x2_##SUFFIX(const Stream& s, const Image& i, const T* x, T* y) { pool_2x2<T>(s, i, x, y); }   \
    void avg_pool_2x2_backward_##SUFFIX(const Stream& s, const Image& i, const T* dy, T* dx, bool accumulate) {  \
        pool_2x2_backward<T>(s, i, dy, dx, accumulate);                                                          \
    }
NASCENT_NODE(float, f32)
NASCENT_NODE(double, f64)
#undef NASCENT_NODE

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels {

HWY_EXPORT(node_combine_f32);
HWY_EXPORT(node_combine_f64);
HWY_EXPORT(node_input_gradient_f32);
HWY_EXPORT(node_input_gradient_f64);
HWY_EXPORT(norm_backward_sums_f32);
HWY_EXPORT(norm_backward_sums_f64);
HWY_EXPORT(channel_sums_f32);
HWY_EXPORT(channel_sums_f64);
HWY_EXPORT(avg_pool_2x2_f32);
HWY_EXPORT(avg_pool_2x2_f64);
HWY_EXPORT(avg_pool_2x2_backward_f32);
HWY_EXPORT(avg_pool_2x2_backward_f64);

template <class T>
void node_combine(const Stream& stream, const Image& image, std::span<const NormTerm<T>> norms,
                  std::span<const T* const> pools, std::span<const T* const> skips, T* y) {
    NASCENT_DISPATCH(node_combine, stream, image, norms, pools, skips, y)
}
template <class T>
void node_input_gradient(const Stream& stream, const Image& image, const T* dy, bool skip, bool pool, T* dx,
                         bool accumulate) {
    NASCENT_DISPATCH(node_input_gradient, stream, image, dy, skip, pool, dx, accumulate)
}
template <class T>
void norm_backward_sums(const Stream& stream, const Image& image, const T* dy, std::span<const T* const> z,
                        double* sums, void* workspace) {
    NASCENT_DISPATCH(norm_backward_sums, stream, image, dy, z, sums, workspace)
}
template <class T>
void channel_sums(const Stream& stream, const Image& image, const T* x, double* sums, void* workspace) {
    NASCENT_DISPATCH(channel_sums, stream, image, x, sums, workspace)
}
template <class T>
void avg_pool_2x2(const Stream& stream, const Image& image, const T* x, T* y) {
    NASCENT_DISPATCH(avg_pool_2x2, stream, image, x, y)
}
template <class T>
void avg_pool_2x2_backward(const Stream& stream, const Image& image, const T* dy, T* dx,
                           bool accumulate){NASCENT_DISPATCH(avg_pool_2x2_backward, stream, image, dy, dx, accumulate)}

std::size_t norm_sums_workspace(const Stream&, const Image& image, int terms) {
    return static_cast<std::size_t>(Chunks(image.n).count) * (1 + terms) * image.c * sizeof(double);
}

#define NASCENT_NODE(T)                                                                                              \
    template void node_combine(const Stream&, const Image&, std::span<const NormTerm<T>>, std::span<const T* const>, \
                               std::span<const T* const>, T*);                                                       \
    template void node_input_gradient(const Stream&, const Image&, const T*, bool, bool, T*, bool);                  \
    template void norm_backward_sums(const Stream&, const Image&, const T*, std::span<const T* const>, double*,      \
                                     void*);                                                                         \
    template void channel_sums(const Stream&, const Image&, const T*, double*, void*);                               \
    template void avg_pool_2x2(const Stream&, const Image&, const T*, T*);                                           \
    template void avg_pool_2x2_backward(const Stream&, const Image&, const T*, T*, bool);
NASCENT_NODE(float)
NASCENT_NODE(double)
#undef NASCENT_NODE

}  // namespace nascent::kernels
#endif
