// The products of a state's branches with their 1x1 weights on tensor cores, for channels in fours: what multiply(),
// through_point() and point_gradient() compute, with factors rounded as they are brought to fragments.
#pragma once
#include "kernels/common/mixed_forward.cuh"
#include "kernels/common/mixed_products.cuh"

namespace nascent::kernels::gpu {

inline constexpr int kWarps = kThreads / 32, kColumns = 16;  // of a block; channels that a warp makes at a time

/// A row's factors of depth k and on, as they lie in shared memory, rounded; zeros from `end` on.
template <class P>
__device__ void load_rounded(unsigned (&a)[4], const float* row, int k, int end) {
    P::load_rows(a, row + k);
    const int depth = k + static_cast<int>(threadIdx.x % 4);
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = depth + i / 2 * 4 < end ? P::rounded(a[i]) : 0;
}

/// z = d * point, as multiply().
template <class P, class S>
__device__ void multiply_dense(const ForwardOp<S>& op, const Outputs& o, int c, const Factors<float>& d, double* part,
                               double* row, bool more) {
    constexpr int kTiles = kColumns / 8;
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int outputs = 1 << (o.h_log + o.w_log), columns = (1 << o.w_log) - 1;
#pragma unroll 1
    for (int first = 0; first < op.c_out; first += kColumns) {
        double one[kTiles][4] = {}, two[kTiles][4] = {};
#pragma unroll 1
        for (int p0 = warp * 16; p0 < outputs; p0 += 16 * kWarps) {
            const int p = min(p0 + lane % 16, outputs - 1);
            const float* from = d.at + (p >> o.w_log) * d.row + (p & columns) * d.pitch + lane / 16 * 4;
            float sum[kTiles][4] = {};
#pragma unroll 1
            for (int k = 0; k < c; k += P::kDepth) {
                unsigned a[4];
                load_rounded<P>(a, from, k, c);
#pragma unroll
                for (int t = 0; t < kTiles; t++) {
                    const int column = first + 8 * t + lane / 4;
                    unsigned b[2];
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        const int depth = k + lane % 4 + 4 * i;
                        b[i] =
                            depth < c && column < op.c_out
                                ? simt::to_bits(P::round(op.point[static_cast<std::size_t>(depth) * op.c_out + column]))
                                : 0;
                    }
                    P::multiply(sum[t], a, b);
                }
            }
            const int own = p0 + own_row_of_16(), y = o.y + (own >> o.w_log), x = o.x + (own & columns);
            const std::size_t at = (static_cast<std::size_t>(o.n) * op.out_h + y) * op.out_w + x;
#pragma unroll
            for (int t = 0; t < kTiles; t++) {
                Wide<float> z = own_row(sum[t]);
                const int co = first + 8 * t + own_column_of_8();
                if (own >= outputs || y >= op.out_h || x >= op.out_w || co >= op.c_out) continue;
                store_stored(op.z + at * op.pitch + co, z, 4, true);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const double v = static_cast<double>(z.v[j]);
                    one[t][j] += v, two[t][j] = std::fma(v, v, two[t][j]);
                }
            }
        }
        if (!op.scale) continue;
#pragma unroll
        for (int t = 0; t < kTiles; t++) sum_lanes(one[t], two[t], part + warp * 2 * kColumns + 8 * t, kColumns);
        __syncthreads();
        if (threadIdx.x < 2 * kColumns) {
            const int half = static_cast<int>(threadIdx.x) / kColumns,
                      column = first + static_cast<int>(threadIdx.x) % kColumns;
            double total = 0;
            for (int i = 0; i < kWarps; i++) total += part[i * 2 * kColumns + threadIdx.x];
            if (column < op.c_out) {
                double& to = row[half * op.c_out + column];
                to = more ? to + total : total;
            }
        }
        __syncthreads();
    }
}

/// dd (+)= dz * point^T, as through_point(): a warp makes 16 pixels of a chunk at a time, and comes back to them.
template <class P, class S>
__device__ void through_point_dense(const BackwardOp<S>& op, int c, int c0, int held, int co, int pixels,
                                    const float* dz, float* dd, int pitch) {
    constexpr int kTiles = kColumns / 8;
    static_assert(kChunk<float> == kColumns);
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int outputs = min(op.c_out - co, kColumns), chunks = held / kColumns;
#pragma unroll 1
    for (int item = warp; item < (pixels + 15) / 16 * chunks; item += kWarps) {
        const int p0 = item / chunks * 16, chunk = item % chunks * kColumns;
        const float* from = dz + min(p0 + lane % 16, pixels - 1) * kPitch<float> + lane / 16 * 4;
        float* const to = dd + (p0 + lane / 4) * pitch + chunk + lane % 4 * 2;
        float sum[kTiles][4] = {};
        auto pairs = [&](auto&& f) {
#pragma unroll
            for (int t = 0; t < kTiles; t++)
#pragma unroll
                for (int i = 0; i < 2; i++)
                    if (p0 + lane / 4 + 8 * i < pixels) f(to + 8 * i * pitch + 8 * t, &sum[t][2 * i]);
        };
        if (co > 0)
            pairs([](const float* p, float* v) {
                const Pack<float, 2> before = load<2>(p);
                v[0] = before.v[0], v[1] = before.v[1];
            });
#pragma unroll 1
        for (int k = 0; k < outputs; k += P::kDepth) {
            unsigned a[4];
            load_rounded<P>(a, from, k, outputs);
#pragma unroll
            for (int t = 0; t < kTiles; t++) {
                const int ci = c0 + chunk + 8 * t + lane / 4;
                unsigned b[2];
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int o = k + lane % 4 + 4 * i;
                    b[i] = ci < c && o < outputs
                               ? simt::to_bits(P::round(op.point[static_cast<std::size_t>(ci) * op.c_out + co + o]))
                               : 0;
                }
                P::multiply(sum[t], a, b);
            }
        }
        pairs([](float* p, const float* v) { store(p, Pack<float, 2>{{v[0], v[1]}}); });
    }
}

/// to (channels, c_out) (+)= the products of d and dz over the tile's own outputs, as point_gradient().
template <class P>
__device__ void point_gradient_dense(const Extent& e, int held, int c_out, int co, int channels, const float* d,
                                     int pitch, const float* dz, float* scratch, float* to, bool more) {
    constexpr int kTiles = kColumns / 8;
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int count = 1 << (e.h_log + e.w_log), channel = lane / 4, warps = warps_of_chunk<float>(held),
              chunk = warp / warps;
    d += chunk * kColumns + channel;
    float sum[kTiles][4] = {};
#pragma unroll 1
    for (int p0 = (warp - chunk * warps) * P::kDepth; p0 < count; p0 += P::kDepth * warps) {
        unsigned a[4], b[kTiles][2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int p = p0 + lane % 4 + 4 * i, at = p < count ? e.index(p) : -1;
            auto factor = [&](const float* v) { return at < 0 ? 0 : simt::to_bits(P::round(*v)); };
            a[2 * i] = factor(d + p * pitch);
            a[2 * i + 1] = factor(d + p * pitch + 8);
#pragma unroll
            for (int t = 0; t < kTiles; t++) b[t][i] = factor(dz + at * kPitch<float> + 8 * t + channel);
        }
#pragma unroll
        for (int t = 0; t < kTiles; t++) P::multiply(sum[t], a, b[t]);
    }
    __syncthreads();  // dz has been read
#pragma unroll
    for (int t = 0; t < kTiles; t++)
        store(scratch + (warp * kColumns + own_row_of_16()) * kColumns + 8 * t + own_column_of_8(), own_row(sum[t]));
    add_warps(held, co, c_out, channels, scratch, to, more);
}

}  // namespace nascent::kernels::gpu
