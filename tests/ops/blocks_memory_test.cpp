// What the forward of ShuffleNetV2's and MobileNet's blocks keeps, and the most that their backward has at once,
// counted in tensors: docs/design.md, "Chains".
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/autograd/execution.h"
#include "ops/mbconv.h"
#include "ops/shuffle_block.h"

using namespace nascent;

namespace {

/// float32 on one thread of the CPU.
struct Measured {
    std::size_t kept = 0, high_water = 0;
};

struct Blocks {
    std::unique_ptr<Device> device = make_device("cpu", 1);
    Arena inputs{*device, std::size_t{1} << 34, false}, arena{*device, std::size_t{1} << 34, false};

    Tensor tensor(const Shape& shape) {
        Tensor t = inputs.tensor(shape, DType::f32);
        std::fill_n(t.as<float>(), t.size(), 0.5f);
        return t;
    }
    /// Without gamma and beta; weights' gradients are wanted, and x's.
    template <class F>
    Measured run(Tensor x, std::vector<NormedConv> convs, F&& block) {
        Measured m;
        {
            ExecutionScope execution(arena);
            Tape tape(arena, nullptr);
            TapeScope recording(&tape);
            tape.watch(x);
            for (NormedConv& c : convs) tape.watch(c.w);
            const Tensor y = block(x, convs);
            m.kept = arena.used();
            tape.backward(y, tensor(y.shape));
            m.high_water = arena.high_water();
        }
        arena.reset();
        arena.clear_high_water();
        inputs.reset();
        return m;
    }
};

/// Bytes of (pixels, c) in the arena, and of what is kept of a norm: scale and shift, mean and rstd in double.
std::size_t image(std::size_t pixels, int c) { return (pixels * static_cast<std::size_t>(c) * 4 + 63) / 64 * 64; }
std::size_t norm(int c) { return 2 * image(1, c) + 2 * image(1, 2 * c); }

struct LinkSize {
    std::size_t in, out;  // pixels
    int c_in, c_out, k;
    std::size_t weights() const { return image(1, k ? k * k * c_in : c_in * c_out); }
};
/// The most that the backward of a chain takes beside what is kept and y's gradient: gradients between its links, which
/// take turns in two places, vectors of channels and the workspace of a link (which depends on threads, so it is
/// asked).
std::size_t between(const std::vector<LinkSize>& links) {
    std::size_t places[2] = {};
    for (std::size_t i = 1; i < links.size(); i++)
        places[i % 2] = std::max(places[i % 2], image(links[i].in, links[i].c_in));
    return places[0] + places[1];
}

}  // namespace

TEST_CASE("a Shuffle block keeps three tensors of its branch, and its backward has two more at a time") {
    Blocks blocks;
    constexpr int n = 2, size = 12, c = 32;  // the branch's
    constexpr std::size_t pixels = n * size * size;
    const Tensor x = blocks.tensor({n, size, size, 2 * c});
    std::vector<NormedConv> convs{{blocks.tensor({1, 1, c, c}), {}, {}, {}},
                                  {blocks.tensor({5, 5, c}), {}, {}, {}},
                                  {blocks.tensor({1, 1, c, c}), {}, {}, {}}};
    const Measured m = blocks.run(x, convs, [](const Tensor& in, std::span<const NormedConv> main) {
        return shuffle_block(in, ShuffleOrder::parity, 1, main, {});
    });
    CHECK(m.kept == image(pixels, 2 * c) + 3 * (image(pixels, c) + norm(c)));
    // Of the backward: x's and the weights' gradients stay, the rest is scratch. Its workspace: packed weights and
    // partial sums, which do not grow with the pictures' size but for their chunks.
    const std::vector<LinkSize> links{{pixels, pixels, c, c, 0}, {pixels, pixels, c, c, 5}, {pixels, pixels, c, c, 0}};
    const std::size_t gradients = image(pixels, 2 * c) + links[0].weights() + links[1].weights() + links[2].weights();
    CHECK(m.high_water >= m.kept + gradients + between(links));
    CHECK(m.high_water <= m.kept + gradients + between(links) + 600 * 1024);
}

TEST_CASE("MBConv keeps the expanded tensor once") {
    Blocks blocks;
    constexpr int n = 2, size = 28, c = 24, expanded = 144, out = 32;
    constexpr std::size_t large = n * size * size, small = large / 4;
    const Tensor x = blocks.tensor({n, size, size, c});
    std::vector<NormedConv> convs{{blocks.tensor({1, 1, c, expanded}), {}, {}, {}},
                                  {blocks.tensor({3, 3, expanded}), {}, {}, {}},
                                  {blocks.tensor({1, 1, expanded, out}), {}, {}, {}}};
    const Measured m =
        blocks.run(x, convs, [](const Tensor& in, std::span<const NormedConv> all) { return mbconv(in, 2, all); });
    CHECK(m.kept == image(small, out) + image(large, expanded) + image(small, expanded) + image(small, out) +
                        2 * norm(expanded) + norm(out));
    const std::vector<LinkSize> links{
        {large, large, c, expanded, 0}, {large, small, expanded, expanded, 3}, {small, small, expanded, out, 0}};
    const std::size_t gradients = image(large, c) + links[0].weights() + links[1].weights() + links[2].weights();
    CHECK(m.high_water >= m.kept + gradients + between(links));
    CHECK(m.high_water <= m.kept + gradients + between(links) + 600 * 1024);
}
