// Networks of chains on the gpu: what the CPU computes, eager and replayed from captures.
#include <doctest/doctest.h>

#include "tests/gpu_device.h"
#include "tests/nas/chain_networks.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// A path's gradients, logits and statistics, three times: run, captured, replayed.
struct Results {
    std::vector<ChainStep> steps;
    std::vector<std::vector<double>> statistics, evaluated;
    std::int64_t replays = 0;
};

/// `disturbed`: pictures are a few roundings brighter.
Results results(Device& device, const chain::Space& space, DType dtype, bool capture, bool disturbed = false) {
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
    for (std::uint32_t i = 0; i < 3; i++) {
        arena.reset();
        if (slots) slots->reset();
        ExecutionScope execution(arena);
        CapturedScope captured(segments.get(), slots.get());
        const Tensor pictures = chain_pictures(2, 32, dtype, i * 77);
        std::vector<double> pixels = numbers_of(pictures);
        for (double& v : pixels) v *= disturbed ? 1 + 0x1p-48 : 1;
        const Tensor x = constants(pictures.shape, dtype, pixels);
        std::vector<PieceStatistics> statistics = net.statistics(path, kept);
        r.steps.push_back(chain_step(net, path, {.dropout = DropoutKey{3, i}}, x,
                                     capture ? Tape::Gradients::fixed : Tape::Gradients::reused));
        net.forward(x, path, {.norms = NormMode::pooled, .momentum = 0.25, .statistics = statistics});
        r.evaluated.push_back(numbers_of(net.forward(x, path, {.norms = NormMode::running, .statistics = statistics})));
        for (std::size_t piece : {std::size_t{0}, std::size_t{3}, statistics.size() - 1})
            for (const NormStatistics& s : statistics[piece]) {
                r.statistics.push_back(numbers_of(s.mean));
                r.statistics.push_back(numbers_of(s.variance));
            }
    }
    for (const Buffer* b : {&net.store().buffers().front(), &net.store().buffers().back()})
        r.statistics.push_back(net.get(b->name));
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
        const Results a = results(*gpu, space, DType::f64, false), b = results(*gpu, space, DType::f64, true),
                      c = results(*cpu, space, DType::f64, false);
        CHECK(b.replays > 100);
        CHECK(a.statistics == b.statistics);
        CHECK(a.evaluated == b.evaluated);
        for (std::size_t i = 0; i < a.steps.size(); i++) {
            CHECK(a.steps[i].loss == b.steps[i].loss);
            CHECK(a.steps[i].gradients == b.steps[i].gradients);
        }
        // The last batch norms are over two numbers, so that rounding grows: by how much, disturbed pictures say.
        const Results d = results(*cpu, space, DType::f64, false, true);
        auto close = [&](const std::vector<double>& got, const std::vector<double>& want,
                         const std::vector<double>& disturbed) {
            const double size = std::max(1e-3, largest_of(want)), moves = largest_difference(want, disturbed);
            CHECK(moves < 1e-4 * size);
            CHECK(largest_difference(got, want) <= 1e-12 * size + 64 * moves);
        };
        for (std::size_t i = 0; i < a.steps.size(); i++) {
            close({a.steps[i].loss}, {c.steps[i].loss}, {d.steps[i].loss});
            close(a.evaluated[i], c.evaluated[i], d.evaluated[i]);
            REQUIRE(a.steps[i].gradients.size() == c.steps[i].gradients.size());
            for (const auto& [tensor, gradient] : c.steps[i].gradients) {
                CAPTURE(tensor);
                close(a.steps[i].gradients.at(tensor), gradient, d.steps[i].gradients.at(tensor));
            }
        }
        REQUIRE(a.statistics.size() == c.statistics.size());
        for (std::size_t i = 0; i < a.statistics.size(); i++) close(a.statistics[i], c.statistics[i], d.statistics[i]);
    }
}
