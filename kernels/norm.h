// Batch-norm's per-channel algebra, between the passes over pixels: from sums to a scale and shift, and back.
#pragma once
#include <cstddef>

#include "kernels/stream.h"

namespace nascent::kernels {

struct NormShape {
    int channels;
    std::size_t count;  // pixels that the sums run over
    double eps, momentum;
    /// The running statistics are those of all pixels so far, of which this batch is the share `momentum` (1: it is the
    /// first), and become those of all pixels up to and with this batch: the mean and the unbiased variance.
    bool pooled = false;
};

/// From sums (2 * channels: of z, of z^2): mean, rstd = 1 / sqrt(biased variance + eps), and scale = gamma * rstd,
/// shift = beta - mean * scale (gamma, beta null: 1, 0). Running statistics (null: none) move by `momentum` towards the
/// mean and the unbiased variance, as torch.nn.BatchNorm2d's do, or are `pooled`.
template <class T>
void norm_finish(const Stream&, const NormShape&, const double* sums, const T* gamma, const T* beta, T* running_mean,
                 T* running_var, double* mean, double* rstd, T* scale, T* shift);

/// Evaluation: scale and shift from the running statistics.
template <class T>
void norm_running(const Stream&, const NormShape&, const T* gamma, const T* beta, const T* running_mean,
                  const T* running_var, T* scale, T* shift);

/// From s = sum of g and sz = sum of g * z (g the gradient of the batch-norm's output): with xhat = (z - mean) * rstd,
/// dz = gamma * rstd * (g - s / count - xhat * sum(g * xhat) / count) as g * scale + z * slope + shift; dgamma (+)= sum
/// of g * xhat; dbeta (+)= s. dgamma and dbeta may be null.
template <class T>
void norm_fold(const Stream&, const NormShape&, const double* s, const double* sz, const double* mean,
               const double* rstd, const T* gamma, T* scale, T* slope, T* shift, T* dgamma, bool accumulate_dgamma,
               T* dbeta, bool accumulate_dbeta);

}  // namespace nascent::kernels
