// Pixels of a chain on their way from NHWC into blocks of channels and back, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_CHAIN_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CHAIN_ROWS_INL_H_
#undef NASCENT_KERNELS_CPU_CHAIN_ROWS_INL_H_
#else
#define NASCENT_KERNELS_CPU_CHAIN_ROWS_INL_H_
#endif

#include <hwy/cache_control.h>

#include <algorithm>

#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// The first `count` of elements p[0], p[Step], ..; zeros after; touches nothing behind the last.
template <int Step, class T>
HWY_INLINE Vector<T> load_every(const T* p, int count) {
    if constexpr (Step == 1) return load_first(p, count);
#if HWY_TARGET == HWY_SCALAR
    return load(p);
#else
    constexpr int L = kLanes<T>;
    const int span = 2 * std::min(count, L) - 1;
    const Vector<T> low = load_first(p, span), high = span > L ? load_first(p + L, span - L) : zero<T>();
    return hn::ConcatEven(Tag<T>(), high, low);
#endif
}
/// a[0], b[0], a[1], .. : the first `count` of each.
template <class T>
HWY_INLINE void store_pairs(Vector<T> a, Vector<T> b, T* p, int count) {
    constexpr int L = kLanes<T>;
    if constexpr (L == 1) {
        store<T>(a, p), store<T>(b, p + 1);
    } else if (count >= L) {
        hn::StoreInterleaved2(a, b, Tag<T>(), p);
    } else {
        alignas(64) T both[2 * L];
        hn::StoreInterleaved2(a, b, Tag<T>(), both);
        std::copy_n(both, 2 * count, p);
    }
}

/// The first `count` lanes to p; `stream` (as streams()): all of them, past the caches.
template <class T>
HWY_INLINE void put_first(Vector<T> v, T* p, int count, bool stream) {
    if (stream)
        hn::Stream(v, Tag<T>(), p);
    else
        store_first<T>(v, p, count);
}

template <Activation A, class T>
HWY_INLINE Vector<T> activate(Vector<T> v) {  // no minimum or maximum: not-a-number stays what it is
    if constexpr (A != Activation::none) v = hn::IfThenZeroElse(hn::Lt(v, zero<T>()), v);
    if constexpr (A == Activation::relu6) v = hn::IfThenElse(hn::Gt(v, set(T(6))), set(T(6)), v);
    return v;
}
/// g where the activation of v is open.
template <Activation A, class T>
HWY_INLINE Vector<T> mask(Vector<T> v, Vector<T> g) {
    if constexpr (A != Activation::none) g = hn::IfThenZeroElse(hn::Le(v, zero<T>()), g);
    if constexpr (A == Activation::relu6) g = hn::IfThenZeroElse(hn::Ge(v, set(T(6))), g);
    return g;
}

/// Calls f with the activation and the step as constants.
template <class F>
HWY_INLINE void with_form(Activation activation, int step, const F& f) {
    auto stepped = [&]<Activation A>() {
        if (step == 2) return f.template operator()<A, 2>();
        f.template operator()<A, 1>();
    };
    if (activation == Activation::relu) return stepped.template operator()<Activation::relu>();
    if (activation == Activation::relu6) return stepped.template operator()<Activation::relu6>();
    stepped.template operator()<Activation::none>();
}

template <class T>
struct Affine {
    Vector<T> scale, shift;
    Affine(const T* s, const T* t, int c, int count)
        : scale(s ? load_first(s + c, count) : set(T(1))), shift(t ? load_first(t + c, count) : zero<T>()) {}
    HWY_INLINE Vector<T> operator()(Vector<T> x) const { return hn::MulAdd(x, scale, shift); }
};

/// Pixels that are asked for before they are read: a channel vector of each comes from memory.
inline constexpr int kPixelsAhead = 64;

/// What a link reads of `width` pixels from `first` on, channels [c, c + count), to pixels kBlock elements apart in
/// blocks `block` elements apart.
template <class T>
HWY_NOINLINE void fill_pixels(const Normed<T>& from, std::size_t first, int width, int c, int count, std::size_t block,
                              T* to) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    with_form(from.activation, from.x.step, [&]<Activation A, int Step>() HWY_ATTR {
        const auto pixel = static_cast<std::size_t>(from.x.pixel);
        for (int i = 0; i < count; i += L) {
            const int left = count - i;
            const Affine<T> affine(from.scale, from.shift, c + i, left);
            const T* x = from.x.x + first * pixel + static_cast<std::size_t>(c + i) * Step;
            T* q = to + i / B * block + i % B;
            if (left >= L)
                for (int p = 0; p < width; p++, x += pixel, q += B) {
                    hwy::Prefetch(x + kPixelsAhead * pixel);
                    store<T>(activate<A, T>(affine(load_every<Step>(x, L))), q);
                }
            else
                for (int p = 0; p < width; p++, x += pixel, q += B)
                    store<T>(activate<A, T>(affine(load_every<Step>(x, left))), q);
        }
    });
}

/// dz as fill_pixels; z is (pixels, channels).
template <class T>
HWY_NOINLINE void fill_gradient(const NormedGradient<T>& from, const NormFold<T>& fold, int channels, std::size_t first,
                                int width, int c, int count, std::size_t block, T* to) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    with_form(from.activation, from.g.step, [&]<Activation A, int Step>() HWY_ATTR {
        const auto pixel = static_cast<std::size_t>(from.g.pixel), z_pixel = static_cast<std::size_t>(channels);
        for (int i = 0; i < count; i += L) {
            const int left = count - i;
            const Affine<T> affine(from.scale, from.shift, c + i, left);
            const Vector<T> scale = load_first(fold.scale + c + i, left), slope = load_first(fold.slope + c + i, left),
                            shift = load_first(fold.shift + c + i, left);
            const T* g = from.g.x + first * pixel + static_cast<std::size_t>(c + i) * Step;
            const T* z = from.z + first * z_pixel + c + i;
            T* q = to + i / B * block + i % B;
            auto pixels = [&](int lanes) HWY_ATTR {
                for (int p = 0; p < width; p++, g += pixel, z += z_pixel, q += B) {
                    hwy::Prefetch(z + kPixelsAhead * z_pixel);
                    hwy::Prefetch(g + kPixelsAhead * pixel);
                    const Vector<T> v = load_first(z, lanes);
                    const Vector<T> masked = mask<A, T>(affine(v), load_every<Step>(g, lanes));
                    store<T>(hn::MulAdd(masked, scale, hn::MulAdd(v, slope, shift)), q);
                }
            };
            if (left >= L)
                pixels(L);
            else
                pixels(left);
        }
    });
}

/// A target, and whether it is written as streams() says, which asks for one that is overwritten and dense.
template <class T>
struct CpuTarget : LinkTarget<T> {
    bool stream;
    CpuTarget(const LinkTarget<T>& to, const LinkShape& s)
        : LinkTarget<T>(to), stream(to.sums && to.da.x && streams(to.da.x, s.in_pixels(), s.c_in)) {}
};

/// The target's channels [c, c + count) of `width` pixels from `first` on, from `gradient` whose pixels lie `pitch`
/// apart. Sums are added to sums[0..) and sums[stride..).
template <class T>
HWY_NOINLINE void finish_pixels(const CpuTarget<T>& to, const Normed<T>& in, std::size_t first, int width, int c,
                                int count, const T* gradient, int pitch, T* sums, int stride) {
    constexpr int L = kLanes<T>;
    const bool reads = to.sums || in.activation != Activation::none;
    with_form(in.activation, in.x.step, [&]<Activation A, int Step>() HWY_ATTR {
        const auto at = [first](const auto& channels, int channel) {
            return channels.x + first * static_cast<std::size_t>(channels.pixel) +
                   static_cast<std::size_t>(channel) * static_cast<std::size_t>(channels.step);
        };
        for (int i = 0; i < count; i += L) {
            const int left = count - i;
            const Affine<T> affine(in.scale, in.shift, c + i, left);
            const T* x = at(in.x, c + i);
            const T* from = gradient + i;
            T* da = at(to.da, c + i);
            const T* skip = to.skip.x ? at(to.skip, c + i) : nullptr;
            T* round = to.round_da.x ? at(to.round_da, c + i) : nullptr;
            const T* round_g = round ? at(to.round_g, c + i) : nullptr;
            Vector<T> plain = zero<T>(), products = zero<T>();
            auto pixels = [&](int lanes) HWY_ATTR {
                for (int p = 0; p < width; p++) {
                    Vector<T> v = load_first(from + static_cast<std::ptrdiff_t>(p) * pitch, lanes);
                    if (reads) {
                        const Vector<T> raw = load_every<Step>(x + static_cast<std::ptrdiff_t>(p) * in.x.pixel, lanes);
                        v = mask<A, T>(affine(raw), v);
                        plain = hn::Add(plain, v);
                        products = hn::MulAdd(v, raw, products);
                    }
                    if (skip) v = hn::Add(v, load_first(skip + static_cast<std::ptrdiff_t>(p) * to.skip.pixel, lanes));
                    T* q = da + static_cast<std::ptrdiff_t>(p) * to.da.pixel;
                    if (round) {
                        const T* g = round_g + static_cast<std::ptrdiff_t>(p) * to.round_g.pixel;
                        Vector<T> past = to.round_g.step == 2 ? load_every<2>(g, lanes) : load_first(g, lanes);
                        T* r = round + static_cast<std::ptrdiff_t>(p) * to.round_da.pixel;
                        if (to.accumulate)
                            past = hn::Add(past, to.da.step == 2 ? load_every<2>(r, lanes) : load_first(r, lanes));
                        if (to.da.step == 2) {
                            if (to.accumulate) v = hn::Add(v, load_every<2>(q, lanes));
                            store_pairs<T>(past, v, r, lanes);
                            continue;
                        }
                        store_first<T>(past, r, lanes);
                    }
                    if (to.accumulate) v = hn::Add(v, load_first(q, lanes));
                    put_first<T>(v, q, lanes, to.stream);
                }
            };
            if (left >= L)
                pixels(L);
            else
                pixels(left);
            if (!to.sums) continue;
            store<T>(hn::Add(load(sums + i), plain), sums + i);
            store<T>(hn::Add(load(sums + stride + i), products), sums + stride + i);
        }
    });
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
