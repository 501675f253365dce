// What every op with a batch-norm inside takes and keeps.
#pragma once
#include "kernels/norm.h"
#include "ops/kernel_stream.h"

namespace nascent {

/// Running statistics (undefined: none are kept) and the mode of a batch-norm, with torch's defaults.
struct NormArgs {
    Tensor running_mean, running_var;
    bool training = true;
    double eps = 1e-5, momentum = 0.1;
    /// Running statistics are of all pictures so far, of which the batch is the share `momentum` (kernels::NormShape).
    bool pooled = false;
    bool operator==(const NormArgs&) const = default;
};

/// A batch-norm between its passes: per-channel scale and shift (of the type that the input is computed with), mean and
/// rstd in double. Lives in the current arena.
struct NormState {
    Tensor scale, shift, mean, rstd;
    static NormState make(int channels, DType dtype);
    /// From the sums of a training batch (count pixels), or from the running statistics in evaluation.
    void finish(const NormArgs& args, std::size_t count, const double* sums, const Tensor& gamma, const Tensor& beta);
    /// What kernels take of it; checks gamma and beta.
    kernels::NormShape checked_shape(const NormArgs& args, std::size_t count, const Tensor& gamma,
                                     const Tensor& beta) const;
    /// y = z * scale + shift, (n, h, w, c).
    void normalise(const Tensor& z, const Tensor& y) const;
};

/// Batch-norm's backward as a per-channel map of g and z (kernels::NormFold without z). Lives in the current arena.
struct NormGradient {
    Tensor scale, slope, shift;
    /// s, sz: sums of g and of g * z; writes gamma's and beta's gradients where they are wanted.
    static NormGradient make(const NormArgs& args, const NormState& state, std::size_t count, const double* s,
                             const double* sz, const Tensor& gamma, const Into& dgamma, const Into& dbeta);
    /// The same with the sums over dy (n, h, w, c) and z taken first.
    static NormGradient make(const NormArgs& args, const NormState& state, const Tensor& dy, const Tensor& z,
                             const Tensor& gamma, const Into& dgamma, const Into& dbeta);
};

}  // namespace nascent
