#include "kernels/norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/norm_move.h"

namespace nascent::kernels::cpu {

template <class T>
void norm_finish(const Stream&, const NormShape& s, const double* sums, const T* gamma, const T* beta, T* running_mean,
                 T* running_var, double* mean, double* rstd, T* scale, T* shift) {
    const double n = static_cast<double>(s.count);
    for (int c = 0; c < s.channels; c++) {
        const double m = sums[c] / n;
        // Rounding may leave a constant channel's variance a little below zero.
        const double var = std::max(0.0, sums[s.channels + c] / n - m * m);
        const double r = 1 / std::sqrt(var + s.eps);
        const double a = gamma ? gamma[c] * r : r;
        mean[c] = m;
        rstd[c] = r;
        scale[c] = static_cast<T>(a);
        shift[c] = static_cast<T>((beta ? beta[c] : 0.0) - m * a);
        if (!running_mean) continue;
        move_running(s, m, var, running_mean[c], running_var[c]);
    }
}

template <class T>
void norm_running(const Stream&, const NormShape& s, const T* gamma, const T* beta, const T* running_mean,
                  const T* running_var, T* scale, T* shift) {
    for (int c = 0; c < s.channels; c++) {
        const double a = (gamma ? static_cast<double>(gamma[c]) : 1.0) / std::sqrt(running_var[c] + s.eps);
        scale[c] = static_cast<T>(a);
        shift[c] = static_cast<T>((beta ? beta[c] : 0.0) - running_mean[c] * a);
    }
}

template <class T>
void norm_fold(const Stream&, const NormShape& shape, const double* s, const double* sz, const double* mean,
               const double* rstd, const T* gamma, T* scale, T* slope, T* shift, T* dgamma, bool accumulate_dgamma,
               T* dbeta, bool accumulate_dbeta) {
    const double n = static_cast<double>(shape.count);
    for (int c = 0; c < shape.channels; c++) {
        const double g_xhat = (sz[c] - mean[c] * s[c]) * rstd[c];
        const double a = gamma ? gamma[c] * rstd[c] : rstd[c];
        const double b = -a * rstd[c] * g_xhat / n;
        scale[c] = static_cast<T>(a);
        slope[c] = static_cast<T>(b);
        shift[c] = static_cast<T>(-a * s[c] / n - b * mean[c]);
        if (dgamma) dgamma[c] = static_cast<T>(g_xhat + (accumulate_dgamma ? dgamma[c] : T(0)));
        if (dbeta) dbeta[c] = static_cast<T>(s[c] + (accumulate_dbeta ? dbeta[c] : T(0)));
    }
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

}  // namespace nascent::kernels::cpu
