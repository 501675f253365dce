// The training step (forward, backward, update) of the NAS-Bench-201 path supernet, C = 16, N = 5, on synthetic
// pictures.
#include <benchmark/benchmark.h>

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
    for (auto _ : state) trainer.step();
    state.SetItemsProcessed(state.iterations() * batch);
    state.counters["MiB"] = static_cast<double>(trainer.high_water()) / (1 << 20);
    state.counters["wait_s"] = trainer.wait_seconds();
}
BENCHMARK(path_step)
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{64, 256}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace

BENCHMARK_MAIN();
