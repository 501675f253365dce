// Winograd's tiles between padded planes, points and tensors, and the products at the points, compiled once per target.
#if defined(NASCENT_KERNELS_CPU_WINOGRAD_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_WINOGRAD_TILES_INL_H_
#undef NASCENT_KERNELS_CPU_WINOGRAD_TILES_INL_H_
#else
#define NASCENT_KERNELS_CPU_WINOGRAD_TILES_INL_H_
#endif

#include "kernels/cpu/conv_fill-inl.h"
#include "kernels/cpu/conv_tiles-inl.h"
#include "kernels/cpu/weight_tiles-inl.h"
#include "kernels/cpu/winograd_transforms-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Element (y, x) of a grid of vectors in memory, to be read or written.
template <class T>
struct From {
    const T* first;
    std::size_t row, column;
    HWY_INLINE Vector<T> operator()(int y, int x) const { return load(first + y * row + x * column); }
};
template <class T>
struct To {
    T* first;
    std::size_t row, column;
    HWY_INLINE void operator()(int y, int x, Vector<T> v) const { store<T>(v, first + y * row + x * column); }
};
template <class T>
struct AddTo {
    T* first;
    std::size_t row, column;
    HWY_INLINE void operator()(int y, int x, Vector<T> v) const {
        T* to = first + y * row + x * column;
        store<T>(hn::Add(load(to), v), to);
    }
};

/// Tiles of some rows of a plane, at the points: to is (position, block, tile, kBlock). With InputTransform a tile is
/// the 6x6 pixels around it, with GradientTransform the 4x4 inside.
template <class Transform, class T>
HWY_NOINLINE void tiles_to_points(const WinogradPlan& p, const Plane& plane, int channels, const T* from, int row0,
                                  T* to, std::size_t stride) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const int inside = Transform::kFrom == kTile ? 1 : 0;
    for (int y = 0; y < p.group_rows && row0 + y < p.tiles_y; y++)
        for (int c = 0; c < channels; c += L) {
            const std::size_t block = static_cast<std::size_t>(c / B);
            const T* pixel = from + plane.at((row0 + y) * kTile + inside, inside) + block * plane.block_size + c % B;
            T* at = to + (block * p.group_tiles + static_cast<std::size_t>(y) * p.tiles_x) * B + c % B;
            for (int x = 0; x < p.tiles_x; x++, pixel += kTile * B, at += B)
                transform<Transform, T>(From<T>{pixel, plane.row, B}, To<T>{at, kPoints * stride, stride});
        }
}

/// Products of a tile as they leave the registers: (tile, width) of one position.
template <class T>
struct StoreProducts {
    T* m;
    int first, width;  // vector at m; elements from tile to tile
    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int x, int vector) const {
        T* to = m + static_cast<std::ptrdiff_t>(x) * width + (vector - first) * kLanes<T>;
#pragma GCC unroll 32
        for (int p = 0; p < P; p++)
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) store<T>(acc[p][v], to + p * width + v * kLanes<T>);
    }
};

/// One or two vectors of output channels at every position: m is (position, tile, vectors).
template <class T>
HWY_NOINLINE void multiply(const WinogradPlan& p, const T* v, int channels, int channels_padded, const T* u,
                           int out_padded, int tiles, int vector, int vectors, T* m, std::size_t m_stride) {
    Taps<T> taps;
    taps.count = 1;
    taps.channels = channels;
    taps.block_size = static_cast<std::size_t>(p.group_tiles) * kBlock<T>;
    taps.stride = static_cast<std::size_t>(out_padded);
    for (int i = 0; i < kPositions; i++) {
        taps.w[0] = u + i * p.weight_stride(channels, out_padded);
        const T* in = v + i * p.tile_stride(channels_padded);
        const StoreProducts<T> out{m + i * m_stride, vector, vectors * kLanes<T>};
        if (vectors == 2)
            HWY_NAMESPACE::tiles<kPixels2, 2>(taps, in, 0, tiles, vector, out);
        else
            HWY_NAMESPACE::tiles<kPixels1, 1>(taps, in, 0, tiles, vector, out);
    }
}

/// z and its sums, as StoreZ, for one or two vectors of channels of one picture.
template <class T>
struct WinogradStoreZ {
    T* z;               // the picture's first pixel at the first vector's first channel
    int row, channels;  // elements from row to row and from pixel to pixel
    int left;           // channels from the first vector's first on
    T* sums;            // of the first vector, or null
    std::size_t padded;

    struct Tile {
        const WinogradStoreZ& to;
        T* first;
        int left, rows, columns;
        Vector<T>*sum, *square;
        HWY_INLINE void operator()(int y, int x, Vector<T> v) const {
            if (y >= rows || x >= columns) return;
            store_first<T>(v, first + static_cast<std::ptrdiff_t>(y) * to.row + x * to.channels, left);
            if (!to.sums) return;
            sum[x % 2] = hn::Add(sum[x % 2], v);
            square[x % 2] = hn::MulAdd(v, v, square[x % 2]);
        }
    };
    HWY_INLINE void tile(const From<T>& products, int vector, int y, int x, int rows, int columns) const {
        const int c = vector * kLanes<T>;
        Vector<T> sum[2] = {zero<T>(), zero<T>()}, square[2] = {zero<T>(), zero<T>()};
        T* first = z + static_cast<std::ptrdiff_t>(y) * row + x * channels + c;
        transform<OutputTransform<T>, T>(products, Tile{*this, first, left - c, rows, columns, sum, square});
        if (!sums) return;
        store<T>(hn::Add(load(sums + c), hn::Add(sum[0], sum[1])), sums + c);
        store<T>(hn::Add(load(sums + padded + c), hn::Add(square[0], square[1])), sums + padded + c);
    }
};

/// The data gradient, as StoreGradient, for one or two vectors of channels of one picture.
template <class T>
struct WinogradStoreGradient {
    T* da;
    int row, channels, left;
    bool accumulate;
    FillA<T> fill;     // gives the mask
    std::size_t base;  // of da in the tensor
    typename FillA<T>::Constants constants[2];

    struct Tile {
        const WinogradStoreGradient& to;
        const typename FillA<T>::Constants& constants;
        std::ptrdiff_t first;
        int left, rows, columns;
        HWY_INLINE void operator()(int y, int x, Vector<T> v) const {
            if (y >= rows || x >= columns) return;
            const std::ptrdiff_t at = first + static_cast<std::ptrdiff_t>(y) * to.row + x * to.channels;
            if (to.fill.prologue.relu)
                v = where_positive<T>(to.fill(constants, to.base + static_cast<std::size_t>(at), left), v);
            if (to.accumulate) v = hn::Add(load_first(to.da + at, left), v);
            store_first<T>(v, to.da + at, left);
        }
    };
    HWY_INLINE void tile(const From<T>& products, int vector, int y, int x, int rows, int columns) const {
        const int c = vector * kLanes<T>;
        const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(y) * row + x * channels + c;
        transform<OutputTransform<T>, T>(products, Tile{*this, constants[vector], first, left - c, rows, columns});
    }
};

/// Products of one picture's tiles, one or two vectors of channels, to pixels.
template <class T, class Store>
HWY_NOINLINE void points_to_tiles(const WinogradPlan& p, const T* m, std::size_t m_stride, int vectors, int row0,
                                  const Store& to) {
    for (int ty = row0; ty < std::min(p.tiles_y, row0 + p.group_rows); ty++)
        for (int tx = 0; tx < p.tiles_x; tx++)
            for (int v = 0; v < vectors; v++, m += kLanes<T>) {
                const From<T> products{m, kPoints * m_stride, m_stride};
                const int rows = std::min(kTile, p.s.h - ty * kTile), columns = std::min(kTile, p.s.w - tx * kTile);
                if (rows == kTile && columns == kTile)
                    to.tile(products, v, ty * kTile, tx * kTile, kTile, kTile);  // constants: no question per pixel
                else
                    to.tile(products, v, ty * kTile, tx * kTile, rows, columns);
            }
}

/// I input channels x V vectors of the weights' gradient, at the points and back, added to dw (tap, in, out).
template <int I, int V, class T>
HWY_NOINLINE void weights_from_points(const WinogradPlan& p, const T* v, const T* d, int tiles, int i0, int vector,
                                      T* m, T* dw) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    std::fill_n(m, kPositions * I * V * L, T(0));
    const std::size_t block = static_cast<std::size_t>(p.group_tiles) * B;
    for (int i = 0; i < kPositions; i++) {
        const Window<T> window{v + i * p.tile_stride(p.ci_padded) + i0 / B * block,
                               0,
                               d + i * p.tile_stride(p.co_padded),
                               0,
                               block,
                               1,
                               tiles};
        weight_tile<I, V>(window, i0 % B, vector, m + i * I * V * L, V * L);
    }
    for (int i = 0; i < I; i++)
        for (int c = 0; c < V; c++) {
            T* to = dw + static_cast<std::size_t>(i0 + i) * p.co_padded + (vector + c) * L;
            const std::size_t tap = static_cast<std::size_t>(p.ci_padded) * p.co_padded;
            transform<WeightGradientTransform<T>, T>(From<T>{m + (i * V + c) * L, kPoints * I * V * L, I * V * L},
                                                     AddTo<T>{to, 3 * tap, tap});
        }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
