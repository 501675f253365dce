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

/// With s = sum of g and sz = sum of g * z, the gradient of z under weight * norm(z): weight * rstd * (g - s / n - xhat
/// * sum(g * xhat) / n), xhat = (z - mean) * rstd, as g * scale + z * slope + shift. With a null mean (running
/// statistics) weight * norm_scale * g.
template <class T>
void norm_map(int channels, double n, double weight, const double* s, const double* sz, const double* mean,
              const double* rstd, const T* norm_scale, const NormMap<T>& map) {
    for (int c = 0; c < channels; c++) {
        if (!mean) {
            map.scale[c] = static_cast<T>(norm_scale ? weight * norm_scale[c] : weight);
            map.slope[c] = map.shift[c] = T(0);
            continue;
        }
        const double a = weight * rstd[c];
        const double b = -a * rstd[c] * rstd[c] * (sz[c] - mean[c] * s[c]) / n;
        map.scale[c] = static_cast<T>(a);
        map.slope[c] = static_cast<T>(b);
        map.shift[c] = static_cast<T>(-a * s[c] / n - b * mean[c]);
    }
}

}  // namespace nascent::kernels
