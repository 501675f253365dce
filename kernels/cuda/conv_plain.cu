// Written to be read, as the CPU's: a thread per element of the result, sums in double.
#include "kernels/common/plain.cuh"
#include "kernels/conv_plain.h"

namespace nascent::kernels::gpu {
namespace {

/// Sizes, with the windows counted.
struct Shape {
    Image x;
    WindowAxis h, w;
    int oh, ow;
};
Shape shape(const Image& image, const Window& at) {
    return {image, at.h, at.w, at.h.windows(image.h), at.w.windows(image.w)};
}

/// The pixel under a tap of window i, or -1 off the image.
__device__ int pixel(const WindowAxis& a, int i, int tap, int size) {
    const int p = i * a.stride + tap * a.dilation - a.before;
    return p < size ? p : -1;
}
/// The window whose tap lies on the pixel p, or -1 for none.
__device__ int window(const WindowAxis& a, int p, int tap, int windows) {
    const int from = p + a.before - tap * a.dilation;
    return from >= 0 && from % a.stride == 0 && from / a.stride < windows ? from / a.stride : -1;
}

/// f(tap, offset of the pixel's channels in x) for the taps of window (n, oy, ox) that lie on the image, in row order.
template <class F>
__device__ void for_each_tap(const Shape& s, const Element& o, F&& f) {
    for (int tap = 0; tap < s.h.taps * s.w.taps; tap++) {
        const int y = pixel(s.h, o.h, tap / s.w.taps, s.x.h), x = pixel(s.w, o.w, tap % s.w.taps, s.x.w);
        if (y >= 0 && x >= 0) f(tap, offset(o.n, y, x, 0, s.x.h, s.x.w, s.x.c));
    }
}
/// f(tap, offset of the window's channels in y) for the windows that have a tap on pixel (n, y, x), in row order of the
/// taps.
template <class F>
__device__ void for_each_window(const Shape& s, const Element& i, int channels, F&& f) {
    for (int tap = 0; tap < s.h.taps * s.w.taps; tap++) {
        const int oy = window(s.h, i.h, tap / s.w.taps, s.oh), ox = window(s.w, i.w, tap % s.w.taps, s.ow);
        if (oy >= 0 && ox >= 0) f(tap, offset(i.n, oy, ox, 0, s.oh, s.ow, channels));
    }
}
/// f(offset in x, offset in y) for every window with its tap on a pixel.
template <class F>
__device__ void for_each_pair(const Shape& s, int tap, int channels, F&& f) {
    for (int n = 0; n < s.x.n; n++)
        for (int oy = 0; oy < s.oh; oy++)
            for (int ox = 0; ox < s.ow; ox++) {
                const int y = pixel(s.h, oy, tap / s.w.taps, s.x.h), x = pixel(s.w, ox, tap % s.w.taps, s.x.w);
                if (y >= 0 && x >= 0)
                    f(offset(n, y, x, 0, s.x.h, s.x.w, s.x.c), offset(n, oy, ox, 0, s.oh, s.ow, channels));
            }
}

template <class T>
__global__ void conv_kernel(unsigned size, Shape s, int c_out, const T* x, const T* w, T* y) {
    if (item() >= size) return;
    const Element o = element(item(), s.oh, s.ow, c_out);
    double sum = 0;
    for_each_tap(s, o, [&](int tap, std::size_t in) {
        const T* v = w + static_cast<std::size_t>(tap) * s.x.c * c_out + o.c;
        for (int ci = 0; ci < s.x.c; ci++)
            sum += static_cast<double>(x[in + ci]) * v[static_cast<std::size_t>(ci) * c_out];
    });
    y[item()] = static_cast<T>(sum);
}
/// Every input element gathers from the outputs whose windows cover it.
template <class T>
__global__ void conv_dx_kernel(unsigned size, Shape s, int c_out, const T* w, const T* dy, T* dx, bool accumulate) {
    if (item() >= size) return;
    const Element i = element(item(), s.x.h, s.x.w, s.x.c);
    double sum = 0;
    for_each_window(s, i, c_out, [&](int tap, std::size_t out) {
        const T* v = w + (static_cast<std::size_t>(tap) * s.x.c + i.c) * c_out;
        for (int co = 0; co < c_out; co++) sum += static_cast<double>(dy[out + co]) * v[co];
    });
    put(dx[item()], sum, accumulate);
}
template <class T>
__global__ void conv_dw_kernel(unsigned size, Shape s, int c_out, const T* x, const T* dy, T* dw, bool accumulate) {
    if (item() >= size) return;
    const Element at = element(item(), 1, s.x.c, c_out);  // (tap, 1, c_in, c_out)
    double sum = 0;
    for_each_pair(s, at.n, c_out,
                  [&](std::size_t in, std::size_t out) { sum += static_cast<double>(x[in + at.w]) * dy[out + at.c]; });
    put(dw[item()], sum, accumulate);
}

template <class T>
__global__ void depthwise_kernel(unsigned size, Shape s, const T* x, const T* w, T* y) {
    if (item() >= size) return;
    const Element o = element(item(), s.oh, s.ow, s.x.c);
    double sum = 0;
    for_each_tap(s, o, [&](int tap, std::size_t in) {
        sum += static_cast<double>(x[in + o.c]) * w[static_cast<std::size_t>(tap) * s.x.c + o.c];
    });
    y[item()] = static_cast<T>(sum);
}
template <class T>
__global__ void depthwise_dx_kernel(unsigned size, Shape s, const T* w, const T* dy, T* dx, bool accumulate) {
    if (item() >= size) return;
    const Element i = element(item(), s.x.h, s.x.w, s.x.c);
    double sum = 0;
    for_each_window(s, i, s.x.c, [&](int tap, std::size_t out) {
        sum += static_cast<double>(dy[out + i.c]) * w[static_cast<std::size_t>(tap) * s.x.c + i.c];
    });
    put(dx[item()], sum, accumulate);
}
template <class T>
__global__ void depthwise_dw_kernel(unsigned size, Shape s, const T* x, const T* dy, T* dw, bool accumulate) {
    if (item() >= size) return;
    const Element at = element(item(), 1, 1, s.x.c);  // (tap, 1, 1, c)
    double sum = 0;
    for_each_pair(s, at.n, s.x.c,
                  [&](std::size_t in, std::size_t out) { sum += static_cast<double>(x[in + at.c]) * dy[out + at.c]; });
    put(dw[item()], sum, accumulate);
}

}  // namespace

template <class T>
void conv_plain_forward(const Stream& stream, const Image& image, const Window& at, int c_out, const T* x, const T* w,
                        T* y) {
    const Shape s = shape(image, at);
    const std::size_t size = product({image.n, s.oh, s.ow, c_out});
    simt::launch(conv_kernel<T>, items(stream, size), items(size), s, c_out, x, w, y);
}
template <class T>
void conv_plain_backward(const Stream& stream, const Image& image, const Window& at, int c_out, const T* x, const T* w,
                         const T* dy, T* dx, bool accumulate_dx, T* dw, bool accumulate_dw) {
    const Shape s = shape(image, at);
    const std::size_t weights = product({s.h.taps, s.w.taps, image.c, c_out});
    if (dx)
        simt::launch(conv_dx_kernel<T>, items(stream, image.size()), items(image.size()), s, c_out, w, dy, dx,
                     accumulate_dx);
    if (dw) simt::launch(conv_dw_kernel<T>, items(stream, weights), items(weights), s, c_out, x, dy, dw, accumulate_dw);
}

template <class T>
void depthwise_plain_forward(const Stream& stream, const Image& image, const Window& at, const T* x, const T* w, T* y) {
    const Shape s = shape(image, at);
    const std::size_t size = product({image.n, s.oh, s.ow, image.c});
    simt::launch(depthwise_kernel<T>, items(stream, size), items(size), s, x, w, y);
}
template <class T>
void depthwise_plain_backward(const Stream& stream, const Image& image, const Window& at, const T* x, const T* w,
                              const T* dy, T* dx, bool accumulate_dx, T* dw, bool accumulate_dw) {
    const Shape s = shape(image, at);
    const std::size_t weights = product({s.h.taps, s.w.taps, image.c});
    if (dx)
        simt::launch(depthwise_dx_kernel<T>, items(stream, image.size()), items(image.size()), s, w, dy, dx,
                     accumulate_dx);
    if (dw) simt::launch(depthwise_dw_kernel<T>, items(stream, weights), items(weights), s, x, dy, dw, accumulate_dw);
}

#define NASCENT_CONV_PLAIN(T)                                                                                        \
    template void conv_plain_forward(const Stream&, const Image&, const Window&, int, const T*, const T*, T*);       \
    template void conv_plain_backward(const Stream&, const Image&, const Window&, int, const T*, const T*, const T*, \
                                      T*, bool, T*, bool);                                                           \
    template void depthwise_plain_forward(const Stream&, const Image&, const Window&, const T*, const T*, T*);       \
    template void depthwise_plain_backward(const Stream&, const Image&, const Window&, const T*, const T*, const T*, \
                                           T*, bool, T*, bool);
NASCENT_CONV_PLAIN(float)
NASCENT_CONV_PLAIN(double)
#undef NASCENT_CONV_PLAIN

}  // namespace nascent::kernels::gpu
