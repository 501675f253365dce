// Lists of parameter ranges in a kernel's arguments: one launch for all of them, and nothing copied to the device
// first.
#pragma once
#include <span>

#include "kernels/clip.h"
#include "kernels/common/sums.cuh"

namespace nascent::kernels::gpu {

inline constexpr std::size_t kArgumentBytes = 32764;  // of a launch: CUDA 12.1, compute capability 7.0
inline constexpr std::size_t kBlockElements = 2048;   // of a range, per block

/// Item has `count`, the elements of a range.
template <class Item, int Capacity>
struct RangeList {
    Item items[Capacity];
    unsigned first[Capacity];  // the block at which an item begins
    int count;
};
/// Short lists copy little; the longest leave 256 bytes for a kernel's other arguments.
inline constexpr int kFewRanges = 64;
template <class Item>
inline constexpr int kManyRanges = static_cast<int>((kArgumentBytes - 256) / (sizeof(Item) + sizeof(unsigned)));

template <int Capacity, class Item, class F>
void with_list(std::span<const Item> items, F&& f) {
    RangeList<Item, Capacity> list = {};
    std::size_t blocks = 0;
    for (const Item& i : items) {
        list.items[list.count] = i;
        list.first[list.count++] = gpu::items(blocks);
        blocks += (i.count + kBlockElements - 1) / kBlockElements;
    }
    f(list, gpu::items(blocks));
}
/// f(list, blocks) for lists of a few items or of many, usually once. No item is empty.
template <class Item, class F>
void for_lists(std::span<const Item> items, F&& f) {
    while (!items.empty()) {
        const std::size_t count = std::min<std::size_t>(items.size(), kManyRanges<Item>);
        if (count <= kFewRanges)
            with_list<kFewRanges>(items.first(count), f);
        else
            with_list<kManyRanges<Item>>(items.first(count), f);
        items = items.subspan(count);
    }
}

/// This block's part of a range.
struct Part {
    int item;
    std::size_t begin, end;
};
template <class Item, int Capacity>
__device__ Part part_of_block(const RangeList<Item, Capacity>& list) {
    int low = 0;  // first[low] <= blockIdx.x
    for (int high = list.count; high - low > 1;) {
        const int middle = (low + high) / 2;
        if (list.first[middle] <= blockIdx.x)
            low = middle;
        else
            high = middle;
    }
    const std::size_t begin = (blockIdx.x - list.first[low]) * kBlockElements, count = list.items[low].count;
    return {low, begin, count - begin < kBlockElements ? count : begin + kBlockElements};
}

/// f(width, at) for the elements [at, at + width) that are this thread's: 16 bytes where `is_wide`, then one by one.
template <class T, class F>
__device__ void for_elements(const Part& p, bool is_wide, F&& f) {
    constexpr int n = kWide<T>;
    const std::size_t whole = is_wide ? p.begin + (p.end - p.begin) / n * n : p.begin;
    for (std::size_t at = p.begin + threadIdx.x * n; at < whole; at += kThreads * n)
        f(std::integral_constant<int, n>{}, at);
    for (std::size_t at = whole + threadIdx.x; at < p.end; at += kThreads) f(std::integral_constant<int, 1>{}, at);
}
template <class... T>
__device__ bool all_aligned(const T*... p) {
    return ((reinterpret_cast<std::uintptr_t>(p) | ...) % 16) == 0;
}

__device__ inline double clip_factor(const Clip& c) {
    if (!c.squares) return 1;
    const double factor = c.norm / (std::sqrt(*c.squares) + 1e-6);
    return factor > 1 ? 1 : factor;
}

}  // namespace nascent::kernels::gpu
