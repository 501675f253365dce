// bench_device_norms: what the norm of all gradients costs where a pass reads them again, and where the kernels that
// end them leave their squares, as in steps of searches by gradients. On the emulator (NASCENT_EMULATE=1) it checks
// that both are the same gradients and the same norm, and counts launches; times mean something on a GPU alone.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "bench/device_norms/norms.h"
#include "engine/base/error.h"
#include "engine/memory/arena.h"
#include "kernels/clip.h"

using namespace nascent;

namespace {

struct Options {
    int layers = 35, chunks = 66, times = 100;
    std::vector<int> channels = {16, 32, 64};
};

/// Mean microseconds of a replay of what `run` launches.
double measure(Device& device, const char* name, int times, const std::function<void()>& run) {
    const std::int64_t before = device.launches();
    run();
    const std::int64_t launches = device.launches() - before;
    CaptureScope capture(device);
    run();
    const std::unique_ptr<Graph> graph = capture.end();
    graph->launch();
    device.synchronize();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < times; i++) graph->launch();
    device.synchronize();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    fmt::print("{:44} {:10.2f} us, {:4} launches\n", name, 1e6 * seconds / times, launches);
    return 1e6 * seconds / times;
}

}  // namespace

int main(int argc, char** argv) try {
    Options o;
    CLI::App app("the norm of all gradients by a pass of its own, and by the kernels that end them");
    app.add_option("--layers", o.layers, "3x3 convolutions, whose gradients a kernel each ends")
        ->check(CLI::Range(1, 10000));
    app.add_option("--channels", o.channels, "of the layers in turn")->check(CLI::Range(1, 4096));
    app.add_option("--chunks", o.chunks, "partial sums of each gradient")->check(CLI::Range(1, 4096));
    app.add_option("--times", o.times, "replays")->check(CLI::Range(1, 1000000));
    CLI11_PARSE(app, argc, argv);
    const auto device = make_device("gpu");
    Arena arena(*device);
    const auto floats = [&](std::size_t count) {
        return arena.tensor({static_cast<std::int64_t>(count)}, DType::f32).as<float>();
    };
    std::uint32_t random = 7;
    std::vector<bench::Fold> folds;
    std::vector<kernels::GradientRange<float>> ranges;
    std::size_t all = 0;
    for (int layer = 0; layer < o.layers; layer++) {
        const auto c = static_cast<std::size_t>(o.channels[static_cast<std::size_t>(layer) % o.channels.size()]);
        const auto chunks = static_cast<std::size_t>(o.chunks), count = 9 * c * c;
        std::vector<float> values(chunks * count);
        for (float& v : values)
            v = static_cast<float>((random = random * 1664525 + 1013904223) >> 8) / (1 << 24) - 0.5f;
        float* const partials = floats(values.size());
        device->copy_in(partials, values.data(), values.size() * sizeof(float));
        folds.push_back({partials, chunks, count, floats(count)});
        ranges.push_back({folds.back().g, count});
        all += count;
    }
    double* const sum = static_cast<double*>(arena.allocate(sizeof(double)));
    const kernels::Stream stream{kernels::Where::gpu, device->stream()};
    const std::size_t slots = kernels::squares_slots(stream, all, folds.size());
    double* const squares = static_cast<double*>(arena.allocate(slots * sizeof(double)));
    void* const workspace = arena.allocate(kernels::sum_of_squares_workspace<float>(stream, ranges));
    fmt::print("{}: {} gradients, {} numbers\n", device->name(), folds.size(), all);

    const auto gradients = [&] {
        std::vector<float> g;
        for (const bench::Fold& f : folds) {
            g.resize(g.size() + f.count);
            device->copy_out(g.data() + g.size() - f.count, f.g, f.count * sizeof(float));
        }
        return g;
    };
    const auto norm = [&] {
        double s = 0;
        device->copy_out(&s, sum, sizeof(s));
        return std::sqrt(s);
    };
    const double none = measure(*device, "no norm", o.times, [&] { bench::fold(device->stream(), folds); });
    const double pass = measure(*device, "a pass over the gradients", o.times, [&] {
        bench::fold(device->stream(), folds);
        kernels::sum_of_squares<float>(stream, ranges, sum, workspace);
    });
    const std::vector<float> want = gradients();
    const double norm_of_pass = norm();
    for (const bench::Fold& f : folds) device->fill(f.g, 0xff, f.count * sizeof(float));
    std::vector<kernels::LeftSquares<float>> left;
    const double epilogues = measure(*device, "by the kernels that end them", o.times, [&] {
        kernels::hold_squares<float>(stream, {squares, slots});
        bench::fold(device->stream(), folds);
        kernels::take_squares(stream, left);
        kernels::GradientRange<float> sums{nullptr, 0, squares};  // one slot after the other
        for (const kernels::LeftSquares<float>& l : left) sums.count += l.sums;
        kernels::sum_of_squares<float>(stream, {&sums, 1}, sum, workspace);
    });
    NASCENT_CHECK(left.size() == folds.size(), runtime, "{} of {} gradients have squares", left.size(), folds.size());
    fmt::print("a norm costs {:.2f} us by a pass, {:.2f} by epilogues\n", pass - none, epilogues - none);

    const std::vector<float> got = gradients();
    double exact = 0;
    for (float g : want) exact += static_cast<double>(g) * g;
    exact = std::sqrt(exact);
    // Sums of positive numbers in double, in any order; the root halves what they are off by.
    const double bound = static_cast<double>(all) * std::ldexp(1.0, -53) * exact;
    NASCENT_CHECK(want.size() == got.size() && std::memcmp(want.data(), got.data(), want.size() * sizeof(float)) == 0,
                  runtime, "the gradients are not the same");
    NASCENT_CHECK(std::fabs(norm_of_pass - exact) <= bound && std::fabs(norm() - exact) <= bound, runtime,
                  "norms of {} and {}, where {} is right", norm_of_pass, norm(), exact);
    fmt::print("the same gradients, and the same norm: {:.6g}\n", exact);
    return 0;
} catch (const Error& e) {
    fmt::print(stderr, "bench_device_norms: {}\n", e.what());
    return e.exit_code();
}
