// A node as the weighed sum of its terms and points, some pixels at a time, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_MIXED_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_MIXED_SUMS_INL_H_
#undef NASCENT_KERNELS_CPU_MIXED_SUMS_INL_H_
#else
#define NASCENT_KERNELS_CPU_MIXED_SUMS_INL_H_
#endif

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv_tiles-inl.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/point_runs-inl.h"
#include "kernels/mixed.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

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

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
