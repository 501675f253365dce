// The 1x1 links of chain.h on tensor cores, as dense_conv.cuh has the convolutions.
#pragma once
#include "kernels/chain.h"
#include "kernels/common/dense_conv.cuh"

namespace nascent::kernels::gpu {

/// False, with nothing done, where it cannot be.
bool dense_link_forward(const Stream&, const LinkShape&, const Normed<float>&, const float* w, float* z, double* sums,
                        void* workspace);
/// target.da and what goes with it.
bool dense_link_input_gradient(const Stream&, const LinkShape&, const Normed<float>&, const float* w,
                               const NormedGradient<float>&, const NormFold<float>&, const LinkTarget<float>&,
                               void* workspace);
bool dense_link_weight_gradient(const Stream&, const LinkShape&, const Normed<float>&, const NormedGradient<float>&,
                                const NormFold<float>&, float* dw, bool accumulate, void* workspace);
/// 0 where has_dense() is false.
std::size_t dense_link_workspace(const Stream&, const LinkShape&, bool backward);

}  // namespace nascent::kernels::gpu
