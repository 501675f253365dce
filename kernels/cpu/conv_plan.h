// How a convolution's work is cut and where its scratch lies. Depends on the shape alone, never on target or threads.
#pragma once
#include <algorithm>
#include <cstddef>

#include "kernels/conv.h"

namespace nascent::kernels {

/// Scratch planes hold channels in blocks of one cache line: (block, row, column, kBlock). Pixels are then a constant
/// stride apart whatever the channel count, and every load from a plane is aligned.
template <class T>
inline constexpr int kBlock = static_cast<int>(64 / sizeof(T));

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }
inline std::size_t round_up(std::size_t a, std::size_t b) { return (a + b - 1) / b * b; }

/// Where pixel (y, x) of one image lies in a padded plane. With stride 2 even columns come first, then the odd ones, so
/// that pixels a stride apart are neighbours.
struct Plane {
    int pad = 0, stride = 1, half = 0;    // half: columns per parity
    int rows = 0, blocks = 0, block = 1;  // padded rows; channel blocks; elements of a pixel's block
    std::size_t row = 0, block_size = 0;  // elements from row to row and from block to block

    Plane(int h, int w, int channels, int padding, int step, int block_elements)
        : pad(padding), stride(step), block(block_elements) {
        half = ceil_div(w + 2 * pad, stride);
        rows = h + 2 * pad;
        blocks = ceil_div(channels, block);
        row = static_cast<std::size_t>(half) * stride * block;
        block_size = row * rows;
    }
    std::size_t size() const { return block_size * blocks; }
    /// Of a column counted from the padding's left edge.
    std::size_t column(int x) const { return static_cast<std::size_t>(x % stride * half + x / stride) * block; }
    std::size_t at(int y, int x) const { return row * y + column(x); }
};

template <class T>
T* at_bytes(void* base, std::size_t offset) {
    return reinterpret_cast<T*>(static_cast<char*>(base) + offset);
}

/// Byte offsets into a workspace.
struct Layout {
    std::size_t used = 0;
    std::size_t take(std::size_t bytes) {
        std::size_t at = used;
        used += round_up(bytes, 64);
        return at;
    }
};

struct ConvPlan {
    ConvShape s;
    int oh, ow, pad;
    int chunks, images_per_chunk;  // images are cut into at most 32 chunks
    int block;                     // elements of a cache line
    int ci_padded, co_padded;
    Plane a;   // the prologue's output
    Plane dz;  // the gradient of z

    ConvPlan(const ConvShape& shape, std::size_t element)
        : s(normalised(shape, element)),
          oh(s.out_h()),
          ow(s.out_w()),
          pad(s.k / 2),
          block(static_cast<int>(64 / element)),
          a(s.h, s.w, s.in(), pad, s.stride, block),
          dz(oh, ow, s.out(), pad, 1, block) {
        images_per_chunk = std::max(1, ceil_div(s.n, 32));
        chunks = ceil_div(s.n, images_per_chunk);
        ci_padded = a.blocks * block;
        co_padded = dz.blocks * block;
    }

    std::size_t taps() const { return static_cast<std::size_t>(s.k) * s.k; }

    /// A 1x1 convolution knows no neighbours: it is cut into images of rows of 64 pixels, few enough for the first
    /// cache.
    static ConvShape normalised(ConvShape s, std::size_t element) {
        const std::size_t pixels = static_cast<std::size_t>(s.n) * s.h * s.w;
        if (s.k != 1 || s.stride != 1 || pixels % 64 != 0) return s;
        const std::size_t row_bytes = 64 * element * (s.in() + s.out());
        const int rows = static_cast<int>(pixels / 64);
        s.h = 1, s.w = 64;
        while (rows % (2 * s.h) == 0 && 2 * s.h * row_bytes <= 32768) s.h *= 2;
        s.n = rows / s.h;
        return s;
    }
};

/// `count` convolutions of one x.
struct ForwardLayout : Layout {
    std::size_t w, w_size, partials, scratch, sums, scratch_size;
    ForwardLayout(const ConvPlan& p, std::size_t element, int workers, std::size_t count) {
        w_size = round_up(p.taps() * p.s.c_in * p.co_padded * element, 64);
        w = take(count * w_size);
        partials = take(count * static_cast<std::size_t>(p.chunks) * 2 * p.co_padded * sizeof(double));
        Layout own;  // per worker: the plane, then two rows of sums
        own.take(p.a.size() * element);
        sums = own.take(std::size_t{2} * p.co_padded * element);
        scratch_size = own.used;
        scratch = take(scratch_size * workers);
    }
};

struct BackwardLayout : Layout {
    std::size_t w, w_size, by_input, partials, partial_size, scratch, dz, dy, scratch_size;
    BackwardLayout(const ConvPlan& p, std::size_t element, int workers, std::size_t count) {
        w_size = round_up(p.taps() * p.s.c_out * p.ci_padded * element, 64);
        w = take(count * w_size);
        by_input = take(static_cast<std::size_t>(p.s.c_in + 1) * p.ci_padded * element);
        partial_size = p.taps() * p.ci_padded * p.co_padded;  // elements
        partials = take(count * static_cast<std::size_t>(p.chunks) * partial_size * element);
        Layout own;
        own.take(p.a.size() * element);
        dz = own.take(p.dz.size() * element);
        dy = own.take(count > 1 ? p.dz.size() * element : 0);  // beside a dz: for a 1x1 whose z is not stored
        scratch_size = own.used;
        scratch = take(scratch_size * workers);
    }
};

}  // namespace nascent::kernels
