#include <algorithm>

#include "kernels/chain.h"
#include "kernels/common/chain.cuh"
#include "kernels/common/convolve.cuh"
#include "kernels/common/dense_link.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/sums.cuh"
#include "kernels/common/weight_gradient.cuh"

namespace nascent::kernels::gpu {
namespace {

ConvShape conv_of(const LinkShape& s) { return {s.n, s.h, s.w, s.c_in, s.c_out, 1, 1}; }

template <class T>
void point_link_forward(const Stream& stream, const LinkShape& shape, const Normed<T>& input, const T* w, T* z,
                        double* sums, void* workspace) {
    if constexpr (std::is_same_v<T, float>)
        if (dense_link_forward(stream, shape, input, w, z, sums, workspace)) return;
    const ConvPlan plan = plan_convolution<T>(conv_of(shape), false);
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    double* partials = sums ? static_cast<double*>(workspace) : nullptr;
    with_width<T>(wide_normed(shape.c_in, input), [&](auto n) {
        using Source = NormedSource<T, (n > 1)>;
        simt::launch(convolve_kernel<false, T, Source, StoreZ<T>>, {plan.grid, plan.threads, plan.shared_bytes, handle},
                     plan.s, Source{input, shape.h, shape.w, shape.c_in}, w, wide<T>(shape.c_out, {w}),
                     StoreZ<T>{z, shape.h, shape.w, shape.c_out, wide<T>(shape.c_out, {z})}, partials);
    });
    if (sums) add_partials(handle, partials, plan.grid.x, 2 * static_cast<std::size_t>(shape.c_out), sums, false);
}

template <class T>
void point_link_backward(const Stream& stream, const LinkShape& shape, const Normed<T>& input, const T* w,
                         const NormedGradient<T>& gradient, const NormFold<T>& fold, const LinkTarget<T>& target, T* dw,
                         bool accumulate_dw, void* workspace) {
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const bool wide_dz = wide_gradient(shape, gradient, fold);
    bool has_da = !target.da.x;
    if constexpr (std::is_same_v<T, float>) {
        has_da = has_da || dense_link_input_gradient(stream, shape, input, w, gradient, fold, target, workspace);
        if (dw && dense_link_weight_gradient(stream, shape, input, gradient, fold, dw, accumulate_dw, workspace))
            dw = nullptr;
    }
    if (!has_da) {
        const ConvPlan plan = plan_convolution<T>(conv_of(shape), true);
        double* sums = target.sums ? static_cast<double*>(workspace) : nullptr;
        with_width<T>(wide_dz, [&](auto n) {
            using Source = LinkSource<T, (n > 1)>;
            auto launch = [&](const auto& sink) {
                simt::launch(convolve_kernel<true, T, Source, std::decay_t<decltype(sink)>>,
                             {plan.grid, plan.threads, plan.shared_bytes, handle}, plan.s,
                             Source{gradient, fold, shape.h, shape.w, shape.c_out}, w, wide<T>(shape.c_out, {w}), sink,
                             sums);
            };
            if (sums)
                launch(summed_sink(shape, input, target));
            else
                launch(link_sink(shape, input, target));
        });
        if (sums) add_partials(handle, sums, plan.grid.x, 2 * static_cast<std::size_t>(shape.c_in), target.sums, false);
    }
    if (!dw) return;
    const GradientPlan plan = plan_gradient<T>(conv_of(shape));
    T* partials = static_cast<T*>(workspace);
    with_width<T>(wide_dz && wide_normed(shape.c_in, input), [&](auto n) {
        using Input = NormedSource<T, (n > 1)>;
        using Gradient = LinkSource<T, (n > 1)>;
        launch_weight_gradient<1, T>(handle, plan, Input{input, shape.h, shape.w, shape.c_in},
                                     Gradient{gradient, fold, shape.h, shape.w, shape.c_out},
                                     wide<T>(shape.c_out, {partials}), partials);
    });
    add_partials(handle, partials, plan.grid.x, static_cast<std::size_t>(shape.c_in) * shape.c_out, dw, accumulate_dw);
}

std::size_t strict_point_workspace(const LinkShape& shape, bool backward, std::size_t element) {
    const ConvShape s = conv_of(shape);
    const bool is_float = element == sizeof(float);
    const ConvPlan convolution =
        is_float ? plan_convolution<float>(s, backward) : plan_convolution<double>(s, backward);
    const std::size_t sums =
        std::size_t{convolution.grid.x} * 2 * static_cast<std::size_t>(backward ? s.c_in : s.c_out) * sizeof(double);
    if (!backward) return sums;
    const GradientPlan plan = is_float ? plan_gradient<float>(s) : plan_gradient<double>(s);
    return std::max(sums, std::size_t{plan.grid.x} * static_cast<std::size_t>(s.c_in) * s.c_out * element);
}

std::size_t point_workspace(const Stream& stream, const LinkShape& shape, bool backward, std::size_t element) {
    return std::max(strict_point_workspace(shape, backward, element),
                    element == sizeof(float) ? dense_link_workspace(stream, shape, backward) : 0);
}

/// partials (chunks, 2, c): a block's threads share a chunk of pixels and 16 bytes of channels each, `across` side by
/// side.
template <bool IsWide, class T>
__global__ void __launch_bounds__(kThreads)
    link_sums_kernel(std::size_t pixels, std::size_t chunk, int c, unsigned across, NormedGradient<T> from,
                     double* partials) {
    constexpr int V = kWide<T>;
    SIMT_SHARED(double, part, [kThreads * V]);
    const unsigned x = threadIdx.x % across, y = threadIdx.x / across;
    const int channel = static_cast<int>((blockIdx.y * across + x) * V), count = c - channel;
    const std::size_t begin = blockIdx.x * chunk, end = min(pixels, begin + chunk);
    double plain[V] = {}, products[V] = {};
    if (count > 0) {
        const Affine<T> affine(from.scale, from.shift, channel, count, IsWide);
        for (std::size_t p = begin + y; p < end; p += kThreads / across) {
            const Wide<T> g = load_strided(from.g, p, channel, count, IsWide);
            const Wide<T> z = load_channels(from.z + p * c + channel, count, IsWide);
#pragma unroll
            for (int i = 0; i < V; i++) {
                const double v = mask(affine(z.v[i], i), g.v[i], from.activation);
                plain[i] += v;
                products[i] = std::fma(v, static_cast<double>(z.v[i]), products[i]);
            }
        }
    }
    add_down<V>(across, part, plain);
    add_down<V>(across, part, products);
    double* to = partials + std::size_t{blockIdx.x} * 2 * c;
    if (y > 0) return;
#pragma unroll
    for (int i = 0; i < V; i++)
        if (i < count) to[channel + i] = plain[i], to[c + channel + i] = products[i];
}

template <bool IsWide, class T>
__global__ void link_gradient_kernel(unsigned groups, unsigned count, int c, NormedGradient<T> from, NormFold<T> fold,
                                     T* dz) {
    const unsigned i = item();
    if (i >= count) return;
    const unsigned pixel = i / groups;
    const int channel = static_cast<int>(i - pixel * groups) * kWide<T>;
    const LinkSource<T, IsWide> source{from, fold, 1, 1, c};  // pictures of one pixel
    const auto k = source.channels(channel);
    const Wide<T> v = source.value(source.fetch(static_cast<int>(pixel), 0, 0, k), k);
    store_channels(dz + static_cast<std::size_t>(pixel) * c + channel, v, c - channel, IsWide);
}

template <bool IsWide, class T>
__global__ void chain_output_kernel(unsigned groups, unsigned count, ChainPart<T> part, const T* skip, Channels<T> y) {
    constexpr int V = kWide<T>;
    const unsigned i = item();
    if (i >= count) return;
    const unsigned pixel = i / groups;
    const int channel = static_cast<int>(i - pixel * groups) * V, left = part.c - channel;
    const Affine<T> affine(part.from.scale, part.from.shift, channel, left, IsWide);
    Wide<T> v = load_strided(part.from.x, pixel, channel, left, IsWide);
#pragma unroll
    for (int j = 0; j < V; j++) v.v[j] = activate(affine(v.v[j], j), part.from.activation);
    if (skip) {
        const Wide<T> s = load_channels(skip + static_cast<std::size_t>(pixel) * part.c + channel, left, IsWide);
#pragma unroll
        for (int j = 0; j < V; j++) v.v[j] += s.v[j];
    }
    store_strided(y, pixel, channel, v, left, IsWide, false);
}

template <class T>
void output_part(const Stream& stream, std::size_t pixels, const ChainPart<T>& part, const T* skip,
                 const Channels<T>& y) {
    const std::size_t groups = (static_cast<std::size_t>(part.c) + kWide<T> - 1) / kWide<T>;
    const bool is_wide = wide_normed(part.c, part.from) && wide_channels<T>(part.c, y) && wide<T>(part.c, {skip});
    with_width<T>(is_wide, [&](auto n) {
        simt::launch(chain_output_kernel<(n > 1), T>, items(stream, pixels * groups), static_cast<unsigned>(groups),
                     items(pixels * groups), part, skip, y);
    });
}

}  // namespace

std::size_t link_sums_workspace(const Stream&, std::size_t pixels, int c) {
    return PixelChunks(pixels).count * 2 * static_cast<std::size_t>(c) * sizeof(double);
}

template <class T>
void link_sums(const Stream& stream, std::size_t pixels, int c, const NormedGradient<T>& gradient, double* sums,
               void* workspace) {
    constexpr unsigned V = kWide<T>;
    const PixelChunks chunks(pixels);
    const unsigned groups = (static_cast<unsigned>(c) + V - 1) / V, across = threads_across(groups);
    double* partials = static_cast<double*>(workspace);
    const bool is_wide = c % static_cast<int>(V) == 0 && wide_channels<const T>(c, gradient.g) &&
                         wide<T>(c, {gradient.z, gradient.scale, gradient.shift});
    with_width<T>(is_wide, [&](auto n) {
        simt::launch(link_sums_kernel<(n > 1), T>,
                     blocks(stream, dim3(static_cast<unsigned>(chunks.count), (groups + across - 1) / across)), pixels,
                     chunks.size, c, across, gradient, partials);
    });
    add_partials(static_cast<simt::stream_t>(stream.handle), partials, chunks.count, 2 * static_cast<std::size_t>(c),
                 sums, false);
}

template <class T>
void link_forward(const Stream& stream, const LinkShape& s, const Normed<T>& input, const T* w, T* z, double* sums,
                  void* workspace) {
    if (s.depthwise) return depth_link_forward(stream, s, input, w, z, sums, workspace);
    point_link_forward(stream, s, input, w, z, sums, workspace);
}

std::size_t link_forward_workspace(const Stream& stream, const LinkShape& s, std::size_t element) {
    return s.depthwise ? depth_link_workspace(s, false, element) : point_workspace(stream, s, false, element);
}

template <class T>
void link_backward(const Stream& stream, const LinkShape& s, const Normed<T>& input, const T* w,
                   const NormedGradient<T>& gradient, const NormFold<T>& fold, const LinkTarget<T>& target, T* dw,
                   bool accumulate_dw, void* workspace) {
    if (s.depthwise)
        return depth_link_backward(stream, s, input, w, gradient, fold, target, dw, accumulate_dw, workspace);
    point_link_backward(stream, s, input, w, gradient, fold, target, dw, accumulate_dw, workspace);
}

std::size_t link_backward_workspace(const Stream& stream, const LinkShape& s, std::size_t element) {
    return s.depthwise ? depth_link_workspace(s, true, element) : point_workspace(stream, s, true, element);
}

template <class T>
void link_gradient(const Stream& stream, std::size_t pixels, int c, const NormedGradient<T>& gradient,
                   const NormFold<T>& fold, T* dz) {
    const std::size_t groups = (static_cast<std::size_t>(c) + kWide<T> - 1) / kWide<T>;
    const LinkShape s{1, 1, 1, c, c};
    with_width<T>(wide_gradient(s, gradient, fold) && wide<T>(c, {dz}), [&](auto n) {
        simt::launch(link_gradient_kernel<(n > 1), T>, items(stream, pixels * groups), static_cast<unsigned>(groups),
                     items(pixels * groups), c, gradient, fold, dz);
    });
}

template <class T>
void chain_output(const Stream& stream, std::size_t pixels, const ChainPart<T>& a, const ChainPart<T>& b,
                  bool interleaved, const T* skip, T* y) {
    const int pixel = a.c + b.c, step = interleaved ? 2 : 1;
    output_part<T>(stream, pixels, a, skip, {y, pixel, step});
    if (b.c > 0) output_part<T>(stream, pixels, b, nullptr, {y + (interleaved ? 1 : a.c), pixel, step});
}

#define NASCENT_CHAIN(T)                                                                                               \
    template void link_forward(const Stream&, const LinkShape&, const Normed<T>&, const T*, T*, double*, void*);       \
    template void link_backward(const Stream&, const LinkShape&, const Normed<T>&, const T*, const NormedGradient<T>&, \
                                const NormFold<T>&, const LinkTarget<T>&, T*, bool, void*);                            \
    template void link_sums(const Stream&, std::size_t, int, const NormedGradient<T>&, double*, void*);                \
    template void link_gradient(const Stream&, std::size_t, int, const NormedGradient<T>&, const NormFold<T>&, T*);    \
    template void chain_output(const Stream&, std::size_t, const ChainPart<T>&, const ChainPart<T>&, bool, const T*,   \
                               T*);
NASCENT_CHAIN(float)
NASCENT_CHAIN(double)
#undef NASCENT_CHAIN

}  // namespace nascent::kernels::gpu
