// The gradient of a convolution's weights: windows of the input and of dz lie in shared memory, a thread has a row of
// the kernel times 16 bytes of channels in times 16 bytes of channels out in registers, and goes through pixels.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/common/convolve.cuh"
#include "kernels/common/weight_gradients.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kGradientThreads = 192;

/// Input (n, h, w, c_in), dz (n, out_h, out_w, c_out). Tiles are of dz.
struct GradientTiles {
    int n, h, w, c_in, out_h, out_w, c_out, stride;
    int images, tile_h, tile_w, tiles_y, tiles_x;
    int tiles, tiles_per_chunk;
    int inputs, outputs, groups;  // threads on channels in and out (times a row of the kernel each), and on lines
    int window, pitch, dz_pitch;  // elements of shared memory before dz; how far pixels of both lie apart
};

struct GradientPlan {
    GradientTiles s;
    dim3 grid;  // chunks, channels in, channels out
    unsigned threads;
    std::size_t shared_bytes;
};

/// Depends on the shape and on how many such convolutions a launch has.
template <class T>
GradientPlan plan_gradient(const ConvShape& shape, int count = 1) {
    constexpr int V = kWide<T>;
    constexpr int kWanted = 264;  // blocks: two for each multiprocessor of an H200
    const int out_h = shape.out_h(), out_w = shape.out_w(), k = shape.k, step = k == 1 ? 1 : shape.stride;
    auto parts = [](int size, int each) { return (size + each - 1) / each; };
    GradientTiles s = {};
    s.n = shape.n, s.h = shape.h, s.w = shape.w, s.c_in = shape.c_in;
    s.out_h = out_h, s.out_w = out_w, s.c_out = shape.c_out, s.stride = shape.stride;
    // Of 3x3 as many channels as there are threads for: rather all that are in than all that are out, since dz is two
    // tensors, dy and z.
    s.inputs = std::min(8, parts(s.c_in, V));
    s.outputs = std::min(k > 1 && s.inputs > 4 ? 4 : 8, parts(s.c_out, V));
    s.pitch = std::max(kPitch<T>, (s.inputs + 1) * V);
    s.dz_pitch = (s.outputs + 1) * V;
    const int field = k * s.inputs * s.outputs;
    std::size_t bytes = 0;
    TileSize tile = {};
    for (int pixels = 128; pixels > 0; pixels /= 2) {
        tile = tile_size(s.n, out_h, out_w, pixels);
        s.groups = std::max(1, std::min(tile.images * tile.h, kGradientThreads / field));
        s.window = tile.images * ((tile.h - 1) * step + k) * ((tile.w - 1) * step + k) * s.pitch;
        bytes = sizeof(T) * std::max(s.window + tile.pixels() * s.dz_pitch, (s.groups - 1) * field * k * V * V);
        if (bytes <= kSharedBytes) break;
    }
    s.images = tile.images;
    s.tile_h = tile.h;
    s.tile_w = tile.w;
    s.tiles_y = parts(out_h, tile.h);
    s.tiles_x = parts(out_w, tile.w);
    const std::size_t tiles = static_cast<std::size_t>(parts(s.n, tile.images)) * s.tiles_y * s.tiles_x;
    if (tiles > 0x7fffffffu) throw simt::Error(std::to_string(tiles) + " tiles for one launch, at most 2^31 - 1");
    s.tiles = static_cast<int>(tiles);
    const int across = parts(s.c_in, s.inputs * V), down = parts(s.c_out, s.outputs * V);
    s.tiles_per_chunk = parts(s.tiles, std::max(1, kWanted / (across * down * count)));
    return {s,
            dim3(static_cast<unsigned>(parts(s.tiles, s.tiles_per_chunk)), static_cast<unsigned>(across),
                 static_cast<unsigned>(down)),
            static_cast<unsigned>((field * s.groups + 31) / 32 * 32), bytes};
}

/// partials (items, chunks, K, K, c_in, c_out) = the products of the chunk's pixels.
template <int K, class T, class Input, class Gradient, std::size_t N>
__global__ void __launch_bounds__(kGradientThreads, 2)
    weight_gradient_kernel(GradientTiles s, const GradientItems<Input, Gradient, N> __grid_constant__ items,
                           bool is_wide, T* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    constexpr int V = kWide<T>;
    T* const window = reinterpret_cast<T*>(memory);
    T* const dz = window + s.window;
    const unsigned item = items.block_item();
    const Input& input = items.of[item].input;
    const Gradient& gradient = items.of[item].gradient;
    const int c_in = static_cast<int>(blockIdx.y) * s.inputs * V,
              c_out = static_cast<int>(blockIdx.z - item * items.parts) * s.outputs * V;
    const int in_groups = min(s.inputs, (s.c_in - c_in + V - 1) / V),
              out_groups = min(s.outputs, (s.c_out - c_out + V - 1) / V);
    // Pixels of the window are `step` source pixels apart, those of dz `stride` window pixels.
    const int step = K == 1 ? s.stride : 1, stride = K == 1 ? 1 : s.stride;
    const int rows = (s.tile_h - 1) * stride + K, cols = (s.tile_w - 1) * stride + K;

    const int field = s.inputs * s.outputs, thread = static_cast<int>(threadIdx.x), line = thread / field;
    const int ky = line % K, group = line / K;
    const Cell at = cell(static_cast<unsigned>(thread - line * field), s.outputs, s.inputs);
    Wide<T> sum[K][V] = {};  // of a row of the kernel and V channels in
    const int first = static_cast<int>(blockIdx.x) * s.tiles_per_chunk, last = min(s.tiles, first + s.tiles_per_chunk);
    for (int tile = first; tile < last; tile++) {
        const int tile_line = tile / s.tiles_x, n = tile_line / s.tiles_y * s.images,
                  y = tile_line % s.tiles_y * s.tile_h, x = (tile - tile_line * s.tiles_x) * s.tile_w;
        if (tile > first) __syncthreads();  // the tile before has been read
        load_window(input, {n, y * s.stride - K / 2, x * s.stride - K / 2, s.images, rows, cols, step, s.n, s.h, s.w},
                    c_in, in_groups, s.pitch, window);
        load_window(gradient, {n, y, x, s.images, s.tile_h, s.tile_w, 1, s.n, s.out_h, s.out_w}, c_out, out_groups,
                    s.dz_pitch, dz);
        __syncthreads();
        if (group >= s.groups || at.y >= in_groups || at.x >= out_groups) continue;
        // Pixels of a tile past the picture's end are left out, not multiplied by zero: the input may be infinite.
        const int height = min(s.tile_h, s.out_h - y), width = min(s.tile_w, s.out_w - x);
        const int lines = min(s.images, s.n - n) * height;
        for (int i = group; i < lines; i += s.groups) {
            const int image = i / height, row = i - image * height;
            const T* a = window + ((image * rows + row * stride + ky) * cols) * s.pitch + at.y * V;
            const T* b = dz + ((image * s.tile_h + row) * s.tile_w) * s.dz_pitch + at.x * V;
#pragma unroll 1
            for (int j = 0; j < width; j++, a += stride * s.pitch, b += s.dz_pitch) {
                const Wide<T> g = load<V>(b);
#pragma unroll
                for (int kx = 0; kx < K; kx++) {
                    const Wide<T> v = load<V>(a + kx * s.pitch);
#pragma unroll
                    for (int c = 0; c < V; c++)
#pragma unroll
                        for (int o = 0; o < V; o++) sum[kx][c].v[o] = std::fma(v.v[c], g.v[o], sum[kx][c].v[o]);
                }
            }
        }
    }

    if (s.groups > 1) {  // the groups' sums are added in their order
        T* const others = window;
        const int width = K * field, mine = thread - group * width;
        __syncthreads();
        if (group > 0 && group < s.groups)
#pragma unroll
            for (int i = 0; i < K * V; i++)
                store(others + (((group - 1) * K * V + i) * width + mine) * V, sum[i / V][i % V]);
        __syncthreads();
        if (group == 0)
            for (int g = 0; g < s.groups - 1; g++)
#pragma unroll
                for (int i = 0; i < K * V; i++) {
                    const Wide<T> v = load<V>(others + ((g * K * V + i) * width + mine) * V);
#pragma unroll
                    for (int o = 0; o < V; o++) sum[i / V][i % V].v[o] += v.v[o];
                }
    }
    if (group > 0) return;
    T* const to = partials + (static_cast<std::size_t>(item) * gridDim.x + blockIdx.x) * K * K * s.c_in * s.c_out;
    const int out = c_out + at.x * V;
#pragma unroll
    for (int kx = 0; kx < K; kx++)
#pragma unroll
        for (int c = 0; c < V; c++) {
            const int in = c_in + at.y * V + c;
            if (in < s.c_in)
                store_channels(to + (static_cast<std::size_t>(ky * K + kx) * s.c_in + in) * s.c_out + out, sum[kx][c],
                               s.c_out - out, is_wide);
        }
}

/// Of the first `count` items.
template <int K, class T, class Input, class Gradient, std::size_t N>
void launch_weight_gradients(simt::stream_t stream, const GradientPlan& plan,
                             const GradientItems<Input, Gradient, N>& items, unsigned count, bool is_wide, T* partials,
                             simt::Place where = simt::Place::current()) {
    dim3 grid = plan.grid;
    grid.z *= count;
    simt::launch(weight_gradient_kernel<K, T, Input, Gradient, N>,
                 {grid, plan.threads, plan.shared_bytes, stream, where}, plan.s, items, is_wide, partials);
}
template <int K, class T, class Input, class Gradient>
void launch_weight_gradient(simt::stream_t stream, const GradientPlan& plan, const Input& input,
                            const Gradient& gradient, bool is_wide, T* partials,
                            simt::Place where = simt::Place::current()) {
    launch_weight_gradients<K, T>(stream, plan, GradientItems<Input, Gradient, 1>{{{input, gradient}}, plan.grid.z}, 1,
                                  is_wide, partials, where);
}

}  // namespace nascent::kernels::gpu
