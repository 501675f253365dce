// Every kernel of kernels/*.h at the sizes of the NAS-Bench-201 network (batch 64, C = 16), links of chains at those of
// ShuffleNetV2 and MobileNet (batch 16), one thread, float32, beside the machine's peaks. --benchmark_filter=conv runs
// one group: peak, conv, chain, node, norm, head, sgd, primitive.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "bench/kernels/bench.h"
#include "kernels/target.h"

namespace nascent::bench {

Buffer::Buffer(std::size_t bytes) {
    static std::size_t made = 0;
    constexpr std::size_t kHuge = std::size_t{2} << 20;
    const std::size_t offset = made++ % 16 * 64 * 5, align = bytes >= kHuge ? kHuge : 64;
    const std::size_t size = (bytes + 4096 + align - 1) / align * align;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(align, size)));
    if (!memory_) throw std::bad_alloc();
    if (align == kHuge) madvise(memory_.get(), size, MADV_HUGEPAGE);  // as an arena's memory
    data_ = memory_.get() + offset % 4096;
}

Buffer Buffer::floats(std::size_t count, float low, float high) {
    Buffer b(count * sizeof(float));
    std::uint32_t x = 1;  // a linear congruence is random enough for speed
    for (std::size_t i = 0; i < count; i++) {
        x = x * 1664525 + 1013904223;
        b.as()[i] = low + (high - low) * static_cast<float>(x >> 8) / static_cast<float>(1 << 24);
    }
    return b;
}

Buffer Buffer::zeros(std::size_t bytes) {
    Buffer b(bytes);
    std::fill_n(b.as<std::byte>(), bytes, std::byte{0});
    return b;
}

namespace {

void count(benchmark::State& state, const char* rate, const char* part, double per_iteration, double peak) {
    using benchmark::Counter;
    state.counters[rate] = Counter(per_iteration / 1e9, Counter::kIsIterationInvariantRate);
    state.counters[part] = Counter(per_iteration / 1e9 / peak, Counter::kIsIterationInvariantRate);
}

}  // namespace

void count_flops(benchmark::State& state, double flops) { count(state, "GFLOP/s", "of_fma", flops, fma_peak()); }
void count_bytes(benchmark::State& state, double bytes) { count(state, "GB/s", "of_triad", bytes, triad_peak()); }

}  // namespace nascent::bench

int main(int argc, char** argv) {
    using namespace nascent::bench;
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::AddCustomContext("cpu_target", std::string(nascent::kernels::cpu_target()));
    benchmark::AddCustomContext("fma_peak_gflops", std::to_string(fma_peak()));
    benchmark::AddCustomContext("triad_peak_gbytes", std::to_string(triad_peak()));
    register_peaks();
    register_conv();
    register_chain();
    register_node();
    register_norm();
    register_head();
    register_sgd();
    register_primitive();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
