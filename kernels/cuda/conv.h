// kernels/conv.h on the GPU.
#pragma once
#include "kernels/conv.h"

namespace nascent::kernels::gpu {

template <class T>
void conv_forward(const Stream&, const ConvShape&, const T* x, Prologue<T>, const T* w, T* z, double* sums,
                  void* workspace);
template <class T>
void conv_backward(const Stream&, const ConvShape&, const T* x, Prologue<T>, const T* w, const T* dy, NormFold<T>,
                   T* da, bool accumulate_da, T* dw, bool accumulate_dw, void* workspace);
std::size_t conv_forward_workspace(const Stream&, const ConvShape&, std::size_t element);
std::size_t conv_backward_workspace(const Stream&, const ConvShape&, std::size_t element);

}  // namespace nascent::kernels::gpu
