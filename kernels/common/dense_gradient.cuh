// The gradient of weights of all channels on tensor cores, for channels in fours: windows of the input and of dz lie in
// shared memory, rounded; a warp has all taps of 16 channels in times 16 out, and goes through pixels eight at a time.
#pragma once
#include <algorithm>

#include "kernels/common/dense.cuh"
#include "kernels/common/weight_gradients.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kDenseRole = 16;     // channels in and out of a warp
inline constexpr int kDenseBlocks = 132;  // the multiprocessors of an H200
/// How many a launch of `count` gradients wants at least.
inline int dense_gradient_blocks(int count) { return std::min(kDenseBlocks, kDenseBlocks / 2 * count); }

/// Input (n, h, w, c_in), dz (n, out_h, out_w, c_out). Tiles are of dz; their rows are multiples of P::kDepth long.
struct DenseGradientTiles {
    int n, h, w, c_in, out_h, out_w, c_out, stride;
    int images, tile_h, tile_w, tiles_y, tiles_x;
    int tiles, tiles_per_chunk;
    int inputs, outputs, groups;  // warps on channels in, on channels out and on pixels
    int window;                   // factors before dz
};

struct DenseGradientPlan {
    DenseGradientTiles s;
    dim3 grid;  // chunks, channels in, channels out
    unsigned threads;
    std::size_t shared_bytes;
};

/// With so many times 16 channels in and out to a block, of `count` such convolutions in a launch.
template <class P>
DenseGradientPlan plan_dense_gradient(const ConvShape& shape, int inputs, int outputs, int count) {
    using Factor = typename P::Factor;
    auto parts = [](int size, int each) { return (size + each - 1) / each; };
    const int out_h = shape.out_h(), out_w = shape.out_w(), k = shape.k, step = k == 1 ? 1 : shape.stride;
    DenseGradientTiles s = {};
    s.n = shape.n, s.h = shape.h, s.w = shape.w, s.c_in = shape.c_in;
    s.out_h = out_h, s.out_w = out_w, s.c_out = shape.c_out, s.stride = shape.stride;
    s.inputs = inputs, s.outputs = outputs;
    const TileSize tile =
        dense_tile(s.n, out_h, parts(out_w, P::kDepth) * P::kDepth, std::max(inputs, outputs) > 2 ? 64 : 128);
    s.images = tile.images, s.tile_h = tile.h, s.tile_w = parts(tile.w, P::kDepth) * P::kDepth;
    s.tiles_y = parts(out_h, s.tile_h);
    s.tiles_x = parts(out_w, s.tile_w);
    const std::size_t tiles = static_cast<std::size_t>(parts(s.n, s.images)) * s.tiles_y * s.tiles_x;
    if (tiles > 0x7fffffffu) throw simt::Error(std::to_string(tiles) + " tiles for one launch, at most 2^31 - 1");
    s.tiles = static_cast<int>(tiles);
    const int across = parts(s.c_in, inputs * kDenseRole), down = parts(s.c_out, outputs * kDenseRole);
    // Partial sums take an eighth of what is read, but there are blocks for half the multiprocessors, for all of them
    // where there are others beside them, and at most two for each.
    const double read = static_cast<double>(shape.n) *
                        (static_cast<double>(shape.h) * shape.w * s.c_in + 2.0 * out_h * out_w * s.c_out);
    const int least = parts(dense_gradient_blocks(count), across * down * count),
              most = parts(2 * kDenseBlocks, across * down * count);
    const int chunks =
        std::min(s.tiles, static_cast<int>(std::clamp<double>(read / (8.0 * k * k * s.c_in * s.c_out), least, most)));
    s.tiles_per_chunk = parts(s.tiles, chunks);
    if (parts(s.tiles, s.tiles_per_chunk) < std::min(s.tiles, least)) s.tiles_per_chunk = s.tiles / chunks;
    s.groups = std::max(1, std::min((k == 1 ? 8 : P::kGradientWarps) / (inputs * outputs), 8));
    s.window =
        s.images * ((s.tile_h - 1) * step + k) * ((s.tile_w - 1) * step + k) * fragment_pitch(inputs * kDenseRole);
    const std::size_t factors = static_cast<std::size_t>(s.window) + static_cast<std::size_t>(s.images) * s.tile_h *
                                                                         s.tile_w *
                                                                         fragment_pitch(outputs * kDenseRole);
    const std::size_t others = s.groups > 1 ? static_cast<std::size_t>(inputs * outputs) * k * k * 256 : 0;
    return {s,
            dim3(static_cast<unsigned>(parts(s.tiles, s.tiles_per_chunk)), static_cast<unsigned>(across),
                 static_cast<unsigned>(down)),
            static_cast<unsigned>(32 * inputs * outputs * s.groups),
            std::max(factors * sizeof(Factor), others * sizeof(float))};
}

/// Depends on the shape, which is flattened, and the count alone: of those with blocks enough (see above) the one that
/// reads and writes least, or else the one with the most blocks.
template <class P = Tf32>
DenseGradientPlan plan_dense_gradient(const ConvShape& shape, int count = 1) {
    const double x = static_cast<double>(shape.n) * shape.h * shape.w * shape.c_in,
                 dz = 2.0 * static_cast<double>(shape.pixels()) * shape.c_out,
                 w = static_cast<double>(shape.k * shape.k) * shape.c_in * shape.c_out;
    DenseGradientPlan best;
    double least = 0;
    unsigned most = 0;
    auto fits = [](int roles, int channels) { return roles == 1 || roles / 2 * kDenseRole < channels; };
    for (int inputs = 4; inputs > 0; inputs /= 2)
        for (int outputs = 4; outputs > 0; outputs /= 2) {
            if (!fits(inputs, shape.c_in) || !fits(outputs, shape.c_out) || inputs * outputs > P::kGradientWarps)
                continue;
            const DenseGradientPlan plan = plan_dense_gradient<P>(shape, inputs, outputs, count);
            const unsigned blocks = std::min(static_cast<unsigned>(dense_gradient_blocks(count)),
                                             plan.grid.x * plan.grid.y * plan.grid.z * static_cast<unsigned>(count));
            const double moved = x * plan.grid.z + dz * plan.grid.y + 2 * w * plan.grid.x;
            if (blocks < most || (blocks == most && moved >= least)) continue;
            best = plan, least = moved, most = blocks;
        }
    return best;
}

/// partials (items, chunks, K, K, c_in, c_out) = the products of the chunk's pixels. Where rows are no such multiples
/// the pixels behind their ends are zeros in dz: an infinite input there makes not-a-number.
template <class P, int K, class Input, class Gradient, std::size_t N>
__global__ void __launch_bounds__(32 * P::kGradientWarps, 1)
    dense_gradient_kernel(DenseGradientTiles s, const GradientItems<Input, Gradient, N> __grid_constant__ items,
                          float* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    using Factor = typename P::Factor;
    constexpr int V = kWide<Factor>, kTaps = K * K;
    constexpr unsigned kUnderWay = 8 * sizeof(Factor);  // bytes of a thread: registers are few
    Factor* const window = reinterpret_cast<Factor*>(memory);
    Factor* const dz = window + s.window;
    const unsigned item = items.block_item();
    const Input& input = items.of[item].input;
    const Gradient& gradient = items.of[item].gradient;
    const int c_in = static_cast<int>(blockIdx.y) * s.inputs * kDenseRole,
              c_out = static_cast<int>(blockIdx.z - item * items.parts) * s.outputs * kDenseRole;
    const int pitch = s.inputs * kDenseRole + 8, dz_pitch = s.outputs * kDenseRole + 8;
    // Pixels of the window are `step` source pixels apart, those of dz `stride` window pixels.
    const int step = K == 1 ? s.stride : 1, stride = K == 1 ? 1 : s.stride;
    const int rows = (s.tile_h - 1) * stride + K, cols = (s.tile_w - 1) * stride + K;

    const int warp = static_cast<int>(threadIdx.x / 32), roles = s.inputs * s.outputs, role = warp % roles,
              group = warp / roles;
    const int in = role / s.outputs * kDenseRole, out = role % s.outputs * kDenseRole;
    float sum[kTaps][2][4] = {};
    const int first = static_cast<int>(blockIdx.x) * s.tiles_per_chunk, last = min(s.tiles, first + s.tiles_per_chunk);
    for (int tile = first; tile < last; tile++) {
        const int tile_line = tile / s.tiles_x, n = tile_line / s.tiles_y * s.images,
                  y = tile_line % s.tiles_y * s.tile_h, x = (tile - tile_line * s.tiles_x) * s.tile_w;
        if (tile > first) __syncthreads();  // the tile before has been read
        load_window<P, kUnderWay>(
            input, {n, y * s.stride - K / 2, x * s.stride - K / 2, s.images, rows, cols, step, s.n, s.h, s.w}, c_in,
            s.inputs * kDenseRole / V, pitch, window);
        load_window<P, kUnderWay>(gradient, {n, y, x, s.images, s.tile_h, s.tile_w, 1, s.n, s.out_h, s.out_w}, c_out,
                                  s.outputs * kDenseRole / V, dz_pitch, dz);
        __syncthreads();
        const int height = min(s.tile_h, s.out_h - y), runs = (min(s.tile_w, s.out_w - x) + P::kDepth - 1) / P::kDepth;
        const int pieces = min(s.images, s.n - n) * height * runs;
        for (int i = group; i < pieces; i += s.groups) {
            const int line = i / runs, column = (i - line * runs) * P::kDepth, image = line / height,
                      row = line - image * height;
            const Factor* right = dz + ((image * s.tile_h + row) * s.tile_w + column) * dz_pitch + out;
            const Factor* left = window + ((image * rows + row * stride) * cols + column * stride) * pitch + in;
            unsigned b[2][2];
#pragma unroll
            for (int o = 0; o < 2; o++) P::load_right(b[o], right + 8 * o, dz_pitch);
#pragma unroll
            for (int ky = 0; ky < K; ky++, left += cols * pitch)
#pragma unroll
                for (int kx = 0; kx < K; kx++) {
                    unsigned a[4];
                    P::load_left(a, left + kx * pitch, stride * pitch);
#pragma unroll
                    for (int o = 0; o < 2; o++) P::multiply(sum[ky * K + kx][o], a, b[o]);
                }
        }
    }

    // The groups' sums are added in their order.
    float* const others = reinterpret_cast<float*>(memory) + role * kTaps * 256 + threadIdx.x % 32 * 4;
    for (int g = 1; g < s.groups; g++) {
        __syncthreads();
        if (group == g)
#pragma unroll
            for (int i = 0; i < 2 * kTaps; i++)
                store(others + i * 128, Pack<float, 4>{{sum[i / 2][i % 2][0], sum[i / 2][i % 2][1],
                                                        sum[i / 2][i % 2][2], sum[i / 2][i % 2][3]}});
        __syncthreads();
        if (group == 0)
#pragma unroll
            for (int i = 0; i < 2 * kTaps; i++) {
                const Pack<float, 4> v = load<4>(others + i * 128);
#pragma unroll
                for (int j = 0; j < 4; j++) sum[i / 2][i % 2][j] += v.v[j];
            }
    }
    if (group > 0) return;
    float* const to = partials + (static_cast<std::size_t>(item) * gridDim.x + blockIdx.x) * kTaps * s.c_in * s.c_out;
    const int row = c_in + in + own_row_of_16();
#pragma unroll
    for (int tap = 0; tap < kTaps; tap++)
#pragma unroll
        for (int o = 0; o < 2; o++) {
            const Pack<float, 4> v = own_row(sum[tap][o]);
            const int column = c_out + out + 8 * o + own_column_of_8();
            if (row < s.c_in && column < s.c_out)
                store(to + (static_cast<std::size_t>(tap) * s.c_in + row) * s.c_out + column, v);
        }
}

/// Of the first `count` items.
template <class P, int K, class Input, class Gradient, std::size_t N>
void launch_dense_gradients(simt::stream_t stream, const DenseGradientPlan& plan,
                            const GradientItems<Input, Gradient, N>& items, unsigned count, float* partials,
                            simt::Place where = simt::Place::current()) {
    const auto kernel = dense_gradient_kernel<P, K, Input, Gradient, N>;
    if (plan.shared_bytes > kSharedBytes) simt::allow_shared(kernel, plan.shared_bytes);
    dim3 grid = plan.grid;
    grid.z *= count;
    simt::launch(kernel, {grid, plan.threads, plan.shared_bytes, stream, where}, plan.s, items, partials);
}
template <class P, int K, class Input, class Gradient>
void launch_dense_gradient(simt::stream_t stream, const DenseGradientPlan& plan, const Input& input,
                           const Gradient& gradient, float* partials, simt::Place where = simt::Place::current()) {
    launch_dense_gradients<P, K>(stream, plan, GradientItems<Input, Gradient, 1>{{{input, gradient}}, plan.grid.z}, 1,
                                 partials, where);
}

}  // namespace nascent::kernels::gpu
