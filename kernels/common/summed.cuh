// Convolutions whose last block ends the sums that batch-norm wants, strict and on tensor cores.
#pragma once
#include "kernels/common/dense.cuh"
#include "kernels/common/last_block.cuh"

namespace nascent::kernels::gpu {

/// As convolve_kernel forward. partials null: no sums.
template <class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 2)
    convolve_summed_kernel(ConvTiles s, Source source, const T* w, bool is_wide, Sink sink, double* partials,
                           const ConvEnd<T> __grid_constant__ end) {
    SIMT_DYNAMIC_SHARED(double, memory);
    convolve<false>(s, source, w, is_wide, sink, partials, 0, memory);
    if (partials) end_convolution(end, s.out_c, s.across * kWide<T>, partials, memory);
}

/// As dense_kernel forward.
template <class P, int OfWarp, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_summed_kernel(DenseTiles d, Source source, DenseWeights w, Sink sink, double* partials,
                        const ConvEnd<float> __grid_constant__ end) {
    SIMT_DYNAMIC_SHARED(double, memory);
    convolve_dense<P, OfWarp, false>(d, source, w, sink, partials, 0, memory);
    if (partials) end_convolution(end, d.s.out_c, d.columns, partials, memory);
}

template <class T>
ConvEnd<T> conv_end(const dim3& grid, double* sums) {
    const RowGroups groups(grid.x);
    return {take_finish<T>(sums), groups, sums ? take_arrivals(std::size_t{grid.y} * (groups.count + 1)) : 0};
}
/// Shared memory for both, of which `columns` channels of a block need some at the end.
inline std::size_t summed_bytes(std::size_t bytes, unsigned threads, int columns) {
    return std::max(bytes, end_doubles(threads, 2 * static_cast<std::size_t>(columns)) * sizeof(double));
}
/// Of workspace, for a forward of so many blocks in x.
inline std::size_t summed_workspace(unsigned rows, int channels) {
    return RowGroups(rows).stored() * 2 * static_cast<std::size_t>(channels) * sizeof(double);
}

/// sums (2, out_c) of z and z^2, or the norm that is offered for them; null: neither. `workspace` as summed_workspace.
template <class T, class Source, class Sink>
void launch_summed(simt::stream_t stream, const ConvPlan& plan, const Source& source, const T* w, bool is_wide,
                   const Sink& sink, double* sums, void* workspace, simt::Place where = simt::Place::current()) {
    simt::launch(convolve_summed_kernel<T, Source, Sink>,
                 {plan.grid, plan.threads, summed_bytes(plan.shared_bytes, plan.threads, plan.s.across * kWide<T>),
                  stream, where},
                 plan.s, source, w, is_wide, sink, sums ? static_cast<double*>(workspace) : nullptr,
                 conv_end<T>(plan.grid, sums));
}
template <class P, class Source, class Sink>
void launch_dense_summed(simt::stream_t stream, const DensePlan& plan, const Source& source, DenseWeights w,
                         const Sink& sink, double* sums, void* workspace, simt::Place where = simt::Place::current()) {
    const std::size_t bytes = summed_bytes(plan.shared_bytes, plan.threads, plan.d.columns);
    auto launch = [&](auto of_warp) {
        const auto kernel = dense_summed_kernel<P, of_warp, Source, Sink>;
        if (bytes > kSharedBytes) simt::allow_shared(kernel, bytes);
        simt::launch(kernel, {plan.grid, plan.threads, bytes, stream, where}, plan.d, source, w, sink,
                     sums ? static_cast<double*>(workspace) : nullptr, conv_end<float>(plan.grid, sums));
    };
    if (plan.d.of_warp == 2)
        launch(std::integral_constant<int, 2>{});
    else
        launch(std::integral_constant<int, 4>{});
}

}  // namespace nascent::kernels::gpu
