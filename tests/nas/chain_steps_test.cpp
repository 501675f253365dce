// Training steps of chains' supernets against PyTorch's in float64.
#include <doctest/doctest.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "nas/algo/chain_trainer.h"
#include "nas/algo/weight_decay.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/state_dict.h"
#include "tests/nas/chain_networks.h"
#include "tests/python.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using namespace nascent::testing;
using namespace nascent::test;
using nlohmann::json;

namespace {

constexpr double tolerance = 1e-10, kRate = 0.005;
/// The last blocks' batch norms are over kBatch * (kSide / 32)^2 numbers: of few, rounding would grow from norm to
/// norm.
constexpr int kBatch = 6, kSide = 96, kSteps = 4, kEpoch = 3;

struct Setting {
    const char* space;
    const char* decay;
    double smoothing = 0, clip_norm = 0, clip_value = 0;
    bool coast = false;
    ChainTraining::LrStep lr_step = ChainTraining::LrStep::after;
    ChainTraining::Schedule schedule = ChainTraining::Schedule::linear;
};

/// As tests/golden/chain_steps.py starts.
void fill(ChainNet& net) {
    std::uint64_t index = 0;
    for (const chain::StateEntry& e : chain::state_entries(net.net().layers)) {
        if (!e.trained) continue;
        std::size_t count = 1;
        for (std::int64_t extent : e.shape) count *= static_cast<std::size_t>(extent);
        std::vector<double> values(count);
        const double scale = std::sqrt(static_cast<double>(e.shape[0]) / static_cast<double>(count));
        for (std::size_t i = 0; i < count; i++) {
            const double v = golden::hashed(i, index);
            values[i] = e.shape.size() > 1 ? scale * v : e.name.ends_with(".weight") ? 1 + 0.1 * v : 0.1 * v;
        }
        net.set(e.name, values);
        index++;
    }
}

LabelledBatch batch(int size, int classes) {
    std::vector<double> pixels(static_cast<std::size_t>(kBatch * size * size * 3));
    for (int i = 0; i < kBatch; i++)
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < size * size; p++)
                pixels[static_cast<std::size_t>((i * size * size + p) * 3 + c)] =
                    golden::hashed(static_cast<std::uint64_t>((i * 3 + c) * size * size + p), 1000003);
    return {constants({kBatch, size, size, 3}, DType::f64, pixels), chain_labels(kBatch, classes)};
}

ChainTraining training(const Setting& s) {
    ChainTraining t;
    t.steps = kSteps;
    t.schedule = s.schedule;
    t.lr_step = s.lr_step;
    t.lr = kRate;
    t.lr_min = 0.0001;
    t.label_smoothing = s.smoothing;
    t.dropout = false;
    t.sgd = {.momentum = 0.9, .weight_decay = 0.01, .nesterov = false, .clip_norm = s.clip_norm};
    t.sgd.inactive = s.coast ? SgdOptions::Inactive::coast : SgdOptions::Inactive::skip;
    t.sgd.clip_value = s.clip_value;
    t.sgd.decays = weight_decay_rule(s.decay);
    return t;
}

/// The rates as published, said once more.
double rate(const Setting& s, int step) {
    const double share = (step + (s.lr_step == ChainTraining::LrStep::before)) / static_cast<double>(kSteps);
    const double left = s.schedule == ChainTraining::Schedule::linear
                            ? 1 - share
                            : 0.5 * (1 + std::cos(3.14159265358979323846 * share));
    return 0.0001 + (kRate - 0.0001) * left;
}

/// What decays, by names and shapes in PyTorch's terms.
bool decays(const std::string& rule, const chain::StateEntry& e, const chain::Layer& l) {
    if (rule == "original") return e.shape.size() > 1;
    if (rule == "mmrazor") return e.shape.size() > 1 && l.groups == 1;
    if (rule == "anglenas") return e.shape.size() == 4 || e.name.starts_with("classifier.0.");
    return true;
}

json problem(const Setting& s, const chain::Net& net, const std::vector<chain::Architecture>& paths) {
    json p = {{"space", s.space},
              {"batch", kBatch},
              {"size", net.space.config.input_size},
              {"classes", net.space.config.classes},
              {"smoothing", s.smoothing},
              {"momentum", 0.9},
              {"weight_decay", 0.01},
              {"clip_norm", s.clip_norm},
              {"clip_value", s.clip_value},
              {"coast", s.coast},
              {"decay", json::array()}};
    for (const chain::StateEntry& e : chain::state_entries(net.layers)) {
        if (!e.trained) continue;
        p["tensors"].push_back({e.name, e.shape});
        if (decays(s.decay, e, net.layers[static_cast<std::size_t>(e.layer)])) p["decay"].push_back(e.name);
    }
    for (const chain::Block& b : net.space.blocks)
        p["blocks"].push_back({{"stride", b.stride}, {"module", net.space.module_name(b)}});
    for (int i = 0; i < kSteps; i++) {
        p["paths"].push_back(paths[static_cast<std::size_t>(i)].ops);
        p["rates"].push_back(rate(s, i));
    }
    return p;
}

/// Of the first elements and of two scalar products of a tensor. A momentum counts as what a step makes of it: `scale`
/// is then the rate.
void compare(const std::string& name, const std::vector<double>& ours, const StateDict& theirs, double scale = 1) {
    CAPTURE(name);
    const std::vector<double>&head = theirs.at("head/" + name).values, &dot = theirs.at("dot/" + name).values;
    double sum = 0, product = 0, squares = 0, worst = 0;
    for (std::size_t i = 0; i < ours.size(); i++) {
        sum += ours[i];
        product += ours[i] * golden::hashed(i, 7);
        squares += ours[i] * ours[i];
    }
    REQUIRE(head.size() == std::min<std::size_t>(64, ours.size()));
    for (std::size_t i = 0; i < head.size(); i++) {
        const double off = scale * std::fabs(ours[i] - head[i]) / std::max(1.0, scale * std::fabs(head[i]));
        if (!(off <= worst)) worst = off;
    }
    CHECK(worst <= tolerance);
    // Elements that are off by 1e-10 in the tensor's root mean square put a sum of n off by no more than n times that.
    const double n = static_cast<double>(ours.size()),
                 allowed = tolerance * std::max(std::sqrt(n) / scale, std::sqrt(n * squares));
    CHECK(std::fabs(sum - dot[0]) <= allowed);
    CHECK(std::fabs(product - dot[1]) <= allowed);
}

void compare_steps(const Setting& s, const std::string& python) {
    chain::Config config;
    config.classes = 10;
    config.input_size = kSide;
    const chain::Space space = chain::space(s.space, config);
    const auto device = make_device("cpu", 2);
    ChainNet net(*device, DType::f64, chain::supernet(space));
    fill(net);
    // The third step returns to the first's path, after others.
    std::vector<chain::Architecture> paths;
    for (int i = 0; i < kSteps; i++) paths.push_back(random_path(space, static_cast<std::uint32_t>(i == 2 ? 0 : i)));
    TemporaryFolder folder;
    write_text(folder / "in.json", problem(s, net.net(), paths).dump());
    REQUIRE(std::system(fmt::format("{} {}/tests/golden/chain_steps.py --in {} --out {}", python, NASCENT_SOURCE_DIR,
                                    folder / "in.json", folder / "out.safetensors")
                            .c_str()) == 0);
    const StateDict theirs = StateDict::read(folder / "out.safetensors");
    BatchSource source{[&](std::int64_t) { return batch(kSide, 10); }, kEpoch, [] { return 0.0; }};
    ChainTrainer trainer(
        net, source, [&](std::int64_t i) { return paths[static_cast<std::size_t>(i)]; }, training(s));
    for (int i = 0; i < kSteps; i++)
        CHECK(std::fabs(trainer.step().loss - theirs.at("losses").values[static_cast<std::size_t>(i)]) <= tolerance);
    CHECK(trainer.done());

    ParameterStore& store = net.store();
    std::size_t momenta = 0, moved = 0;
    ChainNet first(*device, DType::f64, chain::supernet(space));
    fill(first);
    for (std::size_t r = 0; r < store.ranges().size(); r++) {
        const ParameterRange& range = store.ranges()[r];
        std::vector<double> now(range.count);
        trainer.optimizer().peek(static_cast<int>(r), now.data());
        for (int p = range.first; p < range.first + range.parameters; p++) {
            const Parameter& meta = store.parameters()[static_cast<std::size_t>(p)];
            const std::vector<double> values = net.torch_order(p, now.data() + meta.offset);
            compare(meta.name, values, theirs);
            moved += values != first.get(meta.name);
            // A coasting momentum is brought up to date with the weights, when they are read.
            if (s.coast || !theirs.entries().contains("head/momentum/" + meta.name)) continue;
            compare("momentum/" + meta.name, net.torch_order(meta.name, store.raw_momentum(p)), theirs, kRate);
            momenta++;
        }
    }
    // Of a shift whose sum a later batch norm takes away, the gradient is 0 but for rounding.
    if (!s.coast) CHECK(momenta >= moved);
    CHECK(moved > 150);
    std::size_t buffers = 0;
    for (const Buffer& b : store.buffers()) {
        const bool met = theirs.entries().contains("head/buffer/" + b.name);
        if (met) compare("buffer/" + b.name, net.get(b.name), theirs);
        buffers += met;
    }
    CHECK(buffers > 150);
}

}  // namespace

TEST_CASE("training steps of chains equal PyTorch's to 1e-10") {
    const std::string python = python_with_torch();
    if (python.empty()) {
        std::puts(
            "[SKIPPED] no python3 with torch and numpy (Debian: python3-torch): chains were NOT compared with PyTorch");
        return;
    }
    const Setting all[] = {{.space = "shufflenet", .decay = "original", .smoothing = 0.1},
                           {.space = "shufflenet-mmrazor",
                            .decay = "mmrazor",
                            .clip_norm = 2,
                            .coast = true,
                            .schedule = ChainTraining::Schedule::cosine},
                           {.space = "mobilenet",
                            .decay = "anglenas",
                            .smoothing = 0.1,
                            .clip_value = 0.01,
                            .lr_step = ChainTraining::LrStep::before}};
    for (const Setting& s : all) {
        CAPTURE(s.space);
        compare_steps(s, python);
    }
}
