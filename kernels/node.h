// Element-wise passes of a node that sums edges: batch-norm sums and apply, average pools, skips. All NHWC.
#pragma once
#include <cstddef>
#include <span>

#include "kernels/element.h"
#include "kernels/stream.h"

namespace nascent::kernels {

struct Image {  // (n, h, w, c)
    int n, h, w, c;
    std::size_t pixels() const { return static_cast<std::size_t>(n) * h * w; }
    std::size_t size() const { return pixels() * static_cast<std::size_t>(c); }
};

/// One convolution's stored output and its batch-norm as a per-channel affine map.
template <class S>
struct NormTerm {
    const S* z;
    const Compute<S>* scale;
    const Compute<S>* shift;
};

/// y = sum of z * scale + shift over norms, of average pools 3x3 (stride 1, padding 1 left out of the mean) over pools,
/// and of x over skips, in one pass, in the order given. With nothing to sum, y = 0. y overlaps no input.
template <class S>
void node_combine(const Stream&, const Image&, std::span<const NormTerm<S>> norms, std::span<const S* const> pools,
                  std::span<const S* const> skips, S* y);

/// dx (+)= dy for a skip and / or the average pool's gradient of dy, in one pass.
template <class S>
void node_input_gradient(const Stream&, const Image&, const S* dy, bool skip, bool pool, S* dx, bool accumulate);

/// Batch-norm backward's sums, one read of dy for all z: sums[0..c) = sum of dy, sums[(1+k)c..) = sum of dy * z_k.
/// `workspace` as norm_sums_workspace.
template <class S>
void norm_backward_sums(const Stream&, const Image&, const S* dy, std::span<const S* const> z, double* sums,
                        void* workspace);

/// sums[0..c) = sum of x, sums[c..2c) = sum of x^2 per channel.
template <class S>
void channel_sums(const Stream&, const Image&, const S* x, double* sums, void* workspace);

/// Bytes of workspace for norm_backward_sums over `terms` tensors z, and for channel_sums with terms = 1.
std::size_t norm_sums_workspace(const Stream&, const Image&, int terms);

/// y = average over 2x2 windows, stride 2; h and w of x must be even. Image is x's.
template <class S>
void avg_pool_2x2(const Stream&, const Image&, const S* x, S* y);
/// dx (+)= dy / 4 spread over each window. Image is x's.
template <class S>
void avg_pool_2x2_backward(const Stream&, const Image&, const S* dy, S* dx, bool accumulate);

}  // namespace nascent::kernels
