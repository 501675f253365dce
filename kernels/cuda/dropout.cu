#include "kernels/common/pack.cuh"
#include "kernels/dirichlet_math.h"
#include "kernels/dropout.h"

namespace nascent::kernels::gpu {
namespace {

template <class T>
__global__ void dropout_mask_kernel(unsigned size, DrawKey key, double p, T* mask) {
    const unsigned i = item();
    if (i < size) mask[i] = uniforms(key, key.first + i).first < p ? T(0) : static_cast<T>(1 / (1 - p));
}
template <class T>
__global__ void multiply_kernel(unsigned size, const T* x, const T* mask, T* y, bool accumulate) {
    const unsigned i = item();
    if (i < size) y[i] = accumulate ? y[i] + x[i] * mask[i] : x[i] * mask[i];
}

}  // namespace

template <class T>
void dropout_mask(const Stream& stream, const DrawKey& key, std::size_t size, double p, T* mask) {
    simt::launch(dropout_mask_kernel<T>, items(stream, size), items(size), key, p, mask);
}
template <class T>
void multiply(const Stream& stream, std::size_t size, const T* x, const T* mask, T* y, bool accumulate) {
    simt::launch(multiply_kernel<T>, items(stream, size), items(size), x, mask, y, accumulate);
}

#define NASCENT_DROPOUT(T)                                                              \
    template void dropout_mask(const Stream&, const DrawKey&, std::size_t, double, T*); \
    template void multiply(const Stream&, std::size_t, const T*, const T*, T*, bool);
NASCENT_DROPOUT(float)
NASCENT_DROPOUT(double)
#undef NASCENT_DROPOUT

}  // namespace nascent::kernels::gpu
