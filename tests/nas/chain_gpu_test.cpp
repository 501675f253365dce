// Networks of chains on the gpu: what the CPU computes, eager and replayed from captures.
#include <doctest/doctest.h>

#include "tests/gpu_device.h"
#include "tests/nas/chain_networks.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// A path's gradients, logits and statistics, as often as asked for: run, captured, replayed.
struct Results {
    std::vector<ChainStep> steps;
    std::vector<std::vector<double>> statistics, evaluated;
    std::int64_t replays = 0;
};

/// `disturbed`: pictures are a few roundings brighter.
Results results(Device& device, const chain::Space& space, bool capture, int times, bool disturbed = false) {
    constexpr DType dtype = DType::f64;
    // Each look at the emulated device's memory costs the more the larger it is: of MobileNet one path's operators.
    const chain::Architecture path = random_path(space, 0);
    ChainNet net(device, dtype, space.channels ? chain::supernet(space) : chain::subnet(space, path));
    initialise(net, 2, ChainStart::torch);
    Arena arena(device), kept(device);
    std::unique_ptr<Slots> slots;
    std::unique_ptr<Segments> segments;
    if (capture) {
        slots = std::make_unique<Slots>(device);
        segments = std::make_unique<Segments>(device);
    }
    Results r;
    for (int i = 0; i < times; i++) {
        arena.reset();
        if (slots) slots->reset();
        ExecutionScope execution(arena);
        CapturedScope captured(segments.get(), slots.get());
        const Tensor pictures = chain_pictures(6, 32, dtype);
        std::vector<double> pixels = numbers_of(pictures);
        for (double& v : pixels) v *= disturbed ? 1 + 0x1p-48 : 1;
        const Tensor x = constants(pictures.shape, dtype, pixels);
        r.steps.push_back(chain_step(net, path, {.dropout = DropoutKey{3, 1}}, x,
                                     capture ? Tape::Gradients::fixed : Tape::Gradients::reused));
        if (i > 0) continue;
        std::vector<PieceStatistics> statistics = net.statistics(path, kept);
        net.forward(x, path, {.norms = NormMode::pooled, .momentum = 0.25, .statistics = statistics});
        r.evaluated.push_back(numbers_of(net.forward(x, path, {.norms = NormMode::running, .statistics = statistics})));
        for (std::size_t piece : {std::size_t{0}, std::size_t{3}, statistics.size() - 1})
            for (const NormStatistics& s : statistics[piece]) {
                r.statistics.push_back(numbers_of(s.mean));
                r.statistics.push_back(numbers_of(s.variance));
            }
    }
    if (segments) r.replays = segments->replays();
    return r;
}

}  // namespace

TEST_CASE("networks of chains on the gpu compute what the cpu computes, and captures change no bit") {
    for (const char* name : {"shufflenet-channels", "mobilenet-mmrazor"}) {
        CAPTURE(name);
        const chain::Space space = small_space(name, 1, 6);
        auto gpu = testing::gpu_device();
        if (!gpu) return;
        const auto cpu = make_device("cpu", 2);
        const Results a = results(*gpu, space, false, 1), b = results(*gpu, space, true, 3),
                      c = results(*cpu, space, false, 1), d = results(*cpu, space, false, 1, true);
        CHECK(b.replays >= 30);
        CHECK(a.evaluated == b.evaluated);
        for (const ChainStep& step : b.steps) {
            CHECK(a.steps[0].loss == step.loss);
            CHECK(a.steps[0].gradients == step.gradients);
        }
        // The last batch norms are over six numbers, so that rounding grows: by how much, disturbed pictures say.
        auto close = [&](const std::vector<double>& got, const std::vector<double>& want,
                         const std::vector<double>& disturbed) {
            const double size = std::max(1e-3, largest_of(want)), moves = largest_difference(want, disturbed);
            CHECK(moves < 1e-4 * size);
            CHECK(largest_difference(got, want) <= 1e-12 * size + 64 * moves);
        };
        close({a.steps[0].loss}, {c.steps[0].loss}, {d.steps[0].loss});
        close(a.evaluated[0], c.evaluated[0], d.evaluated[0]);
        REQUIRE(a.steps[0].gradients.size() == c.steps[0].gradients.size());
        for (const auto& [tensor, gradient] : c.steps[0].gradients) {
            CAPTURE(tensor);
            close(a.steps[0].gradients.at(tensor), gradient, d.steps[0].gradients.at(tensor));
        }
        REQUIRE(a.statistics.size() == c.statistics.size());
        for (std::size_t i = 0; i < a.statistics.size(); i++) close(a.statistics[i], c.statistics[i], d.statistics[i]);
    }
}
