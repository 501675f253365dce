// How the convolutions of convolve.cuh are cut into blocks.
#pragma once
#include <algorithm>
#include <string>
#include <utility>

#include "kernels/common/tile.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kPixels = 4;
inline constexpr int kConvThreads = 256;                // in a block, at most; two blocks share a multiprocessor
inline constexpr std::size_t kSharedBytes = 48 * 1024;  // what a block may have without asking

/// Pixels of a lattice that a block makes.
struct TileSize {
    int images, h, w;
    int pixels() const { return images * h * w; }
};
/// At most `pixels` of an (n, h, w) lattice, at most 16 in a row; all tiles nearly alike.
inline TileSize tile_size(int n, int h, int w, int pixels) {
    auto parts = [](int size, int limit) { return (size + limit - 1) / limit; };
    const int columns = parts(w, parts(w, std::min(pixels, 16))),
              rows = parts(h, parts(h, std::max(1, pixels / columns)));
    return {rows == h && columns == w ? std::max(1, std::min(n, pixels / (h * w))) : 1, rows, columns};
}

/// One launch: source (n, in_h, in_w, in_c) to (n, out_h, out_w, out_c).
struct ConvTiles {
    int n, in_h, in_w, in_c, out_h, out_w, out_c, k, stride;
    int images, tile_h, tile_w, tiles_y, tiles_x;  // of the first phase, which has the most pixels
    int across, down;                              // threads on channels and on pixels; a block may have more
    int window;                                    // elements of shared memory before the weights
};

/// How many convolutions a launch has, and in how many groups: a block has the same tile of all of a group. Forward
/// they read one source, which it then reads once; backwards they add to one gradient.
struct ConvGroups {
    unsigned convs = 1, groups = 1;
};

struct ConvPlan {
    ConvTiles s;
    dim3 grid;  // of a group
    unsigned threads;
    std::size_t shared_bytes;
    unsigned groups;  // as asked for, or forward as many as there are convolutions
};

/// Of several ways to cut a launch into blocks the one that has a block for each multiprocessor and asks the second
/// cache for the fewest bytes; or else the one with the most blocks. Of those alike the first.
class LeastMoved {
  public:
    /// Blocks of `columns` channels read windows of sources (a gradient's are dy and z) of `element` bytes each, and
    /// weights of `weight`. What tiles share counts for each; the pictures' own edges do not count.
    bool better(const ConvTiles& s, bool is_gradient, const dim3& grid, int columns, const ConvGroups& launch,
                std::size_t element, std::size_t weight) {
        const int phases = is_gradient ? s.stride : 1, apart = is_gradient ? 1 : s.stride;
        const int taps = (s.k + phases - 1) / phases;
        auto lines = [&](int size, int tiles) {
            const int own = (size + phases - 1) / phases * std::min(apart, taps);
            return own + static_cast<double>(tiles - 1) * std::max(0, taps - apart);
        };
        const double source = (is_gradient ? 2.0 * launch.convs : launch.groups) * s.n * lines(s.out_h, s.tiles_y) *
                              lines(s.out_w, s.tiles_x),
                     weights = static_cast<double>(launch.convs) * grid.x * taps * taps * columns;
        const double bytes = (source * static_cast<double>(element) + weights * static_cast<double>(weight)) * grid.y;
        const unsigned blocks = std::min<unsigned>(kBlocks, grid.x * grid.y * grid.z * launch.groups);
        if (blocks < most_ || (blocks == most_ && bytes >= least_)) return false;
        most_ = blocks, least_ = bytes;
        return true;
    }

  private:
    static constexpr unsigned kBlocks = 128;  // nearly the 132 multiprocessors of an H200: batches are powers of two
    unsigned most_ = 0;
    double least_ = 0;
};

/// Depends on shape and launch alone. Forward, `s` is the convolution; with is_gradient it is that too, and dz the
/// source.
template <class T>
ConvPlan plan_convolution(const ConvShape& shape, bool is_gradient, const ConvGroups& launch = {}) {
    constexpr int V = kWide<T>;
    const int out_h = shape.out_h(), out_w = shape.out_w(), stride = shape.stride;
    ConvTiles s = {shape.n, shape.h, shape.w, shape.c_in, out_h, out_w, shape.c_out, shape.k, stride,
                   {},      {},      {},      {},         {},    {},    {},          {}};
    if (is_gradient) {
        std::swap(s.in_h, s.out_h);
        std::swap(s.in_w, s.out_w);
        std::swap(s.in_c, s.out_c);
    }
    const int phases = is_gradient ? stride : 1, step = is_gradient || s.k == 1 ? 1 : stride;
    const int taps = (s.k + phases - 1) / phases;
    const int h = (s.out_h + phases - 1) / phases, w = (s.out_w + phases - 1) / phases;
    const int chunk = std::min(kChunk<T>, (s.in_c + V - 1) / V * V);
    ConvPlan best;
    LeastMoved least;
    auto consider = [&](int across, int pixels) {  // whether it fits
        const TileSize tile = tile_size(s.n, h, w, pixels);
        s.across = across;
        s.down = (tile.pixels() + kPixels - 1) / kPixels;
        if (s.across % 2 == 0 && s.down > 1) s.down += s.down % 2;
        s.window = tile.images * ((tile.h - 1) * step + taps) * ((tile.w - 1) * step + taps) * kPitch<T>;
        const std::size_t bytes =
            std::max((static_cast<std::size_t>(s.window) + taps * taps * chunk * s.across * V) * sizeof(T),
                     static_cast<std::size_t>(s.down) * 2 * s.across * V * sizeof(double));
        if (bytes > kSharedBytes && pixels > 1) return false;
        s.images = tile.images, s.tile_h = tile.h, s.tile_w = tile.w;
        s.tiles_y = (h + tile.h - 1) / tile.h;
        s.tiles_x = (w + tile.w - 1) / tile.w;
        const std::size_t tiles =
            static_cast<std::size_t>((s.n + tile.images - 1) / tile.images) * s.tiles_y * s.tiles_x;
        if (tiles > 0x7fffffffu) throw simt::Error(std::to_string(tiles) + " tiles for one launch, at most 2^31 - 1");
        const dim3 grid(static_cast<unsigned>(tiles),
                        static_cast<unsigned>((s.out_c + s.across * V - 1) / (s.across * V)),
                        static_cast<unsigned>(phases * phases));
        for (const unsigned groups : {launch.groups, is_gradient ? launch.groups : launch.convs})
            if (least.better(s, is_gradient, grid, s.across * V, {launch.convs, groups}, sizeof(T), sizeof(T)))
                best = {s, grid, static_cast<unsigned>((s.across * s.down + 31) / 32 * 32), bytes, groups};
        return true;
    };
    // Blocks of 256 threads and of half as many; smaller ones where the window is too large for either.
    for (int across = std::min(8, (s.out_c + V - 1) / V), parts = across == 8 ? 2 : 1; parts > 0;
         parts--, across /= 2) {
        const int most = across <= 4 ? 256 : 128;
        const bool fits = consider(across, most);
        for (int pixels = most / 2; !consider(across, pixels) && !fits;) pixels /= 2;
    }
    return best;
}

}  // namespace nascent::kernels::gpu
