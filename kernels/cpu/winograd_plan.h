// How a convolution by Winograd's algorithm is cut and where its scratch lies. Depends on the shape alone, never on
// target or threads.
#pragma once
#include "kernels/cpu/conv_plan.h"

namespace nascent::kernels {

/// Outputs are made in tiles of kTile x kTile from kPoints x kPoints inputs: F(4x4, 3x3).
inline constexpr int kTile = 4, kPoints = 6, kPositions = kPoints * kPoints;
/// The points are 0, +-kPointA, +-kPointB and infinity.
inline constexpr double kPointA = 0.75, kPointB = 1.5;

struct WinogradPlan {
    ConvShape s;
    int tiles_y, tiles_x;                       // of a picture; the last ones may stand over its edge
    int group_images, group_rows, group_tiles;  // what is transformed and multiplied together
    int chunks, images_per_chunk;
    int ci_padded, co_padded;
    Plane a, dz;  // the prologue's output, the gradient of z; zero around the picture, also beyond an edge tile

    WinogradPlan(const ConvShape& shape, std::size_t element)
        : s(shape),
          tiles_y(ceil_div(s.h, kTile)),
          tiles_x(ceil_div(s.w, kTile)),
          a(tiles_y * kTile, tiles_x * kTile, s.c_in, 1, 1, static_cast<int>(64 / element)),
          dz(tiles_y * kTile, tiles_x * kTile, s.c_out, 1, 1, static_cast<int>(64 / element)) {
        // Enough tiles to use a matrix of transformed weights several times while it is in the first cache, few enough
        // for the tiles to stay in the second.
        const int tiles = tiles_y * tiles_x, wanted = 16;
        group_images = std::max(1, wanted / tiles);
        group_rows = tiles <= wanted ? tiles_y : std::max(1, wanted / tiles_x);
        group_tiles = group_images * group_rows * tiles_x;
        images_per_chunk = ceil_div(std::max(1, ceil_div(s.n, 32)), group_images) * group_images;
        chunks = ceil_div(s.n, images_per_chunk);
        ci_padded = a.blocks * a.block;
        co_padded = dz.blocks * dz.block;
    }

    /// Elements from one position to the next in transformed tensors: one cache line more than the power of two that
    /// would put all positions into the same set of the cache.
    std::size_t tile_stride(int channels_padded) const {
        return static_cast<std::size_t>(group_tiles) * channels_padded + a.block;
    }
    std::size_t weight_stride(int in, int out_padded) const {
        return static_cast<std::size_t>(in) * out_padded + a.block;
    }
    /// Products before the transform back, two vectors wide; also a block of the weights' gradient, at most 16 x 1 or
    /// 8 x 2 vectors.
    std::size_t products() const {
        return kPositions * (static_cast<std::size_t>(std::max(group_tiles, 8)) * 2 * a.block + a.block);
    }

    /// Whether conv_forward and conv_backward take this way on a stream that allows it. Fewer channels do not pay for
    /// the transforms.
    static bool applies(const ConvShape& s) {
        return s.k == 3 && s.stride == 1 && s.c_in >= 8 && s.c_out >= 8 && s.fold == 1;
    }
};

struct WinogradForwardLayout : Layout {
    std::size_t u, partials, scratch, v, m, sums, scratch_size;
    WinogradForwardLayout(const WinogradPlan& p, std::size_t element, int workers) {
        u = take(kPositions * p.weight_stride(p.s.c_in, p.co_padded) * element);
        partials = take(static_cast<std::size_t>(p.chunks) * 2 * p.co_padded * sizeof(double));
        Layout own;  // per worker: plane, transformed tiles, products, two rows of sums
        own.take(p.a.size() * element);
        v = own.take(kPositions * p.tile_stride(p.ci_padded) * element);
        m = own.take(p.products() * element);
        sums = own.take(std::size_t{2} * p.co_padded * element);
        scratch_size = own.used;
        scratch = take(scratch_size * workers);
    }
};

struct WinogradBackwardLayout : Layout {
    std::size_t w, u, partials, partial_size, scratch, dz, va, v, d, m, scratch_size;
    WinogradBackwardLayout(const WinogradPlan& p, std::size_t element, int workers) {
        w = take(std::size_t{9} * p.s.c_out * p.ci_padded * element);
        u = take(kPositions * p.weight_stride(p.s.c_out, p.ci_padded) * element);
        partial_size = std::size_t{9} * p.ci_padded * p.co_padded;  // elements
        partials = take(p.chunks * partial_size * element);
        Layout own;  // per worker: both planes, tiles of both and the gradient at the points, products
        own.take(p.a.size() * element);
        dz = own.take(p.dz.size() * element);
        va = own.take(kPositions * p.tile_stride(p.ci_padded) * element);
        v = own.take(kPositions * p.tile_stride(p.co_padded) * element);
        d = own.take(kPositions * p.tile_stride(p.co_padded) * element);
        m = own.take(p.products() * element);
        scratch_size = own.used;
        scratch = take(scratch_size * workers);
    }
};

}  // namespace nascent::kernels
