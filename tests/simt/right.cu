// Kernels of the kinds that the engine needs, right ones: the emulator must run them as CUDA would.
#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"

namespace nascent::test {
namespace {

/// The sum of every thread's v, in thread 0; the order of the additions is fixed.
__device__ float block_sum(float v) {
    SIMT_SHARED(float, partial, [32]);
    const unsigned t = threadIdx.x;
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    if (t % 32 == 0) partial[t / 32] = v;
    __syncthreads();
    v = t < blockDim.x / 32 ? partial[t] : 0.0f;
    if (t < 32)
        for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    __syncthreads();  // partial may be written again
    return v;
}

__global__ void sum_kernel(const float* x, int size, float* out) {
    float sum = 0;
    const int threads = static_cast<int>(gridDim.x * blockDim.x);
    for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < size; i += threads) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

__global__ void sum_and_finish(const float* x, int size, float* partials, unsigned* done, float* out) {
    SIMT_SHARED(bool, last);
    float sum = 0;
    const int threads = static_cast<int>(gridDim.x * blockDim.x);
    for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < size; i += threads) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(done, 1u) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (!last) return;
    sum = threadIdx.x < gridDim.x ? partials[threadIdx.x] : 0.0f;
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] = sum;
}

/// A 64x64 tile of c by 4 warps of 32x32 each; the next 64 bytes of each row of a and b are under way while the
/// products of these are made. Rows of 80 bytes keep ldmatrix free of bank conflicts.
template <class T, int TileK>
__global__ void __launch_bounds__(128) gemm(const T* a, const T* b, float* c, int n, int k) {
    constexpr int kTile = 64, kChunk = 16 / sizeof(T), kChunks = TileK / kChunk, kPitch = TileK + kChunk;
    SIMT_SHARED(T, tile_a, [2][kTile][kPitch]);
    SIMT_SHARED(T, tile_b, [2][kTile][kPitch]);
    const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
    const int row0 = static_cast<int>(blockIdx.y) * kTile, column0 = static_cast<int>(blockIdx.x) * kTile;
    const int row = warp / 2 * 32, column = warp % 2 * 32;  // of this warp, in the tile

    auto load = [&](int stage, int k0) {
        for (int i = t; i < kTile * kChunks; i += 128) {
            const int r = i / kChunks, at = i % kChunks * kChunk;
            simt::cp_async<16>(&tile_a[stage][r][at], a + static_cast<std::int64_t>(row0 + r) * k + k0 + at);
            simt::cp_async<16>(&tile_b[stage][r][at], b + static_cast<std::int64_t>(column0 + r) * k + k0 + at);
        }
        simt::cp_async_commit();
    };

    float sums[2][4][4] = {};
    load(0, 0);
    for (int k0 = 0, stage = 0; k0 < k; k0 += TileK, stage ^= 1) {
        if (k0 + TileK < k) {
            load(stage ^ 1, k0 + TileK);
            simt::cp_async_wait<1>();
        } else {
            simt::cp_async_wait<0>();
        }
        __syncthreads();
        for (int kk = 0; kk < TileK; kk += 2 * kChunk) {
            unsigned fa[2][4], fb[2][4];
            for (int i = 0; i < 2; i++)
                simt::ldmatrix(fa[i], &tile_a[stage][row + 16 * i + lane % 16][kk + lane / 16 * kChunk]);
            for (int j = 0; j < 2; j++)
                simt::ldmatrix(fb[j],
                               &tile_b[stage][column + 16 * j + lane % 8 + lane / 16 * 8][kk + lane / 8 % 2 * kChunk]);
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 4; j++) {
                    const unsigned pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
                    if constexpr (sizeof(T) == 2)
                        simt::mma_bf16(sums[i][j], fa[i], pair);
                    else
                        simt::mma_tf32(sums[i][j], fa[i], pair);
                }
        }
        __syncthreads();
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++)
                c[static_cast<std::int64_t>(row0 + row + 16 * i + lane / 4 + e / 2 * 8) * n + column0 + column + 8 * j +
                  lane % 4 * 2 + e % 2] = sums[i][j][e];
}

/// 8x8 pixels of 4 channels a block, a pixel a thread; the tile and its halo come through cp.async, zeros outside.
__global__ void __launch_bounds__(64)
    depthwise_kernel(const float* x, const float* weight, float* y, int h, int w, int c) {
    constexpr int kSide = 10;
    SIMT_SHARED(float4, tile, [kSide * kSide]);
    const int tiles = (w + 7) / 8, t = static_cast<int>(threadIdx.x), channel = 4 * static_cast<int>(blockIdx.y);
    const int y0 = static_cast<int>(blockIdx.x) / tiles * 8, x0 = static_cast<int>(blockIdx.x) % tiles * 8;
    const std::int64_t image = static_cast<std::int64_t>(blockIdx.z) * h * w;
    for (int i = t; i < kSide * kSide; i += 64) {
        const int iy = y0 - 1 + i / kSide, ix = x0 - 1 + i % kSide;
        const bool inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
        simt::cp_async<16>(tile + i, x + (inside ? (image + iy * w + ix) * c + channel : 0), inside ? 16 : 0);
    }
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
    __syncthreads();
    const int oy = y0 + t / 8, ox = x0 + t % 8;
    if (oy >= h || ox >= w) return;
    float4 sum = {0, 0, 0, 0};
    for (int i = 0; i < 9; i++) {
        const float4 v = tile[(t / 8 + i / 3) * kSide + t % 8 + i % 3];
        const float4 f = *simt::aligned<float4>(weight + i * c + channel);
        sum.x += v.x * f.x;
        sum.y += v.y * f.y;
        sum.z += v.z * f.z;
        sum.w += v.w * f.w;
    }
    *simt::aligned<float4>(y + (image + oy * w + ox) * c + channel) = sum;
}

__global__ void facts_kernel(const int* x, int* result) {
    const unsigned t = threadIdx.x, lane = t % 32;
    int* r = result + t * kFacts;
    const int v = x[t];
    r[0] = static_cast<int>(__ballot_sync(~0u, v > 0));
    r[1] = __shfl_xor_sync(~0u, v, 2);
    r[2] = static_cast<int>(2 * __shfl_sync(~0u, v / 2.0, 33));  // 8 bytes; the source modulo 32
    // Groups of one warp come to their collectives on their own, the lower half twice before the upper half reads.
    const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    int w = __shfl_sync(~0u, v, 17);
    if (lane < 16) w += __shfl_xor_sync(half, v, 15);
    if (lane < 16) w += static_cast<int>(__ballot_sync(half, v > 0));
    r[3] = w;
    r[4] = lane >= 16 ? __shfl_sync(half, v, 20) : 0;
    SIMT_SHARED(int, total);
    SIMT_SHARED(int, positive);
    SIMT_SHARED(int, own, [1024]);
    if (t == 0) total = 0, positive = 0;
    __syncthreads();
    atomicAdd(&total, v);
    atomicAdd(&positive, v > 0);
    own[t] = v;
    __syncwarp();
    r[5] = own[t ^ 31];
    __syncthreads();
    r[6] = total;
    r[7] = positive;
}

__global__ void much_shared_kernel(float* out) {
    SIMT_DYNAMIC_SHARED(float, s);
    s[25 * 1024 - 1] = 7;
    out[0] = s[25 * 1024 - 1];
}

__global__ void nothing() {}

}  // namespace

void sum(const float* x, int size, float* partials, float* out) {
    simt::launch(sum_kernel, {kSumBlocks, 256}, x, size, partials);
    simt::launch(sum_kernel, {1, 256}, partials, kSumBlocks, out);
}
void sum_one_launch(const float* x, int size, float* partials, unsigned* done, float* out) {
    simt::launch(sum_and_finish, {kSumBlocks, 256}, x, size, partials, done, out);
}
void gemm_bf16(const std::uint16_t* a, const std::uint16_t* b, float* c, int m, int n, int k) {
    const dim3 grid(static_cast<unsigned>(n) / 64, static_cast<unsigned>(m) / 64);
    simt::launch(gemm<std::uint16_t, 32>, {grid, 128}, a, b, c, n, k);
}
void gemm_tf32(const float* a, const float* b, float* c, int m, int n, int k) {
    const dim3 grid(static_cast<unsigned>(n) / 64, static_cast<unsigned>(m) / 64);
    simt::launch(gemm<float, 16>, {grid, 128}, a, b, c, n, k);
}
void depthwise(const float* x, const float* weight, float* y, int n, int h, int w, int c) {
    const dim3 grid(static_cast<unsigned>((h + 7) / 8 * ((w + 7) / 8)), static_cast<unsigned>(c) / 4,
                    static_cast<unsigned>(n));
    simt::launch(depthwise_kernel, {grid, 64}, x, weight, y, h, w, c);
}
void warp_facts(const int* x, int* result, int threads) {
    simt::launch(facts_kernel, {1, static_cast<unsigned>(threads)}, x, result);
}
void much_shared(bool allow, float* out) {
    if (allow) simt::allow_shared(much_shared_kernel, 100 * 1024);
    simt::launch(much_shared_kernel, {1, 1, 100 * 1024}, out);
}
void launch_nothing(const unsigned (&grid)[3], const unsigned (&block)[3], std::size_t shared) {
    simt::launch(nothing, {dim3(grid[0], grid[1], grid[2]), dim3(block[0], block[1], block[2]), shared});
}

}  // namespace nascent::test
