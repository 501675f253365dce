// Training steps of the NAS-Bench-201 path supernet (C = 16, N = 5) on synthetic pictures, as one line of JSON: the
// side of bench/compare.py that is ours. The loader prepares the batches on a thread of its own meanwhile and is
// counted.
#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>

#include "bench/path_cost.h"
#include "kernels/target.h"
#include "nas/algo/supernet_trainer.h"

using namespace nascent;

namespace {

double clock_seconds(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// From /proc/self/status, in bytes.
double memory(const std::string& key) {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(key + ":")) return 1024 * std::stod(line.substr(key.size() + 1));
    return 0;
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return (v[v.size() / 2] + v[(v.size() - 1) / 2]) / 2;
}

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

int main(int argc, char** argv) {
    int batch = 64, threads = 1, steps = 20, warmup = 3, paths = 0;
    std::uint64_t seed = 0;
    std::string device_name = "cpu";
    bool winograd = false;
    CLI::App app{"Times training steps of the NAS-Bench-201 path supernet; prints one line of JSON."};
    app.add_option("--batch", batch)->check(CLI::PositiveNumber);
    app.add_option("--device", device_name)->check(CLI::IsMember({"cpu", "gpu"}));
    app.add_option("--threads", threads)->check(CLI::PositiveNumber);
    app.add_option("--steps", steps, "steps measured")->check(CLI::PositiveNumber);
    app.add_option("--warmup", warmup, "steps before them")->check(CLI::NonNegativeNumber);
    app.add_option("--seed", seed, "of weights and paths");
    app.add_flag("--winograd", winograd, "3x3 convolutions by Winograd's algorithm");
    app.add_option("--print-paths", paths, "print the paths of the first so many steps instead, as JSON");
    CLI11_PARSE(app, argc, argv);

    const nb201::NetConfig config;
    if (paths > 0) {
        print_paths(paths, 3 * config.cells_per_stage, seed);
        return 0;
    }
    const Dataset set = load_dataset("synthetic");
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts again from here
    const double before = memory("VmRSS");
    auto device = make_device(device_name, threads);
    device->kernel_options.winograd = winograd;
    Nb201Supernet net(*device, DType::f32, config);
    net.initialise(seed);
    LoaderOptions options;
    options.batch_size = batch;
    Loader<float> loader(set.train, {}, set.classes, normalisation("half", set), options);
    SupernetTraining training;
    training.seed = seed;
    training.epochs = 1'000'000;
    SupernetTrainer trainer(net, loader, training);
    for (int i = 0; i < warmup; i++) trainer.step();
    std::vector<double> wall, core;
    double flops = 0, waited = trainer.wait_seconds(), loss = 0;
    const std::int64_t launches = device->launches(), replays = trainer.segments() ? trainer.segments()->replays() : 0;
    const std::int64_t nodes = trainer.segments() ? trainer.segments()->replayed_nodes() : 0;
    for (int i = 0; i < steps; i++) {
        const Nb201Path path = sample_path(seed, trainer.step_number(), net.search_cells(), training.sampling);
        flops += bench::path_cost(config, path).total() * batch / steps;
        const double w = clock_seconds(CLOCK_MONOTONIC), c = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
        loss = trainer.step().loss;
        wall.push_back(clock_seconds(CLOCK_MONOTONIC) - w);
        core.push_back(clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - c);
    }
    waited = trainer.wait_seconds() - waited;
    double wall_sum = 0, core_sum = 0;
    for (double v : wall) wall_sum += v;
    for (double v : core) core_sum += v;
    fmt::print(
        "{{\"program\": \"nascent\", \"version\": \"{}\", \"batch\": {}, \"threads\": {}, \"steps\": {}, "
        "\"wall_median\": {:.6f}, \"wall_min\": {:.6f}, \"wall_mean\": {:.6f}, "
        "\"core_median\": {:.6f}, \"core_min\": {:.6f}, \"core_mean\": {:.6f}, "
        "\"gflop\": {:.4f}, \"wait_share\": {:.5f}, \"high_water\": {}, \"rss_growth\": {:.0f}, \"loss\": {:.6g}, "
        "\"device\": \"{}\", \"launches\": {:.1f}, \"replays\": {:.1f}, \"replayed_nodes\": {:.1f}}}\n",
        kernels::cpu_target(), batch, threads, steps, median(wall), *std::min_element(wall.begin(), wall.end()),
        wall_sum / steps, median(core), *std::min_element(core.begin(), core.end()), core_sum / steps, flops / 1e9,
        waited / wall_sum, trainer.high_water(), memory("VmHWM") - before, loss, device->name(),
        static_cast<double>(device->launches() - launches) / steps,
        static_cast<double>(trainer.segments() ? trainer.segments()->replays() - replays : 0) / steps,
        static_cast<double>(trainer.segments() ? trainer.segments()->replayed_nodes() - nodes : 0) / steps);
    return 0;
}
