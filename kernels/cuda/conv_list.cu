// Convolutions of one shape in one launch, with their batch-norms, and the gradients of their inputs and weights.
#include <vector>

#include "kernels/common/conv_list.cuh"
#include "kernels/conv_list.h"

namespace nascent::kernels::gpu {
namespace {

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
