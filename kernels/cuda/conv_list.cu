// Convolutions of one shape in one launch, and their batch-norms in another.
#include <vector>

#include "kernels/common/bf16.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/mixed.cuh"
#include "kernels/conv_list.h"

namespace nascent::kernels::gpu {

template <class S>  // conv_backward.cu
void conv_backward(const Stream&, const ConvShape&, const S*, Prologue<S>, const Compute<S>*, const S*, NormFold<S>, S*,
                   bool, Compute<S>*, bool, void*);
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

/// As convolve_kernel; the blocks of an item and phase follow each other in z.
template <bool IsGradient, class T, class Source, class Sink>
__global__ void __launch_bounds__(kConvThreads, 5)
    convolve_all_kernel(ConvTiles s, const __grid_constant__ ConvItems<T, Source, Sink> items, bool is_wide) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const int phases = IsGradient ? s.stride * s.stride : 1, z = static_cast<int>(blockIdx.z);
    const ConvItem<T, Source, Sink>& item = items.of[z / phases];
    convolve<IsGradient>(s, item.source, item.w, is_wide, item.sink, item.partials, z % phases, memory);
}

/// As dense_kernel.
template <class P, int OfWarp, bool IsGradient, class Source, class Sink>
__global__ void __launch_bounds__(kDenseThreads, 2)
    dense_all_kernel(DenseTiles d, const __grid_constant__ ConvItems<float, Source, Sink> items) {
    SIMT_DYNAMIC_SHARED(double, memory);
    const int phases = IsGradient ? d.s.stride * d.s.stride : 1, z = static_cast<int>(blockIdx.z);
    const ConvItem<float, Source, Sink>& item = items.of[z / phases];
    constexpr unsigned kUnderWay = IsGradient && std::is_same_v<P, Bf16> ? 32 : 64;  // as registers allow
    convolve_dense<P, OfWarp, IsGradient, kUnderWay>(d, item.source, item.w, item.sink, item.partials, z % phases,
                                                     memory);
}
template <class P, bool IsGradient, class Source, class Sink>
void launch_dense_all(const Stream& stream, const DensePlan& plan, const ConvItems<float, Source, Sink>& items,
                      unsigned count) {
    dim3 grid = plan.grid;
    grid.z *= count;
    auto launch = [&](auto kernel) {
        if (plan.shared_bytes > kSharedBytes) simt::allow_shared(kernel, plan.shared_bytes);
        simt::launch(kernel, {grid, plan.threads, plan.shared_bytes, static_cast<simt::stream_t>(stream.handle)},
                     plan.d, items);
    };
    if (plan.d.of_warp == 2)
        launch(dense_all_kernel<P, 2, IsGradient, Source, Sink>);
    else
        launch(dense_all_kernel<P, 4, IsGradient, Source, Sink>);
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

/// What a convolution's blocks left, partials (rows, 2, channels), and where its norm goes.
template <class T>
struct NormItem {
    const double* partials;
    double *mean, *rstd;
    T *scale, *shift, *running_mean, *running_var;
};
/// Those of one chain move one pair of running statistics, one after the other.
template <class T>
struct NormChains {
    NormItem<T> items[kConvs];
    unsigned first[kConvs + 1];
    unsigned count;
};

/// A block takes a chain and 32 channels.
template <class T>
__global__ void __launch_bounds__(kThreads) norms_kernel(const __grid_constant__ NormChains<T> chains, unsigned rows,
                                                         int channels, double n, double eps, double momentum) {
    SIMT_SHARED(double, part, [2 * kThreads]);
    const unsigned c0 = blockIdx.y * 32, columns = min(32u, static_cast<unsigned>(channels) - c0);
    const std::size_t width = static_cast<std::size_t>(channels);
    for (unsigned k = chains.first[blockIdx.x]; k < chains.first[blockIdx.x + 1]; k++) {
        const NormItem<T>& item = chains.items[k];
        add_rows<2>(
            item.partials + c0, rows, 2 * width, width, columns, part, [&](unsigned column, const double(&sum)[2]) {
                const unsigned c = c0 + column;
                const double m = sum[0] / n;
                // Rounding may leave a constant channel's variance a little below zero.
                const double raw = sum[1] / n - m * m, var = raw > 0 ? raw : 0.0;
                const double r = 1 / std::sqrt(var + eps);
                item.mean[c] = m;
                item.rstd[c] = r;
                item.scale[c] = static_cast<T>(r);
                item.shift[c] = static_cast<T>(-m * r);
                if (!item.running_mean) return;
                const double unbiased = n > 1 ? var * n / (n - 1) : var;
                item.running_mean[c] = static_cast<T>((1 - momentum) * item.running_mean[c] + momentum * m);
                item.running_var[c] = static_cast<T>((1 - momentum) * item.running_var[c] + momentum * unbiased);
            });
    }
}

/// The norms of some convolutions, whose partial sums lie one after another.
template <class S>
void norms(const Stream& stream, std::span<const NormedConv<S>> convs, const double* partials, std::size_t each,
           unsigned rows, const ConvShape& s, double eps, double momentum) {
    using T = Compute<S>;
    NormChains<T> chains = {};
    unsigned used = 0;
    std::vector<bool> taken(convs.size(), false);
    for (std::size_t i = 0; i < convs.size(); i++) {
        if (taken[i]) continue;
        chains.first[chains.count++] = used;
        for (std::size_t j = i; j < convs.size(); j++) {
            const NormedConv<S>& c = convs[j];
            if (j > i && (taken[j] || !c.running_mean || c.running_mean != convs[i].running_mean)) continue;
            taken[j] = true;
            chains.items[used++] = {partials + j * each, c.mean,       c.rstd, c.scale, c.shift,
                                    c.running_mean,      c.running_var};
        }
    }
    chains.first[chains.count] = used;
    simt::launch(norms_kernel<T>, blocks(stream, dim3(chains.count, (static_cast<unsigned>(s.c_out) + 31) / 32)),
                 chains, rows, s.c_out, static_cast<double>(s.pixels()), eps, momentum);
}

std::size_t partial_sums(unsigned rows, const ConvShape& s) {
    return std::size_t{rows} * 2 * static_cast<std::size_t>(s.c_out);
}
/// The prologue of all of them.
template <class S>
constexpr Prologue<S> kRelu{nullptr, nullptr, true};

/// launch(items, count) for runs of the list, each followed by its norms. `s`: shapes as the launch has them, whose
/// blocks leave `rows` partial sums.
template <class S, class Source, class Launch>
void forward_all(const Stream& stream, const ConvShape& shape, const ConvTiles& s, unsigned rows, bool wide_z,
                 double eps, double momentum, std::span<const NormedConv<S>> convs, void* workspace, Launch&& launch) {
    using Item = ConvItem<Compute<S>, Source, StoreZ<S>>;
    using Items = ConvItems<Compute<S>, Source, StoreZ<S>>;
    const std::size_t each = partial_sums(rows, shape);
    std::span<const NormedConv<S>> left = convs;
    double* partials = static_cast<double*>(workspace);  // of a launch's, which the next may overwrite
    auto make = [&](const NormedConv<S>& c) {
        double* const own = partials;
        partials += each;
        return Item{{c.x, s.in_h, s.in_w, s.in_c, kRelu<S>},
                    c.w,
                    {c.z, s.out_h, s.out_w, s.out_c, wide_z},
                    c.mean ? own : nullptr};
    };
    for_runs<Items>(convs, make, [&](const Items& items, unsigned count) {
        launch(items, count);
        const std::span<const NormedConv<S>> here = left.first(count);
        left = left.subspan(count);
        partials = static_cast<double*>(workspace);
        if (here[0].mean) norms<S>(stream, here, partials, each, rows, shape, eps, momentum);
    });
}

/// launch(items, count) for runs of the inputs' gradients.
template <class S, class Source, class Launch>
void backward_all(const ConvShape& at, bool wide_in, std::span<const NormedConvBackward<S>> convs, Launch&& launch) {
    using Item = ConvItem<Compute<S>, Source, AddMasked<S>>;
    using Items = ConvItems<Compute<S>, Source, AddMasked<S>>;
    auto make = [&](const NormedConvBackward<S>& c) {
        return Item{
            {c.dy, at.out_h(), at.out_w(), at.c_out, c.fold}, c.w, {c.da, c.x, at.h, at.w, at.c_in, wide_in}, nullptr};
    };
    for_runs<Items>(convs, make, launch);
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
            const DensePlan plan = plan_dense<P>(flattened(shape), false);
            return forward_all<S, typename Dense<S>::Input>(
                stream, shape, plan.d.s, plan.grid.x, true, eps, momentum, convs, workspace,
                [&](const auto& items, unsigned count) { launch_dense_all<P, false>(stream, plan, items, count); });
        }
    const ConvPlan plan = plan_convolution<T>(shape, false);
    with_width<T>(some_x, [&](auto n) {
        using Source = PrologueSource<S, (n > 1)>;
        forward_all<S, Source>(
            stream, shape, plan.s, plan.grid.x, some_z, eps, momentum, convs, workspace,
            [&](const auto& items, unsigned count) {
                dim3 grid = plan.grid;
                grid.z = count;
                simt::launch(convolve_all_kernel<false, T, Source, StoreZ<S>>,
                             {grid, plan.threads, plan.shared_bytes, static_cast<simt::stream_t>(stream.handle)},
                             plan.s, items, wide_w);
            });
    });
}

std::size_t normed_convs_forward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                           std::size_t count) {
    return of_element(element, [&](auto zero) {
        using S = decltype(zero);
        unsigned rows = plan_convolution<Compute<S>>(shape, false).grid.x;
        if constexpr (!std::is_same_v<S, double>)
            if (has_dense<S>(stream, shape.c_in, shape.c_out))
                rows = std::max(rows, plan_dense<typename Dense<S>::Products>(flattened(shape), false).grid.x);
        return std::min(count, kConvs) * partial_sums(rows, shape) * sizeof(double);
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
            backward_all<S, typename Dense<S>::Gradient>(at, wide_in, convs, [&](const auto& items, unsigned count) {
                launch_dense_all<P, true>(stream, plan_dense<P>(at, true), items, count);
            });
        }
    }
    if (!is_dense && !convs.empty() && convs[0].da) {
        const ConvPlan plan = plan_convolution<T>(shape, true);
        with_width<T>(some_dz, [&](auto n) {
            using Source = FoldSource<S, (n > 1)>;
            backward_all<S, Source>(shape, some_in, convs, [&](const auto& items, unsigned count) {
                dim3 grid = plan.grid;
                grid.z *= count;
                simt::launch(convolve_all_kernel<true, T, Source, AddMasked<S>>,
                             {grid, plan.threads, plan.shared_bytes, static_cast<simt::stream_t>(stream.handle)},
                             plan.s, items, wide_w);
            });
        });
    }
    for (const NormedConvBackward<S>& c : convs)
        if (c.dw)
            gpu::conv_backward<S>(stream, shape, c.x, kRelu<S>, c.w, c.dy, c.fold, nullptr, false, c.dw,
                                  c.accumulate_dw, workspace);
}

std::size_t normed_convs_backward_workspace(const Stream& stream, const ConvShape& shape, std::size_t element,
                                            std::size_t) {
    return gpu::conv_backward_workspace(stream, shape, element);
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
