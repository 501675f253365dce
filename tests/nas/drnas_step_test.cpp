// The networks that DrNAS's steps are measured on give PyTorch's loss and gradients for the same weights and draws, in
// float64: those of the presets here, those of bench/torch/drnas_step.py there, with fewer channels and cells.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "engine/autograd/execution.h"
#include "engine/base/rng.h"
#include "nas/algo/loss.h"
#include "nas/algo/search_config.h"
#include "nas/algo/search_space.h"
#include "nas/supernet/initialise.h"
#include "nas/supernet/state_dict.h"
#include "nas/supernet/torch_layout.h"
#include "ops/constants.h"
#include "ops/reference.h"
#include "tests/python.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using nascent::test::python_with_torch;
using nascent::test::TemporaryFolder;

namespace {

constexpr int pictures = 8, size = 8;
// Sums of at most 8 * 64 products of numbers near 1 behind some fifty layers, in float64: rounding is far below, and
// the smallest mistake (a pixel, a picture, a term left out) far above.
constexpr double tolerance = 1e-9;

double number(std::uint64_t purpose, std::size_t a, std::size_t b) {
    return 2 * Random(12, RandomStream::test, purpose, static_cast<std::uint32_t>(a * 4096 + b)).uniform(0) - 1;
}

/// The alphas are the draws.
struct Drawn final : ArchRule {
    void begin(Pass, std::int64_t, std::int64_t) override {}
    ArchWeights weights(const Tensor& alphas, int) override { return {alphas}; }
};

struct Problem {
    std::unique_ptr<Device> device = make_device("cpu", 2);
    std::unique_ptr<SearchNet> net;
    Drawn rule;
    std::vector<double> x;  // (n, h, w, 3)
    std::vector<std::int32_t> labels;

    Problem(const std::string& name, int channels, int depth) {
        SearchConfig config = preset(name);
        config.net.channels = channels;
        config.net.layers = config.net.cells = depth;
        net = space_of(config).make_net(*device, DType::f64, settings_of(config, 10, size));
        net->set_rule(&rule);
        net->begin(Pass::weights, 0, 0);
        ParameterStore& store = net->store();
        initialise(store, 5);
        for (std::size_t i = 0; i < store.parameters().size(); i++) {
            const Tensor t = store.raw(static_cast<int>(i));
            if (t.shape.rank() == 1)  // batch norms away from 1 and 0, so that a mix-up shows
                for (std::size_t k = 0; k < t.size(); k++) t.as<double>()[k] += 0.3 * number(1, i, k);
        }
        for (int parameter : net->alphas()) {
            const Tensor draw = store.raw(parameter);
            const auto ops = static_cast<std::size_t>(draw.shape[1]);
            for (std::size_t row = 0; row < draw.size(); row += ops) {
                double sum = 0;
                for (std::size_t o = row; o < row + ops; o++)
                    sum += draw.as<double>()[o] = 0.05 + std::abs(number(3, static_cast<std::size_t>(parameter), o));
                for (std::size_t o = row; o < row + ops; o++) draw.as<double>()[o] /= sum;
            }
        }
        for (std::size_t i = 0; i < std::size_t{pictures} * size * size * 3; i++) x.push_back(2 * number(2, 0, i));
        for (int i = 0; i < pictures; i++) labels.push_back((i * 7 + 2) % 10);
    }
    const std::vector<Parameter>& parameters() const { return net->store().parameters(); }
    /// PyTorch's name: alphas are no parameters there.
    std::string name(int parameter) const {
        const std::vector<int> alphas = net->alphas();
        for (std::size_t i = 0; i < alphas.size(); i++)
            if (alphas[i] == parameter) return "draw/" + std::to_string(i);
        return parameters()[static_cast<std::size_t>(parameter)].name;
    }
    std::vector<double> in_torch_order(int parameter, const Tensor& values) const {
        const Parameter& p = parameters()[static_cast<std::size_t>(parameter)];
        return torch_values(p.shape, p.name, values);
    }
};

void write_problem(const Problem& p, const std::string& path) {
    std::vector<double> nchw(p.x.size());
    for (std::size_t i = 0; i < nchw.size(); i++) {
        const std::size_t area = size * size, c = i / area % 3, n = i / area / 3;
        nchw[i] = p.x[(n * area + i % area) * 3 + c];
    }
    const std::vector<std::int64_t> labels(p.labels.begin(), p.labels.end());
    std::vector<SafeTensor> tensors{safe_tensor("input", {pictures, 3, size, size}, std::span(std::as_const(nchw))),
                                    safe_tensor("labels", {pictures}, std::span(labels))};
    std::vector<std::vector<double>> values;
    values.reserve(p.parameters().size());
    for (std::size_t i = 0; i < p.parameters().size(); i++) {
        const int id = static_cast<int>(i);
        values.push_back(p.in_torch_order(id, p.net->store().raw(id)));
        const Shape& s = p.parameters()[i].shape;
        std::vector<std::int64_t> shape;
        for (int d = 0; d < s.rank(); d++) shape.push_back(s[d]);
        if (s.rank() == 4) shape = {s[3], s[2], s[0], s[1]};
        if (s.rank() == 3) shape = {s[2], 1, s[0], s[1]};  // depthwise
        tensors.push_back(safe_tensor(p.name(id), shape, std::span(std::as_const(values.back()))));
    }
    write_safetensors(path, tensors);
}

/// The largest |ours - theirs| / max(largest |theirs|, 1e-3); infinity where something is missing.
double difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
    if (ours.size() != theirs.size()) return INFINITY;
    double worst = 0, largest = 1e-3;
    for (double v : theirs) largest = std::max(largest, std::abs(v));
    for (std::size_t i = 0; i < ours.size(); i++) {
        const double d = std::abs(ours[i] - theirs[i]) / largest;
        if (!(d <= worst)) worst = d;
        if (std::isnan(worst)) return worst;
    }
    return worst;
}

void compare(Problem& p, const StateDict& theirs, const std::string& mode) {
    CAPTURE(mode);
    Arena arena(*p.device, std::size_t{1} << 32, true);
    ExecutionScope execution(arena);
    Tape tape(arena, &p.net->store());
    TapeScope recording(&tape);
    const Tensor x = constants({pictures, size, size, 3}, DType::f64, p.x), labels = empty({pictures}, DType::i32);
    p.device->copy_in(labels.data, p.labels.data(), labels.bytes());
    const Tensor logits = p.net->logits(x, true), loss = cross_entropy(logits, labels);
    backward_from(tape, loss);
    CHECK(difference({*loss.as<double>()}, theirs.at(mode + "/loss").values) <= tolerance);
    CHECK(difference({logits.as<double>(), logits.as<double>() + logits.size()}, theirs.at(mode + "/logits").values) <=
          tolerance);
    for (std::size_t i = 0; i < p.parameters().size(); i++) {
        const int id = static_cast<int>(i);
        const std::string name = p.name(id);
        CAPTURE(name);
        const Tensor g = tape.gradient(p.net->store().read(id));
        REQUIRE(g.defined());
        const std::string key = name.starts_with("draw/") ? name : "grad/" + name;
        CHECK(difference(p.in_torch_order(id, g), theirs.at(mode + "/" + key).values) <= tolerance);
    }
    CHECK(p.parameters().size() > 50);
}

}  // namespace

TEST_CASE("DrNAS's networks have the loss and gradients of those that the benchmark times in PyTorch") {
    const std::string python = python_with_torch();
    if (python.empty()) {
        std::puts("[SKIPPED] no python3 with torch and numpy: DrNAS's networks were NOT compared with PyTorch");
        return;
    }
    struct Sample {
        const char *space, *preset;
        int channels, depth;
    };
    for (const auto& [space, name, channels, depth] : {Sample{"nb201", "drnas/nb201-cifar10", 8, 1},
                                                       {"nb201-partial", "drnas/nb201-progressive", 16, 2},
                                                       {"cifar", "drnas/cifar10", 12, 4}}) {
        CAPTURE(std::string(space));
        TemporaryFolder folder;
        write_problem(Problem(name, channels, depth), folder / "in.safetensors");
        const std::string command = fmt::format(
            "{} {}/tests/golden/drnas_step.py --in {} --out {} --space {} --channels {} --depth {}", python,
            NASCENT_SOURCE_DIR, folder / "in.safetensors", folder / "out.safetensors", space, channels, depth);
        REQUIRE(std::system(command.c_str()) == 0);
        const StateDict theirs = StateDict::read(folder / "out.safetensors");
        for (const char* mode : {"plain", "tuned"}) {
            Problem p(name, channels, depth);
            compare(p, theirs, mode);
        }
    }
}
