// Training steps of RLNAS's DARTS path supernet (C = 16, 8 cells) on synthetic pictures, as one line of JSON: the side
// of bench/compare.py that is ours. The loader prepares the batches on a thread of its own meanwhile and is counted.
#include <fmt/format.h>

#include "bench/step_timing.h"
#include "nas/algo/darts_path_trainer.h"
#include "nas/data/loader.h"
#include "nas/run/program.h"
#include "nas/supernet/initialise.h"

using namespace nascent;

namespace {

void print_paths(int count, const DartsPathTraining& training) {
    for (int step = 0; step < count; step++) {
        const darts::Code code = path_of(training, step);
        std::string cells;
        for (bool reduction : {false, true}) {
            std::string ops;
            for (int op : code.cell(reduction)) ops += fmt::format("{}{}", ops.empty() ? "" : ",", op);
            cells += fmt::format("{}[{}]", reduction ? "," : "", ops);
        }
        fmt::print("{}[{}]{}", step ? ",\n" : "[", cells, step + 1 == count ? "]\n" : "");
    }
}

}  // namespace

static int run(int argc, char** argv) {
    CLI::App app{"Times training steps of RLNAS's DARTS path supernet; prints one line of JSON."};
    bench::StepArguments arguments(app, true);
    int paths = 0;
    bool plain = false;
    app.add_option("--print-paths", paths, "print the paths of the first so many steps instead, as JSON");
    app.add_flag("--no-affine", plain, "batch norms of the cells without gamma and beta");
    CLI11_PARSE(app, argc, argv);

    DartsPathTraining training;
    training.epochs = 1000;  // the rate hardly falls meanwhile, and NumPy's seeds suffice
    if (paths > 0) {
        print_paths(paths, training);
        return 0;
    }
    const Dataset set = load_dataset("synthetic");
    bench::StepTiming timing(arguments);
    DartsNet net(timing.device(), DType::f32, darts::search_net({.channels = 16, .layers = 8}, {.affine = !plain}));
    initialise(net.store(), arguments.seed);
    LoaderOptions options;
    options.batch_size = arguments.batch;
    Loader<float> loader(set.train, {}, set.classes, normalisation("half", set), options);
    DartsPathTrainer trainer(net, source_of(loader, 32), training);
    timing.run([&] { return trainer.step().loss; }, [&] { return trainer.wait_seconds(); });
    std::size_t gradients = 0;
    for (const ParameterRange& r : net.store().ranges())
        if (r.gradient) gradients += r.count * size_of(net.store().dtype());
    fmt::print("{}\n", timing.result()
                           .add("high_water", trainer.high_water() + gradients)
                           .add("activations", trainer.high_water())
                           .add("parameter_gradients", gradients)
                           .text());
    return 0;
}

int main(int argc, char** argv) { return nascent::run_program("bench_darts_path_step", run, argc, argv); }
