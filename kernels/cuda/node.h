// kernels/node.h on the GPU.
#pragma once
#include "kernels/node.h"

namespace nascent::kernels::gpu {

template <class T>
void node_combine(const Stream&, const Image&, std::span<const NormTerm<T>> norms, std::span<const T* const> pools,
                  std::span<const T* const> skips, T* y);
template <class T>
void node_input_gradient(const Stream&, const Image&, const T* dy, bool skip, bool pool, T* dx, bool accumulate);
template <class T>
void norm_backward_sums(const Stream&, const Image&, const T* dy, std::span<const T* const> z, double* sums,
                        void* workspace);
template <class T>
void channel_sums(const Stream&, const Image&, const T* x, double* sums, void* workspace);
std::size_t norm_sums_workspace(const Stream&, const Image&, int terms);
template <class T>
void avg_pool_2x2(const Stream&, const Image&, const T* x, T* y);
template <class T>
void avg_pool_2x2_backward(const Stream&, const Image&, const T* dy, T* dx, bool accumulate);

}  // namespace nascent::kernels::gpu
