#include "kernels/pool_plain.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/plain.h"

namespace nascent::kernels::cpu {
namespace {

/// The part of a pooling window that lies inside the image.
struct Inside {
    int top, left, y0, y1, x0, x1;
    Inside(const PoolShape& s, int oy, int ox)
        : top(oy * s.stride - s.padding),
          left(ox * s.stride - s.padding),
          y0(std::max(top, 0)),
          y1(std::min(top + s.k, s.x.h)),
          x0(std::max(left, 0)),
          x1(std::min(left + s.k, s.x.w)) {}
    int count() const { return (y1 - y0) * (x1 - x0); }
    int tap(const PoolShape& s, int y, int x) const { return (y - top) * s.k + x - left; }
};

/// f(oy, ox, inside) for the windows that hold the pixel (iy, ix).
template <class F>
void for_each_window(const PoolShape& s, int iy, int ix, F&& f) {
    const int oy_end = std::min(s.out_h(), (iy + s.padding) / s.stride + 1);
    const int ox_end = std::min(s.out_w(), (ix + s.padding) / s.stride + 1);
    for (int oy = std::max(0, (iy + s.padding - s.k) / s.stride); oy < oy_end; oy++)
        for (int ox = std::max(0, (ix + s.padding - s.k) / s.stride); ox < ox_end; ox++) {
            const Inside in(s, oy, ox);
            if (iy >= in.y0 && iy < in.y1 && ix >= in.x0 && ix < in.x1) f(oy, ox, in);
        }
}

}  // namespace

template <class T>
void avg_pool_plain_forward(const Stream& stream, const PoolShape& s, const T* x, T* y) {
    for_each(stream, s.x.n, [&](int n) {
        for (int oy = 0; oy < s.out_h(); oy++)
            for (int ox = 0; ox < s.out_w(); ox++)
                for (int c = 0; c < s.x.c; c++) {
                    const Inside in(s, oy, ox);
                    double sum = 0;
                    for (int iy = in.y0; iy < in.y1; iy++)
                        for (int ix = in.x0; ix < in.x1; ix++) sum += x[offset(n, iy, ix, c, s.x.h, s.x.w, s.x.c)];
                    y[offset(n, oy, ox, c, s.out_h(), s.out_w(), s.x.c)] = static_cast<T>(sum / in.count());
                }
    });
}

template <class T>
void avg_pool_plain_backward(const Stream& stream, const PoolShape& s, const T* dy, T* dx, bool accumulate) {
    for_each(stream, s.x.n, [&](int n) {
        for (int iy = 0; iy < s.x.h; iy++)
            for (int ix = 0; ix < s.x.w; ix++)
                for (int c = 0; c < s.x.c; c++) {
                    double sum = 0;
                    for_each_window(s, iy, ix, [&](int oy, int ox, const Inside& in) {
                        sum += static_cast<double>(dy[offset(n, oy, ox, c, s.out_h(), s.out_w(), s.x.c)]) / in.count();
                    });
                    put(dx[offset(n, iy, ix, c, s.x.h, s.x.w, s.x.c)], sum, accumulate);
                }
    });
}

template <class T>
void max_pool_plain_forward(const Stream& stream, const PoolShape& s, const T* x, T* y, std::uint8_t* tap) {
    for_each(stream, s.x.n, [&](int n) {
        for (int oy = 0; oy < s.out_h(); oy++)
            for (int ox = 0; ox < s.out_w(); ox++)
                for (int c = 0; c < s.x.c; c++) {
                    const Inside in(s, oy, ox);
                    T largest = x[offset(n, in.y0, in.x0, c, s.x.h, s.x.w, s.x.c)];
                    int at = in.tap(s, in.y0, in.x0);
                    for (int iy = in.y0; iy < in.y1; iy++)
                        for (int ix = in.x0; ix < in.x1; ix++) {
                            const T v = x[offset(n, iy, ix, c, s.x.h, s.x.w, s.x.c)];
                            if (v > largest || std::isnan(v)) largest = v, at = in.tap(s, iy, ix);
                        }
                    const Size o = offset(n, oy, ox, c, s.out_h(), s.out_w(), s.x.c);
                    y[o] = largest;
                    tap[o] = static_cast<std::uint8_t>(at);
                }
    });
}

template <class T>
void max_pool_plain_backward(const Stream& stream, const PoolShape& s, const std::uint8_t* tap, const T* dy, T* dx,
                             bool accumulate) {
    for_each(stream, s.x.n, [&](int n) {
        for (int iy = 0; iy < s.x.h; iy++)
            for (int ix = 0; ix < s.x.w; ix++)
                for (int c = 0; c < s.x.c; c++) {
                    double sum = 0;
                    for_each_window(s, iy, ix, [&](int oy, int ox, const Inside& in) {
                        const Size o = offset(n, oy, ox, c, s.out_h(), s.out_w(), s.x.c);
                        if (tap[o] == in.tap(s, iy, ix)) sum += dy[o];
                    });
                    put(dx[offset(n, iy, ix, c, s.x.h, s.x.w, s.x.c)], sum, accumulate);
                }
    });
}

template <class T>
void global_avg_pool_forward(const Stream&, const Image& s, const T* x, Compute<T>* pooled) {
    const Size pixels = Size(s.h) * s.w;
    for (int n = 0; n < s.n; n++)
        for (int c = 0; c < s.c; c++) {
            double sum = 0;
            for (Size p = 0; p < pixels; p++) sum += x[(n * pixels + p) * s.c + c];
            pooled[Size(n) * s.c + c] = static_cast<T>(sum / static_cast<double>(pixels));
        }
}
template <class T>
void global_avg_pool_backward(const Stream&, const Image& s, const Compute<T>* dpooled, T* dx, bool accumulate) {
    const Size pixels = Size(s.h) * s.w;
    for (int n = 0; n < s.n; n++)
        for (Size p = 0; p < pixels; p++)
            for (int c = 0; c < s.c; c++)
                put(dx[(n * pixels + p) * s.c + c], dpooled[Size(n) * s.c + c] / static_cast<double>(pixels),
                    accumulate);
}

#define NASCENT_POOL_PLAIN(T)                                                                                        \
    template void avg_pool_plain_forward(const Stream&, const PoolShape&, const T*, T*);                             \
    template void avg_pool_plain_backward(const Stream&, const PoolShape&, const T*, T*, bool);                      \
    template void max_pool_plain_forward(const Stream&, const PoolShape&, const T*, T*, std::uint8_t*);              \
    template void max_pool_plain_backward(const Stream&, const PoolShape&, const std::uint8_t*, const T*, T*, bool); \
    template void global_avg_pool_forward(const Stream&, const Image&, const T*, T*);                                \
    template void global_avg_pool_backward(const Stream&, const Image&, const T*, T*, bool);
NASCENT_POOL_PLAIN(float)
NASCENT_POOL_PLAIN(double)
#undef NASCENT_POOL_PLAIN

}  // namespace nascent::kernels::cpu
