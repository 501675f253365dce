// How many kernels a pass through the DARTS search network launches: on a gpu each costs its launch, however small.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "nas/algo/darts_paths.h"
#include "nas/algo/loss.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

/// Launches of a forward and backward of 8 cells, with and without the backward; 0 where they cannot be counted.
struct Launches {
    std::int64_t all = 0, forward = 0;
};

Launches count(const darts::SearchCell& cell, const std::function<Tensor(DartsNet&, const Tensor&)>& logits) {
    const auto device = testing::gpu_device();
    if (!device) return {};
    if (device->name().find("emulated") == std::string::npos) {
        MESSAGE("[SKIPPED] CUDA counts no launches outside of graphs");
        return {};
    }
    darts::NetConfig config = darts::search_config("cifar10");  // of its 8 cells; kernels do not come by size
    config.channels = 4;
    config.input_size = 8;
    DartsNet net(*device, DType::f32, darts::search_net(config, cell));
    initialise(net.store(), 3);
    constexpr int n = 2;
    Arena arena(*device);
    ExecutionScope execution(arena);
    const Tensor x = empty({n, config.input_size, config.input_size, 3}, DType::f32), labels = empty({n}, DType::i32);
    std::vector<float> pixels(x.size());
    for (std::size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<float>(i % 17) / 8 - 1;
    const std::vector<std::int32_t> classes{3, 8};
    device->copy_in(x.data, pixels.data(), x.bytes());
    device->copy_in(labels.data, classes.data(), labels.bytes());

    Tape tape(arena, &net.store(), Tape::Gradients::parameters_fixed);
    TapeScope recording(&tape);
    Launches launches;
    const std::int64_t start = device->launches();
    const Tensor loss = cross_entropy(logits(net, x), labels);
    launches.forward = device->launches() - start;
    backward_from(tape, loss);
    launches.all = device->launches() - start;
    CHECK(finite_loss(loss, "") > 0);  // the work was done
    CHECK(tape.written().size() > 0);
    for (const ParameterRange& r : net.store().ranges())
        CHECK((r.count == 0 || r.gradient != nullptr || cell.affine));  // a path leaves the others alone
    MESSAGE(launches.all, " launches, ", launches.forward, " of them forward");
    CHECK(launches.forward > 8);  // they are counted
    return launches;
}

}  // namespace

TEST_CASE("a forward and backward of the DARTS search network takes at most 350 launches") {
    CHECK(count({}, [](DartsNet& net, const Tensor& x) { return net.logits(x, true); }).all <= 350);
}

TEST_CASE("a forward and backward of a path with affine batch norms takes at most 280 launches") {
    // A cell: forward one for the inputs, one for their norms, two for each of five states, one for each of four nodes,
    // one for the running statistics; backward two for each node, one for each of three states, one for both inputs'
    // states and two for the inputs. That is 17 + 14; a path may need less, and stem, head and loss are few.
    const darts::Code code = darts::training_path(4, 0);
    auto path = [&](DartsNet& net, const Tensor& x) { return net.forward(x, code, true); };
    CHECK(count({.affine = true}, path).all <= 280);
}
