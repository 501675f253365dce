// bench_device_paths: a path's layers as launches that the host chooses, as captured segments, as one graph of kernels
// that read the path on the device, and as a graph with SWITCH nodes. On the emulator (NASCENT_EMULATE=1) it checks
// that all give the same bits and counts launches; times mean something on a GPU alone.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "bench/device_paths/paths.h"
#include "engine/base/error.h"
#include "engine/memory/arena.h"

using namespace nascent;

namespace {

struct Options {
    int layers = 90, batch = 64, size = 32, channels = 16, paths = 100, seed = 1;
};

std::uint32_t next(std::uint32_t& state) { return (state = state * 1664525 + 1013904223) >> 8; }

/// Where the path's numbers are not the host's, `launch` has to send them.
template <class F>
void measure(Device& device, const bench::Layers& layers, const std::vector<float>& start, const Options& o,
             const char* name, std::vector<float>& want, F&& run) {
    std::uint32_t random = static_cast<std::uint32_t>(o.seed);
    std::vector<int> path(static_cast<std::size_t>(o.layers));
    std::vector<float> all;
    double seconds = 0;
    std::int64_t launches = 0;
    for (int p = 0; p < o.paths; p++) {
        for (int& op : path) op = 1 + static_cast<int>(next(random) % (bench::kOperators - 1));  // something goes on
        device.copy_in(layers.x[0], start.data(), start.size() * sizeof(float));
        device.synchronize();
        const std::int64_t before = device.launches();
        const auto begin = std::chrono::steady_clock::now();
        run(path);
        device.synchronize();
        seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        launches += device.launches() - before;
        if (p % 10 > 0) continue;
        std::vector<float> y(start.size());
        device.copy_out(y.data(), layers.x[o.layers % 2], y.size() * sizeof(float));
        all.insert(all.end(), y.begin(), y.end());
    }
    if (want.empty()) want = all;
    const bool same =
        want.size() == all.size() && std::memcmp(want.data(), all.data(), all.size() * sizeof(float)) == 0;
    fmt::print("{:28} {:10.1f} us a path, {:5} launches counted, {}\n", name, 1e6 * seconds / o.paths,
               launches / o.paths, same ? "same bits" : "OTHER BITS");
    NASCENT_CHECK(same, runtime, "{} gives other bits", name);
}

}  // namespace

int main(int argc, char** argv) try {
    Options o;
    CLI::App app("a path's layers, launched in four ways");
    app.add_option("--layers", o.layers);
    app.add_option("--batch", o.batch);
    app.add_option("--size", o.size);
    app.add_option("--channels", o.channels);
    app.add_option("--paths", o.paths);
    CLI11_PARSE(app, argc, argv);
    const auto device = make_device("gpu");
    Arena arena(*device);
    const Shape shape{o.batch, o.size, o.size, o.channels};
    bench::Layers layers{o.batch, o.size, o.size, o.channels, o.layers, {}, nullptr};
    for (float*& x : layers.x) x = arena.tensor(shape, DType::f32).as<float>();
    std::uint32_t random = 7;
    std::vector<float> start(layers.size()), weights(layers.layer_weights() * static_cast<std::size_t>(o.layers));
    for (float& v : start) v = static_cast<float>(next(random) % 1000) / 1000;
    for (float& v : weights)
        v = static_cast<float>(next(random) % 1000) / 1000 / static_cast<float>(o.channels) - 0.02f;
    float* const w = arena.tensor({static_cast<std::int64_t>(weights.size())}, DType::f32).as<float>();
    device->copy_in(w, weights.data(), weights.size() * sizeof(float));
    layers.weights = w;
    int* const there = static_cast<int*>(arena.allocate(static_cast<std::size_t>(o.layers) * sizeof(int)));
    auto send = [&](const std::vector<int>& path) { device->copy_in(there, path.data(), path.size() * sizeof(int)); };
    fmt::print("{}: {} layers of {}\n", device->name(), o.layers, shape.text());

    std::vector<float> want;
    measure(*device, layers, start, o, "chosen by the host", want,
            [&](const std::vector<int>& path) { bench::run_chosen(device->stream(), layers, path); });

    std::map<std::pair<int, int>, std::unique_ptr<Graph>> segments;  // by layer and operator, as the engine's
    for (int layer = 0; layer < o.layers; layer++)
        for (int op = 0; op < bench::kOperators; op++) {
            bench::Layers one = layers;
            one.count = 1;
            one.x[0] = layers.x[layer % 2], one.x[1] = layers.x[(layer + 1) % 2];
            one.weights = layers.weights + static_cast<std::size_t>(layer) * layers.layer_weights();
            CaptureScope capture(*device);
            bench::run_chosen(device->stream(), one, std::vector{op});
            segments[{layer, op}] = capture.end();
        }
    measure(*device, layers, start, o, "captured segments", want, [&](const std::vector<int>& path) {
        for (int layer = 0; layer < o.layers; layer++)
            segments.at({layer, path[static_cast<std::size_t>(layer)]})->launch();
    });

    CaptureScope capture(*device);
    bench::run_reading(device->stream(), layers, there);
    const std::unique_ptr<Graph> reading = capture.end();
    measure(*device, layers, start, o, "read on the device", want, [&](const std::vector<int>& path) {
        send(path);
        reading->launch();
    });

    if (const auto switches = bench::make_switch_graph(device->stream(), layers, there))
        measure(*device, layers, start, o, "SWITCH nodes", want, [&](const std::vector<int>& path) {
            send(path);
            switches->launch();
        });
    else
        fmt::print("SWITCH nodes: not here; they need CUDA 12.8\n");
    return 0;
} catch (const Error& e) {
    fmt::print(stderr, "bench_device_paths: {}\n", e.what());
    return e.exit_code();
}
