// Steps on paths through a DARTS supernet equal the same network in PyTorch, in float64.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "engine/base/rng.h"
#include "engine/io/safetensors.h"
#include "nas/algo/darts_paths.h"
#include "nas/algo/loss.h"
#include "nas/supernet/darts_state_dict.h"
#include "nas/supernet/initialise.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"
#include "tests/python.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using nascent::test::python_with_torch;
using nascent::test::TemporaryFolder;

namespace {

constexpr int pictures = 6, size = 8, steps = 4;
constexpr double tolerance = 1e-10, lr = 0.05, weight_decay = 3e-4, clip = 0.5;

struct Problem {
    std::unique_ptr<Device> device;
    DartsNet net;
    std::vector<double> x;  // (n, h, w, 3)
    std::vector<std::int32_t> labels;
    std::vector<darts::Code> paths;

    explicit Problem(bool affine, const std::string& on = "cpu")
        : device(make_device(on, 2)),
          net(*device, DType::f64,
              darts::search_net({.classes = 5, .input_size = size, .channels = 4, .layers = 5}, {.affine = affine})) {
        initialise(net.store(), 5);
        std::uint32_t place = 0;
        for (const Parameter& p : net.store().parameters()) {
            place++;
            if (p.shape.rank() > 1) continue;
            // Batch-norm away from 1 and 0, so that a mix-up shows; some gammas are negative.
            std::vector<double> values = net.get(p.name);
            for (std::uint32_t k = 0; k < values.size(); k++) values[k] += 1.2 * number(1, place * 4096 + k);
            net.set(p.name, values);
        }
        for (std::uint32_t i = 0; i < pictures * size * size * 3; i++) x.push_back(2 * number(2, i));
        for (int i = 0; i < pictures; i++) labels.push_back((i * 7 + 2) % 5);
        for (std::int64_t s = 0; s < steps; s++) paths.push_back(darts::training_path(12, s));
    }
    static double number(std::uint64_t step, std::uint32_t i) {
        return 2 * Random(9, RandomStream::test, step, i).uniform(0) - 1;
    }
    Tensor loss(const darts::Code& path, Tensor* logits) {
        const Tensor in = empty({pictures, size, size, 3}, DType::f64), to = empty({pictures}, DType::i32);
        device->copy_in(in.data, x.data(), in.bytes());
        device->copy_in(to.data, labels.data(), to.bytes());
        *logits = net.forward(in, path, true);
        return cross_entropy(*logits, to);
    }
    std::vector<double> read(const Tensor& t) const {
        std::vector<double> values(t.size());
        device->copy_out(values.data(), t.data, t.bytes());
        return values;
    }
};

void write_problem(const Problem& p, const std::string& path) {
    std::vector<double> nchw(p.x.size());
    for (std::size_t i = 0; i < nchw.size(); i++) {
        const std::size_t area = size * size, c = i / area % 3, n = i / area / 3;
        nchw[i] = p.x[(n * area + i % area) * 3 + c];
    }
    std::vector<std::int64_t> labels(p.labels.begin(), p.labels.end()), paths;
    for (const darts::Code& code : p.paths)
        for (bool reduction : {false, true})
            for (int op : code.cell(reduction)) paths.push_back(op);
    std::vector<SafeTensor> tensors{
        safe_tensor("input", {pictures, 3, size, size}, std::span(std::as_const(nchw))),
        safe_tensor("labels", {pictures}, std::span(std::as_const(labels))),
        safe_tensor("paths", {steps, 2, static_cast<std::int64_t>(darts::kEdges)}, std::span(std::as_const(paths)))};
    const StateDict state = state_dict(p.net);
    for (const auto& [name, e] : state.entries()) tensors.push_back(safe_tensor(name, e.shape, std::span(e.values)));
    write_safetensors(path, tensors);
}

/// The largest |ours - theirs| / max(1, |theirs|); NaN or infinity where something is missing.
double difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
    if (ours.size() != theirs.size()) return INFINITY;
    double worst = 0;
    for (std::size_t i = 0; i < ours.size(); i++) {
        const double d = std::abs(ours[i] - theirs[i]) / std::max(1.0, std::abs(theirs[i]));
        if (!(d <= worst)) worst = d;
        if (std::isnan(worst)) return worst;
    }
    return worst;
}

void compare_step(Problem& p, int step, const StateDict& theirs) {
    const std::string prefix = fmt::format("{}/", step);
    CAPTURE(prefix);
    Arena arena(*p.device, std::size_t{1} << 32, true);
    ExecutionScope execution(arena);
    Tape tape(arena, &p.net.store());
    TapeScope recording(&tape);
    Tensor logits;
    const Tensor loss = p.loss(p.paths[static_cast<std::size_t>(step)], &logits);
    CHECK(difference(p.read(loss), theirs.at(prefix + "loss").values) <= tolerance);
    CHECK(difference(p.read(logits), theirs.at(prefix + "logits").values) <= tolerance);
    backward_from(tape, loss);
    std::set<std::string> with_gradient;
    for (const WrittenRange& w : tape.written()) {
        const ParameterRange& range = p.net.store().range(w.range);
        for (int i = range.first; i < range.first + range.parameters; i++) {
            const Parameter& of = p.net.store().parameters()[static_cast<std::size_t>(i)];
            CAPTURE(of.name);
            Tensor gradient = p.net.store().raw(i);  // its shape; the values lie in the range's gradient
            gradient.data = static_cast<double*>(w.grad) + of.offset;
            const std::vector<double> ours = p.net.torch_order(of.name, gradient);
            CHECK(difference(ours, theirs.at(prefix + "grad/" + of.name).values) <= tolerance);
            with_gradient.insert(of.name);
        }
    }
    CHECK(with_gradient.size() > 60);
    for (const auto& [name, e] : theirs.entries())
        if (name.starts_with(prefix + "grad/")) CHECK(with_gradient.contains(name.substr(prefix.size() + 5)));
    for (const Buffer& b : p.net.store().buffers()) {
        CAPTURE(b.name);
        CHECK(difference(p.net.get(b.name), theirs.at(prefix + "buffer/" + b.name).values) <= tolerance);
    }
}

void compare_sgd(bool affine, bool coast, const StateDict& theirs) {
    const std::string mode = coast ? "coast" : "skip";
    CAPTURE(mode);
    Problem p(affine);
    Sgd sgd(p.net.store(),
            {.momentum = 0.9,
             .weight_decay = weight_decay,
             .nesterov = false,
             .clip_norm = clip,
             .inactive = coast ? SgdOptions::Inactive::coast : SgdOptions::Inactive::skip},
            [](std::int64_t) { return lr; });
    Arena arena(*p.device, std::size_t{1} << 32, true);
    const auto &losses = theirs.at("sgd_loss/" + mode).values, &norms = theirs.at("sgd_norm/" + mode).values;
    for (std::size_t s = 0; s < steps; s++) {
        CAPTURE(s);
        arena.reset();
        ExecutionScope execution(arena);
        Tape tape(arena, &p.net.store());
        TapeScope recording(&tape);
        Tensor logits;
        const Tensor loss = p.loss(p.paths[s], &logits);
        CHECK(difference(p.read(loss), {losses[s]}) <= tolerance);
        backward_from(tape, loss);
        CHECK(difference({sgd.step(tape)}, {norms[s]}) <= tolerance);
        CHECK(norms[s] > clip);
    }
    const StateDict ours = state_dict(p.net, &sgd);
    for (const auto& [name, e] : ours.entries()) {
        CAPTURE(name);
        CHECK(difference(e.values, theirs.at("sgd/" + mode + "/" + name).values) <= tolerance);
    }
}

}  // namespace

TEST_CASE("steps on paths of the DARTS supernet equal PyTorch's to 1e-10") {
    const std::string python = python_with_torch();
    if (python.empty()) {
        std::puts(
            "[SKIPPED] no python3 with torch and numpy (Debian: python3-torch): paths of the DARTS supernet were NOT "
            "compared with PyTorch");
        return;
    }
    for (bool affine : {true, false}) {
        CAPTURE(affine);
        TemporaryFolder folder;
        write_problem(Problem(affine), folder / "in.safetensors");
        const std::string command = fmt::format(
            "{} {}/tests/golden/darts_path_step.py --in {} --out {} --lr {} --weight-decay {} --clip {}", python,
            NASCENT_SOURCE_DIR, folder / "in.safetensors", folder / "out.safetensors", lr, weight_decay, clip);
        REQUIRE(std::system(command.c_str()) == 0);
        const StateDict theirs = StateDict::read(folder / "out.safetensors");
        for (int step = 0; step < steps; step++) {
            Problem p(affine);
            compare_step(p, step, theirs);
            if (step > 1 || !nascent::testing::gpu_device()) continue;
            Problem on_gpu(affine, "gpu");
            compare_step(on_gpu, step, theirs);
        }
        for (bool coast : {false, true}) compare_sgd(affine, coast, theirs);
        Problem composed(affine);
        const ReferenceScope reference;
        compare_step(composed, 0, theirs);
    }
}
