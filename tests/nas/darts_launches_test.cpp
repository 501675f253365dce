// How many kernels a pass through the DARTS search network launches: on a gpu each costs its launch, however small.
#include <doctest/doctest.h>

#include "nas/algo/loss.h"
#include "nas/supernet/darts.h"
#include "nas/supernet/initialise.h"
#include "ops/reference.h"
#include "tests/gpu_device.h"

using namespace nascent;

TEST_CASE("a forward and backward of the DARTS search network takes at most 350 launches") {
    const auto device = testing::gpu_device();
    if (!device) return;
    if (device->name().find("emulated") == std::string::npos) {
        MESSAGE("[SKIPPED] CUDA counts no launches outside of graphs");
        return;
    }
    darts::NetConfig config = darts::search_config("cifar10");  // of its 8 cells; kernels do not come by size
    config.channels = 4;
    config.input_size = 8;
    DartsNet net(*device, DType::f32, darts::search_net(config));
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
    const std::int64_t start = device->launches();
    const Tensor loss = cross_entropy(net.logits(x, true), labels);
    const std::int64_t forward = device->launches() - start;
    backward_from(tape, loss);
    const std::int64_t all = device->launches() - start;
    CHECK(finite_loss(loss, "") > 0);  // the work was done
    CHECK(tape.written().size() > 0);
    for (const ParameterRange& r : net.store().ranges()) CHECK((r.count == 0 || r.gradient != nullptr));
    MESSAGE(all, " launches, ", forward, " of them forward");
    CHECK(forward > 8);  // they are counted
    CHECK(all <= 350);
}
