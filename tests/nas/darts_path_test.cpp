// Paths through a DARTS supernet against networks that have nothing but the path, and against the mixed network.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "engine/base/rng.h"
#include "nas/algo/darts_path_trainer.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/loss.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/darts_angle_table.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/training_state.h"
#include "ops/reference.h"

using namespace nascent;

namespace {

constexpr int kBatch = 3, kSize = 8;
const darts::NetConfig kConfig{.classes = 5, .input_size = kSize, .channels = 4, .layers = 3};

Tensor pictures(Device& device) {
    const Tensor x = empty({kBatch, kSize, kSize, 3}, DType::f64);
    std::vector<double> pixels(x.size());
    for (std::uint32_t i = 0; i < pixels.size(); i++)
        pixels[i] = 2 * Random(1, RandomStream::test, 9, i).uniform(0) - 1;
    device.copy_in(x.data, pixels.data(), x.bytes());
    return x;
}

Tensor labels(Device& device) {
    const Tensor y = empty({kBatch}, DType::i32);
    const std::vector<std::int32_t> classes{3, 1, 4};
    device.copy_in(y.data, classes.data(), y.bytes());
    return y;
}

/// Loss, gradients by name in PyTorch's order, running statistics after it.
struct Result {
    double loss = 0;
    std::map<std::string, std::vector<double>> gradients;
};

template <class Forward>
Result step(DartsNet& net, const Forward& forward) {
    Device& device = net.store().device();
    Arena arena(device);
    ExecutionScope execution(arena);
    Tape tape(arena, &net.store());
    TapeScope recording(&tape);
    const Tensor logits = forward(pictures(device));
    const Tensor loss = cross_entropy(logits, labels(device));
    backward_from(tape, loss);
    Result r;
    device.copy_out(&r.loss, loss.data, sizeof(double));
    for (const WrittenRange& w : tape.written()) {
        const ParameterRange& range = net.store().range(w.range);
        for (int p = range.first; p < range.first + range.parameters; p++) {
            const Parameter& of = net.store().parameters()[static_cast<std::size_t>(p)];
            Tensor gradient = net.store().raw(p);  // its shape; the values lie in the range's gradient
            gradient.data = static_cast<double*>(w.grad) + of.offset;
            r.gradients[of.name] = net.torch_order(of.name, gradient);
        }
    }
    return r;
}

/// Weights one for the path's operator, zero for the others.
class OneHot : public ArchRule {
  public:
    explicit OneHot(const darts::Code& code) : code_(code) {}
    void begin(Pass, std::int64_t, std::int64_t) override {}
    ArchWeights weights(const Tensor& alphas, int matrix) override {
        const Tensor w = empty(alphas.shape, alphas.dtype);
        std::vector<double> host(w.size());
        for (std::size_t e = 0; e < darts::kEdges; e++) host[e * darts::kPrimitives + code_.cell(matrix == 1)[e]] = 1;
        w.device->copy_in(w.data, host.data(), w.bytes());
        return {w};
    }

  private:
    darts::Code code_;
};

double largest(const std::vector<double>& v) {
    double most = 0;
    for (double x : v) most = std::max(most, std::fabs(x));
    return most;
}

}  // namespace

TEST_CASE("a path through the supernet is the network of its genotype") {
    const auto device = make_device("cpu");
    for (std::int64_t i = 0; i < 6; i++) {
        const int put_out = i < 4 ? 4 : 2;  // of a cell's nodes, the last
        DartsNet super(*device, DType::f64, darts::search_net(kConfig, {.multiplier = put_out, .affine = true}));
        CHECK_FALSE(super.searches());
        initialise(super.store(), 5);
        // A network with a batch norm behind pools has no genotype: paths without pools.
        darts::Code code = darts::training_path(3, i);
        for (bool reduction : {false, true}) {
            for (auto& op : code.cell(reduction)) op = op == 1 || op == 2 ? 3 : op;
        }
        CAPTURE(darts::to_string(code));
        darts::Genotype genotype = darts::to_genotype(code);
        if (put_out == 2) genotype.normal_concat = genotype.reduce_concat = {4, 5};
        DartsNet alone(*device, DType::f64, darts::evaluation_net(kConfig, genotype));
        // Edge e of a stand-alone cell is the e-th edge of the code.
        std::map<std::string, std::string> in_super;
        for (const Parameter& p : alone.store().parameters()) {
            std::string name = p.name;
            int cell = 0, place = 0, end = 0;
            if (std::sscanf(name.c_str(), "cells.%d._ops.%d%n", &cell, &place, &end) == 2 && end > 0) {
                const darts::CellCode& ops = code.cell(super.net().cells[static_cast<std::size_t>(cell)].reduction);
                int left = place, edge = -1;
                while (left >= 0) left -= ops[static_cast<std::size_t>(++edge)] != 0;
                name = fmt::format("cells.{}._ops.{}._ops.{}{}", cell, edge, ops[static_cast<std::size_t>(edge)],
                                   name.substr(static_cast<std::size_t>(end)));
            }
            in_super[p.name] = name;
            alone.set(p.name, super.get(name));
        }
        for (bool composed : {true, false}) {
            CAPTURE(composed);
            const std::unique_ptr<ReferenceScope> reference(composed ? new ReferenceScope : nullptr);
            const Result own = step(alone, [&](const Tensor& x) { return alone.forward(x, true).logits; });
            const Result path = step(super, [&](const Tensor& x) { return super.forward(x, code, true); });
            // Composed they are the same ops on the same numbers; the fused op adds in another order.
            CHECK(std::fabs(path.loss - own.loss) <= (composed ? 0 : 1e-11));
            // What no output depends on may have a gradient of zeros or none.
            if (put_out == 4) CHECK(path.gradients.size() == own.gradients.size());
            for (const auto& [name, gradient] : own.gradients) {
                CAPTURE(name);
                const auto found = path.gradients.find(in_super.at(name));
                if (found == path.gradients.end() && put_out == 2 && largest(gradient) == 0) continue;
                REQUIRE(found != path.gradients.end());
                REQUIRE(found->second.size() == gradient.size());
                const double bound = composed ? 0 : 1e-8 * std::max(largest(gradient), 1e-6);
                for (std::size_t k = 0; k < gradient.size(); k++)
                    CHECK(std::fabs(gradient[k] - found->second[k]) <= bound);
            }
        }
    }
}

TEST_CASE("a path is the mixed network with weights of one and zero") {
    const auto device = make_device("cpu");
    DartsNet mixed(*device, DType::f64, darts::search_net(kConfig));
    DartsNet twin(*device, DType::f64, darts::search_net(kConfig));
    for (DartsNet* net : {&mixed, &twin}) initialise(net->store(), 6);
    for (std::int64_t i = 0; i < 12; i++) {
        const darts::Code code = darts::training_path(8, i);
        CAPTURE(darts::to_string(code));
        OneHot rule(code);
        mixed.set_rule(&rule);
        const Result path = step(twin, [&](const Tensor& x) { return twin.forward(x, code, true); });
        const Result all = step(mixed, [&](const Tensor& x) { return mixed.logits(x, true); });
        // The fused op adds in another order: of sums of some thousand products in double.
        CHECK(std::fabs(path.loss - all.loss) < 1e-11);
        std::size_t beside = 0;
        for (const auto& [name, gradient] : all.gradients) {
            if (name.starts_with("alphas")) continue;
            CAPTURE(name);
            const auto found = path.gradients.find(name);
            if (found == path.gradients.end()) {  // an operator beside the path: its gradient is zero
                CHECK(largest(gradient) == 0);
                ++beside;
                continue;
            }
            REQUIRE(found->second.size() == gradient.size());
            const double scale = std::max(largest(gradient), 1e-6);
            for (std::size_t k = 0; k < gradient.size(); k++)
                CHECK(std::fabs(gradient[k] - found->second[k]) < 1e-8 * scale);
        }
        CHECK(beside > 100);
    }
}

TEST_CASE("steps on paths turn the weights, and only theirs") {
    const auto device = make_device("cpu");
    DartsNet net(*device, DType::f64, darts::search_net(kConfig, {.affine = true}));
    DartsNet start(*device, DType::f64, darts::search_net(kConfig, {.affine = true}));
    for (DartsNet* n : {&net, &start}) initialise(n->store(), 7);
    SgdOptions options;
    options.momentum = 0.9;
    options.nesterov = false;
    options.weight_decay = 0;
    options.clip_norm = 5;
    options.inactive = SgdOptions::Inactive::skip;
    Sgd sgd(net.store(), options, [](std::int64_t) { return 0.05; });
    std::vector<darts::Code> paths;
    Arena arena(*device);
    for (std::int64_t i = 0; i < 3; i++) {
        arena.reset();
        ExecutionScope execution(arena);
        Tape tape(arena, &net.store());
        TapeScope recording(&tape);
        paths.push_back(darts::numpy_training_path(1, i));
        const Tensor loss = cross_entropy(net.forward(pictures(*device), paths.back(), true), labels(*device));
        backward_from(tape, loss);
        CHECK(finite_loss(loss, "") > 0);
        sgd.step(tape);
    }
    const darts::AngleParts parts = angle_parts(start, net, &sgd);
    int turned = 0, still = 0;
    for (const auto& cell : parts.cells) {
        for (std::size_t e = 0; e < darts::kEdges; e++) {
            for (std::size_t op = 4; op < darts::kPrimitives; op++) {
                const bool used = std::any_of(paths.begin(), paths.end(),
                                              [&](const darts::Code& c) { return c.cell(cell.reduction)[e] == op; });
                const AngleSums& s = cell.ops[e][op].conv;
                CHECK((angle_of(s) > 1e-6) == used);
                if (!used) CHECK(s.n0 == s.n1);
                (used ? turned : still)++;
            }
        }
    }
    CHECK(turned > 10);
    CHECK(still > 10);
    const darts::Angle angle(parts, darts::AngleSwitches::rlnas_cifar10());
    CHECK(angle.angle(paths[0]) > 0);
    CHECK_THROWS_AS(step(net, [&](const Tensor& x) { return net.forward(x, darts::Code{}, true); }), Error);
}

TEST_CASE("learning rates of RLNAS on DARTS") {
    const DartsPathTraining t;
    CHECK(std::fabs(learning_rate(t, 0) - 0.02499905) < 5e-9);
    CHECK(std::fabs(learning_rate(t, 248) - 0.00100095) < 5e-9);
    CHECK(learning_rate(t, 249) == 0.001);
    DartsPathTraining after = t;
    after.lr_step = DartsPathTraining::LrStep::after_epoch;
    CHECK(learning_rate(after, 0) == 0.025);
    CHECK(learning_rate(after, 1) == learning_rate(t, 0));
}

TEST_CASE("training on paths goes on to the same bits") {
    const auto device = make_device("cpu");
    BatchSource source{[&](std::int64_t) {
                           return LabelledBatch{pictures(*device), labels(*device)};
                       },
                       4, [] { return 0.0; }};
    for (auto draws : {DartsPathTraining::Draws::numpy, DartsPathTraining::Draws::counters}) {
        DartsPathTraining training;
        training.epochs = 2;
        training.draws = draws;
        DartsNet whole(*device, DType::f64, darts::search_net(kConfig, {.affine = true}));
        DartsNet broken(*device, DType::f64, darts::search_net(kConfig, {.affine = true}));
        for (DartsNet* n : {&whole, &broken}) initialise(n->store(), 9);
        DartsPathTrainer one(whole, source, training), two(broken, source, training);
        CHECK(one.total_steps() == 8);
        while (!one.done()) {
            const auto a = one.step(), b = two.step();
            CHECK(a.loss == b.loss);
            CHECK(a.gradient_norm == b.gradient_norm);
            CHECK(a.gradient_norm > 0);
            if (two.step_number() != 5) continue;
            // The second goes on from what a checkpoint holds, in a network of its own.
            const std::string file =
                std::filesystem::temp_directory_path() / fmt::format("nascent_paths_{}.safetensors", ::getpid());
            write_safetensors(file, TrainingState::of(broken.store(), two.optimizer()).tensors());
            initialise(broken.store(), 1);
            two.optimizer().set_step_number(0);
            TrainingState::restore(SafeTensors::read(file), broken.store(), two.optimizer());
            std::filesystem::remove(file);
        }
        for (const Parameter& p : whole.store().parameters()) REQUIRE(whole.get(p.name) == broken.get(p.name));
        for (const Buffer& b : whole.store().buffers()) REQUIRE(whole.get(b.name) == broken.get(b.name));
    }
}
