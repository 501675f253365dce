#include "kernels/conv_plain.h"

#include "kernels/cpu/plain.h"

namespace nascent::kernels::cpu {
namespace {

/// Sizes, with the windows counted.
struct Shape {
    Image x;
    WindowAxis h, w;
    int oh, ow;
    Shape(const Image& image, const Window& at)
        : x(image), h(at.h), w(at.w), oh(at.h.windows(image.h)), ow(at.w.windows(image.w)) {}
    int taps() const { return h.taps * w.taps; }
    Size input(int n, int y, int x_, int c) const { return offset(n, y, x_, c, x.h, x.w, x.c); }
    Size output(int n, int y, int x_, int c, int channels) const { return offset(n, y, x_, c, oh, ow, channels); }
};

/// The pixel under a tap of window i, or -1 off the image.
int pixel(const WindowAxis& a, int i, int tap, int size) {
    const int p = i * a.stride + tap * a.dilation - a.before;
    return p < size ? p : -1;
}
/// The window whose tap lies on the pixel p, or -1 for none.
int window(const WindowAxis& a, int p, int tap, int windows) {
    const int from = p + a.before - tap * a.dilation;
    return from >= 0 && from % a.stride == 0 && from / a.stride < windows ? from / a.stride : -1;
}

/// f(tap, y, x) for the taps of window (oy, ox) that lie on the image, in row order.
template <class F>
void for_each_tap(const Shape& s, int oy, int ox, F&& f) {
    for (int tap = 0; tap < s.taps(); tap++) {
        const int y = pixel(s.h, oy, tap / s.w.taps, s.x.h), x = pixel(s.w, ox, tap % s.w.taps, s.x.w);
        if (y >= 0 && x >= 0) f(tap, y, x);
    }
}
/// f(tap, oy, ox) for the windows that have a tap on pixel (y, x), in row order of the taps.
template <class F>
void for_each_window(const Shape& s, int y, int x, F&& f) {
    for (int tap = 0; tap < s.taps(); tap++) {
        const int oy = window(s.h, y, tap / s.w.taps, s.oh), ox = window(s.w, x, tap % s.w.taps, s.ow);
        if (oy >= 0 && ox >= 0) f(tap, oy, ox);
    }
}
/// f(n, y, x, oy, ox) for every window with its tap on the pixel (y, x) of picture n.
template <class F>
void for_each_pair(const Shape& s, int tap, F&& f) {
    for (int n = 0; n < s.x.n; n++)
        for (int oy = 0; oy < s.oh; oy++)
            for (int ox = 0; ox < s.ow; ox++) {
                const int y = pixel(s.h, oy, tap / s.w.taps, s.x.h), x = pixel(s.w, ox, tap % s.w.taps, s.x.w);
                if (y >= 0 && x >= 0) f(n, y, x, oy, ox);
            }
}

}  // namespace

template <class T>
void conv_plain_forward(const Stream& stream, const Image& image, const Window& at, int c_out, const T* x, const T* w,
                        T* y) {
    const Shape s(image, at);
    for_each(stream, image.n, [&](int n) {
        for (int oy = 0; oy < s.oh; oy++)
            for (int ox = 0; ox < s.ow; ox++)
                for (int co = 0; co < c_out; co++) {
                    double sum = 0;
                    for_each_tap(s, oy, ox, [&](int tap, int iy, int ix) {
                        for (int ci = 0; ci < image.c; ci++)
                            sum += static_cast<double>(x[s.input(n, iy, ix, ci)]) *
                                   w[(Size(tap) * image.c + ci) * c_out + co];
                    });
                    y[s.output(n, oy, ox, co, c_out)] = static_cast<T>(sum);
                }
    });
}

template <class T>
void conv_plain_backward(const Stream& stream, const Image& image, const Window& at, int c_out, const T* x, const T* w,
                         const T* dy, T* dx, bool accumulate_dx, T* dw, bool accumulate_dw) {
    const Shape s(image, at);
    if (dx)  // every input pixel gathers from the outputs whose windows cover it
        for_each(stream, image.n, [&](int n) {
            for (int iy = 0; iy < image.h; iy++)
                for (int ix = 0; ix < image.w; ix++)
                    for (int ci = 0; ci < image.c; ci++) {
                        double sum = 0;
                        for_each_window(s, iy, ix, [&](int tap, int oy, int ox) {
                            for (int co = 0; co < c_out; co++)
                                sum += static_cast<double>(dy[s.output(n, oy, ox, co, c_out)]) *
                                       w[(Size(tap) * image.c + ci) * c_out + co];
                        });
                        put(dx[s.input(n, iy, ix, ci)], sum, accumulate_dx);
                    }
        });
    if (dw)
        for_each(stream, s.taps() * image.c, [&](int row) {
            for (int co = 0; co < c_out; co++) {
                double sum = 0;
                for_each_pair(s, row / image.c, [&](int n, int iy, int ix, int oy, int ox) {
                    sum +=
                        static_cast<double>(x[s.input(n, iy, ix, row % image.c)]) * dy[s.output(n, oy, ox, co, c_out)];
                });
                put(dw[Size(row) * c_out + co], sum, accumulate_dw);
            }
        });
}

template <class T>
void depthwise_plain_forward(const Stream& stream, const Image& image, const Window& at, const T* x, const T* w, T* y) {
    const Shape s(image, at);
    for_each(stream, image.n, [&](int n) {
        for (int oy = 0; oy < s.oh; oy++)
            for (int ox = 0; ox < s.ow; ox++)
                for (int c = 0; c < image.c; c++) {
                    double sum = 0;
                    for_each_tap(s, oy, ox, [&](int tap, int iy, int ix) {
                        sum += static_cast<double>(x[s.input(n, iy, ix, c)]) * w[Size(tap) * image.c + c];
                    });
                    y[s.output(n, oy, ox, c, image.c)] = static_cast<T>(sum);
                }
    });
}

template <class T>
void depthwise_plain_backward(const Stream& stream, const Image& image, const Window& at, const T* x, const T* w,
                              const T* dy, T* dx, bool accumulate_dx, T* dw, bool accumulate_dw) {
    const Shape s(image, at);
    if (dx)
        for_each(stream, image.n, [&](int n) {
            for (int iy = 0; iy < image.h; iy++)
                for (int ix = 0; ix < image.w; ix++)
                    for (int c = 0; c < image.c; c++) {
                        double sum = 0;
                        for_each_window(s, iy, ix, [&](int tap, int oy, int ox) {
                            sum +=
                                static_cast<double>(dy[s.output(n, oy, ox, c, image.c)]) * w[Size(tap) * image.c + c];
                        });
                        put(dx[s.input(n, iy, ix, c)], sum, accumulate_dx);
                    }
        });
    if (dw)
        for_each(stream, s.taps() * image.c, [&](int row) {
            const int c = row % image.c;
            double sum = 0;
            for_each_pair(s, row / image.c, [&](int n, int iy, int ix, int oy, int ox) {
                sum += static_cast<double>(x[s.input(n, iy, ix, c)]) * dy[s.output(n, oy, ox, c, image.c)];
            });
            put(dw[row], sum, accumulate_dw);
        });
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

}  // namespace nascent::kernels::cpu
