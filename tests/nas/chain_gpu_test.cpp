// Networks of chains on the gpu: what the CPU computes, eager and replayed from captures.
#include <doctest/doctest.h>

#include "tests/gpu_device.h"
#include "tests/nas/chain_networks.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// One picture's worth of statistics, logits and gradients of several paths, one after the other.
struct Results {
    std::vector<ChainStep> steps;
    std::vector<std::vector<double>> statistics, evaluated;
    std::int64_t replays = 0;
};

Results results(Device& device, const chain::Space& space, DType dtype, bool capture) {
    ChainNet net(device, dtype, chain::supernet(space));
    fill_chain(net, 2);
    Arena arena(device), kept(device);
    std::unique_ptr<Slots> slots;
    std::unique_ptr<Segments> segments;
    if (capture) {
        slots = std::make_unique<Slots>(device);
        segments = std::make_unique<Segments>(device);
    }
    Results r;
    for (std::uint32_t i = 0; i < 5; i++) {
        arena.reset();
        if (slots) slots->reset();
        ExecutionScope execution(arena);
        CapturedScope captured(segments.get(), slots.get());
        const chain::Architecture path = random_path(space, i % 2);  // each comes again: run, captured, replayed
        const Tensor x = chain_pictures(2, 32, dtype, i * 77);
        std::vector<PieceStatistics> statistics = net.statistics(path, kept);
        r.steps.push_back(chain_step(net, path, {.dropout = DropoutKey{3, i}}, x,
                                     capture ? Tape::Gradients::fixed : Tape::Gradients::reused));
        net.forward(x, path, {.norms = NormMode::pooled, .momentum = 0.25, .statistics = statistics});
        r.evaluated.push_back(numbers_of(net.forward(x, path, {.norms = NormMode::running, .statistics = statistics})));
        for (const PieceStatistics& piece : statistics)
            for (const NormStatistics& s : piece) {
                r.statistics.push_back(numbers_of(s.mean));
                r.statistics.push_back(numbers_of(s.variance));
            }
    }
    for (const Buffer& b : net.store().buffers()) r.statistics.push_back(net.get(b.name));
    if (segments) r.replays = segments->replays();
    return r;
}

}  // namespace

TEST_CASE("networks of chains on the gpu compute what the cpu computes, and captures change no bit") {
    for (const char* name : {"shufflenet-channels", "shufflenet-mmrazor", "mobilenet-mmrazor"}) {
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
            CHECK(std::fabs(a.steps[i].loss - c.steps[i].loss) < 1e-10);
            CHECK(largest_difference(a.evaluated[i], c.evaluated[i]) < 1e-9);
            REQUIRE(a.steps[i].gradients.size() == c.steps[i].gradients.size());
            for (const auto& [tensor, gradient] : c.steps[i].gradients) {
                CAPTURE(tensor);
                const double size = std::max(1.0, largest_of(gradient));
                CHECK(largest_difference(a.steps[i].gradients.at(tensor), gradient) < 1e-8 * size);
            }
        }
        REQUIRE(a.statistics.size() == c.statistics.size());
        for (std::size_t i = 0; i < a.statistics.size(); i++)
            CHECK(largest_difference(a.statistics[i], c.statistics[i]) <
                  1e-10 * std::max(1.0, largest_of(c.statistics[i])));
    }
}
