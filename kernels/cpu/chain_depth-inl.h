// Depthwise links of a chain: strips of rows of one block of channels, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_
#undef NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_
#else
#define NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_
#endif

#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/depthwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// (taps, c) to (blocks, taps, kBlock), zeros behind c.
template <class T>
void pack_taps(const T* w, int taps, int channels, T* to) {
    constexpr int B = kBlock<T>;
    for (int c = 0; c < channels; c += B)
        for (int t = 0; t < taps; t++, to += B) {
            const int count = std::min(B, channels - c);
            std::copy_n(w + static_cast<std::size_t>(t) * channels + c, count, to);
            std::fill(to + count, to + B, T(0));
        }
}

/// Zeroes the columns of padding of all rows, which stay so.
template <class T>
void clear_sides(T* strip, int rows, int row, int pad) {
    for (int y = 0; y < rows; y++, strip += row) {
        std::fill_n(strip, pad * kBlock<T>, T(0));
        std::fill_n(strip + row - pad * kBlock<T>, pad * kBlock<T>, T(0));
    }
}

/// Rows [from, to) of a picture h high to a strip, f(y, place) each; zeros outside the picture.
template <class T, class F>
HWY_INLINE void fill_strip(int from, int to, int h, int w, int pad, int row, T* strip, const F& f) {
    for (int y = from; y < to; y++, strip += row) {
        T* inner = strip + pad * kBlock<T>;
        if (y >= 0 && y < h)
            f(y, inner);
        else
            std::fill_n(inner, w * kBlock<T>, T(0));
    }
}

/// The first `count` of run[0..) and run[stride..), of at most kRun pixels or a row, to double, and zero.
template <class T>
void flush_sums(T* run, int stride, int count, double* to, int padded) {
    for (int half = 0; half < 2; half++, run += stride, to += padded)
        for (int c = 0; c < count; c++) to[c] += static_cast<double>(run[c]), run[c] = 0;
}

/// sums (2, channels) = the sum of partials (chunks, 2, padded) in the chunks' order.
inline void add_link_sums(const double* partials, int chunks, int padded, int channels, double* sums) {
    for (int half = 0; half < 2; half++)
        for (int c = 0; c < channels; c++) {
            double sum = 0;
            for (int chunk = 0; chunk < chunks; chunk++) sum += partials[(2 * chunk + half) * padded + c];
            sums[half * channels + c] = sum;
        }
}

/// The taps of one axis that meet input pixels p, p + stride, ..; input p + i * stride reads outputs first + i, first +
/// i + 1, ..
struct TapPhase {
    int count = 0, first = 0;
    int taps[7] = {};  // in ascending order of the outputs
    TapPhase(int p, int k, int stride) {
        for (int t = k - 1; t >= 0; t--) {
            if ((p + k / 2 - t) % stride != 0) continue;
            if (count == 0) first = (p + k / 2 - t) / stride;
            taps[count++] = t;
        }
    }
};

/// w (k, k, c) for the data gradient: phase by phase (blocks, rows, taps, kBlock).
template <class T>
void pack_flipped(const T* w, int k, int stride, int channels, T* to) {
    constexpr int B = kBlock<T>;
    for (int py = 0; py < stride; py++)
        for (int px = 0; px < stride; px++) {
            const TapPhase v(py, k, stride), h(px, k, stride);
            for (int c = 0; c < channels; c += B)
                for (int i = 0; i < v.count; i++)
                    for (int j = 0; j < h.count; j++, to += B) {
                        const int count = std::min(B, channels - c);
                        std::copy_n(w + (static_cast<std::size_t>(v.taps[i]) * k + h.taps[j]) * channels + c, count,
                                    to);
                        std::fill(to + count, to + B, T(0));
                    }
        }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
