// Depthwise convolutions on planes in channel blocks (conv_plan.h), one vector of channels at a time, compiled once per
// target: forward, data gradient (the same loop with flipped taps) and weight gradient.
#if defined(NASCENT_KERNELS_CPU_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_DEPTHWISE_INL_H_
#undef NASCENT_KERNELS_CPU_DEPTHWISE_INL_H_
#else
#define NASCENT_KERNELS_CPU_DEPTHWISE_INL_H_
#endif

#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// A row of windows: output i is the sum over rows r and taps t of row r's pixel i * Step + t * Tap with weight (r, t).
template <class T>
struct WindowRow {
    const T* in;         // the first tap's pixel of output 0
    std::size_t in_row;  // elements from one row of taps to the next
    int rows;            // rows of taps
    const T* w;          // (rows, taps, kBlock)
    T* out;
    std::size_t out_step;  // elements from output to output
    bool add;
};

template <int P, int Taps, int Step, int Tap, class T>
HWY_INLINE void window_tile(const WindowRow<T>& s, int x) {
    constexpr int B = kBlock<T>;
    Vector<T> acc[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) acc[p] = zero<T>();
    const T* in = s.in + static_cast<std::ptrdiff_t>(x) * Step * B;
    const T* w = s.w;
    for (int r = 0; r < s.rows; r++, in += s.in_row, w += Taps * B) {
#pragma GCC unroll 8
        for (int t = 0; t < Taps; t++) {
            const Vector<T> wt = load(w + t * B);
#pragma GCC unroll 16
            for (int p = 0; p < P; p++) acc[p] = hn::MulAdd(load(in + (p * Step + t * Tap) * B), wt, acc[p]);
        }
    }
    T* out = s.out + static_cast<std::size_t>(x) * s.out_step;
#pragma GCC unroll 16
    for (int p = 0; p < P; p++, out += s.out_step) {
        if (s.add) acc[p] = hn::Add(acc[p], load(out));
        store<T>(acc[p], out);
    }
}

template <int P, int Taps, int Step, int Tap, class T>
HWY_INLINE void window_tiles(const WindowRow<T>& s, int x, int width) {
    for (; x + P <= width; x += P) window_tile<P, Taps, Step, Tap>(s, x);
    if constexpr (P > 1)
        if (x < width) window_tiles<P / 2, Taps, Step, Tap>(s, x, width);
}

template <int Taps, int Step, int Tap, class T>
HWY_NOINLINE void window_row_of(const WindowRow<T>& s, int width) {
    window_tiles<8, Taps, Step, Tap>(s, 0, width);
}

/// One row of `width` outputs, `taps` (1 to 7) of a row of taps, `step` and `tap` 1 or 2 pixels.
template <class T>
void window_row(const WindowRow<T>& s, int taps, int step, int tap, int width) {
    auto of = [&]<int Taps>() {
        if (step == 1 && tap == 1) return window_row_of<Taps, 1, 1>(s, width);
        if (step == 1) return window_row_of<Taps, 1, 2>(s, width);
        if (tap == 1) return window_row_of<Taps, 2, 1>(s, width);
        window_row_of<Taps, 2, 2>(s, width);
    };
    if (taps == 1) return of.template operator()<1>();
    if (taps == 2) return of.template operator()<2>();
    if (taps == 3) return of.template operator()<3>();
    if (taps == 4) return of.template operator()<4>();
    if (taps == 5) return of.template operator()<5>();
    of.template operator()<7>();
}

/// What a weight gradient sums over: dw(r, t) += sum over the pixels (y, x) of in at (y * step + r * tap rows, x * step
/// + t * tap) times dz.
template <class T>
struct WindowGradient {
    const T* in;  // the first tap's pixel of output (0, 0)
    std::size_t in_row;
    const T* dz;
    std::size_t dz_row;
    int height, width;
    T* dw;  // (k, k, kBlock)
};

template <int Rows, int Taps, int Step, int Tap, class T>
HWY_NOINLINE void window_gradient_rows(const WindowGradient<T>& s, int first) {
    constexpr int B = kBlock<T>;
    Vector<T> acc[Rows][Taps];
    T* dw = s.dw + first * Taps * B;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++)
#pragma GCC unroll 8
        for (int t = 0; t < Taps; t++) acc[r][t] = load(dw + (r * Taps + t) * B);
    for (int y = 0; y < s.height; y++) {
        const T* dz = s.dz + y * s.dz_row;
        const T* in[Rows];
#pragma GCC unroll 8
        for (int r = 0; r < Rows; r++)
            in[r] = s.in + (static_cast<std::size_t>(y) * Step + static_cast<std::size_t>(first + r) * Tap) * s.in_row;
        for (int x = 0; x < s.width; x++, dz += B) {
            const Vector<T> g = load(dz);
#pragma GCC unroll 8
            for (int r = 0; r < Rows; r++) {
                // The compiler shall not keep what the next pixel reads too: the sums fill the registers.
                __asm__("" : "+r"(in[r]));
#pragma GCC unroll 8
                for (int t = 0; t < Taps; t++) acc[r][t] = hn::MulAdd(load(in[r] + t * Tap * B), g, acc[r][t]);
                in[r] += Step * B;
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++)
#pragma GCC unroll 8
        for (int t = 0; t < Taps; t++) store<T>(acc[r][t], dw + (r * Taps + t) * B);
}

template <int Taps, int Step, int Tap, class T>
void window_gradient_of(const WindowGradient<T>& s) {
    // As many accumulators as the registers hold beside dz.
    constexpr int kRegisters = HWY_TARGET == HWY_AVX3 ? 28 : 12;
    constexpr int Rows = Taps * Taps <= kRegisters ? Taps : (kRegisters >= 2 * Taps ? kRegisters / Taps : 1);
    for (int r = 0; r + Rows <= Taps; r += Rows) window_gradient_rows<Rows, Taps, Step, Tap>(s, r);
    if constexpr (Taps % Rows != 0) window_gradient_rows<Taps % Rows, Taps, Step, Tap>(s, Taps - Taps % Rows);
}

/// k is 1, 3, 5 or 7; step and tap 1 or 2.
template <class T>
void window_gradient(const WindowGradient<T>& s, int k, int step, int tap) {
    auto of = [&]<int K>() {
        if (step == 1 && tap == 1) return window_gradient_of<K, 1, 1>(s);
        if (step == 1) return window_gradient_of<K, 1, 2>(s);
        if (tap == 1) return window_gradient_of<K, 2, 1>(s);
        window_gradient_of<K, 2, 2>(s);
    };
    if (k == 1) return of.template operator()<1>();
    if (k == 3) return of.template operator()<3>();
    if (k == 5) return of.template operator()<5>();
    of.template operator()<7>();
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
