#include <cmath>

#include "kernels/common/pack.cuh"
#include "kernels/norm_move.h"

namespace nascent::kernels::gpu {
namespace {

template <class T>
__global__ void finish_kernel(NormShape s, const double* sums, const T* gamma, const T* beta, T* running_mean,
                              T* running_var, double* mean, double* rstd, T* scale, T* shift) {
    const int c = static_cast<int>(item());
    if (c >= s.channels) return;
    const double n = static_cast<double>(s.count);
    const double m = sums[c] / n;
    // Rounding may leave a constant channel's variance a little below zero.
    const double raw = sums[s.channels + c] / n - m * m, var = raw > 0 ? raw : 0.0;
    const double r = 1 / std::sqrt(var + s.eps);
    const double a = gamma ? gamma[c] * r : r;
    mean[c] = m;
    rstd[c] = r;
    scale[c] = static_cast<T>(a);
    shift[c] = static_cast<T>((beta ? static_cast<double>(beta[c]) : 0.0) - m * a);
    if (!running_mean) return;
    move_running(s, m, var, running_mean[c], running_var[c]);
}

template <class T>
__global__ void running_kernel(NormShape s, const T* gamma, const T* beta, const T* running_mean, const T* running_var,
                               T* scale, T* shift) {
    const int c = static_cast<int>(item());
    if (c >= s.channels) return;
    const double a = (gamma ? static_cast<double>(gamma[c]) : 1.0) / std::sqrt(running_var[c] + s.eps);
    scale[c] = static_cast<T>(a);
    shift[c] = static_cast<T>((beta ? static_cast<double>(beta[c]) : 0.0) - running_mean[c] * a);
}

template <class T>
__global__ void fold_kernel(NormShape shape, const double* s, const double* sz, const double* mean, const double* rstd,
                            const T* gamma, T* scale, T* slope, T* shift, T* dgamma, bool accumulate_dgamma, T* dbeta,
                            bool accumulate_dbeta) {
    const int c = static_cast<int>(item());
    if (c >= shape.channels) return;
    const double n = static_cast<double>(shape.count);
    const double g_xhat = (sz[c] - mean[c] * s[c]) * rstd[c];
    const double a = gamma ? gamma[c] * rstd[c] : rstd[c];
    const double b = -a * rstd[c] * g_xhat / n;
    scale[c] = static_cast<T>(a);
    slope[c] = static_cast<T>(b);
    shift[c] = static_cast<T>(-a * s[c] / n - b * mean[c]);
    if (dgamma) dgamma[c] = static_cast<T>(g_xhat + (accumulate_dgamma ? static_cast<double>(dgamma[c]) : 0.0));
    if (dbeta) dbeta[c] = static_cast<T>(s[c] + (accumulate_dbeta ? static_cast<double>(dbeta[c]) : 0.0));
}

std::size_t channels(const NormShape& s) { return static_cast<std::size_t>(s.channels); }

}  // namespace

template <class T>
void norm_finish(const Stream& stream, const NormShape& s, const double* sums, const T* gamma, const T* beta,
                 T* running_mean, T* running_var, double* mean, double* rstd, T* scale, T* shift) {
    simt::launch(finish_kernel<T>, items(stream, channels(s)), s, sums, gamma, beta, running_mean, running_var, mean,
                 rstd, scale, shift);
}
template <class T>
void norm_running(const Stream& stream, const NormShape& s, const T* gamma, const T* beta, const T* running_mean,
                  const T* running_var, T* scale, T* shift) {
    simt::launch(running_kernel<T>, items(stream, channels(s)), s, gamma, beta, running_mean, running_var, scale,
                 shift);
}
template <class T>
void norm_fold(const Stream& stream, const NormShape& shape, const double* s, const double* sz, const double* mean,
               const double* rstd, const T* gamma, T* scale, T* slope, T* shift, T* dgamma, bool accumulate_dgamma,
               T* dbeta, bool accumulate_dbeta) {
    simt::launch(fold_kernel<T>, items(stream, channels(shape)), shape, s, sz, mean, rstd, gamma, scale, slope, shift,
                 dgamma, accumulate_dgamma, dbeta, accumulate_dbeta);
}

#define NASCENT_INSTANTIATE(T)                                                                                        \
    template void norm_finish<T>(const Stream&, const NormShape&, const double*, const T*, const T*, T*, T*, double*, \
                                 double*, T*, T*);                                                                    \
    template void norm_running<T>(const Stream&, const NormShape&, const T*, const T*, const T*, const T*, T*, T*);   \
    template void norm_fold<T>(const Stream&, const NormShape&, const double*, const double*, const double*,          \
                               const double*, const T*, T*, T*, T*, T*, bool, T*, bool);
NASCENT_INSTANTIATE(float)
NASCENT_INSTANTIATE(double)
#undef NASCENT_INSTANTIATE

}  // namespace nascent::kernels::gpu
