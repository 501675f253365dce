// The weight gradient's register-tiled loop over input x output channels, compiled once per target; of single pictures
// and of several side by side.
#if defined(NASCENT_KERNELS_CPU_WEIGHT_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_WEIGHT_TILES_INL_H_
#undef NASCENT_KERNELS_CPU_WEIGHT_TILES_INL_H_
#else
#define NASCENT_KERNELS_CPU_WEIGHT_TILES_INL_H_
#endif

#include <algorithm>
#include <span>

#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

// As many accumulators as the registers hold beside operands: input channels of a tile 1 and 2 vectors wide.
#if HWY_TARGET == HWY_AVX3
inline constexpr int kRows1 = 16, kRows2 = 8;
#else
inline constexpr int kRows1 = 8, kRows2 = 4;
#endif

/// Rows and columns of pixels a weight gradient sums over.
template <class T>
struct Window {
    const T* a;  // shifted by the tap, at the block of input channels
    std::size_t a_row;
    const T* dz;
    std::size_t dz_row, dz_block;
    int rows, width;
};

/// dw[i][vector..] += sum over pixels of a[i] * dz: I input channels x V vectors.
template <int I, int V, class T>
HWY_NOINLINE void weight_tile(const Window<T>& s, int i0, int vector, T* dw, std::size_t stride) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    Vector<T> acc[I][V];
#pragma GCC unroll 32
    for (int i = 0; i < I; i++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) acc[i][v] = load(dw + i * stride + v * L);
    const T* first = s.dz + vector * L / B * s.dz_block + vector * L % B;
    const std::ptrdiff_t second = (vector + V - 1) * L / B * s.dz_block + (vector + V - 1) * L % B -
                                  (vector * L / B * s.dz_block + vector * L % B);
    for (int y = 0; y < s.rows; y++) {
        const T* a = s.a + i0 + s.a_row * y;
        const T* g = first + s.dz_row * y;
        for (int x = 0; x < s.width; x++, a += B, g += B) {
            Vector<T> gg[V];
            gg[0] = load(g);
            if constexpr (V == 2) gg[1] = load(g + second);
#pragma GCC unroll 32
            for (int i = 0; i < I; i++) {
                Vector<T> b = set(a[i]);
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) acc[i][v] = hn::MulAdd(b, gg[v], acc[i][v]);
            }
        }
    }
#pragma GCC unroll 32
    for (int i = 0; i < I; i++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) store<T>(acc[i][v], dw + i * stride + v * L);
}

/// One tap, one block of input channels of which `channels` count: dw is (kBlock, stride).
template <class T>
void weight_gradient(const Window<T>& s, int channels, int vectors, T* dw, std::size_t stride) {
    constexpr int L = kLanes<T>, B = kBlock<T>, R1 = std::min(kRows1, B), R2 = std::min(kRows2, B);
    int v = 0;
    for (; v + 2 <= vectors; v += 2)
        for (int i = 0; i < channels; i += R2) weight_tile<R2, 2>(s, i, v, dw + i * stride + v * L, stride);
    if (v < vectors)
        for (int i = 0; i < channels; i += R1) {
            if (channels - i <= 4)
                weight_tile<4, 1>(s, i, v, dw + i * stride + v * L, stride);
            else
                weight_tile<R1, 1>(s, i, v, dw + i * stride + v * L, stride);
        }
}

/// A row of a weight gradient of pictures side by side: where its channel lies from the window's start on, and where it
/// goes.
struct GroupRow {
    std::ptrdiff_t a, dw;
};

/// dw[row][vector..] += sum over pixels of the row's channel times dz: I rows x V vectors, F pictures.
template <int I, int V, int F, class T>
HWY_NOINLINE void group_weight_tile(const Window<T>& s, const GroupRow* rows, int vector, T* dw) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    Vector<T> acc[I][V];
    std::ptrdiff_t at[I], dz[V];
#pragma GCC unroll 12
    for (int i = 0; i < I; i++) {
        at[i] = rows[i].a;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) acc[i][v] = load(dw + rows[i].dw + (vector + v) * L);
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; v++)
        dz[v] = static_cast<std::ptrdiff_t>((vector + v) * L / B * s.dz_block) + (vector + v) * L % B;
    for (int y = 0; y < s.rows; y++) {
        const T* a = s.a + s.a_row * y;
        const T* g = s.dz + s.dz_row * y;
        for (int x = 0; x < s.width; x++, a += B, g += B) {
            Vector<T> gg[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) gg[v] = load(g + dz[v]);
#pragma GCC unroll 12
            for (int i = 0; i < I; i++) {
                if constexpr (F <= L) {
                    const Vector<T> b = load_group<F>(a + at[i], 0);
#pragma GCC unroll 4
                    for (int v = 0; v < V; v++) acc[i][v] = hn::MulAdd(b, gg[v], acc[i][v]);
                } else {
#pragma GCC unroll 4
                    for (int v = 0; v < V; v++)
                        acc[i][v] = hn::MulAdd(load_group<F>(a + at[i], (vector + v) * L), gg[v], acc[i][v]);
                }
            }
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < I; i++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) store<T>(acc[i][v], dw + rows[i].dw + (vector + v) * L);
}

/// dw of three neighbouring taps, I channels, one vector wide: an `a` that is read goes to all three, so dz has a
/// column of zeros on either side. `a` is the first tap's, rows[i] of its channels; taps lie `tap` elements apart in
/// dw.
template <int I, int F, class T>
HWY_NOINLINE void three_weight_tile(const Window<T>& s, const GroupRow* rows, std::ptrdiff_t tap, int vector, T* dw) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    Vector<T> acc[3][I];
    std::ptrdiff_t at[I];
#pragma GCC unroll 4
    for (int i = 0; i < I; i++) {
        at[i] = rows[i].a;
#pragma GCC unroll 3
        for (int t = 0; t < 3; t++) acc[t][i] = load(dw + rows[i].dw + t * tap + vector * L);
    }
    const T* const first = s.dz + vector * L / B * static_cast<std::ptrdiff_t>(s.dz_block) + vector * L % B;
    for (int y = 0; y < s.rows; y++) {
        const T* a = s.a + s.a_row * y;
        const T* g = first + s.dz_row * y;
        for (int x = 0; x < s.width + 2; x++, a += B, g += B) {
            Vector<T> gg[3];
#pragma GCC unroll 3
            for (int t = 0; t < 3; t++) gg[t] = load(g - t * B);
#pragma GCC unroll 4
            for (int i = 0; i < I; i++) {
                const Vector<T> b = load_group<F>(a + at[i], 0);
#pragma GCC unroll 3
                for (int t = 0; t < 3; t++) acc[t][i] = hn::MulAdd(b, gg[t], acc[t][i]);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < I; i++)
#pragma GCC unroll 3
        for (int t = 0; t < 3; t++) store<T>(acc[t][i], dw + rows[i].dw + t * tap + vector * L);
}

template <int V, int F, class T>
void group_weight_rows(const Window<T>& s, std::span<const GroupRow> rows, int vector, T* dw) {
    // 9 taps of 4 or 8 channels are three or six times 12 rows.
    constexpr int most = HWY_TARGET == HWY_AVX3 ? V == 3 ? 6 : V == 2 ? 8 : 12 : V == 1 ? 8 : 4;
    std::size_t i = 0;
    for (; i + most <= rows.size(); i += most) group_weight_tile<most, V, F>(s, &rows[i], vector, dw);
    if constexpr (most > 4)
        for (; i + 4 <= rows.size(); i += 4) group_weight_tile<4, V, F>(s, &rows[i], vector, dw);
    for (; i + 2 <= rows.size(); i += 2) group_weight_tile<2, V, F>(s, &rows[i], vector, dw);
    if (i < rows.size()) group_weight_tile<1, V, F>(s, &rows[i], vector, dw);
}
template <int F, class T>
void three_weight_rows(const Window<T>& s, std::span<const GroupRow> rows, int channels, int vector, T* dw) {
    const auto step = static_cast<std::size_t>(channels);
    for (std::size_t t = 0; t < rows.size(); t += 3 * step) {
        const GroupRow* const of_row = &rows[t];
        const std::ptrdiff_t tap = of_row[step].dw - of_row[0].dw;
        std::size_t i = 0;
        for (; i + 4 <= step; i += 4) three_weight_tile<4, F>(s, of_row + i, tap, vector, dw);
        for (; i + 2 <= step; i += 2) three_weight_tile<2, F>(s, of_row + i, tap, vector, dw);
        if (i < step) three_weight_tile<1, F>(s, of_row + i, tap, vector, dw);
    }
}
/// The window's `a` is any place that the rows' are relative to. With `three` > 0 the rows are those of taps, of as
/// many channels each, three by three neighbours, and dz has a column of zeros on either side.
template <class T>
void group_weight_gradient(const Window<T>& s, int group, std::span<const GroupRow> rows, int vectors, T* dw,
                           int three = 0) {
    auto of = [&]<int F>() {
        int v = 0;
        for (; v + 3 <= vectors; v += 3) group_weight_rows<3, F>(s, rows, v, dw);
        if (v + 2 == vectors) group_weight_rows<2, F>(s, rows, v, dw);
        if (v + 1 != vectors) return;
        if constexpr (F <= kLanes<T>)
            if (three > 0) return three_weight_rows<F>(s, rows, three, v, dw);
        group_weight_rows<1, F>(s, rows, v, dw);
    };
    if (group == 2) of.template operator()<2>();
    if (group == 4) of.template operator()<4>();
    if (group == 8) of.template operator()<8>();
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
