// Pixels of states and of their gradients on their way into channel blocks, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_MIXED_FILL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_MIXED_FILL_INL_H_
#undef NASCENT_KERNELS_CPU_MIXED_FILL_INL_H_
#else
#define NASCENT_KERNELS_CPU_MIXED_FILL_INL_H_
#endif

#include <hwy/cache_control.h>

#include "kernels/cpu/mixed_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Pixels that are asked for before they are read: a state's come from memory, a channel vector of each.
inline constexpr std::size_t kAhead = 24;

/// What a source's x is multiplied with and what is added, of a vector of channels: a = x * scale + shift.
template <class T>
struct SourceConstants {
    Vector<T> scale, shift;
    HWY_INLINE SourceConstants(const Source<T>& s, int c, int count)
        : scale(s.scale ? load_first(s.scale + c, count) : set(T(1))),
          shift(s.shift ? load_first(s.shift + c, count) : zero<T>()) {
        if (!s.affine.gamma) return;
        const Vector<T> gamma = load_first(s.affine.gamma + c, count);
        scale = hn::Mul(scale, gamma);
        shift = hn::MulAdd(shift, gamma, load_first(s.affine.beta + c, count));
    }
};

/// relu(a) of a source's image.
template <class T>
struct ReadSource {
    const Source<T>& source;
    const T* x;
    std::size_t pixel;
    using Constants = SourceConstants<T>;
    HWY_INLINE Constants constants(int c, int count) const { return {source, c, count}; }
    HWY_INLINE Vector<T> operator()(const Constants& k, std::size_t at, int c, int count) const {
        const Vector<T> v = hn::MulAdd(load_first(x + at * pixel + c, count), k.scale, k.shift);
        return hn::IfThenZeroElse(hn::Lt(v, zero<T>()), v);  // not a maximum: not-a-number stays what it is
    }
    HWY_INLINE void prefetch(std::size_t at, int c) const { hwy::Prefetch(x + (at + kAhead) * pixel + c); }
};

/// dz = g * scale + z * slope + shift.
template <class T>
struct ReadGradient {
    BranchGradient<T> from;
    const T* z;
    std::size_t z_pixel;
    struct Constants {
        Vector<T> scale, slope, shift;
    };
    HWY_INLINE Constants constants(int c, int count) const {
        return {load_first(from.map.scale + c, count), load_first(from.map.slope + c, count),
                load_first(from.map.shift + c, count)};
    }
    HWY_INLINE Vector<T> operator()(const Constants& k, std::size_t at, int c, int count) const {
        const Vector<T> g = load_first(from.g + at * static_cast<std::size_t>(from.pixel) + c, count);
        return hn::MulAdd(g, k.scale, hn::MulAdd(load_first(z + at * z_pixel + c, count), k.slope, k.shift));
    }
    HWY_INLINE void prefetch(std::size_t at, int c) const {
        hwy::Prefetch(from.g + (at + kAhead) * static_cast<std::size_t>(from.pixel) + c);
        hwy::Prefetch(z + (at + kAhead) * z_pixel + c);
    }
};

/// `width` pixels of `channels`, the first being pixel `at` and the others `step` apart, to kBlock elements each at
/// `to`; blocks of channels lie `block_size` elements apart.
template <class T, class Read>
HWY_NOINLINE void fill_row(const Read& from, std::size_t at, int step, int width, int channels, std::size_t block_size,
                           T* to) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const Read read = from;  // what is stored through `to` cannot change it
    for (int c = 0; c < channels; c += L) {
        const int count = channels - c;
        const typename Read::Constants constants = read.constants(c, count);
        T* q = to + c / B * block_size + c % B;
        std::size_t p = at;
        if (count >= L) {
            for (int x = 0; x < width; x++, p += step, q += B) {
                read.prefetch(p, c);
                store<T>(read(constants, p, c, L), q);
            }
        } else {
            for (int x = 0; x < width; x++, p += step, q += B) store<T>(read(constants, p, c, count), q);
        }
    }
}

/// Zeroes the padding of a plane.
template <class T>
void clear_border(const Plane& plane, T* to) {
    const std::size_t side = static_cast<std::size_t>(plane.pad) * plane.block, edge = plane.row * plane.pad;
    for (int b = 0; b < plane.blocks; b++, to += plane.block_size) {
        std::fill_n(to, edge, T(0));
        std::fill_n(to + plane.block_size - edge, edge, T(0));
        for (int y = plane.pad; y < plane.rows - plane.pad; y++) {
            std::fill_n(to + y * plane.row, side, T(0));
            std::fill_n(to + (y + 1) * plane.row - side, side, T(0));
        }
    }
}

/// All rows of an image of a source into its plane, whose padding stays as it is.
template <class T>
void fill_source(const Source<T>& s, const T* image, const Plane& plane, T* to) {
    const ReadSource<T> read{s, image, static_cast<std::size_t>(s.pixel)};
    for (int y = 0; y < s.h; y++)
        fill_row(read, static_cast<std::size_t>(y) * s.w, 1, s.w, s.c, plane.block_size,
                 to + plane.at(y + plane.pad, plane.pad));
}

/// What enters a reduce's two 1x1 convolutions (pixels of both parities, one after the other), or a pointwise branch's:
/// (halves, blocks, pixels, kBlock).
template <class T>
void gather_pixels(const Source<T>& s, const T* image, const BranchSize<T>& size, T* to) {
    constexpr int B = kBlock<T>;
    const ReadSource<T> read{s, image, static_cast<std::size_t>(s.pixel)};
    const std::size_t block = static_cast<std::size_t>(size.pixels) * B;
    const int step = size.halves;
    for (int half = 0; half < size.halves; half++)
        for (int y = 0; y < size.oh; y++)
            fill_row(read, static_cast<std::size_t>(y * step + half) * s.w + half, step, size.ow, s.c, block,
                     to + half * block * size.blocks_in + static_cast<std::size_t>(y) * size.ow * B);
}

/// f(block, lane) for each vector of channels.
template <class T, class RowOf>
HWY_INLINE void for_each_vector(int channels, const RowOf& f) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    for (int c = 0; c < channels; c += L) f(c / B, c % B);
}

/// (k, k, c) to (blocks, k * k, kBlock), zeros behind c; each `fold` times side by side.
template <class T>
void pack_depth(const T* w, int taps, int channels, int fold, T* to) {
    constexpr int B = kBlock<T>;
    const int blocks = ceil_div(channels, B), of = channels / fold;
    std::fill_n(to, static_cast<std::size_t>(blocks) * taps * B, T(0));
    for (int t = 0; t < taps; t++)
        for (int c = 0; c < channels; c++)
            to[(static_cast<std::size_t>(c / B) * taps + t) * B + c % B] =
                w[static_cast<std::size_t>(t) * of + c / fold];
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
