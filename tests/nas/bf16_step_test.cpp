// Steps of the path supernet whose activations are stored as bf16.
#include "nas/supernet/training_state.h"
#include "tests/nas/path_step.h"

using namespace nascent;
using testing::bf16_device;
using testing::PathRun;

namespace {

std::string bytes(const PathRun<float>& run) {
    const TrainingState state = TrainingState::of(run.net, run.trainer.optimizer());
    std::string all;
    for (const SafeTensor& t : state.tensors())
        all.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
    return all;
}

}  // namespace

// As tf32_step_test.cpp, with numbers off by at most a part of 2^-8, evenly. Forward the weights, what they are
// multiplied with, z, and what a node is; backward the weights, the gradient of z, the activations it is multiplied
// with, and a gradient that is stored, which up to three operators add to: ten parts.
TEST_CASE("a path step in bf16 is as far from float64's as its roundings make it") {
    auto gpu = bf16_device(), strict_gpu = testing::gpu_device();
    if (!gpu) return;
    PathRun<float> bf16(std::move(gpu)), strict(std::move(strict_gpu));
    std::mt19937 random(5);
    std::uniform_real_distribution<double> error(-0x1p-8, 0x1p-8);
    const testing::StepErrors e = testing::step_errors(bf16, strict, 10, [&] { return error(random); });
    CHECK(e.gradient_bound < e.length);  // or anything would do
    CHECK(e.gradient > 64 * e.strict);   // they are rounded
    const double saved =
        static_cast<double>(bf16.trainer.high_water()) / static_cast<double>(strict.trainer.high_water());
    // Vectors and partial sums are as large as ever, and tensor cores leave more of these: blocks for half of the
    // multiprocessors, however few the pixels. What is kept is counted below.
    CHECK(saved < 0.75);
    MESSAGE("memory of a step: " << bf16.trainer.high_water() << " bytes, " << saved << " of float32's "
                                 << strict.trainer.high_water());
}

TEST_CASE("steps in bf16 replayed from captures equal eager ones to the bit, and come again") {
    auto one = bf16_device(), other = bf16_device(), again = bf16_device();
    if (!one) return;
    PathRun<float> captured(std::move(one)), eager(std::move(other), false), twice(std::move(again));
    for (int i = 0; i < 8; i++) {
        const double loss = captured.trainer.step().loss;
        CHECK(eager.trainer.step().loss == loss);
        CHECK(twice.trainer.step().loss == loss);
    }
    CHECK(bytes(captured) == bytes(eager));
    CHECK(bytes(captured) == bytes(twice));
    CHECK(captured.trainer.segments()->replays() > 0);
}

TEST_CASE("what a forward keeps is half as large in bf16 on the gpu, but for vectors") {
    auto gpu = bf16_device(), strict_gpu = testing::gpu_device();
    if (!gpu) return;
    const Nb201Path path(3,
                         nb201::parse_architecture("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|"
                                                   "nor_conv_3x3~1|skip_connect~2|"));
    auto kept = [&](std::unique_ptr<Device> device) {
        PathRun<float> run(std::move(device));
        Arena pictures(*run.device), arena(*run.device);
        const Tensor x = pictures.tensor({16, 16, 16, 3}, DType::f32);
        run.device->fill(x.data, 0, x.bytes());
        ExecutionScope execution(arena);
        Tape tape(arena, &run.net.store());
        TapeScope recording(&tape);
        const Tensor logits = run.net.forward(x, path, true);
        CHECK(logits.dtype == DType::f32);
        return arena.used();
    };
    const std::size_t bf16 = kept(std::move(gpu)), strict = kept(std::move(strict_gpu));
    // The stem has z and the result, a cell three nodes and three z, a reduction two z and the result.
    const std::size_t first = 16 * 16 * 16 * 16, elements = (2 + 6) * first + (3 + 6) * (first / 2 + first / 4);
    const std::size_t zone = checked_by_default ? 64 : 0;      // a red zone behind what is allocated
    const std::size_t pictures = 16 * 16 * 16 * 3 * 2 + zone;  // rounded, beside those that the caller has
    CHECK(strict - bf16 == 2 * elements - pictures);
    CHECK(bf16 < 0.55 * static_cast<double>(strict));
}
