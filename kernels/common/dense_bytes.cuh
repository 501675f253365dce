// How much the kernels of dense.cuh and dense_gradient.cuh read and write, counted from their tiles. For the host, over
// the emulator.
#pragma once
#include "kernels/common/dense_gradient.cuh"

namespace nascent::kernels::gpu {

/// Bytes. What the blocks ask of a tensor counts as often as it is asked for, also where a cache has it. `least`: what
/// so many blocks must move, whatever each does (docs/performance.md); 0: not known.
struct DenseBytes {
    double moved = 0, needed = 0, least = 0;
};

/// Elements per channel of a source that the blocks of one part of the channels fetch, in all phases.
template <bool IsGradient>
double fetched_pixels(const DensePlan& plan) {
    const ConvTiles& s = plan.d.s;
    const int phases = IsGradient ? s.stride : 1;
    // Of rows, or columns: those inside the picture, of all tiles; a tile that has no output reads nothing.
    auto lines = [&](int size, int out_size, int tile, int tiles) {
        double sum = 0;
        for (int phase = 0; phase < phases; phase++) {
            const Axis a = axis<IsGradient>(s, phase, out_size);
            const int step = !IsGradient && s.k == 1 ? s.stride : 1, apart = IsGradient || s.k == 1 ? 1 : s.stride;
            for (int t = 0; t < tiles && t * tile < a.size && a.taps > 0; t++) {
                const int first = t * tile * (IsGradient ? 1 : s.stride) + a.origin;
                for (int i = 0; i < (tile - 1) * apart + a.taps; i++)
                    sum += first + i * step >= 0 && first + i * step < size;
            }
        }
        return sum;
    };
    return lines(s.in_h, s.out_h, s.tile_h, s.tiles_y) * lines(s.in_w, s.out_w, s.tile_w, s.tiles_x) * s.n;
}

/// A forward, or an input's gradient. `sources`: tensors like what is convolved that it reads; `sinks`: like what it
/// writes, those it reads too.
template <bool IsGradient>
DenseBytes dense_bytes(const ConvShape& shape, int sources, int sinks, bool sums) {
    const DensePlan plan = plan_dense(flattened(shape), IsGradient);
    const ConvTiles& s = plan.d.s;
    const double source = static_cast<double>(s.n) * s.in_h * s.in_w * s.in_c,
                 sink = static_cast<double>(s.n) * s.out_h * s.out_w * s.out_c,
                 w = static_cast<double>(s.k * s.k) * s.in_c * s.out_c;
    const double partials = sums ? 2.0 * 2 * sizeof(double) * plan.grid.x * s.out_c : 0;  // written and read
    // A block's products of one tap are `each`; see above.
    const double blocks = static_cast<double>(plan.grid.x) * plan.grid.y * plan.grid.z,
                 each = static_cast<double>(shape.pixels()) * s.in_c * s.out_c / blocks;
    return {4 * (sources * fetched_pixels<IsGradient>(plan) * s.in_c * plan.grid.y + sinks * sink + w * plan.grid.x) +
                partials,
            4 * (sources * source + sinks * sink + w),
            4 * blocks * 3 * std::cbrt(sources * sinks * s.k * s.k * each * each)};
}

/// A weights' gradient; dz is made of `gradients` tensors.
inline DenseBytes dense_gradient_bytes(const ConvShape& shape, int gradients) {
    const ConvShape flat = flattened(shape);
    const DenseGradientPlan plan = plan_dense_gradient(flat);
    const DenseGradientTiles& s = plan.s;
    auto lines = [&](int size, int tile, int tiles) {
        const int step = flat.k == 1 ? flat.stride : 1, apart = flat.k == 1 ? 1 : flat.stride;
        double sum = 0;
        for (int t = 0; t < tiles; t++)
            for (int i = 0; i < (tile - 1) * apart + flat.k; i++) {
                const int at = t * tile * flat.stride - flat.k / 2 + i * step;
                sum += at >= 0 && at < size;
            }
        return sum;
    };
    const double x = static_cast<double>(s.n) * s.h * s.w * s.c_in,
                 dz = static_cast<double>(s.n) * s.out_h * s.out_w * s.c_out * gradients,
                 w = static_cast<double>(flat.k * flat.k) * s.c_in * s.c_out;
    const double fetched = lines(s.h, s.tile_h, s.tiles_y) * lines(s.w, s.tile_w, s.tiles_x) * s.n * s.c_in;
    return {4 * (fetched * plan.grid.z + dz * plan.grid.y + 2 * w * plan.grid.x + w), 4 * (x + dz + w), 0};
}

}  // namespace nascent::kernels::gpu
