// Images on their way from NHWC into a convolution's padded planes, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_CONV_FILL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CONV_FILL_INL_H_
#undef NASCENT_KERNELS_CPU_CONV_FILL_INL_H_
#else
#define NASCENT_KERNELS_CPU_CONV_FILL_INL_H_
#endif

#include <hwy/cache_control.h>

#include <cstring>
#include <limits>

#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Zeroes the padding around an image; the rest of a plane is always written before it is read.
template <class T>
void clear_padding(const Plane& plane, T* to) {
    if (plane.pad == 0) return;
    const int edge = plane.half * plane.stride - 1;
    for (int b = 0; b < plane.blocks; b++, to += plane.block_size) {
        std::memset(to, 0, plane.row * sizeof(T));
        std::memset(to + plane.row * (plane.rows - 1), 0, plane.row * sizeof(T));
        for (int y = 1; y + 1 < plane.rows; y++) {
            // Column 0 on the left; on the right the last one, and with stride 2 and an odd width the one before it.
            std::memset(to + plane.at(y, 0), 0, 64);
            std::memset(to + plane.at(y, edge), 0, 64);
            std::memset(to + plane.at(y, edge - (plane.stride - 1)), 0, 64);
        }
    }
}

/// Pixels that are asked for before they are read: they come from memory, a channel vector of each.
inline constexpr std::size_t kFillAhead = 24;

/// A per-channel map of pixels on their way from NHWC into a plane.
template <class T>
struct FillA {
    const T* x;
    Prologue<T> prologue;
    struct Constants {
        Vector<T> scale, shift, floor;
    };
    HWY_INLINE Constants constants(int c, int count) const {
        return {prologue.scale ? load_first(prologue.scale + c, count) : set(T(1)),
                prologue.shift ? load_first(prologue.shift + c, count) : zero<T>(),
                prologue.relu ? zero<T>() : set(-std::numeric_limits<T>::infinity())};
    }
    HWY_INLINE void prefetch(std::size_t at) const { hwy::Prefetch(x + at); }
    HWY_INLINE Vector<T> operator()(const Constants& k, std::size_t at, int count) const {
        Vector<T> v = hn::MulAdd(load_first(x + at, count), k.scale, k.shift);
        return hn::IfThenZeroElse(hn::Lt(v, k.floor), v);  // not a maximum: not-a-number stays what it is
    }
};
template <class T>
struct FillDz {
    const T* dy;
    NormFold<T> fold;
    struct Constants {
        Vector<T> scale, slope, shift;
    };
    HWY_INLINE Constants constants(int c, int count) const {
        return {load_first(fold.scale + c, count), load_first(fold.slope + c, count),
                load_first(fold.shift + c, count)};
    }
    HWY_INLINE void prefetch(std::size_t at) const {
        hwy::Prefetch(dy + at);
        hwy::Prefetch(fold.z + at);
    }
    HWY_INLINE Vector<T> operator()(const Constants& k, std::size_t at, int count) const {
        return hn::MulAdd(load_first(dy + at, count), k.scale,
                          hn::MulAdd(load_first(fold.z + at, count), k.slope, k.shift));
    }
};
/// dz, and dy itself as many elements behind it.
template <class T>
struct FillBoth : FillDz<T> {
    std::ptrdiff_t behind;
};
template <class T>
struct FillDy {  // dz = dy
    const T* dy;
    struct Constants {};
    HWY_INLINE Constants constants(int, int) const { return {}; }
    HWY_INLINE void prefetch(std::size_t at) const { hwy::Prefetch(dy + at); }
    HWY_INLINE Vector<T> operator()(const Constants&, std::size_t at, int count) const {
        return load_first(dy + at, count);
    }
};

/// A vector of a pixel's channels to its place.
template <class T, class Fill>
HWY_INLINE void put(const Fill& fill, const typename Fill::Constants& constants, std::size_t at, int count, T* to) {
    store<T>(fill(constants, at, count), to);
}
template <class T>
HWY_INLINE void put(const FillBoth<T>& fill, const typename FillDz<T>::Constants& k, std::size_t at, int count, T* to) {
    const Vector<T> dy = load_first(fill.dy + at, count), z = load_first(fill.fold.z + at, count);
    store<T>(hn::MulAdd(dy, k.scale, hn::MulAdd(z, k.slope, k.shift)), to);
    store<T>(dy, to + fill.behind);
}

/// Fills a plane with one image (h, w, channels) that starts `base` elements into the tensor.
template <class T, class Fill>
HWY_NOINLINE void fill_plane(const Plane& plane, int h, int w, int channels, std::size_t base, const Fill& fill,
                             T* to) {
    constexpr int L = kLanes<T>;
    for (int y = 0; y < h; y++)
        for (int c = 0; c < channels; c += L) {
            const int count = channels - c;
            const typename Fill::Constants constants = fill.constants(c, count);
            for (int parity = 0; parity < plane.stride; parity++) {
                const int x0 = plane.stride == 1 || parity == plane.pad ? 0 : 1;  // first column of this parity
                T* q = to + c / kBlock<T> * plane.block_size + c % kBlock<T> + plane.at(y + plane.pad, x0 + plane.pad);
                std::size_t at = base + (static_cast<std::size_t>(y) * w + x0) * channels + c;
                const std::size_t step = static_cast<std::size_t>(plane.stride) * channels;
                if (count >= L) {
                    for (int x = x0; x < w; x += plane.stride, at += step, q += kBlock<T>) {
                        fill.prefetch(at + kFillAhead * step);
                        put<T>(fill, constants, at, L, q);
                    }
                } else {
                    for (int x = x0; x < w; x += plane.stride, at += step, q += kBlock<T>)
                        put<T>(fill, constants, at, count, q);
                }
            }
        }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
