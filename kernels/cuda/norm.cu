#include <cmath>

#include "kernels/common/last_block.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class T>
__global__ void finish_kernel(NormFinish<T> norm, const double* sums) {
    const int c = static_cast<int>(item()), channels = norm.shape.channels;
    if (c < channels) finish_channel(norm, c, sums[c], sums[channels + c]);
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
__global__ void fold_kernel(NormFoldOf<T> fold, const double* s, const double* sz) {
    const int c = static_cast<int>(item());
    if (c < fold.shape.channels) fold_channel(fold, c, s[c], sz[c]);
}

std::size_t channels(const NormShape& s) { return static_cast<std::size_t>(s.channels); }

}  // namespace

template <class T>
void norm_finish(const Stream& stream, const NormShape& s, const double* sums, const T* gamma, const T* beta,
                 T* running_mean, T* running_var, double* mean, double* rstd, T* scale, T* shift) {
    simt::launch(finish_kernel<T>, items(stream, channels(s)),
                 NormFinish<T>{s, gamma, beta, running_mean, running_var, mean, rstd, scale, shift}, sums);
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
    simt::launch(fold_kernel<T>, items(stream, channels(shape)),
                 NormFoldOf<T>{shape, mean, rstd, gamma, scale, slope, shift, dgamma, dbeta, accumulate_dgamma,
                               accumulate_dbeta},
                 s, sz);
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
