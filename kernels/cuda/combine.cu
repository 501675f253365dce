#include <vector>

#include "kernels/combine.h"
#include "kernels/common/range_list.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const __grid_constant__ RangeList<CombineRange<T>, Capacity> list, CombineFactors f) {
    const Part part = part_of_block(list);
    const CombineRange<T> r = list.items[part.item];
    for (std::size_t i = part.begin + threadIdx.x; i < part.end; i += kThreads) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            if (f.of[k] != 0) sum += f.of[k] * static_cast<double>(r.terms[k][i]);
        r.y[i] = static_cast<T>(sum);
    }
}

}  // namespace

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
