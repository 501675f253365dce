// Depthwise links of a chain: strips of rows of one block of channels, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_
#undef NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_
#else
#define NASCENT_KERNELS_CPU_CHAIN_DEPTH_INL_H_
#endif

#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/chain_rows-inl.h"
#include "kernels/cpu/depthwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// As window_row, of step 1 or 2: rows of these networks are multiples of 7 long. Asks for `lines` lines for every 7
/// pixels.
template <class T>
void link_row(const WindowRow<T>& s, int taps, int step, int width, Ahead& ahead, int lines) {
    if (width % 7 != 0) {
        ahead.step(lines * ceil_div(width, 7));
        return window_row(s, taps, step, 1, width);
    }
    auto of = [&]<int Taps, int Step>() HWY_ATTR {
        int x = 0;
        if constexpr (HWY_TARGET == HWY_AVX3)
            for (; x + 14 <= width; x += 14) {
                ahead.step(2 * lines);
                window_tile<14, Taps, Step, 1>(s, x);
            }
        for (; x < width; x += 7) {
            ahead.step(lines);
            window_tile<7, Taps, Step, 1>(s, x);
        }
    };
    if (step == 2) {
        if (taps == 3) return of.template operator()<3, 2>();
        if (taps == 5) return of.template operator()<5, 2>();
        return of.template operator()<7, 2>();
    }
    if (taps == 1) return of.template operator()<1, 1>();
    if (taps == 2) return of.template operator()<2, 1>();
    if (taps == 3) return of.template operator()<3, 1>();
    if (taps == 4) return of.template operator()<4, 1>();
    if (taps == 5) return of.template operator()<5, 1>();
    of.template operator()<7, 1>();
}

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

/// Rows of several blocks of channels with columns of padding: (.., rows, row).
template <class T>
struct Strip {
    T* at;
    int rows, row, pad;
    std::size_t block;
};

/// Zeroes the columns of padding of all rows, which stay so.
template <class T>
void clear_sides(const Strip<T>& s, int blocks) {
    for (int b = 0; b < blocks; b++) {
        T* row = s.at + s.block * static_cast<std::size_t>(b);
        for (int y = 0; y < s.rows; y++, row += s.row) {
            std::fill_n(row, s.pad * kBlock<T>, T(0));
            std::fill_n(row + s.row - s.pad * kBlock<T>, s.pad * kBlock<T>, T(0));
        }
    }
}

/// Rows [from, to) of a picture h high to the strip's first `blocks`, f(y, place) each; zeros outside the picture. The
/// first `kept` of them are in the strip already, `before` rows further down: those of the strip above.
template <class T, class F>
HWY_INLINE void fill_strip(const Strip<T>& s, int blocks, int from, int to, int h, int w, int kept, int before,
                           const F& f) {
    for (int b = 0; b < blocks && kept > 0; b++) {
        T* strip = s.at + s.block * static_cast<std::size_t>(b);
        const T* above = strip + static_cast<std::ptrdiff_t>(before) * s.row;
        std::copy(above, above + static_cast<std::ptrdiff_t>(kept) * s.row, strip);
    }
    for (int y = from + kept; y < to; y++) {
        T* inner = s.at + static_cast<std::ptrdiff_t>(y - from) * s.row + s.pad * kBlock<T>;
        if (y >= 0 && y < h)
            f(y, inner);
        else
            for (int b = 0; b < blocks; b++, inner += s.block) std::fill_n(inner, w * kBlock<T>, T(0));
    }
}

/// The strip behind that of outputs from y on, of a picture and channels: below it, or the next channels' first.
struct NextStrip {
    int n, c, y0, y1;  // of outputs; y0 > 0: rows of the strip above are there
    bool exists = true;
    template <class Layout>
    NextStrip(const Layout& layout, const LinkShape& s, int wide, int picture, int channel, int y)
        : n(picture), c(channel), y0(y + layout.rows) {
        if (y0 >= s.out_h()) y0 = 0, c += wide;
        if (c >= s.c_in) c = 0, n++;
        exists = n < s.n;
        y1 = std::min(s.out_h(), y0 + layout.rows);
    }
    /// Asks for rows [from, to) of pictures h high and w wide, without the `kept` that the strip above has.
    template <class T>
    void add(Ahead& ahead, const Channels<const T>& x, int from, int to, int kept, int h, int w, int count) const {
        if (!exists) return;
        const int first = std::max(0, y0 > 0 ? from + kept : from), last = std::min(h, to);
        if (first >= last) return;
        ahead.add(x, (static_cast<std::size_t>(n) * h + first) * w, static_cast<std::size_t>(last - first) * w, c,
                  count);
    }
};

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
