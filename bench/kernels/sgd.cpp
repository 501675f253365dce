#include "kernels/sgd.h"

#include <vector>

#include "bench/kernels/bench.h"

namespace nascent::bench {
namespace {

using namespace kernels;

/// Ranges of the convolutions that one path of 90 edges writes on average: 18 of each kind, a third of them per stage.
struct Parameters {
    std::vector<Buffer> memory;
    std::vector<SgdRange<float>> ranges;
    std::size_t count = 0;
    explicit Parameters(bool gap) {
        for (const Stage& stage : kStages)
            for (int k : {1, 3})
                for (int i = 0; i < 6; i++) {
                    const std::size_t n = static_cast<std::size_t>(k) * k * stage.channels * stage.channels;
                    for (int part = 0; part < 3; part++) memory.push_back(Buffer::floats(n));
                    SgdRange<float> r{memory.end()[-3].as(), memory.end()[-2].as(), memory.end()[-1].as(), n};
                    if (gap) r.gap[0] = 0.999, r.gap[1] = -0.01, r.gap[2] = 0.0004, r.gap[3] = 0.9;
                    ranges.push_back(r);
                    count += n;
                }
    }
};

void update(benchmark::State& state, bool gap) {
    const Parameters p(gap);
    const SgdStep step{0.025, 0.9, 5e-4, true};
    for (auto _ : state) sgd<float>(kOneThread, step, p.ranges);
    count_bytes(state, static_cast<double>(5 * p.count * sizeof(float)));
}
void squares(benchmark::State& state) {
    const Parameters p(false);
    std::vector<GradientRange<float>> list;
    for (const SgdRange<float>& r : p.ranges) list.push_back({r.g, r.count});
    const std::span<const GradientRange<float>> ranges(list);
    const Buffer workspace(sum_of_squares_workspace<float>(kOneThread, ranges));
    double sum = 0;
    for (auto _ : state) {
        sum_of_squares<float>(kOneThread, ranges, &sum, workspace.as<void>());
        benchmark::DoNotOptimize(sum);
    }
    count_bytes(state, static_cast<double>(p.count * sizeof(float)));
}

}  // namespace

void register_sgd() {
    benchmark::RegisterBenchmark("sgd/step/path", [](benchmark::State& s) {
        update(s, false);
    })->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark("sgd/step_after_gap/path", [](benchmark::State& s) {
        update(s, true);
    })->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark("sgd/sum_of_squares/path", squares)->Unit(benchmark::kMicrosecond);
}

}  // namespace nascent::bench
