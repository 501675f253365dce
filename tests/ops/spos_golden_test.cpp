// The README architecture in SPOS's ShuffleNetV2 supernet (megvii-model/SinglePathOneShot), from ops alone, against
// what the original code computes in float64: weights by formula, four pictures of 224 x 224, one training step's
// forward and backward and an evaluation with the statistics that it left.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/autograd/execution.h"
#include "ops/constants.h"
#include "ops/conv_act.h"
#include "ops/pool_linear.h"
#include "ops/reference.h"
#include "ops/shuffle_block.h"

using namespace nascent;
using kernels::Activation;

namespace {

/// Element i of tensor t, in [-1, 1): murmur3's finaliser.
double fill(std::uint64_t i, std::uint64_t t) {
    auto h = static_cast<std::uint32_t>(i + 0x9E3779B9u * (t + 1));
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    h ^= h >> 16;
    return 2.0 * h / 4294967296.0 - 1;
}

struct Net {
    Arena& kept;
    std::uint64_t next = 0;  // number of the next tensor, in the order of the original's parameters
    NormedConv stem, last;
    struct Block {
        std::vector<NormedConv> main, projection;
    };
    std::vector<Block> blocks;
    Tensor classifier;

    /// From values in PyTorch's layout (out, in, k, k).
    NormedConv conv(int out, int in, int k, bool depthwise) {
        const double scale = std::sqrt(3.0 / (in * k * k));
        NormedConv c{kept.tensor(depthwise ? Shape({k, k, out}) : Shape({k, k, in, out}), DType::f64), {}, {}, {}};
        for (int o = 0; o < out; o++)
            for (int i = 0; i < in; i++)
                for (int tap = 0; tap < k * k; tap++)
                    c.w.as<double>()[(tap * in + i) * out + o] =
                        scale * fill(static_cast<std::uint64_t>((o * in + i) * k * k + tap), next);
        next++;
        c.norm.running_mean = kept.tensor({out}, DType::f64);
        c.norm.running_var = kept.tensor({out}, DType::f64);
        std::fill_n(c.norm.running_mean.as<double>(), out, 0.0);
        std::fill_n(c.norm.running_var.as<double>(), out, 1.0);
        return c;
    }
    NormedConv point(int out, int in) { return conv(out, in, 1, false); }
    NormedConv depth(int c, int k) { return conv(c, 1, k, true); }

    Net(Arena& arena, const std::vector<int>& path) : kept(arena) {
        stem = conv(16, 3, 3, false);
        int c = 16;
        for (auto [width, count] : {std::pair{64, 4}, {160, 4}, {320, 8}, {640, 4}})
            for (int i = 0; i < count; i++, c = width) {
                const int in = i == 0 ? c : width / 2, mid = width / 2, out = width - in, wanted = path[blocks.size()];
                Block kept_block;
                for (int op = 0; op < 4; op++) {
                    const int k = op < 3 ? 2 * op + 3 : 3, here = op < 3 ? 3 : 6, other = i == 0 ? 2 : 0;
                    if (op != wanted) {
                        next += static_cast<std::uint64_t>(here + other);
                        continue;
                    }
                    auto& main = kept_block.main;
                    if (op < 3) {
                        main.push_back(point(mid, in)), main.push_back(depth(mid, k));
                        main.push_back(point(out, mid));
                    } else {
                        main.push_back(depth(in, 3)), main.push_back(point(mid, in)), main.push_back(depth(mid, 3));
                        main.push_back(point(mid, mid)), main.push_back(depth(mid, 3)), main.push_back(point(out, mid));
                    }
                    if (i > 0) continue;
                    kept_block.projection.push_back(depth(in, k));
                    kept_block.projection.push_back(point(in, in));
                }
                blocks.push_back(kept_block);
            }
        last = point(1024, 640);
        classifier = kept.tensor({1000, 1024}, DType::f64);
        for (std::size_t i = 0; i < classifier.size(); i++)
            classifier.as<double>()[i] = std::sqrt(3.0 / 1024) * fill(i, next);
    }
    template <class F>
    void for_each_conv(F&& f) {
        f(stem), f(last);
        for (Block& b : blocks)
            for (auto* convs : {&b.main, &b.projection})
                for (NormedConv& c : *convs) f(c);
    }
    Tensor run(const Tensor& x) const {
        Tensor y = conv_act(x, stem, Activation::relu, 2);
        for (const Block& b : blocks)
            y = shuffle_block(y, ShuffleOrder::parity, b.projection.empty() ? 1 : 2, b.main, b.projection);
        return pool_linear(conv_act(y, last, Activation::relu), {}, classifier, {});
    }
};

double norm_of(const Tensor& t) {
    double sum = 0;
    for (double v : numbers_of(t)) sum += v * v;
    return std::sqrt(sum);
}
void check(double got, double want) { CHECK(std::abs(got - want) <= 1e-9 * (1 + std::abs(want))); }

}  // namespace

TEST_CASE("the README architecture of SPOS's supernet computes what the original code computes") {
    const auto device = make_device("cpu", 2);
    Arena kept(*device, std::size_t{1} << 32, false), step(*device, std::size_t{1} << 36, false);
    Net net(kept, {2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3});
    CHECK(net.next == 334);
    constexpr int n = 4, side = 224;
    Tensor x = kept.tensor({n, side, side, 3}, DType::f64), labels = kept.tensor({n}, DType::i32);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < side * side; p++)
                x.as<double>()[(i * side * side + p) * 3 + c] =
                    127.5 * (fill(static_cast<std::uint64_t>((i * 3 + c) * side * side + p), 1000003) + 1);
    const std::int32_t classes[] = {3, 977, 500, 0};
    std::copy_n(classes, n, labels.as<std::int32_t>());
    ExecutionScope execution(step);
    {
        Tape tape(step, nullptr);
        TapeScope recording(&tape);
        net.for_each_conv([&](NormedConv& c) { tape.watch(c.w); });
        tape.watch(net.classifier);
        const Tensor logits = net.run(x), loss = cross_entropy(logits, labels, 0.1);
        check(norm_of(logits), 25.863003197763877);
        const double first[] = {0.15614440858126005, -0.3273147280016154, -0.017691497074865448};
        for (int i = 0; i < 3; i++) check(logits.as<double>()[i], first[i]);
        check(loss.as<double>()[0], 6.972351020233353);
        tape.backward(loss, constants({1}, DType::f64, 1));
        double total = std::pow(norm_of(tape.gradient(net.classifier)), 2);
        net.for_each_conv([&](NormedConv& c) { total += std::pow(norm_of(tape.gradient(c.w)), 2); });
        check(std::sqrt(total), 106.51619194360549);
        check(norm_of(tape.gradient(net.stem.w)), 45.19495335579041);
        check(norm_of(tape.gradient(net.blocks[0].main[1].w)), 40.02020778691631);
        check(norm_of(tape.gradient(net.blocks[0].projection[0].w)), 23.720040363840017);
        check(norm_of(tape.gradient(net.blocks[11].main[2].w)), 1.0951427156750462);
        check(norm_of(tape.gradient(net.last.w)), 0.9640174533182124);
        check(norm_of(tape.gradient(net.classifier)), 5.767987415530687);
    }
    const NormArgs& of_branch = net.blocks[0].main[1].norm;
    check(of_branch.running_mean.as<double>()[1], -0.02919714465266206);
    check(of_branch.running_var.as<double>()[1], 0.9350560306179885);
    check(net.last.norm.running_mean.as<double>()[0], -0.00019659413335045115);
    net.for_each_conv([](NormedConv& c) { c.norm.training = false, c.w.id = {}; });
    net.classifier.id = {};
    const Tensor evaluated = net.run(x);
    check(norm_of(evaluated), 1.4154153858947909);
    check(evaluated.as<double>()[1000], 0.0160215376274245);
}
