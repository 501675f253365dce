// Convolutions of one shape in one launch, and their batch-norms in another.
#include <vector>

#include "kernels/common/conv_gradient.cuh"
#include "kernels/common/dense.cuh"
#include "kernels/common/dense_conv.cuh"
#include "kernels/common/mixed.cuh"
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
    convolve_dense<P, OfWarp, IsGradient>(d, item.source, item.w, item.sink, item.partials, z % phases, memory);
}
template <bool IsGradient, class Source, class Sink>
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
        launch(dense_all_kernel<Tf32, 2, IsGradient, Source, Sink>);
    else
        launch(dense_all_kernel<Tf32, 4, IsGradient, Source, Sink>);
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
template <class T>
void norms(const Stream& stream, std::span<const NormedConv<T>> convs, const double* partials, std::size_t each,
           unsigned rows, const ConvShape& s, double eps, double momentum) {
    NormChains<T> chains = {};
    unsigned used = 0;
    std::vector<bool> taken(convs.size(), false);
    for (std::size_t i = 0; i < convs.size(); i++) {
        if (taken[i]) continue;
        chains.first[chains.count++] = used;
        for (std::size_t j = i; j < convs.size(); j++) {
            const NormedConv<T>& c = convs[j];
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
    const unsigned rows = is_dense ? dense.grid.x : plan.grid.x;
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
            if constexpr (std::is_same_v<T, float> && n > 1)
                if (is_dense) launch_dense_all<false>(stream, dense, items, count);
            dim3 grid = plan.grid;
            grid.z = count;
            if (!is_dense)
                simt::launch(convolve_all_kernel<false, T, Source, StoreZ<T>>,
                             {grid, plan.threads, plan.shared_bytes, static_cast<simt::stream_t>(stream.handle)}, s,
                             items, wide_w);
            const std::span<const NormedConv<T>> here = left.first(count);
            left = left.subspan(count);
            partials = static_cast<double*>(workspace);
            if (here[0].mean) norms(stream, here, partials, each, rows, shape, eps, momentum);
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
                    if (is_dense) launch_dense_all<true>(stream, plan_dense(at, true), items, count);
                if (is_dense) return;
                dim3 grid = plan.grid;
                grid.z *= count;
                simt::launch(convolve_all_kernel<true, T, Source, Sink>,
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
