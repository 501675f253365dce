// Average pools 3x3 of stride 1, whose windows are a column of three sums of three: compiled once per target.
#if defined(NASCENT_KERNELS_CPU_AVG_POOL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_AVG_POOL_INL_H_
#undef NASCENT_KERNELS_CPU_AVG_POOL_INL_H_
#else
#define NASCENT_KERNELS_CPU_AVG_POOL_INL_H_
#endif

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// How many of q - 1, q, q + 1 lie in [0, size).
HWY_INLINE int pool_neighbours(int q, int size) { return 1 + (q > 0) + (q + 1 < size); }

/// f(x, sum of column(x - 1), column(x), column(x + 1)), those that lie in [0, width); each column is asked for once.
template <class T, class Column, class F>
HWY_INLINE void sliding_sums(int width, const Column& column, const F& f) {
    Vector<T> before = zero<T>(), here = column(0);
    for (int x = 0; x + 1 < width; x++) {
        const Vector<T> after = column(x + 1);
        f(x, hn::Add(hn::Add(before, here), after));
        before = here;
        here = after;
    }
    f(width - 1, hn::Add(before, here));
}

/// z (h, w, c) = the means of an image whose pixels lie `pixel` elements apart.
template <int Rows, class T>
HWY_INLINE void avg_pool_row(const T* rows, std::size_t row, std::size_t pixel, int width, int count, T* z,
                             std::size_t z_pixel) {
    const Vector<T> edge = set(T(1) / static_cast<T>(Rows * pool_neighbours(0, width))),
                    within = set(T(1) / static_cast<T>(Rows * 3));
    sliding_sums<T>(
        width,
        [&](int x) HWY_ATTR {
            const T* p = rows + static_cast<std::size_t>(x) * pixel;
            Vector<T> sum = load_first(p, count);
            if constexpr (Rows > 1) sum = hn::Add(sum, load_first(p + row, count));
            if constexpr (Rows > 2) sum = hn::Add(sum, load_first(p + 2 * row, count));
            return sum;
        },
        [&](int x, Vector<T> sum) HWY_ATTR {
            store_first<T>(hn::Mul(sum, x == 0 || x + 1 == width ? edge : within),
                           z + static_cast<std::size_t>(x) * z_pixel, count);
        });
}
template <class T>
HWY_NOINLINE void avg_pool_image(const T* image, int h, int w, int c, std::size_t pixel, T* z) {
    const std::size_t row = static_cast<std::size_t>(w) * pixel, z_pixel = static_cast<std::size_t>(c);
    for (int y = 0; y < h; y++)
        for (int at = 0; at < c; at += kLanes<T>) {
            const int rows = pool_neighbours(y, h), count = std::min(c - at, kLanes<T>);
            const T* from = image + static_cast<std::size_t>(std::max(y - 1, 0)) * row + at;
            T* to = z + static_cast<std::size_t>(y) * w * z_pixel + at;
            if (rows == 1) avg_pool_row<1>(from, row, pixel, w, count, to, z_pixel);
            if (rows == 2) avg_pool_row<2>(from, row, pixel, w, count, to, z_pixel);
            if (rows == 3) avg_pool_row<3>(from, row, pixel, w, count, to, z_pixel);
        }
}

/// One vector of channels: what dz(pixel) of an image gives back is added to `to` (h, w), pixels `to_pixel` apart.
template <class T, class Gradient>
HWY_INLINE void avg_pool_gradient(int h, int w, int count, T* to, std::size_t to_pixel, const Gradient& dz) {
    const Vector<T> edge = set(T(1) / static_cast<T>(pool_neighbours(0, w))), within = set(T(1) / T(3));
    const std::size_t row = static_cast<std::size_t>(w) * to_pixel;
    for (int y = 0; y < h; y++) {
        const Vector<T> of_rows = set(T(1) / static_cast<T>(pool_neighbours(y, h)));
        const bool above = y > 0, below = y + 1 < h;
        sliding_sums<T>(
            w,
            [&](int x) HWY_ATTR {
                const Vector<T> part = x == 0 || x + 1 == w ? edge : within;
                return hn::Mul(dz(static_cast<std::size_t>(y) * w + x), part);
            },
            [&](int x, Vector<T> sum) HWY_ATTR {
                const Vector<T> g = hn::Mul(sum, of_rows);
                T* q = to + static_cast<std::size_t>(y) * row + static_cast<std::size_t>(x) * to_pixel;
                if (above) store_first<T>(hn::Add(load_first(q - row, count), g), q - row, count);
                store_first<T>(hn::Add(load_first(q, count), g), q, count);
                if (below) store_first<T>(hn::Add(load_first(q + row, count), g), q + row, count);
            });
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
