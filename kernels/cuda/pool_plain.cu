// Written to be read, as the CPU's: a thread per element of the result, sums in double.
#include <cmath>

#include "kernels/common/plain.cuh"
#include "kernels/pool_plain.h"

namespace nascent::kernels::gpu {
namespace {

/// The part of a pooling window that lies inside the image.
struct Inside {
    int top, left, y0, y1, x0, x1;
};
__device__ Inside inside(const PoolShape& s, int oy, int ox) {
    const int y = oy * s.stride - s.padding, x = ox * s.stride - s.padding;
    return {y, x, max(y, 0), min(y + s.k, s.x.h), max(x, 0), min(x + s.k, s.x.w)};
}
__device__ int count(const Inside& i) { return (i.y1 - i.y0) * (i.x1 - i.x0); }
__device__ int tap_of(const Inside& i, int k, int y, int x) { return (y - i.top) * k + x - i.left; }

/// f(offset of the window's element in y, inside) for the windows that hold the element.
template <class F>
__device__ void for_each_window(const PoolShape& s, int oh, int ow, const Element& i, F&& f) {
    const int oy_end = min(oh, (i.h + s.padding) / s.stride + 1), ox_end = min(ow, (i.w + s.padding) / s.stride + 1);
    for (int oy = max(0, (i.h + s.padding - s.k) / s.stride); oy < oy_end; oy++)
        for (int ox = max(0, (i.w + s.padding - s.k) / s.stride); ox < ox_end; ox++) {
            const Inside in = inside(s, oy, ox);
            if (i.h >= in.y0 && i.h < in.y1 && i.w >= in.x0 && i.w < in.x1)
                f(offset(i.n, oy, ox, i.c, oh, ow, s.x.c), in);
        }
}

template <class T>
__global__ void avg_pool_kernel(unsigned size, PoolShape s, int oh, int ow, const T* x, T* y) {
    if (item() >= size) return;
    const Element o = element(item(), oh, ow, s.x.c);
    const Inside in = inside(s, o.h, o.w);
    double sum = 0;
    for (int iy = in.y0; iy < in.y1; iy++)
        for (int ix = in.x0; ix < in.x1; ix++) sum += x[offset(o.n, iy, ix, o.c, s.x.h, s.x.w, s.x.c)];
    y[item()] = static_cast<T>(sum / count(in));
}
template <class T>
__global__ void avg_pool_gradient_kernel(unsigned size, PoolShape s, int oh, int ow, const T* dy, T* dx,
                                         bool accumulate) {
    if (item() >= size) return;
    double sum = 0;
    for_each_window(s, oh, ow, element(item(), s.x.h, s.x.w, s.x.c),
                    [&](std::size_t o, const Inside& in) { sum += static_cast<double>(dy[o]) / count(in); });
    put(dx[item()], sum, accumulate);
}

template <class T>
__global__ void max_pool_kernel(unsigned size, PoolShape s, int oh, int ow, const T* x, T* y, std::uint8_t* tap) {
    if (item() >= size) return;
    const Element o = element(item(), oh, ow, s.x.c);
    const Inside in = inside(s, o.h, o.w);
    T largest = x[offset(o.n, in.y0, in.x0, o.c, s.x.h, s.x.w, s.x.c)];
    int at = tap_of(in, s.k, in.y0, in.x0);
    for (int iy = in.y0; iy < in.y1; iy++)
        for (int ix = in.x0; ix < in.x1; ix++) {
            const T v = x[offset(o.n, iy, ix, o.c, s.x.h, s.x.w, s.x.c)];
            if (v > largest || v != v) {
                largest = v;
                at = tap_of(in, s.k, iy, ix);
            }
        }
    y[item()] = largest;
    tap[item()] = static_cast<std::uint8_t>(at);
}
template <class T>
__global__ void max_pool_gradient_kernel(unsigned size, PoolShape s, int oh, int ow, const std::uint8_t* tap,
                                         const T* dy, T* dx, bool accumulate) {
    if (item() >= size) return;
    const Element i = element(item(), s.x.h, s.x.w, s.x.c);
    double sum = 0;
    for_each_window(s, oh, ow, i, [&](std::size_t o, const Inside& in) {
        if (tap[o] == tap_of(in, s.k, i.h, i.w)) sum += dy[o];
    });
    put(dx[item()], sum, accumulate);
}

template <class S>
__global__ void mean_kernel(unsigned size, std::size_t pixels, int channels, const S* x, Compute<S>* pooled) {
    if (item() >= size) return;
    const unsigned n = item() / static_cast<unsigned>(channels), c = item() % static_cast<unsigned>(channels);
    double sum = 0;
    for (std::size_t p = 0; p < pixels; p++) sum += widen(x[(n * pixels + p) * channels + c]);
    pooled[item()] = static_cast<Compute<S>>(sum / static_cast<double>(pixels));
}
template <class S>
__global__ void mean_gradient_kernel(unsigned size, unsigned pixels, unsigned channels, const Compute<S>* dpooled,
                                     S* dx, bool accumulate) {
    if (item() >= size) return;
    const unsigned n = item() / channels / pixels, c = item() % channels;
    Compute<S> sum = accumulate ? widen(dx[item()]) : Compute<S>(0);
    put(sum, dpooled[n * static_cast<std::size_t>(channels) + c] / static_cast<double>(pixels), accumulate);
    dx[item()] = narrow<S>(sum);
}

std::size_t windows(const PoolShape& s) { return product({s.x.n, s.out_h(), s.out_w(), s.x.c}); }

}  // namespace

template <class T>
void avg_pool_plain_forward(const Stream& stream, const PoolShape& s, const T* x, T* y) {
    simt::launch(avg_pool_kernel<T>, items(stream, windows(s)), items(windows(s)), s, s.out_h(), s.out_w(), x, y);
}
template <class T>
void avg_pool_plain_backward(const Stream& stream, const PoolShape& s, const T* dy, T* dx, bool accumulate) {
    simt::launch(avg_pool_gradient_kernel<T>, items(stream, s.x.size()), items(s.x.size()), s, s.out_h(), s.out_w(), dy,
                 dx, accumulate);
}

template <class T>
void max_pool_plain_forward(const Stream& stream, const PoolShape& s, const T* x, T* y, std::uint8_t* tap) {
    simt::launch(max_pool_kernel<T>, items(stream, windows(s)), items(windows(s)), s, s.out_h(), s.out_w(), x, y, tap);
}
template <class T>
void max_pool_plain_backward(const Stream& stream, const PoolShape& s, const std::uint8_t* tap, const T* dy, T* dx,
                             bool accumulate) {
    simt::launch(max_pool_gradient_kernel<T>, items(stream, s.x.size()), items(s.x.size()), s, s.out_h(), s.out_w(),
                 tap, dy, dx, accumulate);
}

template <class S>
void global_avg_pool_forward(const Stream& stream, const Image& s, const S* x, Compute<S>* pooled) {
    const std::size_t size = product({s.n, s.c});
    simt::launch(mean_kernel<S>, items(stream, size), items(size), product({s.h, s.w}), s.c, x, pooled);
}
template <class S>
void global_avg_pool_backward(const Stream& stream, const Image& s, const Compute<S>* dpooled, S* dx, bool accumulate) {
    simt::launch(mean_gradient_kernel<S>, items(stream, s.size()), items(s.size()), items(product({s.h, s.w})),
                 static_cast<unsigned>(s.c), dpooled, dx, accumulate);
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
template void global_avg_pool_forward(const Stream&, const Image&, const BFloat16*, float*);
template void global_avg_pool_backward(const Stream&, const Image&, const float*, BFloat16*, bool);

}  // namespace nascent::kernels::gpu
