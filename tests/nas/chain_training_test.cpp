// Training of chains' supernets: what is off the path, how paths are drawn, captures.
#include <doctest/doctest.h>

#include <algorithm>

#include "nas/algo/chain_paths.h"
#include "nas/algo/weight_decay.h"
#include "nas/supernet/training_state.h"
#include "tests/gpu_device.h"
#include "tests/nas/chain_networks.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// Six pictures of 32x32: of fewer the last batch norms' statistics would be of hardly any numbers, and rounding would
/// grow from norm to norm. `factor`: how bright they are.
BatchSource pictures(DType dtype, double factor = 1) {
    return {[=](std::int64_t step) {
                const Tensor x = chain_pictures(6, 32, DType::f64, static_cast<std::uint32_t>(step) * 31);
                std::vector<double> pixels = numbers_of(x);
                for (double& v : pixels) v *= factor;
                return LabelledBatch{constants(x.shape, dtype, pixels), chain_labels(6, 10)};
            },
            5, [] { return 0.0; }};
}

ChainTraining training(int steps, SgdOptions::Inactive inactive = SgdOptions::Inactive::skip) {
    ChainTraining t;
    t.steps = steps;
    t.lr = 0.05;
    t.seed = 3;
    t.sgd.inactive = inactive;
    t.sgd.decays = weight_decay_rule("original");
    return t;
}

/// All of a training's state as bytes.
std::string bytes_of(const ChainNet& net, const ChainTrainer& trainer) {
    const TrainingState state = TrainingState::of(net.store(), trainer.optimizer(), &net.batch_counts());
    std::string all;
    for (const SafeTensor& t : state.tensors())
        all.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
    return all;
}

std::string range_bytes(const ChainNet& net, int r) {
    const ParameterRange& range = net.store().ranges()[static_cast<std::size_t>(r)];
    std::string all(2 * range.count * size_of(net.store().dtype()), '\0');
    net.store().device().copy_out(all.data(), range.weights, all.size() / 2);
    net.store().device().copy_out(all.data() + all.size() / 2, range.momentum, all.size() / 2);
    return all;
}

}  // namespace

TEST_CASE("operators off the path keep every bit through steps, or coast where they may") {
    const auto device = make_device("cpu");
    for (const char* name : {"shufflenet", "mobilenet"})
        for (auto inactive : {SgdOptions::Inactive::skip, SgdOptions::Inactive::coast}) {
            const bool skip = inactive == SgdOptions::Inactive::skip;
            CAPTURE(name);
            CAPTURE(skip);
            const chain::Space space = small_space(name);
            ChainNet net(*device, DType::f32, chain::supernet(space));
            initialise(net, 1, published_start(space));
            const chain::Architecture first = random_path(space, 1), second = random_path(space, 2);
            ChainTrainer trainer(
                net, pictures(DType::f32), [&](std::int64_t step) { return step == 0 ? first : second; },
                training(4, inactive));
            trainer.step();
            std::vector<std::string> before;
            for (int r = 0; r < static_cast<int>(net.store().ranges().size()); r++)
                before.push_back(range_bytes(net, r));
            trainer.step();
            std::vector<bool> on_path(before.size()), was_on_path(before.size());
            for (const auto& [path, marks] : {std::pair{&second, &on_path}, {&first, &was_on_path}})
                for (const ChainPiece& p : net.pieces(*path))
                    if (net.range(p) >= 0) (*marks)[static_cast<std::size_t>(net.range(p))] = true;
            int kept = 0, off = 0;
            for (std::size_t r = 0; r < before.size(); r++) {
                CAPTURE(net.store().ranges()[r].name);
                CHECK((range_bytes(net, static_cast<int>(r)) != before[r]) == on_path[r]);
                kept += !on_path[r];
                if (on_path[r] || !was_on_path[r]) continue;
                // As it would be read now: moved by momentum and decay, or not at all.
                const ParameterRange& range = net.store().ranges()[r];
                std::vector<float> now(range.count), stored(range.count);
                trainer.optimizer().peek(static_cast<int>(r), now.data());
                device->copy_out(stored.data(), range.weights, range.count * sizeof(float));
                CHECK((now == stored) == skip);
                off++;
            }
            CHECK(kept >= 50);
            CHECK(off >= 5);
        }
}

TEST_CASE("weight decay rules name what decays") {
    const auto device = make_device("cpu");
    auto decayed = [&](const char* space, const char* rule) {
        ChainNet net(*device, DType::f32, chain::supernet(small_space(space)));
        const auto decays = weight_decay_rule(rule);
        std::map<std::string, int> counts;  // by what it is
        for (const chain::StateEntry& e : chain::state_entries(net.net().layers)) {
            if (!e.trained) continue;
            const chain::Layer& l = net.net().layers[static_cast<std::size_t>(e.layer)];
            std::string kind = l.kind == chain::LayerKind::batch_norm ? "norm"
                               : l.kind == chain::LayerKind::linear   ? "linear"
                               : l.groups > 1                         ? "depthwise"
                                                                      : "conv";
            if (kind == "linear" && e.name.ends_with(".bias")) kind = "bias";
            const Parameter& p = net.store().parameters()[static_cast<std::size_t>(net.store().find(e.name))];
            if (!decays || decays(p)) counts[kind]++;
        }
        return counts;
    };
    // SPOS's supernet has 334 convolutions (section 1.7 of its facts).
    const auto all = decayed("shufflenet", "all"), original = decayed("shufflenet", "original"),
               mmrazor = decayed("shufflenet-mmrazor", "mmrazor"), every = decayed("shufflenet-mmrazor", "all"),
               anglenas = decayed("mobilenet", "anglenas"), mobile = decayed("mobilenet", "all");
    CHECK(all.at("conv") + all.at("depthwise") == 334);
    CHECK(original == all);  // nothing is exempt: batch norms have no parameters there
    CHECK(mmrazor == std::map<std::string, int>{{"conv", every.at("conv")}, {"linear", 1}});
    CHECK(every.at("depthwise") > 100);
    CHECK(anglenas ==
          std::map<std::string, int>{
              {"conv", mobile.at("conv")}, {"depthwise", mobile.at("depthwise")}, {"linear", 1}, {"bias", 1}});
}

TEST_CASE("learning rates of chains fall step by step") {
    ChainTraining t;
    t.steps = 150'000;
    // SPOS's log has 0.000003 at the last step; with PyTorch 1.1 and later the first is 0.4999967, the last 0.
    CHECK(learning_rate(t, 0) == 0.5);
    CHECK(learning_rate(t, 149'999) == doctest::Approx(0.5 / 150'000).epsilon(1e-9));
    t.lr_step = ChainTraining::LrStep::before;
    CHECK(learning_rate(t, 0) == doctest::Approx(0.5 * 149'999 / 150'000).epsilon(1e-14));
    CHECK(learning_rate(t, 149'999) == 0);
    t.lr_min = 0.1;
    t.lr_steps = 100;
    CHECK(learning_rate(t, 49) == doctest::Approx(0.3));
    CHECK(learning_rate(t, 99) == doctest::Approx(0.1));
    CHECK(learning_rate(t, 5000) == 0.1);
    t.schedule = ChainTraining::Schedule::cosine;
    CHECK(learning_rate(t, 24) == doctest::Approx(0.1 + 0.4 * (1 + std::sqrt(0.5)) / 2));
}

TEST_CASE("training paths by name") {
    const chain::Space space = chain::space("shufflenet");
    const PathCosts costs = chain::path_costs(space, chain::all_choices(space), chain::MacConvention::mac);
    auto macs = [&](const chain::Architecture& a) {
        return costs.of(chain::path_of(space, chain::all_choices(space), a));
    };
    ChainSampling s;
    s.seed = 4;
    s.law = ChainSampling::Law::buckets;
    const ChainPaths buckets = chain_paths(space, s);
    int in_first = 0, outside = 0;
    constexpr int n = 7000;
    for (std::int64_t i = 0; i < n; i++) {
        const std::int64_t cost = macs(buckets(i));
        in_first += cost < 300'000'000;
        outside += cost < 290'000'000 || cost > 360'000'000;
    }
    CHECK(outside == 0);  // tries is 0
    // Binomial, p = 1/7: five standard deviations.
    CHECK(std::abs(in_first - n / 7.0) < 5 * std::sqrt(n * 6 / 49.0));
    CHECK(buckets(17) == buckets(17));

    s.law = ChainSampling::Law::fair;
    const ChainPaths fair = chain_paths(space, s);
    for (int round = 0; round < 5; round++)
        for (std::size_t b = 0; b < 20; b++) {
            std::vector<int> ops;
            for (int i = 0; i < 4; i++) ops.push_back(fair(4 * round + i).ops[b]);
            std::sort(ops.begin(), ops.end());
            CHECK(ops == std::vector<int>{0, 1, 2, 3});
        }

    s.law = ChainSampling::Law::uniform;
    s.widen_from = 10;
    s.widen_steps = 5;
    const chain::Space channels = chain::space("shufflenet-channels");
    const ChainPaths widening = chain_paths(channels, s);
    for (auto [step, lowest] : {std::pair{0, 7}, {9, 7}, {10, 6}, {14, 6}, {15, 5}, {40, 0}, {1000, 0}}) {
        CAPTURE(step);
        CHECK(lowest_scale(channels, s, step) == lowest);
        const chain::Architecture a = widening(step);
        CHECK(*std::min_element(a.scales.begin(), a.scales.end()) >= lowest);
        CHECK(*std::max_element(a.scales.begin(), a.scales.end()) <= 7);
    }
    s.law = ChainSampling::Law::buckets;
    s.buckets = {100'000'000, 120'000'000, 10'000'000, 0};
    CHECK_THROWS_WITH(chain_paths(space, s), doctest::Contains("270359360"));
}

TEST_CASE("steps of chains on the gpu are the cpu's, and those replayed from captures equal eager ones to the bit") {
    auto one = testing::gpu_device(), other = testing::gpu_device();
    if (!one) return;
    const auto cpu = make_device("cpu", 2);
    const chain::Space space = small_space("shufflenet");
    const chain::Architecture often = random_path(space, 0), once = random_path(space, 1);
    auto run = [&](Device& device, bool capture, DType dtype, int steps, double factor, std::vector<double>* losses) {
        ChainNet net(device, dtype, chain::supernet(space));
        initialise(net, 2, ChainStart::torch);
        ChainTraining t = training(steps, SgdOptions::Inactive::coast);
        t.capture = capture;
        ChainTrainer trainer(
            net, pictures(dtype, factor), [&](std::int64_t step) { return step == 1 ? once : often; }, t);
        while (!trainer.done()) losses->push_back(trainer.step().loss);
        CHECK((trainer.segments() != nullptr) == (capture && device.can_capture()));
        if (trainer.segments()) CHECK(trainer.segments()->replays() > 60);
        return bytes_of(net, trainer);
    };
    std::vector<double> captured, eager, there, here, disturbed;
    CHECK(run(*one, true, DType::f32, 5, 1, &captured) == run(*other, false, DType::f32, 5, 1, &eager));
    CHECK(captured == eager);
    (void)run(*one, false, DType::f64, 2, 1, &there);
    (void)run(*cpu, true, DType::f64, 2, 1, &here);
    (void)run(*cpu, true, DType::f64, 2, 1 + 0x1p-48, &disturbed);
    for (int i = 0; i < 2; i++) {
        const auto k = static_cast<std::size_t>(i);
        const double moves = std::fabs(here[k] - disturbed[k]);
        CHECK(moves < 1e-6);
        CHECK(std::fabs(there[k] - here[k]) <= 1e-12 + 64 * moves);
    }
}
