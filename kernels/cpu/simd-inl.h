// Vector helpers, compiled once per target. Per-target include guard as Highway wants it.
#if defined(NASCENT_KERNELS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_SIMD_INL_H_
#undef NASCENT_KERNELS_CPU_SIMD_INL_H_
#else
#define NASCENT_KERNELS_CPU_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
using Tag = hn::ScalableTag<T>;
template <class T>
using Vector = hn::Vec<Tag<T>>;
/// Elements per vector: 16, 8 or 1 floats.
template <class T>
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag<T>()));

template <class T>
HWY_INLINE Vector<T> load(const T* p) {
    return hn::LoadU(Tag<T>(), p);
}
template <class T>
HWY_INLINE void store(Vector<T> v, T* p) {
    hn::StoreU(v, Tag<T>(), p);
}
template <class T>
HWY_INLINE Vector<T> set(T x) {
    return hn::Set(Tag<T>(), x);
}
template <class T>
HWY_INLINE Vector<T> zero() {
    return hn::Zero(Tag<T>());
}
/// The first `count` elements, zeros after; touches nothing beyond them.
template <class T>
HWY_INLINE Vector<T> load_first(const T* p, int count) {
    if (count >= kLanes<T>) return load(p);
    return hn::MaskedLoad(hn::FirstN(Tag<T>(), static_cast<std::size_t>(count)), Tag<T>(), p);
}
template <class T>
HWY_INLINE void store_first(Vector<T> v, T* p, int count) {
    if (count >= kLanes<T>) return store<T>(v, p);
    hn::BlendedStore(v, hn::FirstN(Tag<T>(), static_cast<std::size_t>(count)), Tag<T>(), p);
}

/// F elements (a power of two) over and over; of more than a vector's, those from lane `lane` (a vector's first) on.
template <int F, class T>
HWY_INLINE Vector<T> load_group(const T* p, int lane) {
    constexpr int L = kLanes<T>, bytes = F * static_cast<int>(sizeof(T));
    if constexpr (F == 1) {
        return set(*p);
    } else if constexpr (F >= L) {
        return load(p + lane % F);
    } else if constexpr (bytes == 8) {
        const hn::Repartition<double, Tag<T>> d;
        double both;
        std::memcpy(&both, p, sizeof(both));
        return hn::BitCast(Tag<T>(), hn::Set(d, both));
    } else if constexpr (bytes == 16) {
        return hn::LoadDup128(Tag<T>(), p);
    } else {
        static_assert(2 * F == L);
#if HWY_TARGET != HWY_SCALAR
        const auto half = hn::LoadU(hn::Half<Tag<T>>(), p);
        return hn::Combine(Tag<T>(), half, half);
#endif
    }
}

/// v where x > 0, 0 elsewhere; not-a-number in x lets v pass, so that it is seen.
template <class T>
HWY_INLINE Vector<T> where_positive(Vector<T> x, Vector<T> v) {
    return hn::IfThenZeroElse(hn::Le(x, zero<T>()), v);
}

/// sums[i] += v[i] in double, for the first `count` lanes.
template <class T>
HWY_INLINE void add_to_double(Vector<T> v, double* sums, int count) {
    alignas(64) T lanes[kLanes<T>];
    hn::Store(v, Tag<T>(), lanes);
    if (count >= kLanes<T>) {
        for (int i = 0; i < kLanes<T>; i++) sums[i] += static_cast<double>(lanes[i]);
    } else {
        for (int i = 0; i < count; i++) sums[i] += static_cast<double>(lanes[i]);
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
