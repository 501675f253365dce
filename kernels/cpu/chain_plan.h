// Where the scratch of a chain's links lies and how their work is cut. Depends on the shapes alone, never on target or
// threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/chain.h"
#include "kernels/cpu/chunks.h"
#include "kernels/cpu/conv_plan.h"

namespace nascent::kernels {

/// Pixels of a 1x1 convolution that are multiplied together: whole tiles of every target.
inline constexpr int kRun = 72;

/// Pixels in at most 32 chunks, large enough that partial sums of weights, which each chunk has of its own, cost little
/// beside the products.
struct PixelCut {
    std::size_t pixels, size, count;
    explicit PixelCut(std::size_t all) : pixels(all) {
        const std::size_t wanted = std::clamp<std::size_t>(pixels / 192, 1, 32);
        size = round_up(std::max<std::size_t>(1, (pixels + wanted - 1) / wanted), kRun);
        count = std::max<std::size_t>(1, (pixels + size - 1) / size);
    }
    std::size_t begin(int chunk) const { return static_cast<std::size_t>(chunk) * size; }
    std::size_t end(int chunk) const { return std::min(pixels, begin(chunk) + size); }
};

/// Whether a dense (pixels, channels) at `to` is written past the caches: whole lines of a tensor that is read again
/// only when it has long left them, so that its lines need not be fetched to be overwritten.
template <class T>
bool streams(const T* to, std::size_t pixels, int channels) {
    constexpr std::size_t kLarge = std::size_t{16} << 20;
    return pixels * static_cast<std::size_t>(channels) * sizeof(T) >= kLarge && channels % kBlock<T> == 0 &&
           reinterpret_cast<std::uintptr_t>(to) % 64 == 0;
}

/// Weights of a 1x1 convolution are packed in panels two cache lines wide: (panels, rows, kPanel), zeros behind the
/// columns.
template <class T>
inline constexpr int kPanel = 2 * kBlock<T>;
template <class T>
std::size_t panels_size(int rows, int columns) {
    return static_cast<std::size_t>(ceil_div(columns, kPanel<T>)) * kPanel<T> * rows;
}

/// A 1x1 convolution.
template <class T>
struct PointLayout : Layout {
    PixelCut cut;
    int in_blocks, out_blocks, in_padded, out_padded;
    int run;                // pixels
    std::size_t run_block;  // from one block of a run's channels to the next
    std::size_t weights, partials, partial_size = 0, sums, scratch, worker;
    std::size_t leaving = 0, panel = 0, run_sums;  // per worker, behind what enters

    PointLayout(const Stream& stream, const LinkShape& s, bool backward) : cut(s.out_pixels()) {
        constexpr int B = kBlock<T>;
        in_blocks = ceil_div(s.c_in, B), out_blocks = ceil_div(s.c_out, B);
        in_padded = in_blocks * B, out_padded = out_blocks * B;
        // Backward each run adds to all of dw, which should not have to come from afar each time.
        constexpr std::size_t kNear = 128 * 1024;
        const std::size_t dw = sizeof(T) * static_cast<std::size_t>(in_padded) * out_padded;
        run = backward ? kRun * static_cast<int>(std::clamp<std::size_t>(dw / kNear, 1, 3)) : kRun;
        run = static_cast<int>(std::min<std::size_t>(cut.size, run));
        // Of 72, 144 or 216 pixels no multiple of 4 KiB, which would all fall into one set of the first cache.
        run_block = static_cast<std::size_t>(run) * B;
        weights = take(sizeof(T) * (backward ? panels_size<T>(s.c_out, s.c_in) : panels_size<T>(s.c_in, s.c_out)));
        if (backward) partial_size = static_cast<std::size_t>(in_padded) * out_padded;
        partials = take(sizeof(T) * partial_size * cut.count);
        const int summed = backward ? s.c_in : s.c_out, padded = ceil_div(summed, kPanel<T>) * kPanel<T>;
        sums = take(sizeof(double) * 2 * padded * cut.count);
        Layout own;
        own.take(sizeof(T) * run_block * in_blocks);
        if (backward) {
            leaving = own.take(sizeof(T) * run_block * out_blocks);
            panel = own.take(sizeof(T) * static_cast<std::size_t>(run) * kPanel<T>);
        }
        run_sums = own.take(sizeof(T) * 2 * padded);
        worker = own.used;
        scratch = take(worker * static_cast<std::size_t>(stream.workers));
    }
    int summed_padded(int channels) const { return ceil_div(channels, kPanel<T>) * kPanel<T>; }
};

/// Blocks of channels that a depthwise convolution goes through together.
inline constexpr int kGroup = 4;

/// A depthwise convolution: a picture goes by groups of blocks of channels, in strips of rows that stay in the cache.
template <class T>
struct DepthLayout : Layout {
    Chunks images;
    int blocks, group, padded, pad, halo, taps;
    /// How many pixels ahead are asked for as a strip is filled; 0: the next strip's are, between products. Which is
    /// faster has been measured: the former where memory is the limit.
    std::size_t ahead;
    int rows;                                   // of outputs in a strip
    int in_rows, in_row;                        // the strip of inputs, padded: rows, and elements of one
    int dz_rows, dz_row;                        // the strip of dz, with a halo
    std::size_t in_block, dz_block, row_block;  // elements from one block of channels to the next
    std::size_t weights, partials, partial_size = 0, sums, scratch, worker;
    std::size_t dz = 0, row;  // per worker, behind the inputs; the row that is made

    DepthLayout(const Stream& stream, const LinkShape& s, bool backward) : images(s.n) {
        constexpr int B = kBlock<T>, kBudget = 64 * 1024;  // of a block
        blocks = ceil_div(s.c_in, B), padded = blocks * B;
        group = ceil_div(blocks, ceil_div(blocks, kGroup));
        pad = s.k / 2, taps = s.k * s.k;
        halo = ceil_div(pad, s.stride);
        in_row = (s.w + 2 * pad) * B, dz_row = (s.out_w() + 2 * halo) * B;
        const int each = (s.stride * in_row + (backward ? dz_row : 0)) * static_cast<int>(sizeof(T));
        const int fixed = ((s.k - 1) * in_row + (backward ? 2 * halo * dz_row : 0)) * static_cast<int>(sizeof(T));
        rows = std::clamp((kBudget - fixed) / each, std::min(4, s.out_h()), s.out_h());
        rows = ceil_div(s.out_h(), ceil_div(s.out_h(), rows));
        ahead = rows < s.out_h() && (backward || s.stride == 2) ? 64 : 0;
        in_rows = (rows - 1) * s.stride + s.k;
        dz_rows = rows + 2 * halo;
        // A line more, so that blocks do not fall into one set of the first cache.
        in_block = static_cast<std::size_t>(in_rows) * in_row + B;
        dz_block = static_cast<std::size_t>(dz_rows) * dz_row + B;
        row_block = static_cast<std::size_t>(std::max(s.w, s.out_w()) + 1) * B;
        weights = take(sizeof(T) * static_cast<std::size_t>(taps) * padded);
        if (backward) partial_size = static_cast<std::size_t>(taps) * padded;
        partials = take(sizeof(T) * partial_size * static_cast<std::size_t>(images.count));
        sums = take(sizeof(double) * 2 * static_cast<std::size_t>(padded * images.count));
        Layout own;
        own.take(sizeof(T) * in_block * group);
        if (backward) dz = own.take(sizeof(T) * dz_block * group);
        row = own.take(sizeof(T) * row_block * group);
        worker = own.used;
        scratch = take(worker * static_cast<std::size_t>(stream.workers));
    }
};

}  // namespace nascent::kernels
