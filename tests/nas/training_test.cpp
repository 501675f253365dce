// The supernet as it trains: bits, learning, restoring, rates.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "nas/algo/supernet_trainer.h"
#include "nas/supernet/state_dict.h"
#include "ops/reference.h"
#include "tests/nas/synthetic_pictures.h"
#include "tests/temporary_folder.h"

using namespace nascent;

namespace {

const Dataset& pictures() {
    static const Dataset set = test::synthetic_pictures(16, 1000, 500);
    return set;
}

template <class T>
struct Run {
    std::unique_ptr<Device> device;
    Nb201Supernet net;
    Loader<T> loader;
    SupernetTrainer trainer;
    explicit Run(int threads, SgdOptions::Inactive inactive = SgdOptions::Inactive::coast, bool winograd = false)
        : device(make_device("cpu", threads)),
          net(*device, dtype_of<T>(), {10, 16, 8, 1}),
          loader(pictures().train, {}, 10, normalisation("half", pictures()), options()),
          trainer(net, loader, training(inactive)) {
        device->kernel_options.winograd = winograd;
        net.initialise(4);
    }
    static LoaderOptions options() {
        LoaderOptions o;
        o.seed = 4;
        o.batch_size = 32;
        return o;
    }
    static SupernetTraining training(SgdOptions::Inactive inactive) {
        SupernetTraining t;
        t.epochs = 4;
        t.seed = 4;
        t.sgd.inactive = inactive;
        return t;
    }
    /// Every byte of the training state.
    std::string bytes() const {
        const TrainingState state = TrainingState::of(net, trainer.optimizer());
        std::string all;
        for (const SafeTensor& t : state.tensors())
            all.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
        return all;
    }
};

}  // namespace

TEST_CASE("training gives the same bits with one to four threads") {
    std::string direct;
    for (bool winograd : {false, true}) {
        std::string first;
        double loss = 0;
        for (int threads : {1, 2, 3, 4}) {
            Run<float> run(threads, SgdOptions::Inactive::coast, winograd);
            double last = 0;
            for (int i = 0; i < 12; i++) last = run.trainer.step().loss;
            if (first.empty()) first = run.bytes(), loss = last;
            CAPTURE(threads);
            CAPTURE(winograd);
            CHECK(run.bytes() == first);
            CHECK(last == loss);
        }
        CHECK(first != direct);
        direct = first;
    }
}

TEST_CASE("a training state goes on to the same bits, whatever else was read on the way") {
    for (auto inactive : {SgdOptions::Inactive::coast, SgdOptions::Inactive::skip}) {
        test::TemporaryFolder folder;
        Run<float> whole(2, inactive), first(2, inactive), second(2, inactive);
        for (int i = 0; i < 20; i++) whole.trainer.step();
        for (int i = 0; i < 9; i++) first.trainer.step();
        const std::string path = folder / "state.safetensors";
        write_safetensors(path, TrainingState::of(first.net, first.trainer.optimizer()).tensors());
        StateDict::of(first.net, &first.trainer.optimizer());  // looking must change nothing
        TrainingState::restore(SafeTensors::read(path), second.net, second.trainer.optimizer());
        CHECK(second.trainer.step_number() == 9);
        while (second.trainer.step_number() < 20) second.trainer.step();
        while (first.trainer.step_number() < 20) first.trainer.step();
        CHECK(second.bytes() == whole.bytes());
        CHECK(first.bytes() == whole.bytes());
    }
}

TEST_CASE("direct and Winograd's convolutions agree in double") {
    Run<double> direct(2), winograd(2, SgdOptions::Inactive::coast, true);
    for (int i = 0; i < 6; i++) {
        const double a = direct.trainer.step().loss, b = winograd.trainer.step().loss;
        CHECK(std::abs(a - b) < 1e-9);
    }
    CHECK(direct.bytes() != winograd.bytes());
}

TEST_CASE("coasting and skipping differ, float and double agree roughly") {
    Run<float> coast(2), skip(2, SgdOptions::Inactive::skip);
    Run<double> wide(2);
    for (int i = 0; i < 6; i++) {
        const double a = coast.trainer.step().loss, b = wide.trainer.step().loss;
        skip.trainer.step();
        CHECK(std::abs(a - b) < 1e-2);
    }
    CHECK(coast.bytes() != skip.bytes());
    CHECK(coast.trainer.high_water() > 0);
    CHECK(coast.trainer.high_water() < wide.trainer.high_water());
}

TEST_CASE("a state of another network is refused and named") {
    test::TemporaryFolder folder;
    Run<float> run(1);
    auto device = make_device("cpu", 1);
    Nb201Supernet other(*device, DType::f32, {10, 16, 8, 2});
    Sgd sgd(other.store(), {}, [](std::int64_t) { return 0.1; });
    const std::string path = folder / "state.safetensors";
    write_safetensors(path, TrainingState::of(run.net, run.trainer.optimizer()).tensors());
    try {
        TrainingState::restore(SafeTensors::read(path), other, sgd);
        FAIL("no error");
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::checkpoint);
        CHECK(std::string(e.what()).find(path) != std::string::npos);
    }
}

TEST_CASE("learning rates of the published schedule") {
    // rlnas facts, section 12: epochs 0, 1, 125, 249 of 250.
    const SupernetTraining t;
    CHECK(cosine_lr(t, 0) == doctest::Approx(.025).epsilon(1e-12));
    CHECK(cosine_lr(t, 1) == doctest::Approx(.02499905).epsilon(1e-7));
    CHECK(cosine_lr(t, 125) == doctest::Approx(.013).epsilon(1e-12));
    CHECK(cosine_lr(t, 249) == doctest::Approx(.00100095).epsilon(1e-6));
}

TEST_CASE(
    "200 steps learn the true labels of the synthetic pictures to 60 %, random labels not beyond the training "
    "pictures") {
    const Dataset set = test::synthetic_pictures(32, 4000, 500);
    const Normalisation norm = normalisation("half", set);
    for (bool truth : {true, false}) {
        auto device = make_device("cpu", 2);
        Nb201Supernet net(*device, DType::f32, {10, 32, 8, 1});
        net.initialise(1);
        LoaderOptions lo;
        lo.labels = truth ? LabelPolicy::truth : LabelPolicy::fixed;
        for (std::size_t i = 0; !truth && i < set.train.count(); i++)
            lo.fixed_labels.push_back(static_cast<int>(i * 7919 % 10007 % 10));
        Loader<float> loader(set.train, {}, 10, norm, lo);
        Sgd sgd(net.store(), {}, [](std::int64_t) { return 0.05; });
        const Nb201Path path(
            3, nb201::parse_architecture(
                   "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"));
        Arena arena(*device);
        Batch<float> batch;
        auto logits = [&](bool training, Tensor* labels) {
            Tensor x = empty({batch.n, 32, 32, 3}, DType::f32);
            *labels = empty({batch.n}, DType::i32);
            device->copy_in(x.data, batch.pixels.data(), x.bytes());
            device->copy_in(labels->data, batch.labels.data(), labels->bytes());
            return net.forward(x, path, training);
        };
        for (int s = 0; s < 200; s++) {
            arena.reset();
            ExecutionScope execution(arena);
            Tape tape(arena, &net.store());
            TapeScope recording(&tape);
            loader.batch(static_cast<std::uint64_t>(s), batch);
            Tensor labels, one = empty({1}, DType::f32);
            const Tensor z = logits(true, &labels);
            *one.as<float>() = 1;
            tape.backward(cross_entropy(z, labels), one);
            sgd.step(tape);
        }
        // Evaluation: running statistics, untouched pictures.
        int right = 0, all = 0;
        for (std::size_t i = 0;; i++) {
            evaluation_batch<float>(set.test, {}, norm, i, 100, batch);
            if (batch.n == 0) break;
            arena.reset();
            ExecutionScope execution(arena);
            Tensor labels;
            const Tensor z = logits(false, &labels);
            for (int n = 0; n < batch.n; n++) {
                const float* row = z.as<float>() + n * 10;
                right += std::max_element(row, row + 10) - row == labels.as<int>()[n];
                all++;
            }
        }
        const double accuracy = 100.0 * right / all;
        MESSAGE(std::string(truth ? "true" : "random") << " labels: test accuracy " << accuracy << " %");
        CHECK(all == 500);
        if (truth)
            CHECK(accuracy >= 60);
        else
            CHECK(accuracy < 25);  // chance is 10 %, its deviation over 500 pictures 1.3 %
    }
}

TEST_CASE("a node without inputs is zero and asks no gradient of what comes before it") {
    auto device = make_device("cpu", 1);
    Nb201Supernet net(*device, DType::f64, {10, 16, 8, 1});
    net.initialise(1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    Tape tape(arena, &net.store());
    TapeScope recording(&tape);
    Tensor x = empty({2, 16, 16, 3}, DType::f64);
    for (std::size_t i = 0; i < x.size(); i++) x.as<double>()[i] = std::sin(static_cast<double>(i));
    const Tensor z = net.forward(x, Nb201Path(3, nb201::parse_architecture("(0,0,0,0,0,0)")), true);
    Tensor stem = net.store().read(net.store().find("stem.0.weight")),
           bias = net.store().read(net.store().find("classifier.bias"));
    for (int c = 0; c < 10; c++)
        for (int n : {0, 1}) CHECK(z.as<double>()[n * 10 + c] == bias.as<double>()[c]);
    tape.backward(z, z.detached());
    CHECK(tape.gradient(bias).defined());
    CHECK(!tape.gradient(stem).defined());
}
