#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/mixed_norm.h"
#include "kernels/cpu/point.h"
#include "kernels/mixed.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mixed_nodes.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/cpu/point_runs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Runs of pixels whose sums are taken in T before they are added to doubles.
inline constexpr std::size_t kRun = kPointRun;

/// A node's terms with their weights multiplied in: y = sum of z * scale + shift.
template <class T>
struct Weighed {
    std::vector<T> scales;                  // (terms, padded)
    std::vector<T> shift;                   // (padded), of all terms and points
    hwy::AlignedFreeUniquePtr<T[]> points;  // (points, c, blocks of channels): their weights, with scales
    std::size_t point_stride = 0;
};

/// The points' part of that: their weights times their scales, and to `shift` their shifts.
template <class T>
void weigh_points(const MixedNode<T>& node, int channels, Weighed<T>& w, std::vector<double>& shift) {
    const int of = channels / node.fold;
    w.point_stride = round_up(static_cast<std::size_t>(channels), kBlock<T>);
    w.points = hwy::AllocateAligned<T>(node.points.size() * static_cast<std::size_t>(of) * w.point_stride);
    std::vector<T> row(static_cast<std::size_t>(of));
    T* to = w.points.get();
    for (const MixedPoint<T>& point : node.points) {
        const double weight = point.weight ? static_cast<double>(point.weight[0]) : 1.0;
        for (int i = 0; i < of; i++, to += w.point_stride) {
            for (int o = 0; o < of; o++)
                row[static_cast<std::size_t>(o)] =
                    static_cast<T>(weight * point.scale[o * node.fold] * static_cast<double>(point.w[i * of + o]));
            fold_row(row.data(), 1, of, node.fold, static_cast<int>(w.point_stride), to);
        }
        for (int c = 0; c < channels; c++) shift[static_cast<std::size_t>(c)] += weight * point.shift[c];
    }
}

template <class T>
Weighed<T> weigh(const MixedNode<T>& node, int channels, std::size_t padded) {
    Weighed<T> w{std::vector<T>(node.terms.size() * padded, T(0)), std::vector<T>(padded, T(0)), {}};
    std::vector<double> shift(padded, 0.0);
    for (std::size_t t = 0; t < node.terms.size(); t++) {
        const MixedTerm<T>& term = node.terms[t];
        const double weight = term.weight ? static_cast<double>(term.weight[0]) : 1.0;
        for (int c = 0; c < channels; c++) {
            const double gamma = term.affine.gamma ? static_cast<double>(term.affine.gamma[c]) : 1.0;
            w.scales[t * padded + c] = static_cast<T>(term.scale ? weight * gamma * term.scale[c] : weight);
            if (term.shift) shift[c] += weight * gamma * term.shift[c];
            if (term.affine.beta) shift[c] += weight * static_cast<double>(term.affine.beta[c]);
        }
    }
    if (!node.points.empty()) weigh_points(node, channels, w, shift);
    std::copy(shift.begin(), shift.end(), w.shift.begin());
    return w;
}

/// The points of some pixels are added to y.
template <class T>
void add_points(const MixedNode<T>& node, const Weighed<T>& w, PointRuns<T>& runs, std::size_t at, int pixels,
                int channels) {
    const auto y_pixel = static_cast<std::size_t>(node.pixel);
    const int of = channels / node.fold;
    for (std::size_t i = 0; i < node.points.size(); i++) {
        const auto pixel = static_cast<std::size_t>(node.points[i].pixel);
        runs.fill(i, node.points[i].x + at * pixel, pixel, pixels);
    }
    for (std::size_t first = 0; first < node.points.size(); first += kMostTaps) {
        Taps<T> taps;
        taps.count = static_cast<int>(std::min<std::size_t>(kMostTaps, node.points.size() - first));
        taps.channels = of;
        taps.block_size = runs.block_size();
        taps.stride = w.point_stride;
        taps.group = node.fold;
        for (int t = 0; t < taps.count; t++) {
            const std::size_t i = first + static_cast<std::size_t>(t);
            taps.offset[t] = static_cast<std::ptrdiff_t>(i * runs.input_size());
            taps.w[t] = w.points.get() + i * static_cast<std::size_t>(of) * w.point_stride;
        }
        gemm_taps(taps, runs.input(0), pixels,
                  StoreGradient<T>{node.y + at * y_pixel, node.pixel, channels, true, nullptr, 0});
    }
}

/// y of some pixels, one vector of channels, from the shift on: two terms at a time, so that each is read in long runs.
template <bool Full, class T>
HWY_INLINE void weighed_run(const MixedNode<T>& node, const Weighed<T>& w, std::size_t padded, std::size_t at,
                            std::size_t pixels, int c, int count) {
    const auto y_pixel = static_cast<std::size_t>(node.pixel);
    T* const y = node.y + at * y_pixel + c;
    auto read = [&](const T* p) HWY_ATTR { return Full ? load(p) : load_first(p, count); };
    auto write = [&](Vector<T> v, T* p) HWY_ATTR {
        if constexpr (Full)
            store<T>(v, p);
        else
            store_first<T>(v, p, count);
    };
    const Vector<T> shift = load(w.shift.data() + c);
    const std::size_t terms = node.terms.size();
    for (std::size_t t = 0; t < terms || t == 0; t += 2) {
        if (t == terms) {
            for (std::size_t p = 0; p < pixels; p++) write(shift, y + p * y_pixel);
            break;
        }
        const auto pixel = static_cast<std::size_t>(node.terms[t].pixel);
        const T* z = node.terms[t].z + at * pixel + c;
        const Vector<T> scale = load(w.scales.data() + t * padded + c);
        if (t + 1 == terms) {
            for (std::size_t p = 0; p < pixels; p++)
                write(hn::MulAdd(read(z + p * pixel), scale, t == 0 ? shift : read(y + p * y_pixel)), y + p * y_pixel);
            break;
        }
        const auto second_pixel = static_cast<std::size_t>(node.terms[t + 1].pixel);
        const T* second = node.terms[t + 1].z + at * second_pixel + c;
        const Vector<T> second_scale = load(w.scales.data() + (t + 1) * padded + c);
        for (std::size_t p = 0; p < pixels; p++) {
            hwy::Prefetch(z + (p + kAhead) * pixel);
            hwy::Prefetch(second + (p + kAhead) * second_pixel);
            const Vector<T> sum = hn::MulAdd(read(z + p * pixel), scale, t == 0 ? shift : read(y + p * y_pixel));
            write(hn::MulAdd(read(second + p * second_pixel), second_scale, sum), y + p * y_pixel);
        }
    }
}

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

/// sz (channels), the sums of g * z, from `products` (c, channels) of ReLU(x) and g: z = ReLU(x) . w.
template <class T>
void sum_point(int channels, int fold, const T* w, const double* products, double* sz) {
    const int of = channels / fold;
    for (int c = 0; c < channels; c++) {
        sz[c] = 0;
        for (int i = 0; i < of; i++) sz[c] += static_cast<double>(w[i * of + c / fold]) * products[i * channels + c];
    }
}

/// The map and the weights' gradient of a point from the sums of all pixels and pictures.
template <class T>
void finish_point(int channels, double count, int fold, const MixedPointGradient<T>& g, const double* s,
                  const double* sz, const double* products) {
    const auto c_count = static_cast<std::size_t>(channels);
    std::vector<double> map(3 * c_count);
    const NormMap<double> exact{map.data(), map.data() + c_count, map.data() + 2 * c_count};
    const NormParts<T> norm{g.mean, g.rstd, g.point.scale, g.point.shift, {}};
    norm_map(channels, count, g.point.weight ? static_cast<double>(g.point.weight[0]) : 1.0, s, sz, norm, exact);
    std::copy_n(exact.scale, c_count, g.map.scale);
    std::copy_n(exact.slope, c_count, g.map.slope);
    std::copy_n(exact.shift, c_count, g.map.shift);
    if (g.dw)
        point_gradient(channels / fold, fold, g.mean ? g.moments : nullptr, g.point.w, products, exact, g.dw,
                       g.accumulate_dw);
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
