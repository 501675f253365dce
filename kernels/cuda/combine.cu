#include <cmath>
#include <vector>

#include "kernels/combine.h"
#include "kernels/common/range_list.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const RangeList<CombineRange<T>, Capacity> __grid_constant__ list, CombineFactors f) {
    const Part part = part_of_block(list);
    const CombineRange<T> r = list.items[part.item];
    double factor[3];
    for (int k = 0; k < 3; k++) factor[k] = f.at ? f.at[k] : f.of[k];
    for (std::size_t i = part.begin + threadIdx.x; i < part.end; i += kThreads) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            if (factor[k] != 0 && r.terms[k]) sum += factor[k] * static_cast<double>(r.terms[k][i]);
        r.y[i] = static_cast<T>(sum);
    }
}

/// The first thread alone.
__global__ void quotient_kernel(const double* squares, const double* lr, bool twin, double* factors) {
    if (threadIdx.x > 0) return;
    const double e = 0.01 / std::sqrt(*squares), quotient = *lr / (2 * e);
    for (int k = 0; k < 3; k++) factors[3 * k] = 1;
    factors[1] = e;
    factors[4] = -e;
    factors[2] = factors[5] = 0;
    factors[7] = -quotient;
    factors[8] = twin ? 0 : quotient;
}

}  // namespace

void quotient_factors(const Stream& stream, const double* squares, const double* lr, bool twin, double* factors) {
    simt::launch(quotient_kernel, blocks(stream, dim3(1)), squares, lr, twin, factors);
}

template <class T>
void combine(const Stream& stream, const CombineFactors& f, std::span<const CombineRange<T>> ranges) {
    std::vector<CombineRange<T>> items;
    for (const CombineRange<T>& r : ranges)
        if (r.count > 0) items.push_back(r);
    for_lists(std::span<const CombineRange<T>>(items),
              [&]<int N>(const RangeList<CombineRange<T>, N>& list, unsigned grid) {
                  simt::launch(combine_kernel<T, N>, blocks(stream, dim3(grid)), list, f);
              });
}

template void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<float>>);
template void combine(const Stream&, const CombineFactors&, std::span<const CombineRange<double>>);

}  // namespace nascent::kernels::gpu
