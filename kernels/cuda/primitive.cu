// Written to be read, as the CPU's: a thread per element of the result, sums in double.
#include <cmath>

#include "kernels/common/plain.cuh"
#include "kernels/norm_move.h"
#include "kernels/primitive.h"

namespace nascent::kernels::gpu {
namespace {

template <class S>
__global__ void relu_kernel(unsigned size, const S* x, S* y) {
    const unsigned i = item();
    if (i < size) y[i] = widen(x[i]) <= 0 ? S{} : x[i];
}
template <class S>
__global__ void relu_gradient_kernel(unsigned size, const S* x, const S* dy, S* dx, bool accumulate) {
    const unsigned i = item();
    if (i >= size) return;
    const Compute<S> g = widen(x[i]) <= 0 ? Compute<S>(0) : widen(dy[i]);
    dx[i] = narrow<S>(accumulate ? widen(dx[i]) + g : g);
}
template <class S>
__global__ void relu6_kernel(unsigned size, const S* x, S* y) {
    const unsigned i = item();
    if (i < size) y[i] = widen(x[i]) <= 0 ? S{} : widen(x[i]) >= 6 ? narrow<S>(6) : x[i];
}
template <class S>
__global__ void relu6_gradient_kernel(unsigned size, const S* x, const S* dy, S* dx, bool accumulate) {
    const unsigned i = item();
    if (i >= size) return;
    const Compute<S> v = widen(x[i]), g = v <= 0 || v >= 6 ? Compute<S>(0) : widen(dy[i]);
    dx[i] = narrow<S>(accumulate ? widen(dx[i]) + g : g);
}
template <class S>
__global__ void add_kernel(unsigned size, const S* a, const S* b, S* y) {
    const unsigned i = item();
    if (i < size) y[i] = narrow<S>(widen(a[i]) + widen(b[i]));
}
template <class S>
__global__ void copy_kernel(unsigned size, const S* dy, S* dx, bool accumulate) {
    const unsigned i = item();
    if (i < size) dx[i] = accumulate ? narrow<S>(widen(dx[i]) + widen(dy[i])) : dy[i];
}

template <class S>
__global__ void store_kernel(unsigned size, const Compute<S>* x, S* y) {
    const unsigned i = item();
    if (i < size) y[i] = narrow<S>(x[i]);
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
                               const T* rstd, bool constant, const T* dy, T* dx, bool accumulate_dx, T* dgamma,
                               bool accumulate_dgamma, T* dbeta, bool accumulate_dbeta) {
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
        const double d = dy[p * channels + c] - (constant ? 0 : (sum + hat * dot) / static_cast<double>(count));
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
    const double r = rstd[c], m = mean[c];
    // Rounding may leave a constant channel's variance a little below zero.
    const double raw = 1 / (r * r) - s.eps, variance = raw > 0 ? raw : 0.0;
    move_running(s, m, variance, running_mean[c], running_var[c]);
}

}  // namespace

template <class S>
void relu_forward(const Stream& stream, std::size_t size, const S* x, S* y) {
    simt::launch(relu_kernel<S>, items(stream, size), items(size), x, y);
}
template <class S>
void relu_backward(const Stream& stream, std::size_t size, const S* x, const S* dy, S* dx, bool accumulate) {
    simt::launch(relu_gradient_kernel<S>, items(stream, size), items(size), x, dy, dx, accumulate);
}
template <class S>
void relu6_forward(const Stream& stream, std::size_t size, const S* x, S* y) {
    simt::launch(relu6_kernel<S>, items(stream, size), items(size), x, y);
}
template <class S>
void relu6_backward(const Stream& stream, std::size_t size, const S* x, const S* dy, S* dx, bool accumulate) {
    simt::launch(relu6_gradient_kernel<S>, items(stream, size), items(size), x, dy, dx, accumulate);
}
template <class T>
void add_forward(const Stream& stream, std::size_t size, const T* a, const T* b, T* y) {
    simt::launch(add_kernel<T>, items(stream, size), items(size), a, b, y);
}
template <class T>
void copy_or_add(const Stream& stream, std::size_t size, const T* dy, T* dx, bool accumulate) {
    simt::launch(copy_kernel<T>, items(stream, size), items(size), dy, dx, accumulate);
}

template <class S>
void store_as(const Stream& stream, std::size_t size, const Compute<S>* x, S* y) {
    simt::launch(store_kernel<S>, items(stream, size), items(size), x, y);
}

template <class T>
void batch_norm_plain_forward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* beta,
                              double eps, T* y, T* mean, T* rstd) {
    simt::launch(batch_norm_kernel<T>, blocks(stream, dim3(static_cast<unsigned>(s.c))), s.pixels(), s.c, x, gamma,
                 beta, eps, y, mean, rstd);
}
template <class T>
void batch_norm_plain_backward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* mean,
                               const T* rstd, bool constant, const T* dy, T* dx, bool accumulate_dx, T* dgamma,
                               bool accumulate_dgamma, T* dbeta, bool accumulate_dbeta) {
    simt::launch(batch_norm_gradient_kernel<T>, blocks(stream, dim3(static_cast<unsigned>(s.c))), s.pixels(), s.c, x,
                 gamma, mean, rstd, constant, dy, dx, accumulate_dx, dgamma, accumulate_dgamma, dbeta,
                 accumulate_dbeta);
}
template <class T>
void batch_norm_plain_running(const Stream& stream, const NormShape& s, const T* mean, const T* rstd, T* running_mean,
                              T* running_var) {
    simt::launch(running_kernel<T>, items(stream, static_cast<std::size_t>(s.channels)), s, mean, rstd, running_mean,
                 running_var);
}

#define NASCENT_PRIMITIVE(T)                                                                                           \
    template void relu_forward(const Stream&, std::size_t, const T*, T*);                                              \
    template void relu_backward(const Stream&, std::size_t, const T*, const T*, T*, bool);                             \
    template void relu6_forward(const Stream&, std::size_t, const T*, T*);                                             \
    template void relu6_backward(const Stream&, std::size_t, const T*, const T*, T*, bool);                            \
    template void add_forward(const Stream&, std::size_t, const T*, const T*, T*);                                     \
    template void copy_or_add(const Stream&, std::size_t, const T*, T*, bool);                                         \
    template void batch_norm_plain_forward(const Stream&, const Image&, const T*, const T*, const T*, double, T*, T*,  \
                                           T*);                                                                        \
    template void batch_norm_plain_backward(const Stream&, const Image&, const T*, const T*, const T*, const T*, bool, \
                                            const T*, T*, bool, T*, bool, T*, bool);                                   \
    template void batch_norm_plain_running(const Stream&, const NormShape&, const T*, const T*, T*, T*);
NASCENT_PRIMITIVE(float)
NASCENT_PRIMITIVE(double)
#undef NASCENT_PRIMITIVE
template void relu_forward(const Stream&, std::size_t, const BFloat16*, BFloat16*);
template void relu_backward(const Stream&, std::size_t, const BFloat16*, const BFloat16*, BFloat16*, bool);
template void relu6_forward(const Stream&, std::size_t, const BFloat16*, BFloat16*);
template void relu6_backward(const Stream&, std::size_t, const BFloat16*, const BFloat16*, BFloat16*, bool);
template void add_forward(const Stream&, std::size_t, const BFloat16*, const BFloat16*, BFloat16*);
template void copy_or_add(const Stream&, std::size_t, const BFloat16*, BFloat16*, bool);
template void store_as(const Stream&, std::size_t, const float*, float*);
template void store_as(const Stream&, std::size_t, const double*, double*);
template void store_as(const Stream&, std::size_t, const float*, BFloat16*);

}  // namespace nascent::kernels::gpu
