// Kernels that are wrong on purpose, and ones called right that are not. wrong_test.cpp says what must notice each of
// them.
#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"

namespace nascent::test {
namespace {

constexpr int kN = 64;

__device__ int global_thread() { return static_cast<int>(blockIdx.x * kN + threadIdx.x); }

__global__ void right(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    s[threadIdx.x] = in[global_thread()];
    __syncthreads();
    out[global_thread()] = s[kN - 1 - threadIdx.x];
}
__global__ void missing_barrier(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    s[threadIdx.x] = in[global_thread()];
    out[global_thread()] = s[kN - 1 - threadIdx.x];
}
__global__ void missing_second_barrier(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    float sum = 0;
    for (int i = 0; i < 2; i++) {
        s[threadIdx.x] = in[global_thread()] + static_cast<float>(i);
        __syncthreads();
        sum += s[(threadIdx.x + 1) % kN];  // which the next round overwrites
    }
    out[global_thread()] = sum;
}
__global__ void warp_synchronous(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    s[threadIdx.x] = in[global_thread()];
    __syncthreads();
    if (threadIdx.x < 32)
        for (unsigned d = 16; d > 0; d /= 2)  // wants __syncwarp
            if (threadIdx.x < d) s[threadIdx.x] += s[threadIdx.x + d];
    __syncthreads();
    out[global_thread()] = s[0];
}
__global__ void uninitialised_shared(const float*, float* out) {
    SIMT_SHARED(float, s, [kN]);
    if (threadIdx.x == 0) s[0] = 1;
    __syncthreads();
    out[global_thread()] = s[threadIdx.x];
}
__global__ void shared_overrun(const float* in, float* out) {
    SIMT_DYNAMIC_SHARED(float, s);
    s[threadIdx.x + 1] = in[global_thread()];
    __syncthreads();
    out[global_thread()] = threadIdx.x == 0 ? 0.0f : s[threadIdx.x];
}
__global__ void shared_index(const float* in, float* out) {
    SIMT_SHARED(float, s, [2][kN]);
    s[0][threadIdx.x + 1] = in[global_thread()];  // the last one is s[1][0]
    __syncthreads();
    out[global_thread()] = threadIdx.x == 0 ? 0.0f : s[0][threadIdx.x];
}
__global__ void global_overrun(const float* in, float* out) { out[global_thread()] = in[global_thread() + 1]; }
__global__ void global_race(const float* in, float* out) {
    out[global_thread()] = in[global_thread()];
    if (threadIdx.x == 1) out[blockIdx.x * kN] = 2;
}
__global__ void race_between_blocks(const float* in, float* out) {
    if (threadIdx.x == 0) out[0] = 2 * out[0] + in[global_thread()];
}
__global__ void misaligned_vector(const float* in, float* out) {
    out[global_thread()] = in[0];
    if (threadIdx.x < 8) out[global_thread()] = simt::aligned<float4>(in + 1)[threadIdx.x].x;
}
__global__ void misaligned_cast(const float* in, float* out) {
    out[global_thread()] = in[0];
    if (threadIdx.x < 8) out[global_thread()] = reinterpret_cast<const float4*>(in + 1)[threadIdx.x].x;
}
__global__ void divergent_barrier(const float*, float* out) {
    if (threadIdx.x < 32) __syncthreads();
    out[global_thread()] = 1;
}
__global__ void two_barriers(const float*, float* out) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    out[global_thread()] = 1;
}
__global__ void exit_before_barrier(const float*, float* out) {
    if (threadIdx.x == kN - 1) return;
    __syncthreads();
    out[global_thread()] = 1;
}
__global__ void barrier_and_shuffle(const float* in, float* out) {
    float v = in[global_thread()];
    if (threadIdx.x == 40)
        __syncthreads();
    else
        v = __shfl_xor_sync(0xffffffffu, v, 1);
    out[global_thread()] = v;
}
__global__ void shuffle_outside_mask(const float* in, float* out) {
    float v = in[global_thread()];
    if (threadIdx.x % 32 < 16) v = __shfl_sync(0x0000ffffu, v, 20);
    out[global_thread()] = v;
}
__global__ void lane_outside_mask(const float* in, float* out) {
    out[global_thread()] = __shfl_sync(0x0000ffffu, in[global_thread()], 0);
}
__global__ void shuffle_in_branch(const float* in, float* out) {
    float v = in[global_thread()];
    if (threadIdx.x % 32 < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
    out[global_thread()] = v;
}
__global__ void masks_disagree(const float* in, float* out) {
    const unsigned mask = threadIdx.x % 32 == 5 ? 0x000000ffu : 0x0000ffffu;
    float v = in[global_thread()];
    if (threadIdx.x % 32 < 16) v = __shfl_xor_sync(mask, v, 1);
    out[global_thread()] = v;
}
__global__ void missing_wait(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    if (threadIdx.x < kN / 4) simt::cp_async<16>(s + 4 * threadIdx.x, in + blockIdx.x * kN + 4 * threadIdx.x);
    simt::cp_async_commit();
    __syncthreads();
    out[global_thread()] = s[threadIdx.x];
}
__global__ void missing_commit(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    simt::cp_async<4>(s + threadIdx.x, in + global_thread());
    simt::cp_async_wait<0>();
    __syncthreads();
    out[global_thread()] = s[threadIdx.x];
}
__global__ void wait_for_older(const float* in, float* out) {
    SIMT_SHARED(float, s, [2][kN]);
    for (int i = 0; i < 2; i++) {
        simt::cp_async<4>(s[i] + threadIdx.x, in + global_thread());
        simt::cp_async_commit();
    }
    simt::cp_async_wait<1>();
    __syncthreads();
    out[global_thread()] = s[1][threadIdx.x];  // the group that may be under way
}
__global__ void wait_without_barrier(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    if (threadIdx.x < kN / 4) simt::cp_async<16>(s + 4 * threadIdx.x, in + blockIdx.x * kN + 4 * threadIdx.x);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
    out[global_thread()] = s[kN - 1 - threadIdx.x];
}
__global__ void copy_misaligned(const float* in, float* out) {
    SIMT_SHARED(float, s, [2 * kN]);
    simt::cp_async<16>(s + 4 * (threadIdx.x % 16), in + 1);
    out[global_thread()] = 1;
}
__global__ void copy_not_to_shared(const float* in, float* out) { simt::cp_async<4>(out, in); }
__global__ void copy_past_shared(const float* in, float* out) {
    SIMT_SHARED(float, s, [kN]);
    simt::cp_async<16>(s + 4 * threadIdx.x, in);
    out[global_thread()] = 1;
}
#if !defined(__CUDACC__)  // ptxas refuses it itself
__global__ void too_much_static_shared(const float* in, float* out) {
    SIMT_SHARED(float, s, [7000]);
    SIMT_SHARED(float, t, [7000]);
    s[threadIdx.x] = t[threadIdx.x] = in[global_thread()];
    __syncthreads();
    out[global_thread()] = s[kN - 1 - threadIdx.x] + t[threadIdx.x];
}
#endif
/// The last number counts blocks; the last block adds what a thread of each wrote.
template <bool Barrier, bool Before, bool Behind>
__device__ void add_in_last_block(const float* in, float* out) {
    SIMT_SHARED(unsigned, before);
    if (threadIdx.x == 40) out[blockIdx.x] = in[blockIdx.x];
    if (Barrier) __syncthreads();
    if (threadIdx.x == 0) {
        if (Before) __threadfence();
        before = atomicAdd(reinterpret_cast<unsigned*>(out + 2 * kN - 1), 1u);
        if (Behind) __threadfence();
    }
    __syncthreads();
    if (before == 1 && threadIdx.x == 1) out[2] = out[0] + out[1];
}
__global__ void right_fences(const float* in, float* out) { add_in_last_block<true, true, true>(in, out); }
__global__ void missing_fences(const float* in, float* out) { add_in_last_block<true, false, false>(in, out); }
__global__ void missing_fence_before(const float* in, float* out) { add_in_last_block<true, false, true>(in, out); }
__global__ void missing_fence_behind(const float* in, float* out) { add_in_last_block<true, true, false>(in, out); }
__global__ void fences_without_barrier(const float* in, float* out) { add_in_last_block<false, true, true>(in, out); }
__global__ void runaway_stack(const float* in, float* out) {
    volatile char big[300 * 1024];
    for (unsigned i = 0; i < sizeof(big); i += 512) big[i] = 1;
    out[global_thread()] = in[global_thread()] + static_cast<float>(big[512]);
}

template <void (*kernel)(const float*, float*), unsigned shared = 0>
void on(const float* in, float* out) {
    simt::launch(kernel, {2, kN, shared}, in, out);
}

}  // namespace

std::span<const Wrong> wrong_kernels() {
    static const Wrong all[] = {
        {"right", on<right>},
        {"missing_barrier", on<missing_barrier>},
        {"missing_second_barrier", on<missing_second_barrier>},
        {"warp_synchronous", on<warp_synchronous>},
        {"uninitialised_shared", on<uninitialised_shared>},
        {"shared_overrun", on<shared_overrun, kN * sizeof(float)>},
        {"shared_index", on<shared_index>},
        {"global_overrun", on<global_overrun>},
        {"global_race", on<global_race>},
        {"race_between_blocks", on<race_between_blocks>},
        {"misaligned_vector", on<misaligned_vector>},
        {"misaligned_cast", on<misaligned_cast>},
        {"divergent_barrier", on<divergent_barrier>},
        {"two_barriers", on<two_barriers>},
        {"exit_before_barrier", on<exit_before_barrier>},
        {"barrier_and_shuffle", on<barrier_and_shuffle>},
        {"shuffle_outside_mask", on<shuffle_outside_mask>},
        {"lane_outside_mask", on<lane_outside_mask>},
        {"shuffle_in_branch", on<shuffle_in_branch>},
        {"masks_disagree", on<masks_disagree>},
        {"missing_wait", on<missing_wait>},
        {"missing_commit", on<missing_commit>},
        {"wait_for_older", on<wait_for_older>},
        {"wait_without_barrier", on<wait_without_barrier>},
        {"copy_misaligned", on<copy_misaligned>},
        {"copy_not_to_shared", on<copy_not_to_shared>},
        {"copy_past_shared", on<copy_past_shared>},
#if !defined(__CUDACC__)
        {"too_much_static_shared", on<too_much_static_shared>},
#endif
        {"right_fences", on<right_fences>},
        {"missing_fences", on<missing_fences>},
        {"missing_fence_before", on<missing_fence_before>},
        {"missing_fence_behind", on<missing_fence_behind>},
        {"fences_without_barrier", on<fences_without_barrier>},
        {"runaway_stack", on<runaway_stack>}
    };
    return all;
}

}  // namespace nascent::test
