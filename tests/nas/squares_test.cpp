// The norm of a search network's gradients from squares that the kernels which end them leave.
#include <doctest/doctest.h>

#include <cmath>
#include <optional>
#include <vector>

#include "engine/autograd/segments.h"
#include "nas/algo/loss.h"
#include "nas/algo/search_pictures.h"
#include "nas/supernet/initialise.h"
#include "ops/optim/clip.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

struct Network {
    std::unique_ptr<Device> device;
    std::unique_ptr<SearchNet> net;
    std::unique_ptr<Arena> arena;
    LabelledBatch batch;

    Network(const char* name, std::unique_ptr<Device> d, int channels = 8) : device(std::move(d)) {
        if (!device) return;
        SearchConfig c = preset(name);
        c.net.channels = channels;
        c.net.layers = 3;
        c.net.cells = 1;
        net = space_of(c).make_net(*device, DType::f32, settings_of(c, 10, 8));
        initialise(net->store(), 1);
        arena = std::make_unique<Arena>(*device);
        batch = {arena->tensor({2, 8, 8, 3}, DType::f32), arena->tensor({2}, DType::i32)};
        std::vector<float> pixels(batch.x.size());
        for (std::size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<float>(i % 17) / 8 - 1;
        const std::vector<std::int32_t> classes{3, 8};
        device->copy_in(batch.x.data, pixels.data(), batch.x.bytes());
        device->copy_in(batch.labels.data, classes.data(), batch.labels.bytes());
    }

    struct Sums {
        double squares, exact;  // of what sum_of_squares gives, and of the gradients as they are
        std::size_t left, all;  // gradients of which squares were left, and all that were written
    };
    /// Of a backward pass from losses of `passes` forwards, the first of two by other kernels, over the ranges that
    /// `of` holds for.
    Sums sums(bool wanted, int passes = 1, const std::function<bool(int)>& of = nullptr, Segments* segments = nullptr) {
        ScratchScope scratch(*arena);
        ExecutionScope execution(*arena);
        const CapturedScope captured(segments, nullptr);
        Tape tape(*arena, &net->store(), Tape::Gradients::parameters_fixed);
        TapeScope recording(&tape);
        net->begin(Pass::weights, 0, 0);
        std::vector<Tensor> losses;
        for (int i = 0; i < passes; i++) {
            std::optional<ReferenceScope> reference;
            if (i < passes - 1) reference.emplace();
            losses.push_back(cross_entropy(net->logits(batch.x, true), batch.labels));
        }
        {
            const SquaresScope squares(tape, net->store(), wanted);
            if (passes == 2)
                backward_from(tape, losses[0], losses[1]);
            else
                backward_from(tape, losses[0]);
        }
        Sums result{};
        const double* const sum = sum_of_squares(tape, net->store(), of);
        device->copy_out(&result.squares, sum, sizeof(double));
        for (const GradientSquares& s : tape.squares()) result.left += s.count;
        for (const WrittenRange& w : tape.written()) {
            const std::size_t count = net->store().range(w.range).count;
            result.all += count;
            std::vector<float> g(count);
            device->copy_out(g.data(), w.grad, count * sizeof(float));
            if (!of || of(w.range))
                for (float x : g) result.exact += static_cast<double>(x) * x;
        }
        return result;
    }
};

/// Sums of positive numbers, in whatever order.
void check_same(const Network::Sums& s) {
    CHECK(s.exact > 0);
    CHECK(std::fabs(s.squares - s.exact) <= 2 * static_cast<double>(s.all) * std::ldexp(s.exact, -53));
}

constexpr const char* kSearches[] = {"smoke/darts-1st", "smoke/nb201-1st", "smoke/pcdarts"};

}  // namespace

TEST_CASE("squares that kernels leave are those of a search network's gradients") {
    for (const char* name : kSearches)
        for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bf16}) {
            CAPTURE(name);
            CAPTURE(static_cast<int>(precision));
            Network network(name, testing::gpu_device());
            if (!network.device) return;
            network.device->kernel_options.precision = precision;
            const Network::Sums without = network.sums(false), with = network.sums(true);
            CHECK(without.left == 0);
            check_same(without);
            check_same(with);
            CHECK(with.exact == without.exact);  // the gradients are the same
            // All but the classifier's, alphas' and, of stems, those of norms.
            CHECK(with.left <= with.all);
            CHECK(10 * with.left >= 9 * with.all);
        }
}

TEST_CASE("squares stand for gradients that are wanted, and were written once") {
    Network network("smoke/darts-1st", testing::gpu_device());
    if (!network.device) return;
    // More channels than a block takes.
    check_same(Network("smoke/darts-1st", testing::gpu_device(), 40).sums(true));
    // Every third range, so that neighbours are left out.
    const Network::Sums some = network.sums(true, 1, [](int r) { return r % 3 == 0; }), all = network.sums(true);
    check_same(some);
    CHECK(some.exact < all.exact);
    // Two passes with the same weights: to what kernels have left squares of others add, which know nothing of them.
    const Network::Sums twice = network.sums(true, 2);
    CHECK(twice.left > 0);
    check_same(twice);
}

TEST_CASE("no squares are left where calls are captured, or on a cpu") {
    if (auto device = testing::gpu_device()) {
        Network network("smoke/nb201-1st", std::move(device));
        Segments segments(*network.device);
        const Network::Sums captured = network.sums(true, 1, nullptr, &segments);
        CHECK(captured.left == 0);
        check_same(captured);
    }
    Network cpu("smoke/nb201-1st", make_device("cpu"));
    const Network::Sums sums = cpu.sums(true);
    CHECK(sums.left == 0);
    check_same(sums);
}
