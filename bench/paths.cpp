// What checks, counts and draws of paths cost: FLOPs of a path from the table, exact tables of sums, draws under a
// limit.
#include <benchmark/benchmark.h>

#include "nas/algo/chain_optimum.h"
#include "nas/algo/chain_sampling.h"
#include "nas/algo/constrained_paths.h"
#include "nas/metric/chain_cost.h"

using namespace nascent;
using chain::MacConvention;

namespace {

/// A space and the convention and limit that its papers search with.
struct Case {
    const char* space;
    MacConvention convention;
    std::int64_t limit;
};
constexpr Case kCases[] = {{"shufflenet", MacConvention::mac, 330'000'000},
                           {"shufflenet-channels", MacConvention::mac, 330'000'000},
                           {"shufflenet-mmrazor", MacConvention::mmrazor, 330'000'000},
                           {"mobilenet", MacConvention::thop, 475'000'000},
                           {"mobilenet-mmrazor", MacConvention::mmrazor, 465'000'000}};

const Case& case_of(benchmark::State& state) {
    const Case& c = kCases[state.range(0)];
    state.SetLabel(c.space);
    return c;
}

PathCosts costs(const Case& c, std::optional<MacConvention> convention) {
    const chain::Space s = chain::space(c.space);
    return chain::path_costs(s, chain::all_choices(s), convention);
}

std::vector<int> choices(const PathCosts& costs) {
    std::vector<int> n;
    for (int b = 0; b < costs.blocks(); ++b) n.push_back(static_cast<int>(costs.choices(b).size()));
    return n;
}

void path_cost(benchmark::State& state) {
    const PathCosts macs = costs(case_of(state), case_of(state).convention);
    const UniformPaths uniform(choices(macs));
    std::vector<std::vector<int>> paths;
    for (std::uint64_t i = 0; i < 1024; ++i) paths.push_back(uniform.path(1, i));
    std::size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(macs.of(paths[i++ % 1024]));
}
BENCHMARK(path_cost)->DenseRange(0, 4);

void table(benchmark::State& state) {
    const PathCosts macs = costs(case_of(state), case_of(state).convention);
    std::size_t entries = 0;
    for (auto _ : state) entries = PathCounts(macs).entries();
    state.counters["entries"] = static_cast<double>(entries);
}
BENCHMARK(table)->DenseRange(0, 4)->Unit(benchmark::kMillisecond);

void draw_under_limit(benchmark::State& state) {
    const Case& c = case_of(state);
    const ConstrainedPaths paths({{"MACs", costs(c, c.convention), {.high = c.limit}}});
    std::uint64_t step = 0;
    for (auto _ : state) benchmark::DoNotOptimize(paths.draw(1, RandomStream::search, step++));
}
BENCHMARK(draw_under_limit)->DenseRange(0, 4);

/// And with at most the parameters of the middle of the space.
void draw_under_two_limits(benchmark::State& state) {
    const Case& c = case_of(state);
    const PathCosts params = costs(c, std::nullopt);
    const ConstrainedPaths paths({{"MACs", costs(c, c.convention), {.high = c.limit}},
                                  {"parameters", params, {.high = (params.low() + params.high()) / 2}}});
    std::uint64_t step = 0;
    for (auto _ : state) benchmark::DoNotOptimize(paths.draw(1, RandomStream::search, step++));
}
BENCHMARK(draw_under_two_limits)->DenseRange(0, 4);

void draw_from_buckets(benchmark::State& state) {
    const BucketPaths paths(costs(case_of(state), MacConvention::mac), {});
    std::uint64_t step = 0;
    for (auto _ : state) benchmark::DoNotOptimize(paths.path(1, step++));
}
BENCHMARK(draw_from_buckets)->DenseRange(0, 0);

/// Of weights as many as the networks', every operator turned by its own random angle.
void largest_angle(benchmark::State& state) {
    const Case& c = case_of(state);
    const PathCosts macs = costs(c, c.convention), params = costs(c, std::nullopt);
    RandomIndex random(static_cast<std::uint64_t>(state.range(1)), RandomStream::test, 0);
    auto sums = [&](std::int64_t weights) {
        const double step = 0.5 + random.uniform(), along = -0.6 * random.uniform();
        const double n0 = 1 + static_cast<double>(weights) / 500;
        return AngleSums{n0 * (1 + step * along), n0, n0 * (1 + 2 * step * along + step * step)};
    };
    ChainTable table{sums(params.fixed()), macs.fixed(), {}};
    for (int b = 0; b < params.blocks(); ++b) {
        auto& block = table.blocks.emplace_back();
        for (std::size_t i = 0; i < params.choices(b).size(); ++i)
            block.push_back({static_cast<int>(i), sums(params.choices(b)[i]), macs.choices(b)[i]});
    }
    ChainProblem problem(table, c.limit);
    LargestAngle best;
    for (auto _ : state) best = maximise_angle(problem);
    state.counters["problems"] = static_cast<double>(best.linear_problems);
    state.counters["listed"] = static_cast<double>(best.listed);
    state.counters["gap"] = best.gap();
}
BENCHMARK(largest_angle)->ArgsProduct({{0, 3, 4}, {1, 2, 3}})->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
