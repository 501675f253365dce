// The emulator's test kernels: right ones with their hosts' entry points, and wrong ones by name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace nascent::test {

/// out[0] = sum of x, in a fixed order: one partial sum per block, then one block. `partials` holds kSumBlocks.
inline constexpr int kSumBlocks = 7;
void sum(const float* x, int size, float* partials, float* out);
/// The same in one launch: the last block to be done, which an integer atomic tells, adds the partial sums.
void sum_one_launch(const float* x, int size, float* partials, unsigned* done, float* out);
/// c (m, n) = a (m, k) * b (n, k) transposed, through mma.sync; m, n multiples of 64 and k of 32 (tf32: 16).
void gemm_bf16(const std::uint16_t* a, const std::uint16_t* b, float* c, int m, int n, int k);
void gemm_tf32(const float* a, const float* b, float* c, int m, int n, int k);
/// y = depthwise 3x3 convolution of x (n, h, w, c) with weight (3, 3, c), padding 1; c a multiple of 4.
void depthwise(const float* x, const float* weight, float* y, int n, int h, int w, int c);
/// result: votes, shuffles, sums and maxima of `threads` threads, kFacts numbers a thread.
inline constexpr int kFacts = 8;
void warp_facts(const int* x, int* result, int threads);
/// 100 KiB of dynamic shared memory, allowed for or not: out[0] = its last element, which is set to 7.
void much_shared(bool allow, float* out);

/// Launches a kernel that does nothing.
void launch_nothing(const unsigned (&grid)[3], const unsigned (&block)[3], std::size_t shared);

/// A kernel of two blocks of 64 threads that is wrong on purpose.
struct Wrong {
    const char* name;
    void (*launch)(const float* in, float* out);  // 128 numbers each
};
std::span<const Wrong> wrong_kernels();

}  // namespace nascent::test
