// What tensor cores multiply: how elements of floats are rounded on their way to shared memory, and how a warp brings
// them from there to the fragments of an instruction. A product adds up in float. Another type of factors is another
// struct like these.
#pragma once
#include "kernels/common/pack.cuh"

namespace nascent::kernels::gpu {

/// Values as they are.
struct AsIs {
    template <class T, int N>
    __device__ static Pack<T, N> round(const Pack<T, N>& v) {
        return v;
    }
};

/// 16x8 += 16x8 * 8x8 of floats with 10 bits of fraction, to the nearest (ties away from zero).
struct Tf32 {
    using Factor = float;
    static constexpr int kDepth = 8;           // of an instruction
    static constexpr int kGradientWarps = 16;  // of a block that makes a weights' gradient: as registers allow
    __device__ static float round(float v) { return round(Pack<float, 1>{{v}}).v[0]; }
    template <int N>
    __device__ static Pack<float, N> round(const Pack<float, N>& v) {
        Pack<float, N> rounded;
#pragma unroll
        for (int i = 0; i < N; i++) rounded.v[i] = simt::from_bits(simt::to_tf32(v.v[i]));
        return rounded;
    }
    /// Of what was loaded as it is.
    __device__ static unsigned rounded(unsigned bits) { return simt::to_tf32(simt::from_bits(bits)); }
    /// 16 x kDepth factors whose depth is contiguous: `row` is a lane's own, of row lane % 16 from lane / 16 * 16 bytes
    /// on.
    __device__ static void load_rows(unsigned (&a)[4], const float* row) { simt::ldmatrix<4>(a, row); }
    /// 16 x kDepth factors at at[depth * pitch + row], and kDepth x 8 at at[depth * pitch + column].
    __device__ static void load_left(unsigned (&a)[4], const float* at, int pitch) {
        const float* p = at + place(pitch);
        a[0] = simt::to_bits(p[0]);
        a[1] = simt::to_bits(p[8]);
        a[2] = simt::to_bits(p[4 * pitch]);
        a[3] = simt::to_bits(p[4 * pitch + 8]);
    }
    __device__ static void load_right(unsigned (&b)[2], const float* at, int pitch) {
        const float* p = at + place(pitch);
        b[0] = simt::to_bits(p[0]);
        b[1] = simt::to_bits(p[4 * pitch]);
    }
    /// kDepth x 8 factors at at[column * pitch + depth].
    __device__ static void load_columns(unsigned (&b)[2], const float* at, int pitch) {
        const float* p = at + static_cast<int>(threadIdx.x % 32 / 4) * pitch + static_cast<int>(threadIdx.x % 4);
        b[0] = simt::to_bits(p[0]);
        b[1] = simt::to_bits(p[4]);
    }
    __device__ static void multiply(float (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
        simt::mma_tf32(sum, a, b);
    }

  private:
    __device__ static int place(int pitch) {
        return static_cast<int>(threadIdx.x % 4) * pitch + static_cast<int>(threadIdx.x % 32 / 4);
    }
};

/// 16x8 += 16x16 * 16x8 of floats' upper halves, to the nearest (ties to even).
struct Bf16 {
    using Factor = std::uint16_t;
    static constexpr int kDepth = 16;
    static constexpr int kGradientWarps = 12;
    template <int N>
    __device__ static Pack<Factor, N> round(const Pack<float, N>& v) {
        Pack<Factor, N> rounded;
#pragma unroll
        for (int i = 0; i < N; i++) rounded.v[i] = simt::to_bf16(v.v[i]);
        return rounded;
    }
    __device__ static void load_rows(unsigned (&a)[4], const Factor* row) { simt::ldmatrix<4>(a, row); }
    __device__ static void load_left(unsigned (&a)[4], const Factor* at, int pitch) {
        const int lane = static_cast<int>(threadIdx.x % 32);
        simt::ldmatrix<4, true>(a, at + (lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 8);
    }
    __device__ static void load_right(unsigned (&b)[2], const Factor* at, int pitch) {
        simt::ldmatrix<2, true>(b, at + static_cast<int>(threadIdx.x % 16) * pitch);
    }
    __device__ static void multiply(float (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
        simt::mma_bf16(sum, a, b);
    }
};

/// How far rows of `columns` factors lie apart, so that neither load meets a bank twice: 8 more than a multiple of 16.
inline int fragment_pitch(int columns) { return (columns + 15) / 16 * 16 + 8; }

/// A lane's four of a 16x8 product, two of row lane / 4 and two of the row 8 below, as four neighbours of one row:
/// columns lane % 4 / 2 * 4 and on, of row lane / 4 + lane % 2 * 8.
__device__ inline Pack<float, 4> own_row(const float (&sum)[4]) {
    const bool odd = threadIdx.x % 2 != 0;
    const float low = __shfl_xor_sync(~0u, odd ? sum[0] : sum[2], 1),
                high = __shfl_xor_sync(~0u, odd ? sum[1] : sum[3], 1);
    if (odd) return {{low, high, sum[2], sum[3]}};
    return {{sum[0], sum[1], low, high}};
}
__device__ inline int own_row_of_16() {
    return static_cast<int>(threadIdx.x % 32 / 4) + static_cast<int>(threadIdx.x % 2) * 8;
}
__device__ inline int own_column_of_8() { return static_cast<int>(threadIdx.x % 4 / 2) * 4; }

/// Adds one and two of the lanes that have the same columns of a 16x8 product, and leaves the sums at to[half * columns
/// + column].
__device__ inline void sum_lanes(const double (&one)[4], const double (&two)[4], double* to, int columns) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    const bool half = lane & 1, upper = lane & 4, odd = lane & 8;
    double four[4], pair[2];
#pragma unroll
    for (int i = 0; i < 4; i++) four[i] = (half ? two[i] : one[i]) + __shfl_xor_sync(~0u, half ? one[i] : two[i], 1);
#pragma unroll
    for (int i = 0; i < 2; i++)
        pair[i] = (upper ? four[i + 2] : four[i]) + __shfl_xor_sync(~0u, upper ? four[i] : four[i + 2], 4);
    double sum = (odd ? pair[1] : pair[0]) + __shfl_xor_sync(~0u, odd ? pair[0] : pair[1], 8);
    sum += __shfl_xor_sync(~0u, sum, 16);
    if (lane < 16) to[half * columns + own_column_of_8() + 2 * upper + odd] = sum;
}

}  // namespace nascent::kernels::gpu
