// Batch-norm's backward as a map, from its sums.
#pragma once
#include <algorithm>
#include <cstddef>

#include "kernels/mixed.h"

namespace nascent::kernels {

/// Sums of channels of which `fold` pictures' lie side by side (kernels/fold.h): each becomes that of all pictures.
inline void sum_folded(double* s, int channels, int fold) {
    for (int c = 0; fold > 1 && c < channels; c += fold) {
        double sum = 0;
        for (int i = c; i < c + fold; i++) sum += s[i];
        std::fill_n(s + c, fold, sum);
    }
}

/// A batch-norm as its backward sees it: with a null mean its statistics are constants, with a null scale there is
/// none.
template <class T>
struct NormParts {
    const double* mean;
    const double* rstd;
    const T* scale;
    const T* shift;
    GammaBeta<T> affine;
    /// xhat = z * slope(c) + offset(c).
    double slope(int c) const { return mean ? rstd[c] : static_cast<double>(scale[c]); }
    double offset(int c) const { return mean ? -mean[c] * rstd[c] : static_cast<double>(shift[c]); }
};

/// With s = sum of g and sz = sum of g * z, the gradient of z under weight * (gamma * norm(z) + beta): weight * gamma *
/// rstd * (g - s / n - xhat * sum(g * xhat) / n), xhat = (z - mean) * rstd, as g * scale + z * slope + shift. With a
/// mean and a null scale z is xhat itself. With a null mean (running statistics) weight * gamma * scale * g.
template <class T, class To>
void norm_map(int channels, double n, double weight, const double* s, const double* sz, const NormParts<T>& norm,
              const NormMap<To>& map) {
    const double *mean = norm.mean, *rstd = norm.rstd;
    for (int c = 0; c < channels; c++) {
        const double by = norm.affine.gamma ? weight * static_cast<double>(norm.affine.gamma[c]) : weight;
        if (!mean) {
            map.scale[c] = static_cast<To>(norm.scale ? by * norm.scale[c] : by);
            map.slope[c] = map.shift[c] = To(0);
            continue;
        }
        const double m = norm.scale ? mean[c] : 0, r = norm.scale ? rstd[c] : 1;  // xhat = (z - m) * r
        const double a = by * rstd[c];
        const double b = -a * r * r * (sz[c] - m * s[c]) / n;
        map.scale[c] = static_cast<To>(a);
        map.slope[c] = static_cast<To>(b);
        map.shift[c] = static_cast<To>(-a * s[c] / n - b * m);
    }
}

/// Gradients of gamma and beta under weight * (gamma * norm(z) + beta), of the same sums.
template <class T>
void affine_gradient(int channels, double weight, const double* s, const double* sz, const NormParts<T>& norm,
                     const GammaBetaGradient<T>& to) {
    auto put = [](T& at, double value, bool add) { at = static_cast<T>(add ? at + value : value); };
    for (int c = 0; to.gamma && c < channels; c++)
        put(to.gamma[c], weight * (norm.slope(c) * sz[c] + norm.offset(c) * s[c]), to.accumulate_gamma);
    for (int c = 0; to.beta && c < channels; c++) put(to.beta[c], weight * s[c], to.accumulate_beta);
}

}  // namespace nascent::kernels
