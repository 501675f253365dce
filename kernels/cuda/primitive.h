// kernels/primitive.h on the GPU.
#pragma once
#include "kernels/primitive.h"

namespace nascent::kernels::gpu {

template <class T>
void relu_forward(const Stream&, std::size_t size, const T* x, T* y);
template <class T>
void relu_backward(const Stream&, std::size_t size, const T* x, const T* dy, T* dx, bool accumulate);
template <class T>
void add_forward(const Stream&, std::size_t size, const T* a, const T* b, T* y);
template <class T>
void copy_or_add(const Stream&, std::size_t size, const T* dy, T* dx, bool accumulate);
template <class T>
void conv_plain_forward(const Stream&, const ConvShape&, const T* x, const T* w, T* y);
template <class T>
void conv_plain_backward(const Stream&, const ConvShape&, const T* x, const T* w, const T* dy, T* dx,
                         bool accumulate_dx, T* dw, bool accumulate_dw);
template <class T>
void batch_norm_plain_forward(const Stream&, const Image&, const T* x, const T* gamma, const T* beta, double eps, T* y,
                              T* mean, T* rstd);
template <class T>
void batch_norm_plain_backward(const Stream&, const Image&, const T* x, const T* gamma, const T* mean, const T* rstd,
                               const T* dy, T* dx, bool accumulate_dx, T* dgamma, bool accumulate_dgamma, T* dbeta,
                               bool accumulate_dbeta);
template <class T>
void batch_norm_plain_running(const Stream&, const NormShape&, const T* mean, const T* rstd, T* running_mean,
                              T* running_var);
template <class T>
void avg_pool_plain_forward(const Stream&, const PoolShape&, const T* x, T* y);
template <class T>
void avg_pool_plain_backward(const Stream&, const PoolShape&, const T* dy, T* dx, bool accumulate);
template <class T>
void global_avg_pool_forward(const Stream&, const Image&, const T* x, T* pooled);
template <class T>
void global_avg_pool_backward(const Stream&, const Image&, const T* dpooled, T* dx, bool accumulate);

}  // namespace nascent::kernels::gpu
