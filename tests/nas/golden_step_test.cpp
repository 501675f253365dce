// One path step, one all-ops step and three optimizer steps equal the same network in PyTorch, in float64.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "engine/base/rng.h"
#include "nas/algo/path_sampling.h"
#include "nas/supernet/state_dict.h"
#include "ops/reference.h"
#include "tests/python.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using nascent::test::python_with_torch;
using nascent::test::TemporaryFolder;

namespace {

constexpr int pictures = 6, size = 8, steps = 3;
constexpr double tolerance = 1e-10;

struct Problem {
    std::unique_ptr<Device> device = make_device("cpu", 2);
    nb201::Style style;
    Nb201Supernet net;
    std::vector<double> x;  // (n, h, w, 3)
    std::vector<int> labels;
    std::vector<Nb201Path> paths;

    explicit Problem(bool affine, bool winograd = false)
        : style{.affine = affine}, net(*device, DType::f64, {10, size, 4, 1}, style) {
        device->kernel_options.winograd = winograd;
        net.initialise(5);
        for (std::size_t i = 0; i < net.store().parameters().size(); i++) {
            // Batch-norm away from 1 and 0, so that a mix-up shows.
            const Tensor t = net.store().raw(static_cast<int>(i));
            if (t.shape.rank() == 1)
                for (std::size_t k = 0; k < t.size(); k++) t.as<double>()[k] += 0.3 * number(1, i, k);
        }
        for (int i = 0; i < pictures * size * size * 3; i++) x.push_back(2 * number(2, 0, static_cast<std::size_t>(i)));
        for (int i = 0; i < pictures; i++) labels.push_back((i * 7 + 2) % 10);
        for (int s = 0; s < steps; s++) paths.push_back(sample_path(11, s, net.search_cells(), CellSampling::per_cell));
    }
    static double number(std::uint64_t step, std::size_t a, std::size_t b) {
        return 2 * Random(9, RandomStream::test, step, static_cast<std::uint32_t>(a * 4096 + b)).uniform(0) - 1;
    }
    Tensor loss(Arena& arena, const Nb201Path* path, Tensor* logits) {
        Tensor in = arena.tensor({pictures, size, size, 3}, DType::f64), to = arena.tensor({pictures}, DType::i32);
        in.device->copy_in(in.data, x.data(), in.bytes());
        to.device->copy_in(to.data, labels.data(), to.bytes());
        *logits = path ? net.forward(in, *path, true) : net.forward_all(in, true);
        return cross_entropy(*logits, to);
    }
};

/// The names and bytes that the PyTorch side reads.
void write_problem(const Problem& p, const std::string& path) {
    std::vector<double> nchw(p.x.size());
    for (std::size_t i = 0; i < nchw.size(); i++) {
        const std::size_t area = size * size, c = i / area % 3, n = i / area / 3;
        nchw[i] = p.x[(n * area + i % area) * 3 + c];
    }
    std::vector<std::int64_t> labels(p.labels.begin(), p.labels.end()), paths;
    for (const Nb201Path& one : p.paths)
        for (const auto& a : one)
            for (nb201::Op op : a.ops) paths.push_back(static_cast<std::int64_t>(op));
    std::vector<SafeTensor> tensors{
        safe_tensor("input", {pictures, 3, size, size}, std::span(std::as_const(nchw))),
        safe_tensor("labels", {pictures}, std::span(std::as_const(labels))),
        safe_tensor("paths", {steps, p.net.search_cells(), 6}, std::span(std::as_const(paths)))};
    const StateDict state = StateDict::of(p.net);
    std::vector<std::int64_t> zeros(1, 0);
    for (const auto& [name, e] : state.entries()) {
        if (name.ends_with("num_batches_tracked"))
            tensors.push_back(safe_tensor(name, {}, std::span(std::as_const(zeros))));
        else
            tensors.push_back(safe_tensor(name, e.shape, std::span(e.values)));
    }
    write_safetensors(path, tensors);
}

/// The largest |ours - theirs| / max(1, |theirs|); NaN or infinity where something is missing.
double difference(const StateDict::Entry& ours, const StateDict::Entry& theirs) {
    if (ours.values.size() != theirs.values.size()) return INFINITY;
    double worst = 0;
    for (std::size_t i = 0; i < ours.values.size(); i++) {
        const double d = std::abs(ours.values[i] - theirs.values[i]) / std::max(1.0, std::abs(theirs.values[i]));
        if (!(d <= worst)) worst = d;
        if (std::isnan(worst)) return worst;
    }
    return worst;
}

/// Gradients by PyTorch's names and layout: written into a network's parameters, then read as a state dict.
StateDict gradients_as_state(const Problem& p, const Tape& tape) {
    Problem holder(p.style.affine);
    for (std::size_t i = 0; i < holder.net.store().parameters().size(); i++) {
        Tensor to = holder.net.store().raw(static_cast<int>(i));
        Tensor parameter = p.net.store().raw(static_cast<int>(i));
        parameter.id = ValueId::parameter(static_cast<int>(i));
        const Tensor g = tape.gradient(parameter);
        for (std::size_t k = 0; k < to.size(); k++) to.as<double>()[k] = g.defined() ? g.as<double>()[k] : 0;
    }
    return StateDict::of(holder.net);
}

void compare_step(bool affine, bool winograd, bool all, const StateDict& theirs) {
    const std::string prefix = all ? "all/" : "path/";
    for (bool reference : {false, true}) {
        CAPTURE(prefix);
        CAPTURE(reference);
        Problem p(affine, winograd);
        Arena arena(*p.device, std::size_t{1} << 32, true);
        ExecutionScope execution(arena);
        Tape tape(arena, &p.net.store());
        TapeScope recording(&tape);
        std::unique_ptr<ReferenceScope> slow(reference ? new ReferenceScope : nullptr);
        Tensor logits;
        const Tensor loss = p.loss(arena, all ? nullptr : &p.paths[0], &logits);
        Tensor one = arena.tensor({1}, DType::f64);
        *one.as<double>() = 1;
        std::vector<double> z(logits.as<double>(), logits.as<double>() + logits.size());
        CHECK(difference({{}, {*loss.as<double>()}}, theirs.at(prefix + "loss")) <= tolerance);
        CHECK(difference({{}, z}, theirs.at(prefix + "logits")) <= tolerance);
        tape.backward(loss, one);
        const StateDict gradients = gradients_as_state(p, tape), after = StateDict::of(p.net);
        int compared = 0, zeros = 0;
        for (const auto& parameter : p.net.store().parameters()) {
            CAPTURE(parameter.name);
            const std::string name = prefix + "grad/" + parameter.name;
            const auto& ours = gradients.at(parameter.name);
            if (theirs.entries().count(name)) {
                CHECK(difference(ours, theirs.at(name)) <= tolerance);
                compared++;
            } else {  // PyTorch wrote none, so neither did we
                for (double v : ours.values) CHECK(v == 0);
                zeros++;
            }
        }
        CHECK(compared > 20);
        CHECK((all || zeros > 5));
        for (const auto& b : p.net.store().buffers()) {
            CAPTURE(b.name);
            CHECK(difference(after.at(b.name), theirs.at(prefix + "buffer/" + b.name)) <= tolerance);
        }
        for (const auto& c : p.net.batch_counts())
            CHECK(static_cast<double>(c.count) ==
                  theirs.at(prefix + "buffer/" + c.module + ".num_batches_tracked").values[0]);
    }
}

void compare_steps(bool affine, bool winograd, bool coast, const StateDict& theirs) {
    const std::string mode = coast ? "coast" : "skip";
    CAPTURE(mode);
    Problem p(affine, winograd);
    Sgd sgd(p.net.store(), {.inactive = coast ? SgdOptions::Inactive::coast : SgdOptions::Inactive::skip},
            [](std::int64_t) { return 0.025; });
    Arena arena(*p.device, std::size_t{1} << 32, true);
    for (int s = 0; s < steps; s++) {
        arena.reset();
        ExecutionScope execution(arena);
        Tape tape(arena, &p.net.store());
        TapeScope recording(&tape);
        Tensor logits;
        const Tensor loss = p.loss(arena, &p.paths[static_cast<std::size_t>(s)], &logits);
        CHECK(std::abs(*loss.as<double>() - theirs.at("sgd_loss/" + mode).values[static_cast<std::size_t>(s)]) <=
              tolerance);
        Tensor one = arena.tensor({1}, DType::f64);
        *one.as<double>() = 1;
        tape.backward(loss, one);
        sgd.step(tape);
    }
    const StateDict ours = StateDict::of(p.net, &sgd);
    double moved = 0;
    for (const auto& [name, e] : ours.entries()) {
        CAPTURE(name);
        CHECK(difference(e, theirs.at("sgd/" + mode + "/" + name)) <= tolerance);
        moved = std::max(moved, std::abs(e.values[0]));
    }
    CHECK(moved > 0);
}

}  // namespace

TEST_CASE("steps of the supernet equal PyTorch's to 1e-10") {
    const std::string python = python_with_torch();
    if (python.empty()) {
        std::puts(
            "[SKIPPED] no python3 with torch and numpy (Debian: python3-torch): the supernet was NOT compared with "
            "PyTorch");
        return;
    }
    for (bool affine : {false, true}) {
        CAPTURE(affine);
        TemporaryFolder folder;
        write_problem(Problem(affine), folder / "nb201_in.safetensors");
        for (bool cut : {false, true}) {
            const std::string command =
                fmt::format("{} {}/tests/golden/nb201_step.py --in {} --out {} --none {}", python, NASCENT_SOURCE_DIR,
                            folder.path(), folder.path(), cut ? "cut" : "zero");
            REQUIRE(std::system(command.c_str()) == 0);
            const StateDict theirs = StateDict::read(folder / "nb201_out.safetensors");
            // PyTorch 1.4 multiplies by zero where the operator is `none`, and coasts; newer versions skip, and an
            // absent edge leaves no gradient.
            for (bool winograd : {false, true}) {
                CAPTURE(winograd);
                compare_steps(affine, winograd, !cut, theirs);
                if (!cut) continue;
                compare_step(affine, winograd, false, theirs);
                compare_step(affine, winograd, true, theirs);
            }
        }
    }
}
