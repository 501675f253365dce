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

/// One row of pixels, kept in the first cache while the terms are added to it one by one.
struct Row {
    int width, channels;
};

/// Full says that every lane is a channel; else the first `count` are.
template <bool Full, class T>
HWY_INLINE Vector<T> load_lanes(const T* p, int count) {
    if constexpr (Full) return load(p);
    return load_first(p, count);
}
/// The first term of a sum is stored, the others are added.
template <bool Full, class T>
HWY_INLINE void put_lanes(Vector<T> v, T* p, int count, bool add) {
    if (add) v = hn::Add(load_lanes<Full>(p, count), v);
    if constexpr (Full)
        store<T>(v, p);
    else
        store_first<T>(v, p, count);
}

template <bool Full, class T>
HWY_INLINE void affine_lanes(const Row& row, const T* x, const T* scale, const T* shift, T* to, int count, bool add) {
    const Vector<T> a = scale ? load_lanes<Full>(scale, count) : set(T(1));
    const Vector<T> b = shift ? load_lanes<Full>(shift, count) : zero<T>();
    for (int i = 0; i < row.width; i++, x += row.channels, to += row.channels)
        put_lanes<Full, T>(hn::MulAdd(load_lanes<Full>(x, count), a, b), to, count, add);
}
/// to (+)= x * scale + shift, with null scale and shift: x.
template <class T>
HWY_NOINLINE void add_affine(const Row& row, const T* x, const T* scale, const T* shift, T* to, bool add) {
    constexpr int L = kLanes<T>;
    int c = 0;
    for (; c + L <= row.channels; c += L) {
        const T *a = scale ? scale + c : nullptr, *b = shift ? shift + c : nullptr;
        if (add)
            affine_lanes<true>(row, x + c, a, b, to + c, L, true);
        else
            affine_lanes<true>(row, x + c, a, b, to + c, L, false);
    }
    if (c < row.channels)
        affine_lanes<false>(row, x + c, scale ? scale + c : nullptr, shift ? shift + c : nullptr, to + c,
                            row.channels - c, add);
}

/// Up to three rows above one another, and what their pixels and the sums of their 3x3 windows are multiplied by.
template <class T>
struct Windows {
    const T* rows[3];
    T weight[3];                   // of each row
    T edge_weight, weight_within;  // of the columns
    T edge_scale, scale_within;    // of the sums
};

template <bool Full, int Rows, class T>
HWY_INLINE Vector<T> column(const Windows<T>& s, std::size_t at, int count, Vector<T> weight) {
    Vector<T> sum = hn::Mul(load_lanes<Full>(s.rows[0] + at, count), set(s.weight[0]));
    if constexpr (Rows > 1) sum = hn::MulAdd(load_lanes<Full>(s.rows[1] + at, count), set(s.weight[1]), sum);
    if constexpr (Rows > 2) sum = hn::MulAdd(load_lanes<Full>(s.rows[2] + at, count), set(s.weight[2]), sum);
    return hn::Mul(sum, weight);
}
/// A window's three column sums move along the row, so each pixel is read once per row.
template <bool Full, int Rows, class T>
HWY_INLINE void window_lanes(const Row& row, const Windows<T>& s, std::size_t at, T* to, int count, bool add) {
    const Vector<T> edge = set(s.edge_weight), within = set(s.weight_within), scale = set(s.scale_within);
    const std::size_t pixel = static_cast<std::size_t>(row.channels);
    Vector<T> before = zero<T>(), here = column<Full, Rows>(s, at, count, edge);
    if (row.width == 1) return put_lanes<Full, T>(hn::Mul(here, set(s.edge_scale)), to + at, count, add);
    for (int x = 0; x + 1 < row.width; x++, at += pixel) {
        const Vector<T> after = column<Full, Rows>(s, at + pixel, count, x + 2 < row.width ? within : edge);
        const Vector<T> sum = hn::Add(hn::Add(before, here), after);
        put_lanes<Full, T>(hn::Mul(sum, x == 0 ? set(s.edge_scale) : scale), to + at, count, add);
        before = here;
        here = after;
    }
    put_lanes<Full, T>(hn::Mul(hn::Add(before, here), set(s.edge_scale)), to + at, count, add);
}
/// to (+)= the windows' weighted sums.
template <int Rows, class T>
HWY_NOINLINE void add_windows(const Row& row, const Windows<T>& s, T* to, bool add) {
    constexpr int L = kLanes<T>;
    int c = 0;
    for (; c + L <= row.channels; c += L) window_lanes<true, Rows>(row, s, c, to, L, add);
    if (c < row.channels) window_lanes<false, Rows>(row, s, c, to, row.channels - c, add);
}

/// The 3x3 average pool of row h of the image (h, w, c) at x, or with Gradient the pool's gradient there.
template <bool Gradient, class T>
void add_pool(const Image& s, int h, const T* x, T* to, bool add) {
    const T part[4] = {0, 1, T(1) / 2, T(1) / 3};  // 1 / neighbours
    const int top = std::max(h - 1, 0), rows = neighbours(h, s.h);
    Windows<T> windows = {};
    for (int i = 0; i < rows; i++) {
        windows.rows[i] = x + static_cast<std::size_t>(top + i) * s.w * s.c;
        // A neighbour gave each pixel of its own window its gradient over that window's rows and columns.
        windows.weight[i] = Gradient ? part[neighbours(top + i, s.h)] : T(1);
    }
    windows.edge_weight = Gradient ? part[neighbours(0, s.w)] : T(1);
    windows.weight_within = Gradient ? part[3] : T(1);
    windows.edge_scale = Gradient ? T(1) : T(1) / static_cast<T>(rows * neighbours(0, s.w));
    windows.scale_within = Gradient ? T(1) : T(1) / static_cast<T>(rows * 3);
    const Row row{s.w, s.c};
    if (rows == 1) add_windows<1>(row, windows, to, add);
    if (rows == 2) add_windows<2>(row, windows, to, add);
    if (rows == 3) add_windows<3>(row, windows, to, add);
}

template <class T>
void combine(const Stream& stream, const Image& s, std::span<const NormTerm<T>> norms, std::span<const T* const> pools,
             std::span<const T* const> skips, T* y) {
    const Chunks images(s.n);
    const std::size_t row = static_cast<std::size_t>(s.w) * s.c;
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int h = 0; h < s.h; h++) {
                const std::size_t image = static_cast<std::size_t>(n) * s.h * row, at = image + h * row;
                bool add = false;
                for (const NormTerm<T>& t : norms) {
                    add_affine<T>({s.w, s.c}, t.z + at, t.scale, t.shift, y + at, add);
                    add = true;
                }
                for (const T* p : pools) {
                    add_pool<false>(s, h, p + image, y + at, add);
                    add = true;
                }
                for (const T* p : skips) {
                    add_affine<T>({s.w, s.c}, p + at, nullptr, nullptr, y + at, add);
                    add = true;
                }
                if (!add) std::fill_n(y + at, row, T(0));
            }
    });
}

template <class T>
void input_gradient(const Stream& stream, const Image& s, const T* dy, bool skip, bool pool, T* dx, bool accumulate) {
    const Chunks images(s.n);
    const std::size_t row = static_cast<std::size_t>(s.w) * s.c;
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        for (int n = images.begin(chunk); n < images.end(chunk); n++)
            for (int h = 0; h < s.h; h++) {
                const std::size_t image = static_cast<std::size_t>(n) * s.h * row, at = image + h * row;
                if (skip) add_affine<T>({s.w, s.c}, dy + at, nullptr, nullptr, dx + at, accumulate);
                if (pool) add_pool<true>(s, h, dy + image, dx + at, accumulate || skip);
                if (!skip && !pool && !accumulate) std::fill_n(dx + at, row, T(0));
            }
    });
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
namespace nascent::kernels::cpu {

HWY_EXPORT(node_combine_f32);
HWY_EXPORT(node_combine_f64);
HWY_EXPORT(node_input_gradient_f32);
HWY_EXPORT(node_input_gradient_f64);
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
void avg_pool_2x2(const Stream& stream, const Image& image, const T* x, T* y) {
    NASCENT_DISPATCH(avg_pool_2x2, stream, image, x, y)
}
template <class T>
void avg_pool_2x2_backward(const Stream& stream, const Image& image, const T* dy, T* dx,
                           bool accumulate){NASCENT_DISPATCH(avg_pool_2x2_backward, stream, image, dy, dx, accumulate)}

#define NASCENT_NODE(T)                                                                                              \
    template void node_combine(const Stream&, const Image&, std::span<const NormTerm<T>>, std::span<const T* const>, \
                               std::span<const T* const>, T*);                                                       \
    template void node_input_gradient(const Stream&, const Image&, const T*, bool, bool, T*, bool);                  \
    template void avg_pool_2x2(const Stream&, const Image&, const T*, T*);                                           \
    template void avg_pool_2x2_backward(const Stream&, const Image&, const T*, T*, bool);
NASCENT_NODE(float) NASCENT_NODE(double)
#undef NASCENT_NODE

}  // namespace nascent::kernels::cpu
#endif
