// Forward, loss and backward of random paths of SPOS's supernets, ShuffleNetV2's (the original's widths, batch-norms
// without gamma and beta) and MobileNet's (affine), as one line of JSON: the side of bench/compare.py that is ours. No
// optimizer. With --blocks each choice block by itself instead, a line of JSON each: forward and backward.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <map>

#include "bench/step_timing.h"
#include "engine/autograd/execution.h"
#include "engine/base/rng.h"
#include "nas/run/program.h"
#include "ops/conv_act.h"
#include "ops/mbconv.h"
#include "ops/pool_linear.h"
#include "ops/reference.h"
#include "ops/shuffle_block.h"

using namespace nascent;
using kernels::Activation;

namespace {

/// The paths of both sides of the comparison: bench/torch/blocks_step.py draws the same.
struct Draws {
    std::uint32_t state;
    int below(int n) {
        state = state * 1664525u + 1013904223u;
        return static_cast<int>((state >> 16) % static_cast<std::uint32_t>(n));
    }
};

struct Block {
    int c_in, c_out, stride, size;  // of the input, high and wide
    bool operator==(const Block&) const = default;
};

std::vector<Block> shuffle_blocks() {
    std::vector<Block> all;
    int c = 16, size = 112;
    for (auto [width, count] : {std::pair{64, 4}, {160, 4}, {320, 8}, {640, 4}})
        for (int i = 0; i < count; i++) {
            all.push_back({c, width, i == 0 ? 2 : 1, size});
            if (i == 0) size /= 2;
            c = width;
        }
    return all;
}
std::vector<Block> mobile_blocks() {
    std::vector<Block> all;
    int c = 24, size = 112;
    for (auto [width, count, stride] :
         {std::array{32, 4, 2}, {56, 4, 2}, {112, 4, 2}, {128, 4, 1}, {256, 4, 2}, {432, 1, 1}})
        for (int i = 0; i < count; i++) {
            all.push_back({c, width, i == 0 ? stride : 1, size});
            if (i == 0) size /= stride;
            c = width;
        }
    return all;
}

/// Weights that are made when they are first asked for.
class Weights {
  public:
    Weights(Device& device, std::uint64_t seed) : kept_(device, std::size_t{1} << 38, false), seed_(seed) {}
    Tensor tensor(const Shape& shape, double scale, double middle = 0) {
        Tensor t = kept_.tensor(shape, DType::f32);
        std::vector<float> numbers(t.size());
        for (std::size_t i = 0; i < numbers.size(); i++) {
            const Random r(seed_, RandomStream::test, made_, static_cast<std::uint32_t>(i));
            numbers[i] = static_cast<float>(middle + scale * (2 * r.uniform(0) - 1));
        }
        made_++;
        t.device->copy_in(t.data, numbers.data(), t.bytes());
        return t;
    }
    NormedConv conv(const Shape& shape, bool affine) {
        const double fan = static_cast<double>(shape.size() / static_cast<std::size_t>(shape[shape.rank() - 1]));
        NormedConv c{tensor(shape, std::sqrt(3 / fan)), {}, {}, {}};
        const std::int64_t out = shape[shape.rank() - 1];
        if (affine) c.gamma = tensor({out}, 0.1, 1), c.beta = tensor({out}, 0.1);
        c.norm.running_mean = tensor({out}, 0), c.norm.running_var = tensor({out}, 0, 1);
        return c;
    }

    Tensor ones(const Shape& shape) {  // the same for all calls of a shape
        Tensor& t = ones_[shape.text()];
        if (!t.defined()) t = tensor(shape, 0, 1);
        return t;
    }
    Tensor labels(int count, int classes) {
        Tensor t = kept_.tensor({count}, DType::i32);
        std::vector<std::int32_t> numbers;
        for (int i = 0; i < count; i++) numbers.push_back(i * 977 % classes);
        t.device->copy_in(t.data, numbers.data(), t.bytes());
        return t;
    }

  private:
    std::map<std::string, Tensor> ones_;
    Arena kept_;
    std::uint64_t seed_, made_ = 0;
};

struct Op {  // a candidate of a block
    std::vector<NormedConv> main, projection;
    int stride;
};

class Space {
  public:
    Space(bool shuffle, Device& device, std::uint64_t seed)
        : shuffle_(shuffle), blocks_(shuffle ? shuffle_blocks() : mobile_blocks()), weights_(device, seed) {
        for (const Block& b : blocks_)
            for (int i = 0; i < candidates(); i++) ops_.push_back(shuffle ? shuffle_op(b, i) : mobile_op(b, i));
        const int first = shuffle ? 16 : 40, width = blocks_.back().c_out, last = shuffle ? 1024 : 1728;
        stem_ = weights_.conv({3, 3, 3, first}, !shuffle);
        if (!shuffle) fixed_ = {{depth(3, 40), point(40, 24)}, {}, 1};
        last_ = weights_.conv({1, 1, width, last}, !shuffle);
        classifier_ = weights_.tensor({1000, last}, 0.05);
    }
    int candidates() const { return shuffle_ ? 4 : 6; }
    const std::vector<Block>& blocks() const { return blocks_; }
    Weights& weights() { return weights_; }

    Tensor run_block(std::size_t block, int candidate, const Tensor& x, Tape& tape) {
        const Op& op = ops_[block * static_cast<std::size_t>(candidates()) + static_cast<std::size_t>(candidate)];
        std::vector<NormedConv> main = op.main, projection = op.projection;
        watch(main, tape), watch(projection, tape);
        return shuffle_ ? shuffle_block(x, ShuffleOrder::parity, op.stride, main, projection)
                        : mbconv(x, op.stride, main);
    }
    Tensor run(const Tensor& x, const std::vector<int>& path, Tape& tape) {
        const Activation activation = shuffle_ ? Activation::relu : Activation::relu6;
        auto one = [&](NormedConv c) {
            watch({&c, 1}, tape);
            return c;
        };
        Tensor y = conv_act(x, one(stem_), activation, 2);
        if (!shuffle_) {
            std::vector<NormedConv> fixed = fixed_.main;
            watch(fixed, tape);
            y = mbconv(y, 1, fixed);
        }
        for (std::size_t i = 0; i < blocks_.size(); i++) y = run_block(i, path[i], y, tape);
        y = conv_act(y, one(last_), activation);
        Tensor classifier = classifier_;
        tape.watch(classifier);
        return pool_linear(y, {}, classifier, {});
    }

  private:
    static void watch(std::span<NormedConv> convs, Tape& tape) {
        for (NormedConv& c : convs)
            for (Tensor* t : {&c.w, &c.gamma, &c.beta})
                if (t->defined()) tape.watch(*t);
    }
    NormedConv depth(int k, int c) { return weights_.conv({k, k, c}, !shuffle_); }
    NormedConv point(int in, int out) { return weights_.conv({1, 1, in, out}, !shuffle_); }
    Op shuffle_op(const Block& b, int i) {
        const int mid = b.c_out / 2, in = b.stride == 2 ? b.c_in : b.c_out / 2, out = b.c_out - in;
        const int k = i < 3 ? 2 * i + 3 : 3;
        Op op{{}, {}, b.stride};
        if (i < 3)
            op.main = {point(in, mid), depth(k, mid), point(mid, out)};
        else
            op.main = {depth(3, in), point(in, mid), depth(3, mid), point(mid, mid), depth(3, mid), point(mid, out)};
        if (b.stride == 2) op.projection = {depth(k, in), point(in, in)};
        return op;
    }
    Op mobile_op(const Block& b, int i) {
        const int middle = b.c_in * (i % 2 ? 6 : 3), k = i / 2 * 2 + 3;
        return {{point(b.c_in, middle), depth(k, middle), point(middle, b.c_out)}, {}, b.stride};
    }

    bool shuffle_;
    std::vector<Block> blocks_;
    Weights weights_;
    std::vector<Op> ops_;
    NormedConv stem_, last_;
    Op fixed_;
    Tensor classifier_;
};

}  // namespace

static int run(int argc, char** argv) {
    CLI::App app{"Times forward and backward of SPOS paths, without an optimizer; prints JSON."};
    bench::StepArguments arguments(app);
    std::string name = "shufflenet";
    int size = 224;
    bool blocks = false;
    app.add_option("--space", name)->check(CLI::IsMember({"shufflenet", "mobilenet"}));
    app.add_option("--size", size, "of the pictures")->check(CLI::PositiveNumber);
    app.add_flag("--blocks", blocks, "each block and candidate by itself");
    CLI11_PARSE(app, argc, argv);

    bench::StepTiming timing(arguments);
    Device& device = timing.device();
    Space space(name == "shufflenet", device, arguments.seed);
    Arena arena(device, std::size_t{1} << 38, false);
    auto step = [&](const std::function<Tensor(Tape&)>& forward) {
        double loss = 0;
        {
            ExecutionScope execution(arena);
            Tape tape(arena, nullptr);
            TapeScope recording(&tape);
            const Tensor y = forward(tape);
            tape.backward(y, space.weights().ones(y.shape));
            with_type(y.dtype, [&](auto zero) {
                auto value = zero;
                y.device->copy_out(&value, y.data, sizeof(value));
                loss = static_cast<double>(value);
            });
        }
        arena.reset();
        return loss;
    };
    auto none = [] { return 0.0; };
    if (!blocks) {
        const Tensor x = space.weights().tensor({arguments.batch, size, size, 3}, 1);
        const Tensor labels = space.weights().labels(arguments.batch, 1000);
        Draws draws{static_cast<std::uint32_t>(arguments.seed)};
        timing.run(
            [&] {
                std::vector<int> path;
                for (std::size_t i = 0; i < space.blocks().size(); i++) path.push_back(draws.below(space.candidates()));
                return step([&](Tape& tape) { return cross_entropy(space.run(x, path, tape), labels, 0.1); });
            },
            none);
        fmt::print("{}\n", timing.result().add("space", name).add("high_water", arena.high_water()).text());
        return 0;
    }
    for (std::size_t i = 0; i < space.blocks().size(); i++) {
        const Block& b = space.blocks()[i];
        if (i > 0 && space.blocks()[i - 1] == b) continue;  // timed already
        const int side = std::max(1, b.size * size / 224);
        const Tensor kept = space.weights().tensor({arguments.batch, side, side, b.c_in}, 1);
        for (int candidate = 0; candidate < space.candidates(); candidate++) {
            auto run = [&] {
                step([&](Tape& tape) {
                    Tensor x = kept;
                    tape.watch(x);
                    return space.run_block(i, candidate, x, tape);
                });
            };
            for (int j = 0; j < arguments.warmup; j++) run();
            std::vector<double> core;
            for (int j = 0; j < arguments.steps; j++) {
                const std::clock_t before = std::clock();  // of all threads
                run();
                core.push_back(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
            }
            std::sort(core.begin(), core.end());
            JsonObject line;
            line.add("space", name).add("block", static_cast<int>(i)).add("op", candidate);
            line.add("core_median", core[core.size() / 2]).add("core_min", core[0]);
            fmt::print("{}\n", line.text());
        }
    }
    return 0;
}

int main(int argc, char** argv) { return nascent::run_program("bench_blocks_step", run, argc, argv); }
