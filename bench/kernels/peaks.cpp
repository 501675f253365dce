// The machine's peaks, measured: multiply-adds on registers, and copy and triad over memory.
#include <time.h>

#include <algorithm>
#include <cstring>

#include "bench/kernels/bench.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/kernels/peaks.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Twelve chains hide a latency of 4 to 6 cycles on two units and leave 16 registers room for the operands.
float multiply_adds(int rounds, double* flops) {
    const hn::ScalableTag<float> tag;
    volatile float one = 1.0F, small = 1e-3F;
    const auto a = hn::Set(tag, 1 - small), b = hn::Set(tag, one);
    using V = hn::Vec<decltype(tag)>;
    constexpr int kChains = 12;
    V acc[kChains];
#pragma GCC unroll 12
    for (int i = 0; i < kChains; i++) acc[i] = hn::Set(tag, static_cast<float>(i));
    for (int r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; i++) acc[i] = hn::MulAdd(acc[i], a, b);
    }
    V sum = acc[0];
#pragma GCC unroll 12
    for (int i = 1; i < kChains; i++) sum = hn::Add(sum, acc[i]);
    *flops = 2.0 * kChains * static_cast<double>(hn::Lanes(tag)) * rounds;
    return hn::GetLane(hn::SumOfLanes(tag, sum));
}

/// c = a + s b.
float triad(std::size_t count, const float* a, const float* b, float s, float* c) {
    const hn::ScalableTag<float> tag;
    const auto scale = hn::Set(tag, s);
    for (std::size_t i = 0; i < count; i += hn::Lanes(tag))
        hn::StoreU(hn::MulAdd(hn::LoadU(tag, b + i), scale, hn::LoadU(tag, a + i)), tag, c + i);
    return c[count / 2];
}

}  // namespace HWY_NAMESPACE
}  // namespace bench
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::bench {
namespace {

HWY_EXPORT(multiply_adds);
HWY_EXPORT(triad);

constexpr std::size_t kFloats = std::size_t{1} << 25;  // 128 MiB an array: four times a large third-level cache

double run_fma() {
    kernels::ensure_cpu_target();
    double flops = 0;
    benchmark::DoNotOptimize(HWY_DYNAMIC_DISPATCH(multiply_adds)(1'000'000, &flops));
    return flops;
}

struct Arrays {
    Buffer a = Buffer::floats(kFloats), b = Buffer::floats(kFloats), c = Buffer::zeros(kFloats * sizeof(float));
};
const Arrays& arrays() {
    static const Arrays all;
    return all;
}
double run_triad() {
    kernels::ensure_cpu_target();
    const Arrays& m = arrays();
    benchmark::DoNotOptimize(HWY_DYNAMIC_DISPATCH(triad)(kFloats, m.a.as(), m.b.as(), 0.5F, m.c.as()));
    return 3.0 * kFloats * sizeof(float);
}
double run_copy() {
    const Arrays& m = arrays();
    std::memcpy(m.c.as(), m.a.as(), kFloats * sizeof(float));
    benchmark::ClobberMemory();
    return 2.0 * kFloats * sizeof(float);
}

/// The best of several, by the thread's own clock, so that other programs disturb little.
double best_rate(double (*run)()) {
    auto now = [] {
        timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    };
    run();
    double best = 0;
    for (int i = 0; i < 10; i++) {
        const double begin = now(), amount = run();
        best = std::max(best, amount / (now() - begin) / 1e9);
    }
    return best;
}

void peak(benchmark::State& state, double (*run)(), const char* unit) {
    double amount = 0;
    for (auto _ : state) amount += run();
    state.counters[unit] = benchmark::Counter(amount / 1e9, benchmark::Counter::kIsRate);
}

}  // namespace

double fma_peak() {
    static const double rate = best_rate(run_fma);
    return rate;
}
double triad_peak() {
    static const double rate = best_rate(run_triad);
    return rate;
}

void register_peaks() {
    benchmark::RegisterBenchmark("peak/fma", [](benchmark::State& s) { peak(s, run_fma, "GFLOP/s"); });
    benchmark::RegisterBenchmark("peak/copy", [](benchmark::State& s) { peak(s, run_copy, "GB/s"); });
    benchmark::RegisterBenchmark("peak/triad", [](benchmark::State& s) { peak(s, run_triad, "GB/s"); });
}

}  // namespace nascent::bench
#endif
