// Kernels whose bytes are known.
#include "kernels/simt/simt.h"
#include "tests/simt/traffic.h"

namespace nascent::test {
namespace {

/// Each thread copies 16 bytes; a block's last thread reads the next block's first 16 bytes too.
__global__ void copy(const float4* x, float4* y, int count, bool halo) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    float4 v = x[i];
    if (halo && threadIdx.x == blockDim.x - 1 && i + 1 < count) v.x += x[i + 1].x;
    y[i] = v;
}

/// Each block reads all of x, twice, through shared memory the second time, and writes a float.
__global__ void sum(const float* x, float* y, int count) {
    SIMT_SHARED(float, part, [32]);
    float s = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += 32) s += x[i];
    for (int i = 0; i < count; i += 32) {
        simt::cp_async<4>(&part[threadIdx.x], x + i + threadIdx.x);
        simt::cp_async_commit();
        simt::cp_async_wait<0>();
        __syncwarp();
        s += part[threadIdx.x];
        __syncwarp();
    }
    part[threadIdx.x] = s;
    __syncwarp();
    if (threadIdx.x == 0) y[blockIdx.x * 8] = part[0] + part[31];
}

}  // namespace

void traffic_copy(const void* x, void* y, int count, bool halo) {
    simt::launch(copy, {dim3(static_cast<unsigned>(count) / 64), dim3(64)}, static_cast<const float4*>(x),
                 static_cast<float4*>(y), count, halo);
}
void traffic_sum(const float* x, float* y, int count, int blocks) {
    simt::launch(sum, {dim3(static_cast<unsigned>(blocks)), dim3(32)}, x, y, count);
}

}  // namespace nascent::test
