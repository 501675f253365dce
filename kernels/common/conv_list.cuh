// What a launch of several convolutions is to its blocks: a block has the same tile of all convolutions of a group,
// which read one source or add to one gradient, one after the other; the last blocks finish their batch-norms.
#pragma once
#include "kernels/common/bf16.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/summed.cuh"

namespace nascent::kernels::gpu {

inline constexpr std::size_t kConvs = 32;  // of a launch

template <class Weights, class Source, class Sink>
struct ConvItem {
    Source source;
    Weights w;
    Sink sink;
    double* partials;
};
/// Group g is items [first[g], first[g + 1]).
template <class Weights, class Source, class Sink>
struct ConvItems {
    using Item = ConvItem<Weights, Source, Sink>;
    Item of[kConvs];
    std::uint8_t first[kConvs + 1];
};
/// f(i) for each item of a group; all threads of the block are behind one before the next. All of them call it.
template <class Items, class F>
__device__ void for_group(const Items& items, unsigned group, F&& f) {
#pragma unroll 1
    for (unsigned first = items.first[group], i = first; i < items.first[group + 1]; i++) {
        if (i > first) __syncthreads();
        f(i);
    }
}

/// The norms of a launch's convolutions. Those that move one pair of running statistics are a chain: the last block of
/// all of them finishes them in turn. Items without partials have none.
template <class T>
struct ListEnd {
    NormFinish<T> norms[kConvs];
    std::uint8_t first[kConvs], count[kConvs];  // of an item: its chain's members
    std::uint8_t members[kConvs];               // chain by chain, in the list's order
    RowGroups groups;
    unsigned arrival;
};

/// As end_convolution, for item `i`.
template <class T, class Items>
__device__ void end_item(const ListEnd<T>& e, const Items& items, unsigned i, int channels, int columns,
                         double* memory) {
    const int first = static_cast<int>(blockIdx.y) * columns;
    const SumColumns c{
        channels, 2, 1, 2, static_cast<unsigned>(first), static_cast<unsigned>(min(columns, channels - first))};
    const std::uint8_t* const chain = e.members + e.first[i];
    const unsigned each = e.groups.count + 1, own = e.arrival + (i * gridDim.y + blockIdx.y) * each,
                   of_chain = e.arrival + (chain[0] * gridDim.y + blockIdx.y) * each + e.groups.count;
    if (!end_group(e.groups, c, blockIdx.x, own, items.of[i].partials, memory)) return;
    bool* const last = reinterpret_cast<bool*>(memory);
    arrive(of_chain, 1, e.groups.count * e.count[i], last);
    if (!last[0]) return;
    for (unsigned m = 0; m < e.count[i]; m++) {
        if (m > 0) __syncthreads();  // the sums before have been read
        add_rows_of(c, items.of[chain[m]].partials + e.groups.rows * c.pitch(), e.groups.count, memory + 1);
        for (unsigned k = threadIdx.x; k < c.columns; k += blockDim.x)
            finish_channel(e.norms[chain[m]], first + static_cast<int>(k), memory[1 + k], memory[1 + c.columns + k]);
    }
}

/// As convolve_summed_kernel; a group has the blocks of one z.
template <class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 2)
    forward_all_kernel(ConvTiles s, const ConvItems<const T*, Source, Sink> __grid_constant__ items, bool is_wide,
                       const ListEnd<T> __grid_constant__ end) {
    SIMT_DYNAMIC_SHARED(double, memory);
    for_group(items, blockIdx.z, [&](unsigned i) {
        const auto& item = items.of[i];
        convolve<false>(s, item.source, item.w, is_wide, item.sink, item.partials, 0, memory);
        if (item.partials) end_item(end, items, i, s.out_c, s.across * kWide<T>, memory);
    });
}
/// As convolve_kernel backwards; the blocks of a group and phase follow each other in z. What a group adds to one
/// gradient a thread adds to the same elements, so that nothing is between two of its items but shared memory.
template <class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 2)
    gradient_all_kernel(ConvTiles s, const ConvItems<const T*, Source, Sink> __grid_constant__ items, bool is_wide) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const int phases = s.stride * s.stride, z = static_cast<int>(blockIdx.z);
    for_group(items, static_cast<unsigned>(z / phases), [&](unsigned i) {
        const auto& item = items.of[i];
        convolve<true>(s, item.source, item.w, is_wide, item.sink, item.partials, z % phases, memory);
    });
}

/// As dense_summed_kernel and dense_kernel.
template <class P, int OfWarp, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_forward_all_kernel(DenseTiles d, const ConvItems<DenseWeights, Source, Sink> __grid_constant__ items,
                             const ListEnd<float> __grid_constant__ end) {
    SIMT_DYNAMIC_SHARED(double, memory);
    constexpr unsigned kUnderWay = std::is_same_v<P, Bf16> && OfWarp > 2 ? 48 : 64;  // as registers allow
    for_group(items, blockIdx.z, [&](unsigned i) {
        const auto& item = items.of[i];
        convolve_dense<P, OfWarp, false, kUnderWay>(d, item.source, item.w, item.sink, item.partials, 0, memory);
        if (item.partials) end_item(end, items, i, d.s.out_c, d.columns, memory);
    });
}
template <class P, int OfWarp, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_gradient_all_kernel(DenseTiles d, const ConvItems<DenseWeights, Source, Sink> __grid_constant__ items) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const int phases = d.s.stride * d.s.stride, z = static_cast<int>(blockIdx.z);
    constexpr unsigned kUnderWay = std::is_same_v<P, Bf16> ? 32 : 64;  // as registers allow
    for_group(items, static_cast<unsigned>(z / phases), [&](unsigned i) {
        const auto& item = items.of[i];
        convolve_dense<P, OfWarp, true, kUnderWay>(d, item.source, item.w, item.sink, item.partials, z % phases,
                                                   memory);
    });
}
/// With an end: forward.
template <class P, class Source, class Sink, class... End>
void launch_dense_all(const Stream& stream, const DensePlan& plan, const ConvItems<DenseWeights, Source, Sink>& items,
                      unsigned groups, const End&... end) {
    dim3 grid = plan.grid;
    grid.z *= groups;
    constexpr bool kForward = sizeof...(End) > 0;
    const std::size_t bytes =
        kForward ? summed_bytes(plan.shared_bytes, plan.threads, plan.d.columns) : plan.shared_bytes;
    auto launch = [&](auto of_warp) {
        auto with = [&](auto kernel) {
            if (bytes > kSharedBytes) simt::allow_shared(kernel, bytes);
            simt::launch(kernel, {grid, plan.threads, bytes, static_cast<simt::stream_t>(stream.handle)}, plan.d, items,
                         end...);
        };
        if constexpr (kForward)
            with(dense_forward_all_kernel<P, of_warp, Source, Sink>);
        else
            with(dense_gradient_all_kernel<P, of_warp, Source, Sink>);
    };
    if (plan.d.of_warp == 2)
        launch(std::integral_constant<int, 2>{});
    else
        launch(std::integral_constant<int, 4>{});
}

}  // namespace nascent::kernels::gpu
