// Written to be read, as the CPU's: a thread per element of the result, sums in double.
#include <cmath>

#include "kernels/common/sums.cuh"
#include "kernels/primitive.h"

namespace nascent::kernels::gpu {
namespace {

template <class T>
__device__ void put(T& to, double value, bool accumulate) {
    to = static_cast<T>(accumulate ? static_cast<double>(to) + value : value);
}

/// Element (n, h, w, c) of an image tensor.
struct Element {
    int n, h, w, c;
};
__device__ Element element(unsigned at, int height, int width, int channels) {
    const unsigned c = static_cast<unsigned>(channels), w = static_cast<unsigned>(width),
                   h = static_cast<unsigned>(height), pixel = at / c, row = pixel / w;
    return {static_cast<int>(row / h), static_cast<int>(row % h), static_cast<int>(pixel % w),
            static_cast<int>(at % c)};
}
__device__ std::size_t offset(int n, int y, int x, int c, int height, int width, int channels) {
    return ((static_cast<std::size_t>(n) * height + y) * width + x) * channels + c;
}

template <class T>
__global__ void relu_kernel(unsigned size, const T* x, T* y) {
    const unsigned i = item();
    if (i < size) y[i] = x[i] <= T(0) ? T(0) : x[i];
}
template <class T>
__global__ void relu_gradient_kernel(unsigned size, const T* x, const T* dy, T* dx, bool accumulate) {
    const unsigned i = item();
    if (i >= size) return;
    const T g = x[i] <= T(0) ? T(0) : dy[i];
    dx[i] = accumulate ? dx[i] + g : g;
}
template <class T>
__global__ void add_kernel(unsigned size, const T* a, const T* b, T* y) {
    const unsigned i = item();
    if (i < size) y[i] = a[i] + b[i];
}
template <class T>
__global__ void copy_kernel(unsigned size, const T* dy, T* dx, bool accumulate) {
    const unsigned i = item();
    if (i < size) dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
}

template <class T>
__global__ void conv_kernel(unsigned size, ConvShape s, int oh, int ow, const T* x, const T* w, T* y) {
    if (item() >= size) return;
    const Element o = element(item(), oh, ow, s.c_out);
    double sum = 0;
    for (int ky = 0; ky < s.k; ky++)
        for (int kx = 0; kx < s.k; kx++) {
            const int iy = o.h * s.stride + ky - s.k / 2, ix = o.w * s.stride + kx - s.k / 2;
            if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
            const T* in = x + offset(o.n, iy, ix, 0, s.h, s.w, s.c_in);
            const T* v = w + offset(0, ky, kx, 0, s.k, s.k, s.c_in * s.c_out) + o.c;
            for (int ci = 0; ci < s.c_in; ci++)
                sum += static_cast<double>(in[ci]) * v[static_cast<std::size_t>(ci) * s.c_out];
        }
    y[item()] = static_cast<T>(sum);
}
/// Every input element gathers from the outputs whose windows cover it.
template <class T>
__global__ void conv_dx_kernel(unsigned size, ConvShape s, int oh, int ow, const T* w, const T* dy, T* dx,
                               bool accumulate) {
    if (item() >= size) return;
    const Element i = element(item(), s.h, s.w, s.c_in);
    double sum = 0;
    for (int ky = 0; ky < s.k; ky++)
        for (int kx = 0; kx < s.k; kx++) {
            const int ty = i.h + s.k / 2 - ky, tx = i.w + s.k / 2 - kx;  // stride times the output pixel
            if (ty < 0 || ty % s.stride || ty / s.stride >= oh) continue;
            if (tx < 0 || tx % s.stride || tx / s.stride >= ow) continue;
            const T* g = dy + offset(i.n, ty / s.stride, tx / s.stride, 0, oh, ow, s.c_out);
            const T* v = w + offset(ky, kx, i.c, 0, s.k, s.c_in, s.c_out);
            for (int co = 0; co < s.c_out; co++) sum += static_cast<double>(g[co]) * v[co];
        }
    put(dx[item()], sum, accumulate);
}
template <class T>
__global__ void conv_dw_kernel(unsigned size, ConvShape s, int oh, int ow, const T* x, const T* dy, T* dw,
                               bool accumulate) {
    if (item() >= size) return;
    const Element at = element(item(), s.k, s.c_in, s.c_out);  // (ky, kx, c_in, c_out)
    const int ky = at.n, kx = at.h, ci = at.w, co = at.c;
    double sum = 0;
    for (int n = 0; n < s.n; n++)
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++) {
                const int iy = oy * s.stride + ky - s.k / 2, ix = ox * s.stride + kx - s.k / 2;
                if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
                sum += static_cast<double>(x[offset(n, iy, ix, ci, s.h, s.w, s.c_in)]) *
                       dy[offset(n, oy, ox, co, oh, ow, s.c_out)];
            }
    put(dw[item()], sum, accumulate);
}

/// The sum of `value` over the block, in every thread.
__device__ double block_sum(double value, double* shared) {
    double sum[1] = {value};
    add_down<1>(1, shared, sum);
    const double total = shared[0];
    __syncthreads();  // before the next sum writes there
    return total;
}

/// A block per channel.
template <class T>
__global__ void __launch_bounds__(kThreads)
    batch_norm_kernel(std::size_t count, int channels, const T* x, const T* gamma, const T* beta, double eps, T* y,
                      T* mean, T* rstd) {
    SIMT_SHARED(double, shared, [kThreads]);
    const unsigned c = blockIdx.x;
    x += c;
    double sum = 0, squares = 0;
    for (std::size_t p = threadIdx.x; p < count; p += kThreads) sum += x[p * channels];
    const double m = block_sum(sum, shared) / static_cast<double>(count);
    for (std::size_t p = threadIdx.x; p < count; p += kThreads) {
        const double d = x[p * channels] - m;
        squares += d * d;
    }
    const double r = 1 / std::sqrt(block_sum(squares, shared) / static_cast<double>(count) + eps);
    if (threadIdx.x == 0) {
        mean[c] = static_cast<T>(m);
        rstd[c] = static_cast<T>(r);
    }
    for (std::size_t p = threadIdx.x; p < count; p += kThreads)
        y[p * channels + c] =
            static_cast<T>((x[p * channels] - m) * r * (gamma ? gamma[c] : T(1)) + (beta ? beta[c] : T(0)));
}
/// A block per channel.
template <class T>
__global__ void __launch_bounds__(kThreads)
    batch_norm_gradient_kernel(std::size_t count, int channels, const T* x, const T* gamma, const T* mean,
                               const T* rstd, const T* dy, T* dx, bool accumulate_dx, T* dgamma, bool accumulate_dgamma,
                               T* dbeta, bool accumulate_dbeta) {
    SIMT_SHARED(double, shared, [kThreads]);
    const unsigned c = blockIdx.x;
    const double m = mean[c], r = rstd[c], g = gamma ? gamma[c] : T(1);
    double own_sum = 0, own_dot = 0;  // of dy, and of dy with the normalised x
    for (std::size_t p = threadIdx.x; p < count; p += kThreads) {
        const double d = dy[p * channels + c];
        own_sum += d;
        own_dot += d * ((x[p * channels + c] - m) * r);
    }
    const double sum = block_sum(own_sum, shared), dot = block_sum(own_dot, shared);
    for (std::size_t p = threadIdx.x; dx && p < count; p += kThreads) {
        const double hat = (x[p * channels + c] - m) * r;
        const double d = dy[p * channels + c] - (sum + hat * dot) / static_cast<double>(count);
        put(dx[p * channels + c], g * r * d, accumulate_dx);
    }
    if (threadIdx.x > 0) return;
    if (dgamma) put(dgamma[c], dot, accumulate_dgamma);
    if (dbeta) put(dbeta[c], sum, accumulate_dbeta);
}
template <class T>
__global__ void running_kernel(NormShape s, const T* mean, const T* rstd, T* running_mean, T* running_var) {
    const unsigned c = item();
    if (c >= static_cast<unsigned>(s.channels)) return;
    const double n = static_cast<double>(s.count), r = rstd[c], m = mean[c];
    // Rounding may leave a constant channel's variance a little below zero.
    const double raw = 1 / (r * r) - s.eps, variance = raw > 0 ? raw : 0.0;
    const double unbiased = s.count > 1 ? variance * n / (n - 1) : variance;
    running_mean[c] = static_cast<T>((1 - s.momentum) * running_mean[c] + s.momentum * m);
    running_var[c] = static_cast<T>((1 - s.momentum) * running_var[c] + s.momentum * unbiased);
}

/// The part of a pooling window that lies inside the image.
struct Inside {
    int y0, y1, x0, x1;
};
__device__ Inside inside(const PoolShape& s, int oy, int ox) {
    const int y = oy * s.stride - s.padding, x = ox * s.stride - s.padding;
    return {max(y, 0), min(y + s.k, s.x.h), max(x, 0), min(x + s.k, s.x.w)};
}
__device__ int count(const Inside& i) { return (i.y1 - i.y0) * (i.x1 - i.x0); }

template <class T>
__global__ void pool_kernel(unsigned size, PoolShape s, int oh, int ow, const T* x, T* y) {
    if (item() >= size) return;
    const Element o = element(item(), oh, ow, s.x.c);
    const Inside in = inside(s, o.h, o.w);
    double sum = 0;
    for (int iy = in.y0; iy < in.y1; iy++)
        for (int ix = in.x0; ix < in.x1; ix++) sum += x[offset(o.n, iy, ix, o.c, s.x.h, s.x.w, s.x.c)];
    y[item()] = static_cast<T>(sum / count(in));
}
template <class T>
__global__ void pool_gradient_kernel(unsigned size, PoolShape s, int oh, int ow, const T* dy, T* dx, bool accumulate) {
    if (item() >= size) return;
    const Element i = element(item(), s.x.h, s.x.w, s.x.c);
    double sum = 0;  // over the windows that hold the element
    const int oy_end = min(oh, (i.h + s.padding) / s.stride + 1), ox_end = min(ow, (i.w + s.padding) / s.stride + 1);
    for (int oy = max(0, (i.h + s.padding - s.k) / s.stride); oy < oy_end; oy++)
        for (int ox = max(0, (i.w + s.padding - s.k) / s.stride); ox < ox_end; ox++) {
            const Inside in = inside(s, oy, ox);
            if (i.h < in.y0 || i.h >= in.y1 || i.w < in.x0 || i.w >= in.x1) continue;
            sum += static_cast<double>(dy[offset(i.n, oy, ox, i.c, oh, ow, s.x.c)]) / count(in);
        }
    put(dx[item()], sum, accumulate);
}

template <class T>
__global__ void mean_kernel(unsigned size, std::size_t pixels, int channels, const T* x, T* pooled) {
    if (item() >= size) return;
    const unsigned n = item() / static_cast<unsigned>(channels), c = item() % static_cast<unsigned>(channels);
    double sum = 0;
    for (std::size_t p = 0; p < pixels; p++) sum += x[(n * pixels + p) * channels + c];
    pooled[item()] = static_cast<T>(sum / static_cast<double>(pixels));
}
template <class T>
__global__ void mean_gradient_kernel(unsigned size, unsigned pixels, unsigned channels, const T* dpooled, T* dx,
                                     bool accumulate) {
    if (item() >= size) return;
    const unsigned n = item() / channels / pixels, c = item() % channels;
    put(dx[item()], dpooled[n * static_cast<std::size_t>(channels) + c] / static_cast<double>(pixels), accumulate);
}

std::size_t product(std::initializer_list<int> extents) {
    std::size_t size = 1;
    for (int extent : extents) size *= static_cast<std::size_t>(extent);
    return size;
}

}  // namespace

template <class T>
void relu_forward(const Stream& stream, std::size_t size, const T* x, T* y) {
    simt::launch(relu_kernel<T>, items(stream, size), items(size), x, y);
}
template <class T>
void relu_backward(const Stream& stream, std::size_t size, const T* x, const T* dy, T* dx, bool accumulate) {
    simt::launch(relu_gradient_kernel<T>, items(stream, size), items(size), x, dy, dx, accumulate);
}
template <class T>
void add_forward(const Stream& stream, std::size_t size, const T* a, const T* b, T* y) {
    simt::launch(add_kernel<T>, items(stream, size), items(size), a, b, y);
}
template <class T>
void copy_or_add(const Stream& stream, std::size_t size, const T* dy, T* dx, bool accumulate) {
    simt::launch(copy_kernel<T>, items(stream, size), items(size), dy, dx, accumulate);
}

template <class T>
void conv_plain_forward(const Stream& stream, const ConvShape& s, const T* x, const T* w, T* y) {
    const std::size_t size = product({s.n, s.out_h(), s.out_w(), s.c_out});
    simt::launch(conv_kernel<T>, items(stream, size), items(size), s, s.out_h(), s.out_w(), x, w, y);
}
template <class T>
void conv_plain_backward(const Stream& stream, const ConvShape& s, const T* x, const T* w, const T* dy, T* dx,
                         bool accumulate_dx, T* dw, bool accumulate_dw) {
    const std::size_t inputs = product({s.n, s.h, s.w, s.c_in}), weights = product({s.k, s.k, s.c_in, s.c_out});
    if (dx)
        simt::launch(conv_dx_kernel<T>, items(stream, inputs), items(inputs), s, s.out_h(), s.out_w(), w, dy, dx,
                     accumulate_dx);
    if (dw)
        simt::launch(conv_dw_kernel<T>, items(stream, weights), items(weights), s, s.out_h(), s.out_w(), x, dy, dw,
                     accumulate_dw);
}

template <class T>
void batch_norm_plain_forward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* beta,
                              double eps, T* y, T* mean, T* rstd) {
    simt::launch(batch_norm_kernel<T>, blocks(stream, dim3(static_cast<unsigned>(s.c))), s.pixels(), s.c, x, gamma,
                 beta, eps, y, mean, rstd);
}
template <class T>
void batch_norm_plain_backward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* mean,
                               const T* rstd, const T* dy, T* dx, bool accumulate_dx, T* dgamma, bool accumulate_dgamma,
                               T* dbeta, bool accumulate_dbeta) {
    simt::launch(batch_norm_gradient_kernel<T>, blocks(stream, dim3(static_cast<unsigned>(s.c))), s.pixels(), s.c, x,
                 gamma, mean, rstd, dy, dx, accumulate_dx, dgamma, accumulate_dgamma, dbeta, accumulate_dbeta);
}
template <class T>
void batch_norm_plain_running(const Stream& stream, const NormShape& s, const T* mean, const T* rstd, T* running_mean,
                              T* running_var) {
    simt::launch(running_kernel<T>, items(stream, static_cast<std::size_t>(s.channels)), s, mean, rstd, running_mean,
                 running_var);
}

template <class T>
void avg_pool_plain_forward(const Stream& stream, const PoolShape& s, const T* x, T* y) {
    const std::size_t size = product({s.x.n, s.out_h(), s.out_w(), s.x.c});
    simt::launch(pool_kernel<T>, items(stream, size), items(size), s, s.out_h(), s.out_w(), x, y);
}
template <class T>
void avg_pool_plain_backward(const Stream& stream, const PoolShape& s, const T* dy, T* dx, bool accumulate) {
    simt::launch(pool_gradient_kernel<T>, items(stream, s.x.size()), items(s.x.size()), s, s.out_h(), s.out_w(), dy, dx,
                 accumulate);
}

template <class T>
void global_avg_pool_forward(const Stream& stream, const Image& s, const T* x, T* pooled) {
    const std::size_t size = product({s.n, s.c});
    simt::launch(mean_kernel<T>, items(stream, size), items(size), product({s.h, s.w}), s.c, x, pooled);
}
template <class T>
void global_avg_pool_backward(const Stream& stream, const Image& s, const T* dpooled, T* dx, bool accumulate) {
    simt::launch(mean_gradient_kernel<T>, items(stream, s.size()), items(s.size()), items(product({s.h, s.w})),
                 static_cast<unsigned>(s.c), dpooled, dx, accumulate);
}

#define NASCENT_PRIMITIVE(T)                                                                                          \
    template void relu_forward(const Stream&, std::size_t, const T*, T*);                                             \
    template void relu_backward(const Stream&, std::size_t, const T*, const T*, T*, bool);                            \
    template void add_forward(const Stream&, std::size_t, const T*, const T*, T*);                                    \
    template void copy_or_add(const Stream&, std::size_t, const T*, T*, bool);                                        \
    template void conv_plain_forward(const Stream&, const ConvShape&, const T*, const T*, T*);                        \
    template void conv_plain_backward(const Stream&, const ConvShape&, const T*, const T*, const T*, T*, bool, T*,    \
                                      bool);                                                                          \
    template void batch_norm_plain_forward(const Stream&, const Image&, const T*, const T*, const T*, double, T*, T*, \
                                           T*);                                                                       \
    template void batch_norm_plain_backward(const Stream&, const Image&, const T*, const T*, const T*, const T*,      \
                                            const T*, T*, bool, T*, bool, T*, bool);                                  \
    template void batch_norm_plain_running(const Stream&, const NormShape&, const T*, const T*, T*, T*);              \
    template void avg_pool_plain_forward(const Stream&, const PoolShape&, const T*, T*);                              \
    template void avg_pool_plain_backward(const Stream&, const PoolShape&, const T*, T*, bool);                       \
    template void global_avg_pool_forward(const Stream&, const Image&, const T*, T*);                                 \
    template void global_avg_pool_backward(const Stream&, const Image&, const T*, T*, bool);
NASCENT_PRIMITIVE(float)
NASCENT_PRIMITIVE(double)
#undef NASCENT_PRIMITIVE

}  // namespace nascent::kernels::gpu
