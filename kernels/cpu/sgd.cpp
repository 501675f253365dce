#include "kernels/sgd.h"

#include <limits>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/sgd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

template <class T>
struct SgdConstants {
    Vector<T> rate, momentum, decay, scale, largest;
    explicit SgdConstants(const SgdStep& s)
        : rate(set(static_cast<T>(-(s.lr_at ? *s.lr_at : s.lr)))),
          momentum(set(static_cast<T>(s.momentum))),
          decay(set(static_cast<T>(s.decay))),
          scale(set(static_cast<T>(clip_factor(s.clip)))),
          largest(set(s.clip_value > 0 ? static_cast<T>(s.clip_value) : std::numeric_limits<T>::infinity())) {}
};

template <bool Gap, bool Gradient, bool Nesterov, class T>
HWY_NOINLINE void sgd_block(const SgdConstants<T>& k, const SgdRange<T>& r, std::size_t begin, std::size_t end) {
    const Vector<T> m0 = set(static_cast<T>(r.gap[0])), m1 = set(static_cast<T>(r.gap[1]));
    const Vector<T> m2 = set(static_cast<T>(r.gap[2])), m3 = set(static_cast<T>(r.gap[3]));
    const Vector<T> decay = r.decays ? k.decay : set(T(0)), least = hn::Neg(k.largest);
    for (std::size_t i = begin; i < end; i += kLanes<T>) {
        const int left = static_cast<int>(std::min<std::size_t>(end - i, kLanes<T>));
        Vector<T> w = load_first(r.w + i, left), v = load_first(r.v + i, left);
        if constexpr (Gap) {
            const Vector<T> old = w;
            w = hn::MulAdd(m1, v, hn::Mul(m0, old));
            v = hn::MulAdd(m3, v, hn::Mul(m2, old));
        }
        if constexpr (Gradient) {
            // Comparisons with what is not a number are false, so it stays.
            Vector<T> g = load_first(r.g + i, left);
            g = hn::IfThenElse(hn::Gt(g, k.largest), k.largest, hn::IfThenElse(hn::Lt(g, least), least, g));
            const Vector<T> d = hn::MulAdd(decay, w, hn::Mul(g, k.scale));
            v = hn::MulAdd(k.momentum, v, d);
            w = hn::MulAdd(k.rate, Nesterov ? hn::MulAdd(k.momentum, v, d) : v, w);
        }
        store_first<T>(w, r.w + i, left);
        store_first<T>(v, r.v + i, left);
    }
}

template <class T>
void step(const Stream& stream, const SgdStep& s, std::span<const SgdRange<T>> ranges) {
    const std::vector<RangeBlock> blocks = blocks_of(ranges);
    parallel(stream, static_cast<int>(blocks.size()), [&](int chunk, int) HWY_ATTR {
        const SgdConstants<T> constants(s);
        const RangeBlock& b = blocks[chunk];
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

void sgd_f32(const Stream& s, const SgdStep& p, std::span<const SgdRange<float>> r) { step<float>(s, p, r); }
void sgd_f64(const Stream& s, const SgdStep& p, std::span<const SgdRange<double>> r) { step<double>(s, p, r); }

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(sgd_f32);
HWY_EXPORT(sgd_f64);

template <class T>
void sgd(const Stream& stream, const SgdStep& step, std::span<const SgdRange<T>> ranges) {
    NASCENT_DISPATCH(sgd, stream, step, ranges)
}
template void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<float>>);
template void sgd(const Stream&, const SgdStep&, std::span<const SgdRange<double>>);

}  // namespace nascent::kernels::cpu
#endif
