#include <vector>

#include "kernels/common/range_list.cuh"
#include "kernels/copy.h"

namespace nascent::kernels::gpu {
namespace {

template <int Capacity>
__global__ void __launch_bounds__(kThreads) copy_kernel(const RangeList<CopyItem, Capacity> __grid_constant__ list) {
    const Part part = part_of_block(list);
    const CopyItem& c = list.items[part.item];
    const auto* from = static_cast<const unsigned char*>(c.from);
    auto* to = static_cast<unsigned char*>(c.to);
    for_elements<unsigned char>(part, all_aligned(from, to), [&](auto width, std::size_t at) {
        constexpr int n = decltype(width)::value;
        store(to + at, load<n>(from + at));
    });
}

}  // namespace

void copy_list(const Stream& stream, std::span<const CopyItem> copies) {
    std::vector<CopyItem> some;
    for (const CopyItem& c : copies)
        if (c.count > 0) some.push_back(c);
    for_lists(std::span<const CopyItem>(some), [&]<int N>(const RangeList<CopyItem, N>& list, unsigned grid) {
        simt::launch(copy_kernel<N>, blocks(stream, dim3(grid)), list);
    });
}

}  // namespace nascent::kernels::gpu
