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

template <int Capacity>
__global__ void __launch_bounds__(kThreads) round_kernel(const RangeList<RoundItem, Capacity> __grid_constant__ list) {
    const Part part = part_of_block(list);
    const RoundItem& r = list.items[part.item];
    for_elements<float>(part, all_aligned(r.from, r.to), [&](auto width, std::size_t at) {
        constexpr int n = decltype(width)::value;
        write(r.to + at, load<n>(r.from + at));
    });
}

template <class Item>
std::vector<Item> some_of(std::span<const Item> items) {
    std::vector<Item> some;
    for (const Item& i : items)
        if (i.count > 0) some.push_back(i);
    return some;
}

}  // namespace

void copy_list(const Stream& stream, std::span<const CopyItem> items) {
    const std::vector<CopyItem> some = some_of(items);
    for_lists(std::span<const CopyItem>(some), [&]<int N>(const RangeList<CopyItem, N>& list, unsigned grid) {
        simt::launch(copy_kernel<N>, blocks(stream, dim3(grid)), list);
    });
}

void round_list(const Stream& stream, std::span<const RoundItem> items) {
    const std::vector<RoundItem> some = some_of(items);
    for_lists(std::span<const RoundItem>(some), [&]<int N>(const RangeList<RoundItem, N>& list, unsigned grid) {
        simt::launch(round_kernel<N>, blocks(stream, dim3(grid)), list);
    });
}

}  // namespace nascent::kernels::gpu
