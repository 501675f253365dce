// kernels/norm.h on the GPU.
#pragma once
#include "kernels/norm.h"

namespace nascent::kernels::gpu {

template <class T>
void norm_finish(const Stream&, const NormShape&, const double* sums, const T* gamma, const T* beta, T* running_mean,
                 T* running_var, double* mean, double* rstd, T* scale, T* shift);
template <class T>
void norm_running(const Stream&, const NormShape&, const T* gamma, const T* beta, const T* running_mean,
                  const T* running_var, T* scale, T* shift);
template <class T>
void norm_fold(const Stream&, const NormShape&, const double* s, const double* sz, const double* mean,
               const double* rstd, const T* gamma, T* scale, T* slope, T* shift, T* dgamma, bool accumulate_dgamma,
               T* dbeta, bool accumulate_dbeta);

}  // namespace nascent::kernels::gpu
