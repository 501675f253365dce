#include "bench/device_norms/norms.h"
#include "kernels/common/partials.cuh"
#include "kernels/common/sums.cuh"

namespace nascent::bench {
namespace {

using namespace kernels::gpu;

/// How add_partials() cuts a gradient into blocks.
struct Cut {
    unsigned down, across, blocks;
    explicit Cut(const Fold& f) : down(partial_runs(f.chunks)) {
        across = static_cast<unsigned>(std::min<std::size_t>(kThreads / down, (f.count + 31) / 32 * 32));
        blocks = static_cast<unsigned>((f.count + across - 1) / across);
    }
};

/// add_partials_kernel, and slots (blocks) = the squares of what the block has stored.
__global__ void __launch_bounds__(kThreads) fold_with_squares_kernel(Fold f, unsigned down, double* slots) {
    SIMT_SHARED(double, part, [kThreads]);
    const unsigned across = blockDim.x / down, x = threadIdx.x % across, y = threadIdx.x / across;
    const std::size_t column = static_cast<std::size_t>(blockIdx.x) * across + x;
    double sum = 0;
    if (column < f.count)
        for (std::size_t i = y; i < f.chunks; i += down) sum += static_cast<double>(f.partials[i * f.count + column]);
    if (down > 1) {
        part[threadIdx.x] = sum;
        __syncthreads();
        for (unsigned i = 1; y == 0 && i < down; i++) sum += part[i * across + x];
    }
    const bool stores = y == 0 && column < f.count;
    if (stores) f.g[column] = static_cast<float>(sum);
    const double stored = stores ? static_cast<double>(static_cast<float>(sum)) : 0;
    double square = stored * stored;
    for (int lane = 16; lane > 0; lane /= 2) square += __shfl_xor_sync(~0u, square, lane);
    if (down > 1) __syncthreads();  // the columns' sums have been read
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = square;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (unsigned i = 1; i < blockDim.x / 32; i++) square += part[i];
    slots[blockIdx.x] = square;
}

__global__ void __launch_bounds__(kThreads) add_slots_kernel(const double* slots, std::size_t count, double* sum) {
    SIMT_SHARED(double, shared, [kThreads]);
    double all[1] = {};
    for (std::size_t i = threadIdx.x; i < count; i += kThreads) all[0] += slots[i];
    add_down<1>(1, shared, all);
    if (threadIdx.x == 0) sum[0] = all[0];
}

simt::stream_t handle(void* stream) { return static_cast<simt::stream_t>(stream); }

}  // namespace

void fold(void* stream, std::span<const Fold> folds) {
    for (const Fold& f : folds) add_partials(handle(stream), f.partials, f.chunks, f.count, f.g, false);
}

void fold_with_squares(void* stream, std::span<const Fold> folds, double* slots) {
    for (const Fold& f : folds) {
        const Cut cut(f);
        simt::launch(fold_with_squares_kernel,
                     {dim3(cut.blocks), dim3(cut.across * cut.down), 0, handle(stream), simt::Place::current()}, f,
                     cut.down, slots);
        slots += cut.blocks;
    }
}

std::size_t slots_of(std::span<const Fold> folds) {
    std::size_t count = 0;
    for (const Fold& f : folds) count += Cut(f).blocks;
    return count;
}

void add_slots(void* stream, const double* slots, std::size_t count, double* sum) {
    simt::launch(add_slots_kernel, {dim3(1), dim3(kThreads), 0, handle(stream), simt::Place::current()}, slots, count,
                 sum);
}

}  // namespace nascent::bench
