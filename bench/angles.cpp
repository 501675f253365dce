// What angles cost from their tables, and what finding the largest does.
#include <benchmark/benchmark.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "nas/algo/chain_optimum.h"
#include "nas/algo/darts_optimum.h"
#include "nas/metric/chain_angle_parts.h"
#include "nas/metric/darts_angle_parts.h"

using namespace nascent;

namespace {

/// Sums of `count` weights that turned by about a radian.
class Drawn {
  public:
    AngleSums operator()(double count) {
        const Random r(1, RandomStream::test, 0, drawn_++), s(1, RandomStream::test, 1, drawn_);
        const double n0 = count * (0.5 + r.uniform(0)), n1 = n0 * (0.7 + r.uniform(1));
        return {std::sqrt(n0 * n1) * std::cos(0.5 + s.uniform(0)), n0, n1};
    }

  private:
    std::uint32_t drawn_ = 0;
};

const darts::NetConfig kImageNet{.stem = darts::Stem::imagenet,
                                 .classes = 1000,
                                 .input_size = 224,
                                 .channels = 48,
                                 .layers = 14,
                                 .stem_multiplier = 1};

darts::Angle darts_angle(const darts::AngleSwitches& switches) {
    const darts::Net net = darts::search_net(kImageNet, {.affine = true});
    std::map<std::string, double> sizes;
    for (const darts::StateEntry& e : darts::state_entries(net)) {
        double n = 1;
        for (std::int64_t d : e.shape) n *= static_cast<double>(d);
        sizes[e.name] = n;
    }
    Drawn drawn;
    return {darts::angle_parts(net, [&](const std::string& name) { return drawn(sizes.at(name)); }), switches};
}

ChainTable mobilenet(const ChainAngleRules& rules) {
    const chain::Space space = chain::space("mobilenet");
    const chain::Net net = chain::supernet(space);
    std::map<std::string, double> sizes;
    for (const chain::StateEntry& e : chain::state_entries(net.layers)) {
        double n = 1;
        for (std::int64_t d : e.shape) n *= static_cast<double>(d);
        sizes[e.name] = n;
    }
    Drawn drawn;
    const auto parts = chain::angle_parts(net, [&](const std::string& name) { return drawn(sizes.at(name)); });
    return chain::angle_table(space, parts, rules);
}

void angle_darts(benchmark::State& state) {
    const darts::Angle angle =
        darts_angle(state.range(0) ? darts::AngleSwitches::anglenas() : darts::AngleSwitches::rlnas_imagenet());
    std::vector<darts::Code> codes;
    for (std::int64_t i = 0; i < 1024; ++i) codes.push_back(darts::training_path(1, i));
    std::size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(angle.angle(codes[i++ % 1024]));
    state.SetLabel(state.range(0) ? "16 paths" : "30 paths");
}
BENCHMARK(angle_darts)->Arg(0)->Arg(1);

void angle_mobilenet(benchmark::State& state) {
    const ChainAngle angle(mobilenet(ChainAngleRules::rlnas()));
    std::vector<std::vector<std::uint8_t>> places(1024);
    for (std::uint32_t i = 0; i < places.size(); ++i) {
        for (std::uint32_t b = 0; b < 21; ++b) {
            const auto n = static_cast<std::uint32_t>(angle.table().blocks[b].size());
            places[i].push_back(static_cast<std::uint8_t>(Random(2, RandomStream::test, i, b).below(0, n)));
        }
    }
    std::size_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(angle.angle_at(places[i++ % 1024]));
}
BENCHMARK(angle_mobilenet);

void training_path(benchmark::State& state) {
    std::int64_t i = 0;
    for (auto _ : state) {
        if (state.range(0))
            benchmark::DoNotOptimize(darts::numpy_training_path(1, i++));
        else
            benchmark::DoNotOptimize(darts::training_path(1, i++));
    }
    state.SetLabel(state.range(0) ? "as NumPy" : "by counters");
}
BENCHMARK(training_path)->Arg(0)->Arg(1);

void optimum(benchmark::State& state, AngleProblem& problem) {
    LargestAngle found;
    for (auto _ : state) found = maximise_angle(problem);
    state.counters["gap"] = found.gap();
    state.counters["problems"] = static_cast<double>(found.linear_problems);
    state.counters["listed"] = static_cast<double>(found.listed);
    if (!found.exact) state.SkipWithError("not proved");
}

void optimum_mobilenet(benchmark::State& state) {
    const ChainTable table = mobilenet(ChainAngleRules::rlnas());
    ChainProblem problem(table, 475'000'000);
    optimum(state, problem);
}
BENCHMARK(optimum_mobilenet)->Unit(benchmark::kMillisecond);

void optimum_darts(benchmark::State& state) {
    const darts::Angle angle = darts_angle(darts::AngleSwitches::rlnas_imagenet());
    const darts::CodeCosts costs = darts::code_costs(kImageNet, darts::MacConvention::thop);
    DartsProblem problem(angle, costs, state.range(0) * 1'000'000);
    optimum(state, problem);
}
BENCHMARK(optimum_darts)->Arg(600)->Arg(400)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
