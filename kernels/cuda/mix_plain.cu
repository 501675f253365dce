// Written to be read, as the CPU's: a thread per element of the result, sums in double.
#include <cmath>

#include "kernels/common/plain.cuh"
#include "kernels/mix_plain.h"

namespace nascent::kernels::gpu {
namespace {

template <class T>
__global__ void copy_channels_kernel(unsigned size, unsigned count, const T* from, int from_channels, T* to,
                                     int to_channels, bool accumulate) {
    if (item() >= size) return;
    const std::size_t pixel = item() / count;
    const unsigned c = item() % count;
    put(to[pixel * to_channels + c], from[pixel * from_channels + c], accumulate);
}
template <class T>
__global__ void slice_channels_kernel(unsigned size, int channels, int first, int count, const T* dy, T* dx,
                                      bool accumulate) {
    if (item() >= size) return;
    const std::size_t pixel = item() / static_cast<unsigned>(channels);
    const int c = static_cast<int>(item() % static_cast<unsigned>(channels)) - first;
    put(dx[item()], c >= 0 && c < count ? dy[pixel * count + c] : T(0), accumulate);
}

template <class T>
__global__ void zero_kernel(unsigned size, Image s, int oh, int ow, int stride, const T* x, T* y) {
    if (item() >= size) return;
    const Element o = element(item(), oh, ow, s.c);
    y[item()] = T(0) * x[offset(o.n, o.h * stride, o.w * stride, o.c, s.h, s.w, s.c)];
}
template <class T>
__global__ void zero_gradient_kernel(unsigned size, Image s, int oh, int ow, int stride, const T* dy, T* dx,
                                     bool accumulate) {
    if (item() >= size) return;
    const Element i = element(item(), s.h, s.w, s.c);
    const bool read = i.h % stride == 0 && i.w % stride == 0;
    const T g = read ? T(0) * dy[offset(i.n, i.h / stride, i.w / stride, i.c, oh, ow, s.c)] : T(0);
    put(dx[item()], g, accumulate);
}

template <class T>
__global__ void weighted_kernel(unsigned size, const T* x, const T* weight, T* y) {
    if (item() < size) y[item()] = x[item()] * *weight;
}
template <class T>
__global__ void weighted_dx_kernel(unsigned size, const T* weight, const T* dy, T* dx, bool accumulate) {
    if (item() < size) put(dx[item()], static_cast<double>(dy[item()]) * *weight, accumulate);
}
/// One block.
template <class T>
__global__ void __launch_bounds__(kThreads) weighted_dweights_kernel(std::size_t size, int count, int index, const T* x,
                                                                     const T* dy, T* dweights, bool accumulate) {
    SIMT_SHARED(double, shared, [kThreads]);
    double own = 0;
    for (std::size_t i = threadIdx.x; i < size; i += kThreads) own += static_cast<double>(dy[i]) * x[i];
    const double sum = block_sum(own, shared);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(kThreads))
        put(dweights[i], i == index ? sum : 0.0, accumulate);
}

/// A thread per row.
template <class T>
__global__ void softmax_kernel(unsigned rows, int columns, const T* x, T* y) {
    if (item() >= rows) return;
    x += item() * static_cast<std::size_t>(columns);
    y += item() * static_cast<std::size_t>(columns);
    double largest = x[0], sum = 0;
    for (int i = 1; i < columns; i++)
        if (x[i] > largest) largest = x[i];
    for (int i = 0; i < columns; i++) sum += std::exp(x[i] - largest);
    for (int i = 0; i < columns; i++) y[i] = static_cast<T>(std::exp(x[i] - largest) / sum);
}
template <class T>
__global__ void softmax_gradient_kernel(unsigned rows, int columns, const T* y, const T* dy, T* dx, bool accumulate) {
    if (item() >= rows) return;
    const std::size_t first = item() * static_cast<std::size_t>(columns);
    y += first;
    dy += first;
    dx += first;
    double dot = 0;
    for (int i = 0; i < columns; i++) dot += static_cast<double>(dy[i]) * y[i];
    for (int i = 0; i < columns; i++) put(dx[i], y[i] * (dy[i] - dot), accumulate);
}

int strided(int extent, int stride) { return (extent - 1) / stride + 1; }

}  // namespace

template <class T>
void copy_channels(const Stream& stream, std::size_t pixels, int count, const T* from, int from_channels, T* to,
                   int to_channels, bool accumulate) {
    const std::size_t size = pixels * static_cast<std::size_t>(count);
    simt::launch(copy_channels_kernel<T>, items(stream, size), items(size), static_cast<unsigned>(count), from,
                 from_channels, to, to_channels, accumulate);
}
template <class T>
void slice_channels_backward(const Stream& stream, std::size_t pixels, int channels, int first, int count, const T* dy,
                             T* dx, bool accumulate) {
    const std::size_t size = pixels * static_cast<std::size_t>(channels);
    simt::launch(slice_channels_kernel<T>, items(stream, size), items(size), channels, first, count, dy, dx,
                 accumulate);
}

template <class T>
void zero_forward(const Stream& stream, const Image& s, int stride, const T* x, T* y) {
    const int oh = strided(s.h, stride), ow = strided(s.w, stride);
    const std::size_t size = product({s.n, oh, ow, s.c});
    simt::launch(zero_kernel<T>, items(stream, size), items(size), s, oh, ow, stride, x, y);
}
template <class T>
void zero_backward(const Stream& stream, const Image& s, int stride, const T* dy, T* dx, bool accumulate) {
    simt::launch(zero_gradient_kernel<T>, items(stream, s.size()), items(s.size()), s, strided(s.h, stride),
                 strided(s.w, stride), stride, dy, dx, accumulate);
}

template <class T>
void weighted_forward(const Stream& stream, std::size_t size, const T* x, const T* weight, T* y) {
    simt::launch(weighted_kernel<T>, items(stream, size), items(size), x, weight, y);
}
template <class T>
void weighted_backward(const Stream& stream, std::size_t size, const T* x, const T* weights, int count, int index,
                       const T* dy, T* dx, bool accumulate_dx, T* dweights, bool accumulate_dweights) {
    if (dx)
        simt::launch(weighted_dx_kernel<T>, items(stream, size), items(size), weights + index, dy, dx, accumulate_dx);
    if (dweights)
        simt::launch(weighted_dweights_kernel<T>, blocks(stream, dim3(1)), size, count, index, x, dy, dweights,
                     accumulate_dweights);
}

template <class T>
void softmax_forward(const Stream& stream, int rows, int columns, const T* x, T* y) {
    simt::launch(softmax_kernel<T>, items(stream, product({rows})), items(product({rows})), columns, x, y);
}
template <class T>
void softmax_backward(const Stream& stream, int rows, int columns, const T* y, const T* dy, T* dx, bool accumulate) {
    simt::launch(softmax_gradient_kernel<T>, items(stream, product({rows})), items(product({rows})), columns, y, dy, dx,
                 accumulate);
}

#define NASCENT_MIX_PLAIN(T)                                                                                          \
    template void copy_channels(const Stream&, std::size_t, int, const T*, int, T*, int, bool);                       \
    template void slice_channels_backward(const Stream&, std::size_t, int, int, int, const T*, T*, bool);             \
    template void zero_forward(const Stream&, const Image&, int, const T*, T*);                                       \
    template void zero_backward(const Stream&, const Image&, int, const T*, T*, bool);                                \
    template void weighted_forward(const Stream&, std::size_t, const T*, const T*, T*);                               \
    template void weighted_backward(const Stream&, std::size_t, const T*, const T*, int, int, const T*, T*, bool, T*, \
                                    bool);                                                                            \
    template void softmax_forward(const Stream&, int, int, const T*, T*);                                             \
    template void softmax_backward(const Stream&, int, int, const T*, const T*, T*, bool);
NASCENT_MIX_PLAIN(float)
NASCENT_MIX_PLAIN(double)
#undef NASCENT_MIX_PLAIN

}  // namespace nascent::kernels::gpu
