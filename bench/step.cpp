// The training step (forward, backward, update) of the NAS-Bench-201 path supernet, C = 16, N = 5, on synthetic
// pictures. CPU time is the whole process's: kernels on all threads, and the loader's thread. Paths differ from step to
// step, and so does their cost: GFLOP/s and core_GFLOP/s are what the steps that ran had to compute at least.
#include <benchmark/benchmark.h>

#include "bench/core_seconds.h"
#include "bench/path_cost.h"
#include "nas/algo/supernet_trainer.h"

using namespace nascent;

namespace {

void path_step(benchmark::State& state) {
    const int batch = static_cast<int>(state.range(0)), threads = static_cast<int>(state.range(1));
    static const Dataset set = load_dataset("synthetic");
    auto device = make_device("cpu", threads);
    Nb201Supernet net(*device, DType::f32, {});
    net.initialise(0);
    LoaderOptions options;
    options.batch_size = batch;
    Loader<float> loader(set.train, {}, set.classes, normalisation("half", set), options);
    SupernetTraining training;
    training.epochs = 1'000'000;
    SupernetTrainer trainer(net, loader, training);
    for (int i = 0; i < 3; i++) trainer.step();  // memory is committed, the loader is ahead
    const double waited = trainer.wait_seconds();
    double flops = 0, core = bench::core_seconds();
    for (auto _ : state) {
        const std::int64_t step = trainer.step_number();
        trainer.step();
        flops += batch *
                 bench::path_cost(net.config(), sample_path(training.seed, step, net.search_cells(), training.sampling))
                     .total();
    }
    core = bench::core_seconds() - core;
    using benchmark::Counter;
    state.SetItemsProcessed(state.iterations() * batch);
    state.counters["GFLOP/s"] = Counter(flops / 1e9, Counter::kIsRate);
    state.counters["core_GFLOP/s"] = flops / 1e9 / core;
    state.counters["core_s"] = Counter(core, Counter::kAvgIterations);
    state.counters["wait_s"] = Counter(trainer.wait_seconds() - waited, Counter::kAvgIterations);
    state.counters["MiB"] = static_cast<double>(trainer.high_water()) / (1 << 20);
}
BENCHMARK(path_step)
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{64, 256}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace

BENCHMARK_MAIN();
