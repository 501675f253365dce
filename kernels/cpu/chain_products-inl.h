// 1x1 convolutions of a chain: pixels in blocks times weights in panels, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_CHAIN_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_CHAIN_PRODUCTS_INL_H_
#undef NASCENT_KERNELS_CPU_CHAIN_PRODUCTS_INL_H_
#else
#define NASCENT_KERNELS_CPU_CHAIN_PRODUCTS_INL_H_
#endif

#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/chain_rows-inl.h"
#include "kernels/cpu/conv_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3
inline constexpr int kPanelPixels = 12;
#else
inline constexpr int kPanelPixels = 6;
#endif

/// Pixels (blocks, .., kBlock) that a panel multiplies.
template <class T>
struct PanelInput {
    const T* a;
    std::size_t block;  // elements from one block of channels to the next
    int channels;
    const T* w;  // (channels, kPanel)
    Ahead* ahead;
    int lines;  // to ask for with every tile's block of channels
};

template <int P, int V, class T, class Store>
HWY_INLINE void panel_tile(const PanelInput<T>& s, int x, int lane, int vector, const Store& out) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    Vector<T> acc[P][V];
#pragma GCC unroll 32
    for (int p = 0; p < P; p++)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) acc[p][v] = zero<T>();
    const T* w = s.w + lane;
    const T* block = s.a + static_cast<std::ptrdiff_t>(x) * B;
    for (int left = s.channels; left > 0; left -= B, block += s.block) {
        const T* pixel = block;
        const int channels = std::min(left, B);
        s.ahead->step(s.lines);
#pragma GCC unroll 2
        for (int c = 0; c < channels; c++, pixel++, w += kPanel<T>) {
            Vector<T> ww[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) ww[v] = load(w + v * L);
#pragma GCC unroll 32
            for (int p = 0; p < P; p++) {
                const Vector<T> b = set(pixel[p * B]);
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) acc[p][v] = hn::MulAdd(b, ww[v], acc[p][v]);
            }
        }
    }
    out.template operator()<P, V>(acc, x, vector);
}

template <int P, int V, class T, class Store>
HWY_NOINLINE void panel_tiles(const PanelInput<T>& s, int x, int end, int lane, int vector, const Store& out) {
    for (; x + P <= end; x += P) panel_tile<P, V>(s, x, lane, vector, out);
    if constexpr (P > 1)
        if (x < end) panel_tiles<P / 2, V>(s, x, end, lane, vector, out);
}

/// `width` pixels times one panel, of which `columns` count; `first` is the panel's first column to the store.
template <class T, class Store>
void panel_product(const PanelInput<T>& s, int width, int columns, int first, const Store& out) {
    constexpr int L = kLanes<T>;
    const int vectors = ceil_div(columns, L);
    int v = 0;
    for (; v + 2 <= vectors; v += 2) panel_tiles<kPanelPixels, 2>(s, 0, width, v * L, first / L + v, out);
    if (v < vectors) panel_tiles<kPixels1, 1>(s, 0, width, v * L, first / L + v, out);
}

/// A panel's product, pixels kPanel elements apart.
template <class T>
struct StorePanel {
    T* to;
    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int x, int vector) const {
        T* q = to + static_cast<std::ptrdiff_t>(x) * kPanel<T> + vector * kLanes<T>;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
#pragma GCC unroll 32
            for (int p = 0; p < P; p++) store<T>(acc[p][v], q + p * kPanel<T> + v * kLanes<T>);
    }
};

/// A panel's product to a target with sums, `count` channels from those that x, da, scale, shift and sums begin with
/// on.
template <Activation A, class T>
struct FinishPanel {
    Channels<const T> x;
    Channels<T> da;
    const T *scale, *shift;
    int count;
    T* sums;  // and of products, `stride` further on
    int stride;
    bool stream;
    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int first, int vector) const {
        constexpr int L = kLanes<T>;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int i = (vector + v) * L, lanes = count - i;
            const Affine<T> affine(scale, shift, i, lanes);
            const T* p = x.x + static_cast<std::ptrdiff_t>(first) * x.pixel + i;
            T* q = da.x + static_cast<std::ptrdiff_t>(first) * da.pixel + i;
            Vector<T> sum = load(sums + i), product = load(sums + stride + i);
#pragma GCC unroll 32
            for (int k = 0; k < P; k++, p += x.pixel, q += da.pixel) {
                hwy::Prefetch(p + P * x.pixel);  // of the next tile
                const Vector<T> raw = load_first(p, lanes), masked = mask<A, T>(affine(raw), acc[k][v]);
                sum = hn::Add(sum, masked);
                product = hn::MulAdd(masked, raw, product);
                put_first<T>(masked, q, lanes, stream);
            }
            store<T>(sum, sums + i), store<T>(product, sums + stride + i);
        }
    }
};

/// w (rows, columns) or, transposed, (columns, rows) to panels.
template <class T>
void pack_panels(const T* w, int rows, int columns, bool transposed, T* to) {
    constexpr int W = kPanel<T>;
    for (int first = 0; first < columns; first += W)
        for (int r = 0; r < rows; r++, to += W) {
            const int count = std::min(W, columns - first);
            if (transposed)
                for (int c = 0; c < count; c++) to[c] = w[static_cast<std::size_t>(first + c) * rows + r];
            else
                std::copy_n(w + static_cast<std::size_t>(r) * columns + first, count, to);
            std::fill(to + count, to + W, T(0));
        }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
