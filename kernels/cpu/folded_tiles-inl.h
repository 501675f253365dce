// The 1x1 convolutions of pictures whose few channels lie side by side in a block (kernels/fold.h), compiled once per
// target. Every picture's channels meet the same small matrix: instead of a block-diagonal product each channel of a
// picture is spread over that picture's lanes.
#if defined(NASCENT_KERNELS_CPU_FOLDED_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_FOLDED_TILES_INL_H_
#undef NASCENT_KERNELS_CPU_FOLDED_TILES_INL_H_
#else
#define NASCENT_KERNELS_CPU_FOLDED_TILES_INL_H_
#endif

#include "kernels/cpu/mixed_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Spreads channel i of each picture over its `channels` lanes; `channels` (a power of two) divides a block.
template <class T>
class Spread {
  public:
    explicit Spread(int channels) : channels_(channels) {
        constexpr int L = kLanes<T>;
        for (int i = 0; i < std::min(channels, L); i++)
            for (int l = 0; l < L; l++)
                lanes_[i * L + l] = static_cast<hwy::MakeSigned<T>>(l / channels * channels + i);
    }
    int channels() const { return channels_; }
    /// Whether a vector holds whole pictures; else of() reads a single channel.
    bool whole() const { return channels_ <= kLanes<T>; }
    HWY_INLINE auto lanes(int i) const { return hn::SetTableIndices(Tag<T>(), lanes_ + i * kLanes<T>); }

  private:
    int channels_;
    alignas(64) hwy::MakeSigned<T> lanes_[kBlock<T> * kLanes<T>];
};

/// What a row of tiles reads: pixels kBlock apart, from one or two places.
template <class T>
struct FoldedTaps {
    const Spread<T>* spread;
    int width;  // elements of a block that count
    int count;
    std::size_t offset[2];
    const T* w[2];  // (channels, kBlock): row i has in each picture's lanes what its channel i is multiplied with
};

template <int P, class T, class Store>
HWY_INLINE void folded_tile(const FoldedTaps<T>& s, const T* in, int x, int vector, const Store& out) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const int channels = s.spread->channels();
    Vector<T> acc[P][1];
#pragma GCC unroll 8
    for (int p = 0; p < P; p++) acc[p][0] = zero<T>();
    for (int t = 0; t < s.count; t++) {
        const T* pixel = in + s.offset[t] + static_cast<std::ptrdiff_t>(x) * B;
        const T* w = s.w[t] + vector * L;
        if (L > 1 && s.spread->whole()) {
            Vector<T> v[P];
#pragma GCC unroll 8
            for (int p = 0; p < P; p++) v[p] = load(pixel + p * B + vector * L);
            for (int i = 0; i < channels; i++, w += B) {
                const Vector<T> ww = load(w);
                const auto lanes = s.spread->lanes(i);
#pragma GCC unroll 8
                for (int p = 0; p < P; p++) acc[p][0] = hn::MulAdd(hn::TableLookupLanes(v[p], lanes), ww, acc[p][0]);
            }
        } else {
            pixel += vector * L / channels * channels;
            for (int i = 0; i < channels; i++, w += B) {
                const Vector<T> ww = load(w);
#pragma GCC unroll 8
                for (int p = 0; p < P; p++) acc[p][0] = hn::MulAdd(set(pixel[p * B + i]), ww, acc[p][0]);
            }
        }
    }
    out.template operator()<P, 1>(acc, x, vector);
}

template <int P, class T, class Store>
HWY_NOINLINE void folded_tiles(const FoldedTaps<T>& s, const T* in, int x, int end, int vector, const Store& out) {
    for (; x + P <= end; x += P) folded_tile<P>(s, in, x, vector, out);
    if constexpr (P > 1)
        if (x < end) folded_tiles<P / 2>(s, in, x, end, vector, out);
}

/// One row of `width` pixels, all channels.
template <class T, class Store>
void folded_product(const FoldedTaps<T>& s, const T* in, int width, const Store& out) {
    constexpr int P = HWY_TARGET == HWY_AVX3 ? 8 : 4;
    for (int v = 0; v * kLanes<T> < s.width; v++) folded_tiles<P>(s, in, 0, width, v, out);
}

/// dw (C, kBlock) += sum over pixels of each picture's channel i times dz, in the lanes of that picture.
template <int C, class T>
HWY_NOINLINE void folded_weight_tile(const Spread<T>& spread, const T* a, const T* dz, int pixels, int vector, T* dw) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    Vector<T> acc[C];
#pragma GCC unroll 8
    for (int i = 0; i < C; i++) acc[i] = load(dw + i * B + vector * L);
    const T* g = dz + vector * L;
    if constexpr (C <= L && L > 1) {
        a += vector * L;
        for (int p = 0; p < pixels; p++, a += B, g += B) {
            const Vector<T> v = load(a), gg = load(g);
#pragma GCC unroll 8
            for (int i = 0; i < C; i++) acc[i] = hn::MulAdd(hn::TableLookupLanes(v, spread.lanes(i)), gg, acc[i]);
        }
    } else {
        a += vector * L / C * C;
        for (int p = 0; p < pixels; p++, a += B, g += B) {
            const Vector<T> gg = load(g);
#pragma GCC unroll 8
            for (int i = 0; i < C; i++) acc[i] = hn::MulAdd(set(a[i]), gg, acc[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < C; i++) store<T>(acc[i], dw + i * B + vector * L);
}

template <class T>
void folded_weight_gradient(const Spread<T>& spread, int width, const T* a, const T* dz, int pixels, T* dw) {
    for (int v = 0; v * kLanes<T> < width; v++) {
        if (spread.channels() == 1) folded_weight_tile<1>(spread, a, dz, pixels, v, dw);
        if (spread.channels() == 2) folded_weight_tile<2>(spread, a, dz, pixels, v, dw);
        if (spread.channels() == 4) folded_weight_tile<4>(spread, a, dz, pixels, v, dw);
        if (spread.channels() == 8) folded_weight_tile<8>(spread, a, dz, pixels, v, dw);
    }
}

/// Element (i, o) of a picture's 1x1 to all its channels, of which w (channels, half_channels) computes the half-th
/// part: zero elsewhere.
template <class T>
auto half_of(const T* w, const BranchSize<T>& size, int half) {
    return [w, of = size.half_channels(), half](int i, int o) { return o / of == half ? w[i * of + o % of] : T(0); };
}

/// A picture's 1x1 weights as rows of FoldedTaps: element (i, o) is get(i, o) for 0 <= o < channels.
template <class T, class Get>
void pack_folded(int channels, int fold, const Get& get, T* to) {
    constexpr int B = kBlock<T>;
    std::fill_n(to, static_cast<std::size_t>(channels) * B, T(0));
    for (int i = 0; i < channels; i++)
        for (int g = 0; g < fold; g++)
            for (int o = 0; o < channels; o++) to[i * B + g * channels + o] = get(i, o);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
