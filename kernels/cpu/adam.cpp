#include "kernels/adam.h"

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/adam.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

template <class T>
struct AdamConstants {
    Vector<T> beta1, rest1, beta2, rest2, eps, decay, scale;
    explicit AdamConstants(const AdamStep& s)
        : beta1(set(static_cast<T>(s.beta1))),
          rest1(set(static_cast<T>(1 - s.beta1))),
          beta2(set(static_cast<T>(s.beta2))),
          rest2(set(static_cast<T>(1 - s.beta2))),
          eps(set(static_cast<T>(s.eps))),
          decay(set(static_cast<T>(s.decay))),
          scale(set(static_cast<T>(clip_factor(s.clip)))) {}
};

template <class T>
void step(const Stream& stream, const AdamStep& s, std::span<const AdamRange<T>> ranges) {
    const std::vector<RangeBlock> blocks = blocks_of(ranges);
    parallel(stream, static_cast<int>(blocks.size()), [&](int chunk, int) HWY_ATTR {
        const AdamConstants<T> k(s);
        const RangeBlock& b = blocks[static_cast<std::size_t>(chunk)];
        const AdamRange<T>& r = ranges[b.range];
        const AdamCorrection correction(s, r.step);
        const double lr = r.correction ? r.correction[0] : correction.rate,
                     divisor = r.correction ? r.correction[1] : correction.root;
        const Vector<T> rate = set(static_cast<T>(-lr)), root = set(static_cast<T>(divisor));
        for (std::size_t i = b.begin; i < b.end; i += kLanes<T>) {
            const int left = static_cast<int>(std::min<std::size_t>(b.end - i, kLanes<T>));
            Vector<T> w = load_first(r.w + i, left), m = load_first(r.m + i, left), v = load_first(r.v + i, left);
            const Vector<T> d = hn::MulAdd(k.decay, w, hn::Mul(load_first(r.g + i, left), k.scale));
            m = hn::MulAdd(k.beta1, m, hn::Mul(k.rest1, d));
            v = hn::MulAdd(k.beta2, v, hn::Mul(hn::Mul(k.rest2, d), d));
            w = hn::MulAdd(rate, hn::Div(m, hn::Add(hn::Div(hn::Sqrt(v), root), k.eps)), w);
            store_first<T>(w, r.w + i, left);
            store_first<T>(m, r.m + i, left);
            store_first<T>(v, r.v + i, left);
        }
    });
}

void adam_f32(const Stream& s, const AdamStep& p, std::span<const AdamRange<float>> r) { step<float>(s, p, r); }
void adam_f64(const Stream& s, const AdamStep& p, std::span<const AdamRange<double>> r) { step<double>(s, p, r); }

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(adam_f32);
HWY_EXPORT(adam_f64);

template <class T>
void adam(const Stream& stream, const AdamStep& step, std::span<const AdamRange<T>> ranges) {
    NASCENT_DISPATCH(adam, stream, step, ranges)
}

template void adam(const Stream&, const AdamStep&, std::span<const AdamRange<float>>);
template void adam(const Stream&, const AdamStep&, std::span<const AdamRange<double>>);

}  // namespace nascent::kernels::cpu
#endif
