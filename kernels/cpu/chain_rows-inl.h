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
HWY_INLINE Vector<T> activate(Vector<T> v) {  // not-a-number stays what it is
#if HWY_TARGET == HWY_SCALAR
    if constexpr (A != Activation::none) v = hn::IfThenZeroElse(hn::Lt(v, zero<T>()), v);
    if constexpr (A == Activation::relu6) v = hn::IfThenElse(hn::Gt(v, set(T(6))), set(T(6)), v);
#else  // x86's maximum and minimum give their second operand where either is not a number, and of equals
    if constexpr (A != Activation::none) v = hn::Max(zero<T>(), v);
    if constexpr (A == Activation::relu6) v = hn::Min(set(T(6)), v);
#endif
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

/// Pixels that will be read soon, asked for a few at a time between products: the memory works while they are made.
class Ahead {
  public:
    /// Channels [c, c + count) of `pixels` pixels from `first` on.
    template <class T>
    void add(const Channels<const T>& x, std::size_t first, std::size_t pixels, int c, int count) {
        const std::size_t pixel = static_cast<std::size_t>(x.pixel) * sizeof(T),
                          bytes = static_cast<std::size_t>(count) * static_cast<std::size_t>(x.step) * sizeof(T);
        const char* at = reinterpret_cast<const char*>(x.x + first * static_cast<std::size_t>(x.pixel) +
                                                       static_cast<std::size_t>(c) * static_cast<std::size_t>(x.step));
        lines_ += pixels * ((bytes + 63) / 64);
        ranges_[count_++] = {at, pixel, bytes, pixels};
    }
    std::size_t lines() const { return lines_; }
    /// About `lines` lines more.
    HWY_INLINE void step(int lines) {
        while (lines > 0 && count_ > 0) {
            Range& r = ranges_[count_ - 1];
            if (r.pixels == 0) {
                count_--;
                continue;
            }
            for (std::size_t i = 0; i < r.bytes; i += 64, lines--) __builtin_prefetch(r.at + i, 0, 3);
            r.at += r.pixel;
            r.pixels--;
        }
    }

  private:
    struct Range {
        const char* at;
        std::size_t pixel, bytes, pixels;
    };
    Range ranges_[3];
    int count_ = 0;
    std::size_t lines_ = 0;
};

/// Pixels of all vectors of channels that are gone through together: lines that lie side by side are then read, and
/// above all written, soon after each other, which is up to four times faster than with a stride.
inline constexpr int kTile = 8;

/// Calls f(p, pixels, i, lanes) for tiles of `width` pixels and vectors of `count` channels.
template <class T, class F>
HWY_INLINE void for_tiles(int width, int count, const F& f) {
    constexpr int L = kLanes<T>;
    for (int p = 0; p < width; p += kTile) {
        const int pixels = std::min(kTile, width - p);
        int i = 0;
        for (; i + L <= count; i += L) f(p, pixels, i, L);
        if (i < count) f(p, pixels, i, count - i);
    }
}

/// What a link reads of `width` pixels from `first` on, channels [c, c + count), to pixels kBlock elements apart in
/// blocks `block` elements apart. Pixels `ahead` further on are asked for.
template <class T>
HWY_NOINLINE void fill_pixels(const Normed<T>& from, std::size_t first, int width, int c, int count, std::size_t block,
                              T* to, std::size_t ahead = 0) {
    constexpr int B = kBlock<T>;
    with_form(from.activation, from.x.step, [&]<Activation A, int Step>() HWY_ATTR {
        const auto pixel = static_cast<std::size_t>(from.x.pixel);
        for_tiles<T>(width, count, [&](int p, int pixels, int i, int lanes) HWY_ATTR {
            const Affine<T> affine(from.scale, from.shift, c + i, lanes);
            const T* x =
                from.x.x + (first + static_cast<std::size_t>(p)) * pixel + static_cast<std::size_t>(c + i) * Step;
            T* q = to + i / B * block + (p * B + i % B);
            for (int k = 0; k < pixels; k++, x += pixel, q += B) {
                hwy::Prefetch(x + ahead * pixel);
                store<T>(activate<A, T>(affine(load_every<Step>(x, lanes))), q);
            }
        });
    });
}

/// dz as fill_pixels; z is (pixels, channels).
template <class T>
HWY_NOINLINE void fill_gradient(const NormedGradient<T>& from, const NormFold<T>& fold, int channels, std::size_t first,
                                int width, int c, int count, std::size_t block, T* to, std::size_t ahead = 0) {
    constexpr int B = kBlock<T>;
    with_form(from.activation, from.g.step, [&]<Activation A, int Step>() HWY_ATTR {
        const auto pixel = static_cast<std::size_t>(from.g.pixel), z_pixel = static_cast<std::size_t>(channels);
        for_tiles<T>(width, count, [&](int p, int pixels, int i, int lanes) HWY_ATTR {
            const Affine<T> affine(from.scale, from.shift, c + i, lanes);
            const Vector<T> scale = load_first(fold.scale + c + i, lanes),
                            slope = load_first(fold.slope + c + i, lanes),
                            shift = load_first(fold.shift + c + i, lanes);
            const std::size_t at = first + static_cast<std::size_t>(p);
            const T* g = from.g.x + at * pixel + static_cast<std::size_t>(c + i) * Step;
            const T* z = from.z + at * z_pixel + c + i;
            T* q = to + i / B * block + (p * B + i % B);
            for (int k = 0; k < pixels; k++, g += pixel, z += z_pixel, q += B) {
                hwy::Prefetch(z + ahead * z_pixel);
                hwy::Prefetch(g + ahead * pixel);
                const Vector<T> v = load_first(z, lanes);
                const Vector<T> masked = mask<A, T>(affine(v), load_every<Step>(g, lanes));
                store<T>(hn::MulAdd(masked, scale, hn::MulAdd(v, slope, shift)), q);
            }
        });
    });
}

/// A target, and whether it is written as streams() says, which asks for one that is overwritten and dense.
template <class T>
struct CpuTarget : LinkTarget<T> {
    bool stream;
    CpuTarget(const LinkTarget<T>& to, const LinkShape& s)
        : LinkTarget<T>(to), stream(to.sums && to.da.x && streams(to.da.x, s.in_pixels(), s.c_in)) {}
};

/// The gradient of channels [c, c + count) of `width` pixels from `first` on: pixels lie `pitch` apart, blocks of
/// channels `block`.
template <class T>
struct MadeGradient {
    std::size_t first;
    int width, c, count;
    const T* x;
    int pitch;
    std::size_t block;
    HWY_INLINE const T* at(int p, int i) const {
        return x + i / kBlock<T> * block + (static_cast<std::ptrdiff_t>(p) * pitch + i % kBlock<T>);
    }
};

template <Activation A, bool Stream, class T>
HWY_INLINE void finish_summed_tile(const T* from, int pitch, const Channels<const T>& x, const Channels<T>& da,
                                   const Affine<T>& affine, int pixels, int lanes, T* sums, T* products) {
    Vector<T> sum = load(sums), product = load(products);
    const T* p = x.x;
    T* q = da.x;
    for (int k = 0; k < pixels; k++, from += pitch, p += x.pixel, q += da.pixel) {
        const Vector<T> raw = load_first(p, lanes), v = mask<A, T>(affine(raw), load_first(from, lanes));
        sum = hn::Add(sum, v);
        product = hn::MulAdd(v, raw, product);
        put_first<T>(v, q, lanes, Stream);
    }
    store<T>(sum, sums), store<T>(product, products);
}

/// The target with sums, which are added to sums[0..) and sums[stride..); steps are 1.
template <class T>
HWY_NOINLINE void finish_summed(const CpuTarget<T>& to, const Normed<T>& in, const MadeGradient<T>& gradient, T* sums,
                                int stride) {
    with_form(in.activation, 1, [&]<Activation A, int>() HWY_ATTR {
        for_tiles<T>(gradient.width, gradient.count, [&](int p, int pixels, int i, int lanes) HWY_ATTR {
            const Affine<T> affine(in.scale, in.shift, gradient.c + i, lanes);
            const std::size_t first = gradient.first + static_cast<std::size_t>(p);
            const std::size_t c = static_cast<std::size_t>(gradient.c + i);
            const Channels<const T> x{in.x.x + first * static_cast<std::size_t>(in.x.pixel) + c, in.x.pixel, 1};
            const Channels<T> da{to.da.x + first * static_cast<std::size_t>(to.da.pixel) + c, to.da.pixel, 1};
            const T* from = gradient.at(p, i);
            if (to.stream)
                finish_summed_tile<A, true, T>(from, gradient.pitch, x, da, affine, pixels, lanes, sums + i,
                                               sums + stride + i);
            else
                finish_summed_tile<A, false, T>(from, gradient.pitch, x, da, affine, pixels, lanes, sums + i,
                                                sums + stride + i);
        });
    });
}

/// The target, with sums as finish_summed.
template <class T>
HWY_NOINLINE void finish_pixels(const CpuTarget<T>& to, const Normed<T>& in, const MadeGradient<T>& gradient, T* sums,
                                int stride) {
    if (to.sums) return finish_summed(to, in, gradient, sums, stride);
    with_form(in.activation, in.x.step, [&]<Activation A, int Step>() HWY_ATTR {
        for_tiles<T>(gradient.width, gradient.count, [&](int p, int pixels, int i, int lanes) HWY_ATTR {
            const int c = gradient.c + i;
            const std::size_t first = gradient.first + static_cast<std::size_t>(p);
            const auto at = [first, c](const auto& channels) {
                return channels.x + first * static_cast<std::size_t>(channels.pixel) +
                       static_cast<std::size_t>(c) * static_cast<std::size_t>(channels.step);
            };
            const Affine<T> affine(in.scale, in.shift, c, lanes);
            const T* x = at(in.x);
            const T* from = gradient.at(p, i);
            T* q = at(to.da);
            const T* skip = to.skip.x ? at(to.skip) : nullptr;
            T* r = to.round_da.x ? at(to.round_da) : nullptr;
            const T* g = r ? at(to.round_g) : nullptr;
            for (int k = 0; k < pixels; k++, from += gradient.pitch, q += to.da.pixel) {
                Vector<T> v = load_first(from, lanes);
                if constexpr (A != Activation::none) {
                    v = mask<A, T>(affine(load_every<Step>(x, lanes)), v);
                    x += in.x.pixel;
                }
                if (skip) v = hn::Add(v, load_first(skip, lanes)), skip += to.skip.pixel;
                if (r) {
                    Vector<T> past = to.round_g.step == 2 ? load_every<2>(g, lanes) : load_first(g, lanes);
                    if (to.accumulate)
                        past = hn::Add(past, to.da.step == 2 ? load_every<2>(r, lanes) : load_first(r, lanes));
                    if (to.da.step == 2) {
                        if (to.accumulate) v = hn::Add(v, load_every<2>(q, lanes));
                        store_pairs<T>(past, v, r, lanes);
                    } else {
                        store_first<T>(past, r, lanes);
                    }
                    g += to.round_g.pixel, r += to.round_da.pixel;
                    if (to.da.step == 2) continue;
                }
                if (to.accumulate) v = hn::Add(v, load_first(q, lanes));
                store_first<T>(v, q, lanes);
            }
        });
    });
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
