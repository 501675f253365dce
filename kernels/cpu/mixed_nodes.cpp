#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/mixed_norm.h"
#include "kernels/cpu/point.h"
#include "kernels/mixed.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mixed_nodes.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/mixed_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Runs of pixels whose sums are taken in T before they are added to doubles.
inline constexpr std::size_t kRun = kPointRun;

template <class T>
void nodes(const Stream& stream, std::size_t pixels, int channels, std::span<const MixedNode<T>> all) {
    constexpr int L = kLanes<T>;
    const std::size_t padded = round_up(static_cast<std::size_t>(channels), static_cast<std::size_t>(L));
    std::vector<Weighed<T>> weighed;
    for (const MixedNode<T>& node : all) weighed.push_back(weigh(node, channels, padded));
    const Chunks runs(static_cast<int>((pixels + kRun - 1) / kRun));
    parallel(stream, runs.count, [&](int chunk, int) HWY_ATTR {
        const std::size_t end = std::min(pixels, static_cast<std::size_t>(runs.end(chunk)) * kRun);
        for (std::size_t i = 0; i < all.size(); i++) {
            std::optional<PointRuns<T>> points;
            if (!all[i].points.empty()) points.emplace(channels, all[i].fold, all[i].points.size());
            for (std::size_t at = static_cast<std::size_t>(runs.begin(chunk)) * kRun; at < end; at += kRun / 2) {
                const std::size_t run = std::min(kRun / 2, end - at);
                for (int c = 0; c < channels; c += L) {
                    if (channels - c >= L)
                        weighed_run<true>(all[i], weighed[i], padded, at, run, c, L);
                    else
                        weighed_run<false>(all[i], weighed[i], padded, at, run, c, channels - c);
                }
                if (points) add_points(all[i], weighed[i], *points, at, static_cast<int>(run), channels);
            }
        }
    });
}

/// Sums over a run of g (if `plain`) and of g times K terms' z, one vector of channels.
template <int K, bool Full, class T>
HWY_INLINE void run_sums(const T* g, std::size_t pixel, const T* const* z, const std::size_t* z_pixel,
                         std::size_t count_pixels, int count, double* plain, double* const* products) {
    Vector<T> sum = zero<T>(), acc[K + 1];
#pragma GCC unroll 4
    for (int k = 0; k < K; k++) acc[k] = zero<T>();
    for (std::size_t p = 0; p < count_pixels; p++) {
        const Vector<T> v = Full ? load(g + p * pixel) : load_first(g + p * pixel, count);
        sum = hn::Add(sum, v);
#pragma GCC unroll 4
        for (int k = 0; k < K; k++) {
            const T* q = z[k] + p * z_pixel[k];
            hwy::Prefetch(q + kAhead * z_pixel[k]);
            acc[k] = hn::MulAdd(v, Full ? load(q) : load_first(q, count), acc[k]);
        }
    }
    if (plain) add_to_double<T>(sum, plain, count);
#pragma GCC unroll 4
    for (int k = 0; k < K; k++) add_to_double<T>(acc[k], products[k], count);
}

template <class T>
bool has_sums(const MixedTermGradient<T>& t) {
    return t.dweight || t.affine.wanted() || (t.map.scale && t.mean);
}

template <class T>
void nodes_back(const Stream& stream, std::size_t pixels, int channels, std::span<const MixedNodeGradient<T>> all,
                void* workspace) {
    constexpr int L = kLanes<T>;
    const Chunks runs(static_cast<int>((pixels + kRun - 1) / kRun));
    const auto c_count = static_cast<std::size_t>(channels);
    double* partials = static_cast<double*>(workspace);
    for (const MixedNodeGradient<T>& node : all) {
        // Of a chunk: of g, then of g * z by term and by point, then of g * ReLU(x) by channel of the points' inputs.
        const std::size_t plain_size = (1 + node.terms.size() + node.points.size()) * c_count;
        const std::size_t of_point = c_count / static_cast<std::size_t>(node.fold) * c_count;
        const std::size_t size = plain_size + node.points.size() * of_point;
        std::vector<std::size_t> terms;
        for (std::size_t t = 0; t < node.terms.size(); t++)
            if (has_sums(node.terms[t])) terms.push_back(t);
        const int chunks = terms.empty() && node.points.empty() ? 0 : runs.count;
        parallel(stream, chunks, [&](int chunk, int) HWY_ATTR {
            double* partial = partials + size * static_cast<std::size_t>(chunk);
            std::fill_n(partial, size, 0.0);
            std::optional<PointRuns<T>> points;
            if (!node.points.empty()) points.emplace(channels, node.fold, node.points.size());
            const std::size_t end = std::min(pixels, static_cast<std::size_t>(runs.end(chunk)) * kRun);
            for (std::size_t at = static_cast<std::size_t>(runs.begin(chunk)) * kRun; at < end; at += kRun) {
                const std::size_t run = std::min(kRun, end - at), pixel = static_cast<std::size_t>(node.pixel);
                for (std::size_t first = 0; first < terms.size() || first == 0; first += 4) {
                    const int k = static_cast<int>(std::min<std::size_t>(4, terms.size() - first));
                    for (int c = 0; c < channels; c += L) {
                        const T* z[4] = {};
                        std::size_t z_pixel[4] = {};
                        double* products[4] = {};
                        for (int i = 0; i < k; i++) {
                            const std::size_t t = terms[first + static_cast<std::size_t>(i)];
                            const MixedTerm<T>& term = node.terms[t].term;
                            z_pixel[i] = static_cast<std::size_t>(term.pixel);
                            z[i] = term.z + at * z_pixel[i] + c;
                            products[i] = partial + (1 + t) * c_count + c;
                        }
                        const T* g = node.g + at * pixel + c;
                        const int count = channels - c;
                        double* plain = first == 0 ? partial + c : nullptr;
                        auto of = [&]<int K>() HWY_ATTR {
                            if (count >= L)
                                run_sums<K, true>(g, pixel, z, z_pixel, run, count, plain, products);
                            else
                                run_sums<K, false>(g, pixel, z, z_pixel, run, count, plain, products);
                        };
                        if (k == 0) of.template operator()<0>();
                        if (k == 1) of.template operator()<1>();
                        if (k == 2) of.template operator()<2>();
                        if (k == 3) of.template operator()<3>();
                        if (k == 4) of.template operator()<4>();
                    }
                }
                if (!points) continue;
                for (std::size_t i = 0; i < node.points.size(); i++) {
                    const MixedPoint<T>& p = node.points[i].point;
                    points->fill(i, p.x + at * static_cast<std::size_t>(p.pixel), static_cast<std::size_t>(p.pixel),
                                 static_cast<int>(run));
                }
                points->fill_gradient(node.g + at * pixel, pixel, static_cast<int>(run));
                points->add_gradient_products(static_cast<int>(run), partial + plain_size);
            }
        });
        std::vector<double> sums(size, 0.0);
        for (int chunk = 0; chunk < chunks; chunk++)
            for (std::size_t i = 0; i < size; i++) sums[i] += partials[size * static_cast<std::size_t>(chunk) + i];
        for (std::size_t i = 0; i < node.points.size(); i++)
            sum_point(channels, node.fold, node.points[i].point.w, sums.data() + plain_size + i * of_point,
                      sums.data() + (1 + node.terms.size() + i) * c_count);
        auto of_weight = [&](const T* scale, const T* shift, const GammaBeta<T>& affine, const double* sz) {
            double dot = 0;
            for (int c = 0; c < channels; c++) {
                const double s = sums[static_cast<std::size_t>(c)];
                const double normed = scale ? scale[c] * sz[c] + shift[c] * s : sz[c];
                dot += affine.gamma ? affine.gamma[c] * normed + affine.beta[c] * s : normed;
            }
            return static_cast<T>(dot);
        };
        const double* sz = sums.data() + c_count;
        for (const MixedTermGradient<T>& g : node.terms) {
            if (g.dweight) g.dweight[0] = of_weight(g.term.scale, g.term.shift, g.term.affine, sz);
            sz += c_count;
        }
        for (const MixedPointGradient<T>& g : node.points) {
            if (g.dweight) g.dweight[0] = of_weight(g.point.scale, g.point.shift, {}, sz);
            sz += c_count;
        }
        for (std::size_t i = 0; i < size; i += c_count) sum_folded(sums.data() + i, channels, node.fold);
        const double count = static_cast<double>(pixels) * node.fold;
        sz = sums.data() + c_count;
        for (const MixedTermGradient<T>& g : node.terms) {
            const NormParts<T> norm{g.mean, g.rstd, g.term.scale, g.term.shift, g.term.affine};
            const double weight = g.term.weight ? static_cast<double>(g.term.weight[0]) : 1.0;
            if (g.map.scale) norm_map(channels, count, weight, sums.data(), sz, norm, g.map);
            affine_gradient(channels, weight, sums.data(), sz, norm, g.affine);
            sz += c_count;
        }
        for (std::size_t i = 0; i < node.points.size(); i++, sz += c_count)
            finish_point(channels, count, node.fold, node.points[i], sums.data(), sz,
                         sums.data() + plain_size + i * of_point);
    }
}

#define NASCENT_NODES(T, SUFFIX)                                                                                      \
    void nodes_forward_##SUFFIX(const Stream& s, std::size_t pixels, int c, std::span<const MixedNode<T>> n) {        \
        nodes<T>(s, pixels, c, n);                                                                                    \
    }                                                                                                                 \
    void nodes_backward_##SUFFIX(const Stream& s, std::size_t pixels, int c, std::span<const MixedNodeGradient<T>> n, \
                                 void* workspace) {                                                                   \
        nodes_back<T>(s, pixels, c, n, workspace);                                                                    \
    }
NASCENT_NODES(float, f32)
NASCENT_NODES(double, f64)
#undef NASCENT_NODES

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(nodes_forward_f32);
HWY_EXPORT(nodes_forward_f64);
HWY_EXPORT(nodes_backward_f32);
HWY_EXPORT(nodes_backward_f64);

template <class T>
void nodes_forward(const Stream& stream, std::size_t pixels, int c, std::span<const MixedNode<T>> nodes) {
    NASCENT_DISPATCH(nodes_forward, stream, pixels, c, nodes)
}
template <class T>
void nodes_backward(const Stream& stream, std::size_t pixels, int c, std::span<const MixedNodeGradient<T>> nodes,
                    void* workspace) {
    NASCENT_DISPATCH(nodes_backward, stream, pixels, c, nodes, workspace)
}
template <class T>
std::size_t nodes_backward_workspace(const Stream&, std::size_t, int c, std::span<const MixedNodeGradient<T>> nodes) {
    const auto channels = static_cast<std::size_t>(c);
    std::size_t rows = 0;
    for (const MixedNodeGradient<T>& node : nodes)
        rows = std::max(
            rows, 1 + node.terms.size() + node.points.size() * (1 + channels / static_cast<std::size_t>(node.fold)));
    return std::size_t{32} * rows * channels * sizeof(double);
}

template <class T>
void running_update(const Stream&, double eps, double momentum, std::span<const RunningNorm<T>> norms) {
    for (const RunningNorm<T>& r : norms)
        for (int c = 0; c < r.c; c++) {
            const double rstd = r.rstd[c * r.fold];
            const double n = static_cast<double>(r.count), var = 1 / (rstd * rstd) - eps;
            const double unbiased = r.count > 1 ? var * n / (n - 1) : var;
            r.running_mean[c] = static_cast<T>((1 - momentum) * r.running_mean[c] + momentum * r.mean[c * r.fold]);
            r.running_var[c] = static_cast<T>((1 - momentum) * r.running_var[c] + momentum * unbiased);
        }
}
template <class T>
void running_scales(const Stream&, double eps, std::span<const RunningScale<T>> norms) {
    for (const RunningScale<T>& r : norms)
        for (int c = 0; c < r.c; c++) {
            const double scale = 1 / std::sqrt(static_cast<double>(r.running_var[c]) + eps);
            for (int i = c * r.fold; i < (c + 1) * r.fold; i++) {
                r.scale[i] = static_cast<T>(scale);
                r.shift[i] = static_cast<T>(-r.running_mean[c] * scale);
            }
        }
}

#define NASCENT_MIXED(T)                                                                                         \
    template void nodes_forward(const Stream&, std::size_t, int, std::span<const MixedNode<T>>);                 \
    template void nodes_backward(const Stream&, std::size_t, int, std::span<const MixedNodeGradient<T>>, void*); \
    template std::size_t nodes_backward_workspace(const Stream&, std::size_t, int,                               \
                                                  std::span<const MixedNodeGradient<T>>);                        \
    template void running_update(const Stream&, double, double, std::span<const RunningNorm<T>>);                \
    template void running_scales(const Stream&, double, std::span<const RunningScale<T>>);
NASCENT_MIXED(float)
NASCENT_MIXED(double)
#undef NASCENT_MIXED

}  // namespace nascent::kernels::cpu
#endif
