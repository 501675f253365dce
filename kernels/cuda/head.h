// kernels/head.h on the GPU.
#pragma once
#include "kernels/head.h"

namespace nascent::kernels::gpu {

template <class T>
void norm_relu_pool(const Stream&, const Image&, const T* x, const T* scale, const T* shift, T* pooled);
template <class T>
void norm_relu_pool_backward_sums(const Stream&, const Image&, const T* x, const T* scale, const T* shift,
                                  const T* dpooled, double* sums, void* workspace);
template <class T>
void norm_relu_pool_backward(const Stream&, const Image&, const T* x, const T* scale, const T* shift, const T* dpooled,
                             const T* a, const T* b, const T* c, T* dx, bool accumulate);
template <class T>
void linear_forward(const Stream&, int n, int in, int out, const T* x, const T* w, const T* bias, T* y);
template <class T>
void linear_backward(const Stream&, int n, int in, int out, const T* x, const T* w, const T* dy, T* dx,
                     bool accumulate_dx, T* dw, bool accumulate_dw, T* dbias, bool accumulate_dbias);
template <class T>
void cross_entropy_forward(const Stream&, int n, int classes, const T* logits, const int* labels, T smoothing, T* loss,
                           T* probabilities, void* workspace);
std::size_t cross_entropy_workspace(const Stream&, int n);
template <class T>
void cross_entropy_backward(const Stream&, int n, int classes, const T* probabilities, const int* labels, T smoothing,
                            const T* dloss, T* dlogits, bool accumulate);

}  // namespace nascent::kernels::gpu
