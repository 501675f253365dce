// Convolutions of one shape in one launch, whose last blocks finish their batch-norms.
#include <vector>

#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/summed.cuh"
#include "kernels/conv_list.h"

namespace nascent::kernels::gpu {

template <class T>  // conv_backward.cu
void conv_backward(const Stream&, const ConvShape&, const T*, Prologue<T>, const T*, const T*, NormFold<T>, T*, bool,
                   T*, bool, void*);
std::size_t conv_backward_workspace(const Stream&, const ConvShape&, std::size_t element);

namespace {

constexpr std::size_t kConvs = 32;  // of a launch

template <class T, class Source, class Sink>
struct ConvItem {
    Source source;
    const T* w;
    Sink sink;
    double* partials;
};
template <class T, class Source, class Sink>
struct ConvItems {
    ConvItem<T, Source, Sink> of[kConvs];
};

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

/// As convolve_summed_kernel; an item has the blocks of one z.
template <class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 5)
    forward_all_kernel(ConvTiles s, const __grid_constant__ ConvItems<T, Source, Sink> items, bool is_wide,
                       const __grid_constant__ ListEnd<T> end) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const ConvItem<T, Source, Sink>& item = items.of[blockIdx.z];
    convolve<false>(s, item.source, item.w, is_wide, item.sink, item.partials, 0, memory);
    if (item.partials) end_item(end, items, blockIdx.z, s.out_c, s.across * kWide<T>, memory);
}
/// As convolve_kernel backwards; the blocks of an item and phase follow each other in z.
template <class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 5)
    gradient_all_kernel(ConvTiles s, const __grid_constant__ ConvItems<T, Source, Sink> items, bool is_wide) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const int phases = s.stride * s.stride, z = static_cast<int>(blockIdx.z);
    const ConvItem<T, Source, Sink>& item = items.of[z / phases];
    convolve<true>(s, item.source, item.w, is_wide, item.sink, item.partials, z % phases, memory);
}

/// As dense_summed_kernel and dense_kernel.
template <class P, int OfWarp, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_forward_all_kernel(DenseTiles d, const __grid_constant__ ConvItems<float, Source, Sink> items,
                             const __grid_constant__ ListEnd<float> end) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const ConvItem<float, Source, Sink>& item = items.of[blockIdx.z];
    convolve_dense<P, OfWarp, false>(d, item.source, item.w, item.sink, item.partials, 0, memory);
    if (item.partials) end_item(end, items, blockIdx.z, d.s.out_c, d.columns, memory);
}
template <class P, int OfWarp, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_gradient_all_kernel(DenseTiles d, const __grid_constant__ ConvItems<float, Source, Sink> items) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const int phases = d.s.stride * d.s.stride, z = static_cast<int>(blockIdx.z);
    const ConvItem<float, Source, Sink>& item = items.of[z / phases];
    convolve_dense<P, OfWarp, true>(d, item.source, item.w, item.sink, item.partials, z % phases, memory);
}
/// With an end: forward.
template <class Source, class Sink, class... End>
void launch_dense_all(const Stream& stream, const DensePlan& plan, const ConvItems<float, Source, Sink>& items,
                      unsigned count, const End&... end) {
    dim3 grid = plan.grid;
    grid.z *= count;
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
            with(dense_forward_all_kernel<Tf32, of_warp, Source, Sink>);
        else
            with(dense_gradient_all_kernel<Tf32, of_warp, Source, Sink>);
    };
    if (plan.d.of_warp == 2)
        launch(std::integral_constant<int, 2>{});
    else
        launch(std::integral_constant<int, 4>{});
}

/// f(items of a launch) for runs of the list; `make` makes an item.
template <class Items, class Item, class Make, class F>
void for_runs(std::span<const Item> list, Make&& make, F&& f) {
    while (!list.empty()) {
        const std::size_t count = std::min(list.size(), kConvs);
        Items items = {};
        for (std::size_t i = 0; i < count; i++) items.of[i] = make(list[i]);
        f(items, static_cast<unsigned>(count));
        list = list.subspan(count);
    }
}

/// What ends a launch of these, with `rows` and `parts` blocks each in x and y.
template <class T>
ListEnd<T> list_end(std::span<const NormedConv<T>> convs, unsigned rows, unsigned parts, const ConvShape& s, double eps,
                    double momentum) {
    ListEnd<T> end{{}, {}, {}, {}, RowGroups(rows), 0};
    if (!convs[0].mean) return end;
    end.arrival = take_arrivals(convs.size() * parts * (end.groups.count + 1));
    std::size_t used = 0;
    std::vector<bool> taken(convs.size(), false);
    for (std::size_t i = 0; i < convs.size(); i++) {
        const NormedConv<T>& c = convs[i];
        end.norms[i] = {{s.c_out, s.pixels(), eps, momentum},
                        nullptr,
                        nullptr,
                        c.running_mean,
                        c.running_var,
                        c.mean,
                        c.rstd,
                        c.scale,
                        c.shift};
        if (taken[i]) continue;
        const std::size_t first = used;
        for (std::size_t j = i; j < convs.size(); j++) {
            if (j > i && (taken[j] || !convs[j].running_mean || convs[j].running_mean != c.running_mean)) continue;
            taken[j] = true;
            end.members[used++] = static_cast<std::uint8_t>(j);
        }
        for (std::size_t m = first; m < used; m++) {
            end.first[end.members[m]] = static_cast<std::uint8_t>(first);
            end.count[end.members[m]] = static_cast<std::uint8_t>(used - first);
        }
    }
    return end;
}

std::size_t partial_sums(unsigned rows, const ConvShape& s) {
    return RowGroups(rows).stored() * 2 * static_cast<std::size_t>(s.c_out);
}
/// Whether tensor cores may compute it, if all that it reads is wide.
template <class T>
bool may_be_dense(const Stream& stream, const ConvShape& s) {
    return std::is_same_v<T, float> && has_dense(stream, s.c_in, s.c_out);
}

}  // namespace

template <class T>
void normed_convs_forward(const Stream& stream, const ConvShape& shape, double eps, double momentum,
                          std::span<const NormedConv<T>> convs, void* workspace) {
    bool wide_x = true, wide_w = true, wide_z = true;
    for (const NormedConv<T>& c : convs) {
        wide_x = wide_x && wide<T>(shape.c_in, {c.x});
        wide_w = wide_w && wide<T>(shape.c_out, {c.w});
        wide_z = wide_z && wide<T>(shape.c_out, {c.z});
    }
    const bool is_dense = may_be_dense<T>(stream, shape) && wide_x && wide_w && wide_z;
    const ConvPlan plan = plan_convolution<T>(shape, false);
    const DensePlan dense = is_dense ? plan_dense(flattened(shape), false) : DensePlan{};
    const ConvTiles& s = is_dense ? dense.d.s : plan.s;
    dim3 grid = is_dense ? dense.grid : plan.grid;
    const unsigned rows = grid.x;
    const std::size_t each = partial_sums(rows, shape);
    with_width<T>(wide_x, [&](auto n) {
        using Source = PrologueSource<T, (n > 1)>;
        using Items = ConvItems<T, Source, StoreZ<T>>;
        std::span<const NormedConv<T>> left = convs;
        double* partials = static_cast<double*>(workspace);  // of a launch's, which the next may overwrite
        auto make = [&](const NormedConv<T>& c) {
            double* const own = partials;
            partials += each;
            return ConvItem<T, Source, StoreZ<T>>{{c.x, s.in_h, s.in_w, s.in_c, {nullptr, nullptr, true}},
                                                  c.w,
                                                  {c.z, s.out_h, s.out_w, s.out_c, wide_z},
                                                  c.mean ? own : nullptr};
        };
        for_runs<Items>(convs, make, [&](const Items& items, unsigned count) {
            const ListEnd<T> end = list_end(left.first(count), rows, grid.y, shape, eps, momentum);
            left = left.subspan(count);
            partials = static_cast<double*>(workspace);
            if constexpr (std::is_same_v<T, float> && n > 1)
                if (is_dense) return launch_dense_all(stream, dense, items, count, end);
            grid.z = count;
            simt::launch(forward_all_kernel<T, Source, StoreZ<T>>,
                         {grid, plan.threads, summed_bytes(plan.shared_bytes, plan.threads, s.across * kWide<T>),
                          static_cast<simt::stream_t>(stream.handle)},
                         s, items, wide_w, end);
        });
    });
}

std::size_t normed_convs_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                           std::size_t count) {
    const ConvPlan plan =
        element == sizeof(float) ? plan_convolution<float>(shape, false) : plan_convolution<double>(shape, false);
    unsigned rows = plan.grid.x;
    if (element == sizeof(float) && may_be_dense<float>(stream, shape))
        rows = std::max(rows, plan_dense(flattened(shape), false).grid.x);
    return std::min(count, kConvs) * partial_sums(rows, shape) * sizeof(double);
}

template <class T>
void normed_convs_backward(const Stream& stream, const ConvShape& shape, std::span<const NormedConvBackward<T>> convs,
                           void* workspace) {
    const int c_in = shape.c_in, c_out = shape.c_out;
    bool wide_in = true, wide_dz = true, wide_w = true;
    for (const NormedConvBackward<T>& c : convs) {
        wide_in = wide_in && wide<T>(c_in, {c.x, c.da});
        wide_dz = wide_dz && wide<T>(c_out, {c.dy, c.fold.z, c.fold.scale, c.fold.slope, c.fold.shift});
        wide_w = wide_w && wide<T>(c_out, {c.w});
    }
    if (!convs.empty() && convs[0].da) {
        const bool is_dense = may_be_dense<T>(stream, shape) && wide_dz && wide_w;
        const ConvShape at = is_dense ? flattened(shape) : shape;
        const ConvPlan plan = plan_convolution<T>(shape, true);
        with_width<T>(wide_dz, [&](auto n) {
            using Source = FoldSource<T, (n > 1)>;
            using Sink = StoreGradient<T>;
            using Items = ConvItems<T, Source, Sink>;
            auto make = [&](const NormedConvBackward<T>& c) {
                return ConvItem<T, Source, Sink>{
                    {c.dy, at.out_h(), at.out_w(), c_out, c.fold},
                    c.w,
                    {c.da, {c.x, at.h, at.w, c_in, {nullptr, nullptr, true}}, wide_in, true},
                    nullptr};
            };
            for_runs<Items>(convs, make, [&](const Items& items, unsigned count) {
                if constexpr (std::is_same_v<T, float> && n > 1)
                    if (is_dense) launch_dense_all(stream, plan_dense(at, true), items, count);
                if (is_dense) return;
                dim3 grid = plan.grid;
                grid.z *= count;
                simt::launch(gradient_all_kernel<T, Source, Sink>,
                             {grid, plan.threads, plan.shared_bytes, static_cast<simt::stream_t>(stream.handle)},
                             plan.s, items, wide_w);
            });
        });
    }
    for (const NormedConvBackward<T>& c : convs)
        if (c.dw)
            gpu::conv_backward<T>(stream, shape, c.x, {nullptr, nullptr, true}, c.w, c.dy, c.fold, nullptr, false, c.dw,
                                  c.accumulate_dw, workspace);
}

std::size_t normed_convs_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                            std::size_t) {
    return gpu::conv_backward_workspace(stream, shape, element);
}

#define NASCENT_CONV_LIST(T)                                                            \
    template void normed_convs_forward(const Stream&, const ConvShape&, double, double, \
                                       std::span<const NormedConv<T>>, void*);          \
    template void normed_convs_backward(const Stream&, const ConvShape&, std::span<const NormedConvBackward<T>>, void*);
NASCENT_CONV_LIST(float)
NASCENT_CONV_LIST(double)
#undef NASCENT_CONV_LIST

}  // namespace nascent::kernels::gpu
