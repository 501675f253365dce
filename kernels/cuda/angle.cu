#include <cmath>
#include <vector>

#include "kernels/angle.h"
#include "kernels/common/range_list.cuh"

namespace nascent::kernels::gpu {
namespace {

template <class T>
struct AngleItem {
    const T *before, *w, *v;  // v null: now is w
    std::size_t count;
    T gap[2];
};

/// partials (blocks, 3): the sums of each block's part of a range.
template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    angle_kernel(const RangeList<AngleItem<T>, Capacity> __grid_constant__ list, double* partials) {
    SIMT_SHARED(double, shared, [3 * kThreads]);
    const Part part = part_of_block(list);
    const AngleItem<T> r = list.items[part.item];
    double sum[3] = {};
    for_elements<T>(part, all_aligned(r.before, r.w, r.v), [&](auto width, std::size_t at) {
        constexpr int n = decltype(width)::value;
        const Pack<T, n> before = load<n>(r.before + at);
        Pack<T, n> now = load<n>(r.w + at);
        if (r.v) {
            const Pack<T, n> v = load<n>(r.v + at);
            for (int i = 0; i < n; i++) now.v[i] = std::fma(r.gap[1], v.v[i], r.gap[0] * now.v[i]);
        }
        for (int i = 0; i < n; i++) {
            const double a = before.v[i], b = now.v[i];
            sum[0] = std::fma(a, b, sum[0]);
            sum[1] = std::fma(a, a, sum[1]);
            sum[2] = std::fma(b, b, sum[2]);
        }
    });
    add_down<3>(1, shared, sum);
    if (threadIdx.x == 0)
        for (int i = 0; i < 3; i++) partials[3 * static_cast<std::size_t>(blockIdx.x) + i] = sum[i];
}

/// sums (items, 3): a thread adds an item's partials in the order of its blocks.
template <class T, int Capacity>
__global__ void __launch_bounds__(kThreads)
    add_items_kernel(const RangeList<AngleItem<T>, Capacity> __grid_constant__ list, unsigned blocks,
                     const double* partials, double* sums) {
    const unsigned i = item() / 3, which = item() % 3;
    if (i >= static_cast<unsigned>(list.count)) return;
    const unsigned end = i + 1 < static_cast<unsigned>(list.count) ? list.first[i + 1] : blocks;
    double sum = 0;
    for (unsigned b = list.first[i]; b < end; b++) sum += partials[3 * static_cast<std::size_t>(b) + which];
    sums[item()] = sum;
}

}  // namespace

template <class T>
void angle_sums(const Stream& stream, std::span<const AngleRange<T>> ranges, double* sums, void* workspace) {
    std::vector<AngleItem<T>> items;
    for (const AngleRange<T>& r : ranges) {
        const bool gap = r.gap[0] != 1 || r.gap[1] != 0;
        items.push_back(
            {r.before, r.w, gap ? r.v : nullptr, r.count, {static_cast<T>(r.gap[0]), static_cast<T>(r.gap[1])}});
    }
    double* partials = static_cast<double*>(workspace);
    for_lists(std::span<const AngleItem<T>>(items), [&]<int N>(const RangeList<AngleItem<T>, N>& list, unsigned grid) {
        simt::launch(angle_kernel<T, N>, blocks(stream, dim3(grid)), list, partials);
        simt::launch(add_items_kernel<T, N>, gpu::items(stream, 3 * static_cast<std::size_t>(list.count)), list, grid,
                     partials, sums);
        partials += 3 * static_cast<std::size_t>(grid);
        sums += 3 * list.count;
    });
}
template <class T>
std::size_t angle_sums_workspace(const Stream&, std::span<const AngleRange<T>> ranges) {
    std::size_t blocks = 0;
    for (const AngleRange<T>& r : ranges) blocks += (r.count + kBlockElements - 1) / kBlockElements;
    return 3 * blocks * sizeof(double);
}

#define NASCENT_ANGLE(T)                                                                     \
    template void angle_sums(const Stream&, std::span<const AngleRange<T>>, double*, void*); \
    template std::size_t angle_sums_workspace(const Stream&, std::span<const AngleRange<T>>);
NASCENT_ANGLE(float)
NASCENT_ANGLE(double)
#undef NASCENT_ANGLE

}  // namespace nascent::kernels::gpu
