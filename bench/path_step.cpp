// Training steps of the NAS-Bench-201 path supernet (C = 16, N = 5) on synthetic pictures, as one line of JSON: the
// side of bench/compare.py that is ours. The loader prepares the batches on a thread of its own meanwhile and is
// counted.
#include <fmt/format.h>

#include "bench/path_cost.h"
#include "bench/step_timing.h"
#include "nas/algo/supernet_trainer.h"
#include "nas/run/program.h"

using namespace nascent;

namespace {

void print_paths(int count, int cells, std::uint64_t seed) {
    for (int step = 0; step < count; step++) {
        std::string line;
        for (const nb201::Architecture& a : sample_path(seed, step, cells, CellSampling::per_cell)) {
            std::string ops;
            for (nb201::Op op : a.ops) ops += fmt::format("{}{}", ops.empty() ? "" : ",", static_cast<int>(op));
            line += fmt::format("{}[{}]", line.empty() ? "" : ",", ops);
        }
        fmt::print("{}[{}]{}", step ? ",\n" : "[", line, step + 1 == count ? "]\n" : "");
    }
}

}  // namespace

static int run(int argc, char** argv) {
    CLI::App app{"Times training steps of the NAS-Bench-201 path supernet; prints one line of JSON."};
    bench::StepArguments arguments(app, true);
    int paths = 0;
    app.add_option("--print-paths", paths, "print the paths of the first so many steps instead, as JSON");
    CLI11_PARSE(app, argc, argv);

    const nb201::NetConfig config;
    if (paths > 0) {
        print_paths(paths, 3 * config.cells_per_stage, arguments.seed);
        return 0;
    }
    const Dataset set = load_dataset("synthetic");
    bench::StepTiming timing(arguments);
    Nb201Supernet net(timing.device(), DType::f32, config);
    net.initialise(arguments.seed);
    LoaderOptions options;
    options.batch_size = arguments.batch;
    Loader<float> loader(set.train, {}, set.classes, normalisation("half", set), options);
    SupernetTraining training;
    training.seed = arguments.seed;
    training.epochs = 1'000'000;
    SupernetTrainer trainer(net, loader, training);
    double flops = 0;
    std::int64_t replays = 0, nodes = 0;
    const Segments* segments = trainer.segments();
    timing.run([&] { return trainer.step().loss; }, [&] { return trainer.wait_seconds(); },
               [&] {
                   const std::int64_t step = trainer.step_number();
                   if (segments && step == arguments.warmup)
                       replays = segments->replays(), nodes = segments->replayed_nodes();
                   const Nb201Path path = sample_path(arguments.seed, step, net.search_cells(), training.sampling);
                   flops += bench::path_cost(config, path).total() * arguments.batch / arguments.steps;
               });
    const double steps = arguments.steps;
    fmt::print("{}\n", timing.result()
                           .add("gflop", flops / 1e9)
                           .add("high_water", trainer.high_water())
                           .add("replays", segments ? static_cast<double>(segments->replays() - replays) / steps : 0.0)
                           .add("replayed_nodes",
                                segments ? static_cast<double>(segments->replayed_nodes() - nodes) / steps : 0.0)
                           .text());
    return 0;
}

int main(int argc, char** argv) { return nascent::run_program("bench_path_step", run, argc, argv); }
