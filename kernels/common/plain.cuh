// Shared by the kernels that are written to be read: a thread per element of the result.
#pragma once
#include "kernels/common/sums.cuh"

namespace nascent::kernels::gpu {

template <class T>
__device__ void put(T& to, double value, bool accumulate) {
    to = static_cast<T>(accumulate ? static_cast<double>(to) + value : value);
}

/// to (+)= value, added as they are computed with.
template <class S>
__device__ void put_stored(S& to, const S& value, bool accumulate) {
    to = accumulate ? narrow<S>(widen(to) + widen(value)) : value;
}

/// Element (n, h, w, c) of an image tensor.
struct Element {
    int n, h, w, c;
};
__device__ inline Element element(unsigned at, int height, int width, int channels) {
    const unsigned c = static_cast<unsigned>(channels), w = static_cast<unsigned>(width),
                   h = static_cast<unsigned>(height), pixel = at / c, row = pixel / w;
    return {static_cast<int>(row / h), static_cast<int>(row % h), static_cast<int>(pixel % w),
            static_cast<int>(at % c)};
}
__device__ inline std::size_t offset(int n, int y, int x, int c, int height, int width, int channels) {
    return ((static_cast<std::size_t>(n) * height + y) * width + x) * channels + c;
}

/// The sum of `value` over the block, in every thread.
__device__ inline double block_sum(double value, double* shared) {
    double sum[1] = {value};
    add_down<1>(1, shared, sum);
    const double total = shared[0];
    __syncthreads();  // before the next sum writes there
    return total;
}

inline std::size_t product(std::initializer_list<int> extents) {
    std::size_t size = 1;
    for (int extent : extents) size *= static_cast<std::size_t>(extent);
    return size;
}

}  // namespace nascent::kernels::gpu
