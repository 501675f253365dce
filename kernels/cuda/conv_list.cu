// Convolutions of one shape in one launch, whose last blocks finish their batch-norms. A block has a tile of all that
// read one source, or that add to one gradient, one after the other.
#include <vector>

#include "kernels/common/bf16.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/summed.cuh"
#include "kernels/conv_list.h"

namespace nascent::kernels::gpu {

namespace {

constexpr std::size_t kConvs = 32;  // of a launch

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
/// f(i) for each item of a group. All threads of the block call it; what they read of shared memory has been read.
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

template <class S>
bool one_group(const NormedConv<S>& a, const NormedConv<S>& b) {
    return a.x == b.x;
}
template <class S>
bool one_group(const NormedConvBackward<S>& a, const NormedConvBackward<S>& b) {
    return a.da == b.da;
}
/// Of the list's first launch.
template <class Conv>
ConvGroups groups_of(std::span<const Conv> list) {
    ConvGroups all{static_cast<unsigned>(std::min(list.size(), kConvs)), 1};
    for (std::size_t i = 1; i < all.convs; i++) all.groups += !one_group(list[i - 1], list[i]);
    return all;
}

/// f(items of a launch, how many, how many groups) for runs of the list; `make` makes an item. apart: each is a group.
template <class Items, class Conv, class Make, class F>
void for_runs(std::span<const Conv> list, bool apart, Make&& make, F&& f) {
    while (!list.empty()) {
        const std::size_t count = std::min(list.size(), kConvs);
        Items items = {};
        unsigned groups = 0;
        for (std::size_t i = 0; i < count; i++) {
            if (i == 0 || apart || !one_group(list[i - 1], list[i]))
                items.first[groups++] = static_cast<std::uint8_t>(i);
            items.of[i] = make(list[i]);
        }
        items.first[groups] = static_cast<std::uint8_t>(count);
        f(items, static_cast<unsigned>(count), groups);
        list = list.subspan(count);
    }
}

/// What ends a launch of these, with `rows` and `parts` blocks each in x and y.
template <class S>
ListEnd<Compute<S>> list_end(std::span<const NormedConv<S>> convs, unsigned rows, unsigned parts, const ConvShape& s,
                             double eps, double momentum) {
    ListEnd<Compute<S>> end{{}, {}, {}, {}, RowGroups(rows), 0};
    if (!convs[0].mean) return end;
    end.arrival = take_arrivals(convs.size() * parts * (end.groups.count + 1));
    std::size_t used = 0;
    std::vector<bool> taken(convs.size(), false);
    for (std::size_t i = 0; i < convs.size(); i++) {
        const NormedConv<S>& c = convs[i];
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
/// The prologue of all of them.
template <class S>
constexpr Prologue<S> kRelu{nullptr, nullptr, true};

/// What a launch reads as the weights of a convolution.
template <class Weights, class Conv>
Weights weights_of(const Conv& c) {
    if constexpr (std::is_same_v<Weights, DenseWeights>)
        return {c.w, c.rounded};
    else
        return c.w;
}

/// launch(items, groups, end) for runs of the list. `s`: shapes as the launch has them.
template <class S, class Weights, class Source, class Plan, class Launch>
void forward_all(const ConvShape& shape, const ConvTiles& s, const Plan& plan, bool wide_z, double eps, double momentum,
                 std::span<const NormedConv<S>> convs, void* workspace, Launch&& launch) {
    using Items = ConvItems<Weights, Source, StoreZ<S>>;
    const std::size_t each = partial_sums(plan.grid.x, shape);
    const bool apart = plan.groups != groups_of(convs).groups;
    std::span<const NormedConv<S>> left = convs;
    double* partials = static_cast<double*>(workspace);  // of a launch's, which the next may overwrite
    auto make = [&](const NormedConv<S>& c) {
        double* const own = partials;
        partials += each;
        return typename Items::Item{{c.x, s.in_h, s.in_w, s.in_c, kRelu<S>},
                                    weights_of<Weights>(c),
                                    {c.z, s.out_h, s.out_w, s.out_c, wide_z},
                                    c.mean ? own : nullptr};
    };
    for_runs<Items>(convs, apart, make, [&](const Items& items, unsigned count, unsigned groups) {
        const ListEnd<Compute<S>> end = list_end<S>(left.first(count), plan.grid.x, plan.grid.y, shape, eps, momentum);
        left = left.subspan(count);
        partials = static_cast<double*>(workspace);
        launch(items, groups, end);
    });
}

/// launch(items, groups) for runs of the inputs' gradients.
template <class S, class Weights, class Source, class Launch>
void backward_all(const ConvShape& at, bool wide_in, std::span<const NormedConvBackward<S>> convs, Launch&& launch) {
    using Items = ConvItems<Weights, Source, AddMasked<S>>;
    auto make = [&](const NormedConvBackward<S>& c) {
        return typename Items::Item{{c.dy, at.out_h(), at.out_w(), at.c_out, c.fold},
                                    weights_of<Weights>(c),
                                    {c.da, c.x, at.h, at.w, at.c_in, wide_in},
                                    nullptr};
    };
    for_runs<Items>(convs, false, make, [&](const Items& items, unsigned, unsigned groups) { launch(items, groups); });
}

}  // namespace

template <class S>
void normed_convs_forward(const Stream& stream, const ConvShape& shape, double eps, double momentum,
                          std::span<const NormedConv<S>> convs, void* workspace) {
    using T = Compute<S>;
    bool wide_x = true, some_x = true, wide_w = true, wide_z = true, some_z = true;
    for (const NormedConv<S>& c : convs) {
        wide_x = wide_x && wide<S>(shape.c_in, {c.x});
        some_x = some_x && wide<S, kGroup<S>>(shape.c_in, {c.x});
        wide_w = wide_w && wide<T>(shape.c_out, {c.w});
        wide_z = wide_z && wide<S>(shape.c_out, {c.z});
        some_z = some_z && wide<S, kGroup<S>>(shape.c_out, {c.z});
    }
    if constexpr (!std::is_same_v<S, double>)
        if (has_dense<S>(stream, shape.c_in, shape.c_out) && wide_x && wide_w && wide_z) {
            using P = typename Dense<S>::Products;
            const DensePlan plan = plan_dense<P>(flattened(shape), false, groups_of(convs));
            return forward_all<S, DenseWeights, typename Dense<S>::Input>(
                shape, plan.d.s, plan, true, eps, momentum, convs, workspace,
                [&](const auto& items, unsigned groups, const ListEnd<T>& end) {
                    launch_dense_all<P>(stream, plan, items, groups, end);
                });
        }
    const ConvPlan plan = plan_convolution<T>(shape, false, groups_of(convs));
    with_width<T>(some_x, [&](auto n) {
        using Source = PrologueSource<S, (n > 1)>;
        forward_all<S, const T*, Source>(
            shape, plan.s, plan, some_z, eps, momentum, convs, workspace,
            [&](const auto& items, unsigned groups, const ListEnd<T>& end) {
                dim3 grid = plan.grid;
                grid.z = groups;
                simt::launch(
                    forward_all_kernel<T, Source, StoreZ<S>>,
                    {grid, plan.threads, summed_bytes(plan.shared_bytes, plan.threads, plan.s.across * kWide<T>),
                     static_cast<simt::stream_t>(stream.handle)},
                    plan.s, items, wide_w, end);
            });
    });
}

std::size_t normed_convs_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                           std::size_t count) {
    return of_element(element, [&](auto zero) {
        using S = decltype(zero);
        const auto convs = static_cast<unsigned>(std::min(count, kConvs));
        unsigned rows = 0;
        for (unsigned groups = 1; groups <= convs; groups++) {
            rows = std::max(rows, plan_convolution<Compute<S>>(shape, false, {convs, groups}).grid.x);
            if constexpr (!std::is_same_v<S, double>)
                if (has_dense<S>(stream, shape.c_in, shape.c_out))
                    rows = std::max(
                        rows, plan_dense<typename Dense<S>::Products>(flattened(shape), false, {convs, groups}).grid.x);
        }
        return convs * partial_sums(rows, shape) * sizeof(double);
    });
}

template <class S>
void normed_convs_backward(const Stream& stream, const ConvShape& shape, std::span<const NormedConvBackward<S>> convs,
                           void* workspace) {
    using T = Compute<S>;
    const int c_in = shape.c_in, c_out = shape.c_out;
    bool wide_in = true, some_in = true, wide_dz = true, some_dz = true, wide_w = true;
    for (const NormedConvBackward<S>& c : convs) {
        const bool vectors = wide_vectors({c.fold.scale, c.fold.slope, c.fold.shift});
        wide_in = wide_in && wide<S>(c_in, {c.x, c.da});
        some_in = some_in && wide<S, kGroup<S>>(c_in, {c.x, c.da});
        wide_dz = wide_dz && vectors && wide<S>(c_out, {c.dy, c.fold.z});
        some_dz = some_dz && vectors && wide<S, kGroup<S>>(c_out, {c.dy, c.fold.z});
        wide_w = wide_w && wide<T>(c_out, {c.w});
    }
    bool is_dense = false;
    if constexpr (!std::is_same_v<S, double>) {
        is_dense = has_dense<S>(stream, c_in, c_out) && wide_dz && wide_w;
        if (is_dense && !convs.empty() && convs[0].da) {
            using P = typename Dense<S>::Products;
            const ConvShape at = flattened(shape);
            backward_all<S, DenseWeights, typename Dense<S>::Gradient>(
                at, wide_in, convs, [&](const auto& items, unsigned groups) {
                    launch_dense_all<P>(stream, plan_dense<P>(at, true, groups_of(convs)), items, groups);
                });
        }
    }
    if (!is_dense && !convs.empty() && convs[0].da) {
        const ConvPlan plan = plan_convolution<T>(shape, true, groups_of(convs));
        with_width<T>(some_dz, [&](auto n) {
            using Source = FoldSource<S, (n > 1)>;
            backward_all<S, const T*, Source>(shape, some_in, convs, [&](const auto& items, unsigned groups) {
                dim3 grid = plan.grid;
                grid.z *= groups;
                simt::launch(gradient_all_kernel<T, Source, AddMasked<S>>,
                             {grid, plan.threads, plan.shared_bytes, static_cast<simt::stream_t>(stream.handle)},
                             plan.s, items, wide_w);
            });
        });
    }
    std::vector<WeightGradient<S>> gradients;
    for (const NormedConvBackward<S>& c : convs)
        if (c.dw) gradients.push_back({c.x, c.dy, c.fold, c.dw, c.accumulate_dw});
    weight_gradients<S>(stream, shape, kRelu<S>, gradients, workspace);
}

std::size_t normed_convs_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                            std::size_t count) {
    return weight_gradients_workspace(stream, shape, element, count);
}

#define NASCENT_CONV_LIST(S)                                                            \
    template void normed_convs_forward(const Stream&, const ConvShape&, double, double, \
                                       std::span<const NormedConv<S>>, void*);          \
    template void normed_convs_backward(const Stream&, const ConvShape&, std::span<const NormedConvBackward<S>>, void*);
NASCENT_CONV_LIST(float)
NASCENT_CONV_LIST(double)
NASCENT_CONV_LIST(BFloat16)
#undef NASCENT_CONV_LIST

}  // namespace nascent::kernels::gpu
