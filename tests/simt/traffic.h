// The kernels of traffic.cu.
#pragma once

namespace nascent::test {

/// `count` (a multiple of 64) times 16 bytes from x to y, 64 a block; with a halo a block reads 4 bytes more.
void traffic_copy(const void* x, void* y, int count, bool halo);
/// Every block reads x (count, a multiple of 32), and writes y[8 * block].
void traffic_sum(const float* x, float* y, int count, int blocks);

}  // namespace nascent::test
