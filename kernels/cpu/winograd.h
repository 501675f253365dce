// The convolution of kernels/conv.h by Winograd's algorithm: 3x3, stride 1.
#pragma once
#include "kernels/conv.h"

namespace nascent::kernels {

template <class T>
void winograd_forward(const Stream&, const ConvShape&, const T* x, Prologue<T>, const T* w, T* z, double* sums,
                      void* workspace);
template <class T>
void winograd_backward(const Stream&, const ConvShape&, const T* x, Prologue<T>, const T* w, const T* dy, NormFold<T>,
                       T* da, bool accumulate_da, T* dw, bool accumulate_dw, void* workspace);

}  // namespace nascent::kernels
