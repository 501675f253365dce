#include "kernels/sgd.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/sgd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

#ifndef NASCENT_KERNELS_CPU_SGD_BLOCKS_
#define NASCENT_KERNELS_CPU_SGD_BLOCKS_
namespace nascent::kernels {

/// A piece of a range, small enough to share out.
struct SgdBlock {
    std::size_t range, begin, end;
};
template <class T>
std::vector<SgdBlock> blocks_of(std::span<const SgdRange<T>> ranges) {
    constexpr std::size_t kSize = 8192;
    std::vector<SgdBlock> blocks;
    for (std::size_t r = 0; r < ranges.size(); r++)
        for (std::size_t at = 0; at < ranges[r].count; at += kSize)
            blocks.push_back({r, at, std::min(ranges[r].count, at + kSize)});
    return blocks;
}

}  // namespace nascent::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

template <class T>
struct SgdConstants {
    Vector<T> rate, momentum, decay, scale;
    explicit SgdConstants(const SgdStep& s)
        : rate(set(static_cast<T>(-s.lr))),
          momentum(set(static_cast<T>(s.momentum))),
          decay(set(static_cast<T>(s.decay))),
          scale(set(static_cast<T>(s.gradient_scale))) {}
};

template <bool Gap, bool Gradient, bool Nesterov, class T>
HWY_NOINLINE void sgd_block(const SgdConstants<T>& k, const SgdRange<T>& r, std::size_t begin, std::size_t end) {
    const Vector<T> m0 = set(static_cast<T>(r.gap[0])), m1 = set(static_cast<T>(r.gap[1]));
    const Vector<T> m2 = set(static_cast<T>(r.gap[2])), m3 = set(static_cast<T>(r.gap[3]));
    for (std::size_t i = begin; i < end; i += kLanes<T>) {
        const int left = static_cast<int>(std::min<std::size_t>(end - i, kLanes<T>));
        Vector<T> w = load_first(r.w + i, left), v = load_first(r.v + i, left);
        if constexpr (Gap) {
            const Vector<T> old = w;
            w = hn::MulAdd(m1, v, hn::Mul(m0, old));
            v = hn::MulAdd(m3, v, hn::Mul(m2, old));
        }
        if constexpr (Gradient) {
            const Vector<T> d = hn::MulAdd(k.decay, w, hn::Mul(load_first(r.g + i, left), k.scale));
            v = hn::MulAdd(k.momentum, v, d);
            w = hn::MulAdd(k.rate, Nesterov ? hn::MulAdd(k.momentum, v, d) : v, w);
        }
        store_first<T>(w, r.w + i, left);
        store_first<T>(v, r.v + i, left);
    }
}

template <class T>
void step(const Stream& stream, const SgdStep& s, std::span<const SgdRange<T>> ranges) {
    const std::vector<SgdBlock> blocks = blocks_of(ranges);
    parallel(stream, static_cast<int>(blocks.size()), [&](int chunk, int) HWY_ATTR {
        const SgdConstants<T> constants(s);
        const SgdBlock& b = blocks[chunk];
        const SgdRange<T>& r = ranges[b.range];
        const bool gap = r.gap[0] != 1 || r.gap[1] != 0 || r.gap[2] != 0 || r.gap[3] != 1;
        if (!r.g) {
            if (gap) sgd_block<true, false, false>(constants, r, b.begin, b.end);
        } else if (gap) {
            s.nesterov ? sgd_block<true, true, true>(constants, r, b.begin, b.end)
                       : sgd_block<true, true, false>(constants, r, b.begin, b.end);
        } else {
            s.nesterov ? sgd_block<false, true, true>(constants, r, b.begin, b.end)
                       : sgd_block<false, true, false>(constants, r, b.begin, b.end);
        }
    });
}

/// T to double, a vector at a time.
template <class T>
HWY_NOINLINE double squares(const T* g, std::size_t count) {
    const Tag<double> d;
    constexpr std::size_t L = kLanes<double>;
    Vector<double> sums[4] = {zero<double>(), zero<double>(), zero<double>(), zero<double>()};
    std::size_t i = 0;
    for (; i + 4 * L <= count; i += 4 * L)
#pragma GCC unroll 4
        for (std::size_t j = 0; j < 4; j++) {
            Vector<double> v;
            if constexpr (std::is_same_v<T, double>)
                v = load(g + i + j * L);
            else
                v = hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, Tag<double>>(), g + i + j * L));
            sums[j] = hn::MulAdd(v, v, sums[j]);
        }
    alignas(64) double lanes[L];
    hn::Store(hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3])), d, lanes);
    double sum = 0;
    for (double lane : lanes) sum += lane;
    for (; i < count; i++) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    return sum;
}

template <class T>
double all_squares(const Stream& stream, std::span<const SgdRange<T>> ranges) {
    const std::vector<SgdBlock> blocks = blocks_of(ranges);
    std::vector<double> partials(blocks.size());
    parallel(stream, static_cast<int>(blocks.size()), [&](int chunk, int) HWY_ATTR {
        const SgdBlock& b = blocks[chunk];
        const T* g = ranges[b.range].g;
        if (g) partials[chunk] = squares(g + b.begin, b.end - b.begin);
    });
    double sum = 0;
    for (double partial : partials) sum += partial;
    return sum;
}

void sgd_f32(const Stream& s, const SgdStep& p, std::span<const SgdRange<float>> r) { step<float>(s, p, r); }
void sgd_f64(const Stream& s, const SgdStep& p, std::span<const SgdRange<double>> r) { step<double>(s, p, r); }
double sum_of_squares_f32(const Stream& s, std::span<const SgdRange<float>> r) { return all_squares<float>(s, r); }
double sum_of_squares_f64(const Stream& s, std::span<const SgdRange<double>> r) { return all_squares<double>(s, r); }

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(sgd_f32);
HWY_EXPORT(sgd_f64);
HWY_EXPORT(sum_of_squares_f32);
HWY_EXPORT(sum_of_squares_f64);

template <class T>
void sgd(const Stream& stream, const SgdStep& step, std::span<const SgdRange<T>> ranges) {
    NASCENT_DISPATCH(sgd, stream, step, ranges)
}
template <class T>
double sum_of_squares(const Stream& stream, std::span<const SgdRange<T>> ranges) {
    NASCENT_DISPATCH(sum_of_squares, stream, ranges)
}

template void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<float>>);
template void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<double>>);
template double sum_of_squares(const Stream&, std::span<const SgdRange<float>>);
template double sum_of_squares(const Stream&, std::span<const SgdRange<double>>);

}  // namespace nascent::kernels::cpu
#endif
