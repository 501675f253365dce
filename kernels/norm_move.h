// How running statistics follow a batch's mean and biased variance: for the CPU's and the GPU's kernels alike.
#pragma once
#include "kernels/norm.h"

#ifdef __CUDACC__
#define NASCENT_MOVE __host__ __device__
#else
#define NASCENT_MOVE
#endif

namespace nascent::kernels {

template <class T>
NASCENT_MOVE inline void move_running(const NormShape& s, double mean, double variance, T& running_mean,
                                      T& running_var) {
    const double n = static_cast<double>(s.count), share = s.momentum;
    const double unbiased = s.count > 1 ? variance * n / (n - 1) : variance;
    // Of two sets of pixels together: Chan, Golub, LeVeque, "Updating formulae ...", 1979, eq. 2.1.
    const double before = s.pooled ? n * (1 - share) / share : 0;
    if (before > 0) {
        const double apart = mean - running_mean;
        running_var = static_cast<T>(
            ((before - 1) * running_var + (n - 1) * unbiased + (1 - share) * n * apart * apart) / (before + n - 1));
    } else {
        running_var = static_cast<T>((1 - share) * running_var + share * unbiased);
    }
    running_mean = static_cast<T>((1 - share) * running_mean + share * mean);
}

}  // namespace nascent::kernels
