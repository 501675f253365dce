#include "kernels/mix_plain.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/plain.h"

namespace nascent::kernels::cpu {

template <class T>
void copy_channels(const Stream&, Size pixels, int count, const T* from, int from_channels, T* to, int to_channels,
                   bool accumulate) {
    for (Size p = 0; p < pixels; p++)
        for (int c = 0; c < count; c++) put(to[p * to_channels + c], from[p * from_channels + c], accumulate);
}

template <class T>
void slice_channels_backward(const Stream&, Size pixels, int channels, int first, int count, const T* dy, T* dx,
                             bool accumulate) {
    for (Size p = 0; p < pixels; p++)
        for (int c = 0; c < channels; c++) {
            const bool taken = c >= first && c < first + count;
            put(dx[p * channels + c], taken ? dy[p * count + c - first] : T(0), accumulate);
        }
}

template <class T>
void zero_forward(const Stream& stream, const Image& s, int stride, const T* x, T* y) {
    const int oh = (s.h - 1) / stride + 1, ow = (s.w - 1) / stride + 1;
    for_each(stream, s.n, [&](int n) {
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++)
                for (int c = 0; c < s.c; c++)
                    y[offset(n, oy, ox, c, oh, ow, s.c)] =
                        T(0) * x[offset(n, oy * stride, ox * stride, c, s.h, s.w, s.c)];
    });
}

template <class T>
void zero_backward(const Stream& stream, const Image& s, int stride, const T* dy, T* dx, bool accumulate) {
    const int oh = (s.h - 1) / stride + 1, ow = (s.w - 1) / stride + 1;
    for_each(stream, s.n, [&](int n) {
        for (int iy = 0; iy < s.h; iy++)
            for (int ix = 0; ix < s.w; ix++)
                for (int c = 0; c < s.c; c++) {
                    const bool read = iy % stride == 0 && ix % stride == 0;
                    const T g = read ? T(0) * dy[offset(n, iy / stride, ix / stride, c, oh, ow, s.c)] : T(0);
                    put(dx[offset(n, iy, ix, c, s.h, s.w, s.c)], g, accumulate);
                }
    });
}

template <class T>
void weighted_forward(const Stream&, Size size, const T* x, const T* weight, T* y) {
    for (Size i = 0; i < size; i++) y[i] = x[i] * *weight;
}

template <class T>
void weighted_backward(const Stream&, Size size, const T* x, const T* weights, int count, int index, const T* dy, T* dx,
                       bool accumulate_dx, T* dweights, bool accumulate_dweights) {
    if (dx)
        for (Size i = 0; i < size; i++) put(dx[i], static_cast<double>(dy[i]) * weights[index], accumulate_dx);
    if (!dweights) return;
    double sum = 0;
    for (Size i = 0; i < size; i++) sum += static_cast<double>(dy[i]) * x[i];
    for (int i = 0; i < count; i++) put(dweights[i], i == index ? sum : 0.0, accumulate_dweights);
}

template <class T>
void softmax_forward(const Stream&, int rows, int columns, const T* x, T* y) {
    for (int row = 0; row < rows; row++, x += columns, y += columns) {
        const double largest = *std::max_element(x, x + columns);
        double sum = 0;
        for (int i = 0; i < columns; i++) sum += std::exp(x[i] - largest);
        for (int i = 0; i < columns; i++) y[i] = static_cast<T>(std::exp(x[i] - largest) / sum);
    }
}

template <class T>
void softmax_backward(const Stream&, int rows, int columns, const T* y, const T* dy, T* dx, bool accumulate) {
    for (int row = 0; row < rows; row++, y += columns, dy += columns, dx += columns) {
        double dot = 0;
        for (int i = 0; i < columns; i++) dot += static_cast<double>(dy[i]) * y[i];
        for (int i = 0; i < columns; i++) put(dx[i], y[i] * (dy[i] - dot), accumulate);
    }
}

#define NASCENT_MIX_PLAIN(T)                                                                                          \
    template void copy_channels(const Stream&, Size, int, const T*, int, T*, int, bool);                              \
    template void slice_channels_backward(const Stream&, Size, int, int, int, const T*, T*, bool);                    \
    template void zero_forward(const Stream&, const Image&, int, const T*, T*);                                       \
    template void zero_backward(const Stream&, const Image&, int, const T*, T*, bool);                                \
    template void weighted_forward(const Stream&, Size, const T*, const T*, T*);                                      \
    template void weighted_backward(const Stream&, Size, const T*, const T*, int, int, const T*, T*, bool, T*, bool); \
    template void softmax_forward(const Stream&, int, int, const T*, T*);                                             \
    template void softmax_backward(const Stream&, int, int, const T*, const T*, T*, bool);
NASCENT_MIX_PLAIN(float)
NASCENT_MIX_PLAIN(double)
#undef NASCENT_MIX_PLAIN

}  // namespace nascent::kernels::cpu
