// Second order's passes at w + e v and w - e v as one over two copies of the network, against one after the other.
#include <doctest/doctest.h>

#include <cmath>

#include "nas/algo/architect.h"
#include "nas/algo/search_pictures.h"
#include "nas/golden/numbers.h"
#include "nas/supernet/initialise.h"
#include "ops/constants.h"
#include "ops/optim/combine.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

using Values = std::vector<double>;
constexpr int pictures = 4, side = 8, classes = 3;

std::unique_ptr<SearchNet> make_net(Device& device, DType dtype, bool darts, int layers = 3, int cells = 1) {
    auto net =
        search_space(darts ? "darts" : "nasbench201")
            .make_net(device, dtype,
                      {.classes = classes, .size = side, .channels = darts ? 2 : 4, .layers = layers, .cells = cells});
    initialise(net->store(), 5);
    return net;
}

LabelledBatch batch(DType dtype, std::uint32_t seed) {
    const Tensor x = empty({pictures, side, side, 3}, dtype), labels = empty({pictures}, DType::i32);
    with_type(dtype, [&](auto zero) {
        const Values values = golden::input(x.size(), seed);
        const std::vector<decltype(zero)> host(values.begin(), values.end());
        x.device->copy_in(x.data, host.data(), x.bytes());
    });
    const std::int32_t host[pictures] = {0, 2, 1, static_cast<std::int32_t>(seed % 3)};
    labels.device->copy_in(labels.data, host, labels.bytes());
    return {x, labels};
}

struct Outcome {
    double loss = 0;
    std::vector<Values> gradients, running;
    std::size_t second_bytes = 0;
};
Outcome second_order(Device& device, bool darts, bool twin) {
    auto net = make_net(device, DType::f64, darts);
    Arena arena(device, std::size_t{1} << 32, true);
    ExecutionScope execution(arena);
    Architect architect(*net, arena, {true, 0.9, 3e-4, twin});
    Outcome o;
    o.loss = architect.gradients(batch(DType::f64, 1), batch(DType::f64, 2), 0.02, [&](const Tape& tape) {
        for (int a : net->alphas()) o.gradients.push_back(numbers_of(tape.gradient(net->store().read(a))));
    });
    for (const Buffer& b : net->store().buffers()) o.running.push_back(numbers_of(b.tensor));
    o.second_bytes = architect.second_bytes();
    arena.check_red_zones();
    return o;
}

double largest_difference(const std::vector<Values>& a, const std::vector<Values>& b, double* largest) {
    double off = 0;
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); k++)
        for (std::size_t i = 0; i < a[k].size(); i++) {
            off = std::max(off, std::abs(a[k][i] - b[k][i]));
            *largest = std::max(*largest, std::abs(b[k][i]));
        }
    return off;
}

}  // namespace

TEST_CASE("a twin pass is two passes, on either device and in either space") {
    for (bool gpu : {false, true}) {
        const std::unique_ptr<Device> device = gpu ? testing::gpu_device() : make_device("cpu", 2);
        if (!device) continue;
        for (bool darts : {true, false}) {
            CAPTURE(gpu);
            CAPTURE(darts);
            const Outcome one = second_order(*device, darts, false), both = second_order(*device, darts, true);
            CHECK(both.loss == one.loss);  // at w', before either
            double largest = 0, running = 0;
            const double off = largest_difference(both.gradients, one.gradients, &largest);
            // The quotient divides roundings of gradients by e, 1e-2 to 1e-4.
            CHECK(off <= 1e-9 * largest);
            CHECK(off > 0);  // it is another way
            CHECK(largest_difference(both.running, one.running, &running) <= 1e-11 * running);
            CHECK(both.second_bytes == one.second_bytes);
        }
    }
}

namespace {

/// What a forward and backward with dalpha alone launches; copies: 1 or 2.
std::int64_t launches(Device& device, bool darts, int copies) {
    auto net = make_net(device, DType::f32, darts, 8, 5);  // kernels do not come by size
    ParameterStore& store = net->store();
    std::vector<int> weights;
    for (int r = 0; r < static_cast<int>(store.ranges().size()); r++) weights.push_back(r);
    for (int a : net->alphas()) std::erase(weights, store.parameters()[static_cast<std::size_t>(a)].range);
    SecondWeights second(store, weights);
    const CombineTerm same{1, [&](int r) { return store.range(r).weights; }};
    combine(store, weights, [&](int r) { return second.weights(r); }, {{same, {}, {}}});
    combine(store, weights, [&](int r) { return store.gradient_place(r); }, {{same, {}, {}}});
    Arena arena(device);
    ExecutionScope execution(arena);
    const LabelledBatch b = batch(DType::f32, 1);
    const ConstantRanges constant(store, weights);
    std::optional<SecondWeightsScope> single;
    std::optional<TwinWeightsScope> twin;
    copies == 2 ? void(twin.emplace(second)) : void(single.emplace(second, false));
    Tape tape(arena, &store, Tape::Gradients::parameters_fixed);
    TapeScope recording(&tape);
    const std::int64_t start = device.launches();
    const std::vector<Tensor> logits = net->logits_of_copies(b.x, true);
    REQUIRE(logits.size() == static_cast<std::size_t>(copies));
    if (copies == 2)
        backward_from(tape, cross_entropy(logits[0], b.labels), cross_entropy(logits[1], b.labels));
    else
        backward_from(tape, cross_entropy(logits[0], b.labels));
    CHECK(tape.written().size() == net->alphas().size());
    for (int a : net->alphas())
        for (double v : numbers_of(tape.gradient(store.read(a)))) CHECK(std::isfinite(v));
    return device.launches() - start;
}

}  // namespace

TEST_CASE("a twin pass takes about as many launches as one pass") {
    const auto device = testing::gpu_device();
    if (!device) return;
    if (device->name().find("emulated") == std::string::npos) {
        MESSAGE("[SKIPPED] CUDA counts no launches outside of graphs");
        return;
    }
    for (bool darts : {true, false}) {
        const std::int64_t one = launches(*device, darts, 1), both = launches(*device, darts, 2);
        MESSAGE(std::string(darts ? "darts: " : "nasbench201: "), one, " launches of one pass, ", both,
                " of a twin pass");
        CHECK(one > 50);  // they are counted
        CHECK(static_cast<double>(both) <= 1.25 * static_cast<double>(one));
    }
}

TEST_CASE("steps with twin passes are the same bits whatever the threads, and replayed from captures") {
    SearchConfig config = preset("smoke/darts-2nd");
    config.train.batch = 2;
    config.net.channels = 2;
    config.net.layers = 3;
    config.arch.twin = "on";
    config.data.size = 8;
    Pictured pictured(config);
    auto run = [&](Device& device, bool capture) {
        auto net = search_space("darts").make_net(device, DType::f32, settings_of(config, 10, 8));
        initialise(net->store(), 1);
        BilevelTraining t = training_of(config);
        t.capture = capture;
        BilevelTrainer trainer(*net, pictured.train(config), pictured.alpha(config), t);
        for (int s = 0; s < 3; s++) trainer.step();  // calls are replayed from their third time on
        return trainer.alphas();
    };
    const auto one = make_device("cpu", 1), three = make_device("cpu", 3);
    CHECK(run(*one, true) == run(*three, true));
    if (const auto gpu = testing::gpu_device()) CHECK(run(*gpu, true) == run(*gpu, false));
}
