// Primitive ops, one thing each, written to be read: the plain kernels that compose every fused op's reference().
// Convolutions, pools and what mixed ops need are in conv_plain.h, pool_plain.h and mix_plain.h.
#pragma once
#include "kernels/node.h"
#include "kernels/norm.h"

namespace nascent::kernels {

template <class S>
void relu_forward(const Stream&, std::size_t size, const S* x, S* y);
template <class S>
void relu_backward(const Stream&, std::size_t size, const S* x, const S* dy, S* dx, bool accumulate);

/// min(6, max(0, x)), with a gradient where 0 < x < 6.
template <class S>
void relu6_forward(const Stream&, std::size_t size, const S* x, S* y);
template <class S>
void relu6_backward(const Stream&, std::size_t size, const S* x, const S* dy, S* dx, bool accumulate);

/// y = a + b; copy_or_add is its gradient: dx (+)= dy.
template <class S>
void add_forward(const Stream&, std::size_t size, const S* a, const S* b, S* y);
template <class S>
void copy_or_add(const Stream&, std::size_t size, const S* dy, S* dx, bool accumulate);

/// y = x, rounded to the nearest S.
template <class S>
void store_as(const Stream&, std::size_t size, const Compute<S>* x, S* y);

/// y = (x - mean) * rstd * gamma + beta with two-pass batch statistics (biased variance), written to mean and rstd;
/// gamma and beta may be null.
template <class T>
void batch_norm_plain_forward(const Stream&, const Image&, const T* x, const T* gamma, const T* beta, double eps, T* y,
                              T* mean, T* rstd);
/// Its gradients. `constant`: mean and rstd do not depend on x, as in evaluation mode.
template <class T>
void batch_norm_plain_backward(const Stream&, const Image&, const T* x, const T* gamma, const T* mean, const T* rstd,
                               bool constant, const T* dy, T* dx, bool accumulate_dx, T* dgamma, bool accumulate_dgamma,
                               T* dbeta, bool accumulate_dbeta);

/// Running statistics move by `momentum` towards a batch's mean and unbiased variance, from what
/// batch_norm_plain_forward wrote: the biased variance is 1 / rstd^2 - eps. As torch.nn.BatchNorm2d's.
template <class T>
void batch_norm_plain_running(const Stream&, const NormShape&, const T* mean, const T* rstd, T* running_mean,
                              T* running_var);

}  // namespace nascent::kernels
