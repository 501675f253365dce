// Training on the gpu: what the CPU computes, in captures as without them, in few launches; states go from one to the
// other.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "nas/algo/supernet_trainer.h"
#include "nas/supernet/angle_table.h"
#include "nas/supernet/state_dict.h"
#include "tests/gpu_device.h"
#include "tests/nas/synthetic_pictures.h"
#include "tests/temporary_folder.h"

using namespace nascent;

namespace {

/// 8x8 pictures: the smallest that two reductions leave something of.
const Dataset& pictures() {
    static const Dataset set = test::synthetic_pictures(8, 64, 10);
    return set;
}

struct Setting {
    int cells = 1, batch = 4;
    bool capture = true;
    double clip = 0;
    SgdOptions::Inactive inactive = SgdOptions::Inactive::coast;
    double clip_value = 0;  // with it only convolutions decay
};

template <class T>
struct Run {
    std::unique_ptr<Device> device;
    Nb201Supernet net;
    Loader<T> loader;
    SupernetTrainer trainer;
    Run(std::unique_ptr<Device> d, const Setting& s)
        : device(std::move(d)),
          net(*device, dtype_of<T>(), {10, 8, 4, s.cells}),
          loader(pictures().train, {}, 10, normalisation("half", pictures()), options(s)),
          trainer(net, loader, training(s)) {
        net.initialise(4);
    }
    static LoaderOptions options(const Setting& s) {
        LoaderOptions o;
        o.seed = 4;
        o.batch_size = s.batch;
        return o;
    }
    static SupernetTraining training(const Setting& s) {
        SupernetTraining t;
        t.epochs = 4;
        t.seed = 9;
        t.capture = s.capture;
        t.sgd.clip_norm = s.clip;
        t.sgd.inactive = s.inactive;
        t.sgd.clip_value = s.clip_value;
        if (s.clip_value > 0) t.sgd.decays = [](const Parameter& p) { return p.shape.rank() == 4; };
        return t;
    }
    std::vector<SafeTensor> tensors(TrainingState& state) const {
        state = TrainingState::of(net, trainer.optimizer());
        return state.tensors();
    }
    std::string bytes() const {
        TrainingState state;
        std::string all;
        for (const SafeTensor& t : tensors(state))
            all.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
        return all;
    }
};

}  // namespace

TEST_CASE("five steps on the gpu give the cpu's weights and momenta") {
    for (double clip : {0.0, 0.5, -0.01}) {  // by norm, or where negative by value
        auto gpu = testing::gpu_device();
        if (!gpu) return;
        const Setting s{.clip = std::max(clip, 0.0), .clip_value = std::max(-clip, 0.0)};
        Run<double> a(std::move(gpu), s), b(make_device("cpu", 2), s);
        for (int i = 0; i < 5; i++) {
            const auto here = a.trainer.step(), there = b.trainer.step();
            CHECK(std::abs(here.loss - there.loss) < 1e-10);
            CHECK(std::abs(here.gradient_norm - there.gradient_norm) < 1e-10);
            CHECK((clip > 0) == (here.gradient_norm > 0));
        }
        TrainingState mine, theirs;
        const std::vector<SafeTensor> x = a.tensors(mine), y = b.tensors(theirs);
        REQUIRE(x.size() == y.size());
        std::size_t numbers = 0;
        double worst = 0;
        for (std::size_t i = 0; i < x.size(); i++) {
            REQUIRE(x[i].name == y[i].name);
            REQUIRE(x[i].bytes.size() == y[i].bytes.size());
            if (x[i].dtype != SafeDtype::f64) {
                CHECK(std::equal(x[i].bytes.begin(), x[i].bytes.end(), y[i].bytes.begin()));
                continue;
            }
            for (std::size_t k = 0; k < x[i].bytes.size(); k += sizeof(double)) {
                double p, q;
                std::memcpy(&p, x[i].bytes.data() + k, sizeof(p));
                std::memcpy(&q, y[i].bytes.data() + k, sizeof(q));
                const double d = std::abs(p - q);
                if (!(d <= worst)) worst = d;
                numbers++;
            }
        }
        CHECK(worst < 1e-10);
        CHECK(numbers > 10000);
    }
}

TEST_CASE("gpu steps replayed from captures equal eager ones to the bit, on random paths") {
    for (auto inactive : {SgdOptions::Inactive::coast, SgdOptions::Inactive::skip}) {
        auto one = testing::gpu_device(), other = testing::gpu_device();
        if (!one) return;
        const double clip_value = inactive == SgdOptions::Inactive::coast ? 0.05 : 0;
        Run<float> captured(std::move(one), {.inactive = inactive, .clip_value = clip_value}),
            eager(std::move(other), {.capture = false, .inactive = inactive, .clip_value = clip_value});
        for (int i = 0; i < 40; i++) {
            captured.trainer.step();
            eager.trainer.step();
        }
        CHECK(captured.bytes() == eager.bytes());
        CHECK(captured.trainer.segments()->replays() > 400);  // of about 18 calls a step, 9 of them backwards
        CHECK(!eager.trainer.segments());
    }
}

TEST_CASE("a path step of the whole benchmark network takes 100 launches on the gpu") {
    auto gpu = testing::gpu_device();
    if (!gpu) return;
    Run<float> run(std::move(gpu), {.cells = 5, .batch = 2});
    std::int64_t most = 0, nodes = 0;
    constexpr int paths = 4;
    for (int path = 0; path < paths; path++)
        for (int again = 0; again < 4; again++) {  // the third time everything is captured
            run.trainer.optimizer().set_step_number(path + 1);
            const std::int64_t launches = run.device->launches(), replayed = run.trainer.segments()->replayed_nodes();
            run.trainer.step();
            if (again < 3) continue;
            most = std::max(most, run.device->launches() - launches);
            nodes += run.trainer.segments()->replayed_nodes() - replayed;
        }
    MESSAGE("at most " << most << " launches a step; " << nodes / paths << " kernels and fills in them");
    if (testing::counts_nodes(*run.device)) {
        CHECK(most == 100);
        CHECK(nodes / paths == 276);
    }
    CHECK(most <= 200);
    CHECK(most > 50);
}

TEST_CASE("a training state goes from the gpu to the cpu and back") {
    auto gpu = testing::gpu_device();
    if (!gpu) return;
    Run<float> a(std::move(gpu), {}), b(make_device("cpu", 1), {});
    for (int i = 0; i < 4; i++) a.trainer.step();
    test::TemporaryFolder folder;
    auto move = [&](Run<float>& from, Run<float>& to) {
        const std::string path = folder / "state.safetensors";
        write_safetensors(path, TrainingState::of(from.net, from.trainer.optimizer()).tensors());
        TrainingState::restore(SafeTensors::read(path), to.net, to.trainer.optimizer());
        CHECK(to.bytes() == from.bytes());
    };
    move(a, b);
    CHECK(b.trainer.step_number() == 4);
    b.trainer.step();
    move(b, a);
    CHECK(std::isfinite(a.trainer.step().loss));
    CHECK(a.trainer.step_number() == 6);
}

TEST_CASE("angle sums taken on the gpu are those of the written states") {
    auto gpu = testing::gpu_device();
    if (!gpu) return;
    Run<float> run(std::move(gpu), {});
    Nb201Supernet start(*run.device, DType::f32, run.net.config(), run.net.style());
    start.initialise(4);
    for (int i = 0; i < 6; i++) run.trainer.step();
    const std::string before = run.bytes();
    const Sgd* optimizer = &run.trainer.optimizer();
    const Nb201AngleTable there = angle_table(start, run.net, optimizer);
    CHECK(run.bytes() == before);  // looking changes nothing, coasting parameters stay behind
    const Nb201AngleTable here = angle_table({run.net.config(), run.net.style()}, StateDict::of(start),
                                             StateDict::of(run.net, optimizer), "start", "now");
    double worst = 0, moved = 0;
    auto compare = [&](const AngleSums& a, const AngleSums& b) {
        for (auto [x, y] : {std::pair{a.dot, b.dot}, {a.n0, b.n0}, {a.n1, b.n1}}) {
            const double d = std::abs(x - y) / std::max(1.0, std::abs(y));
            if (!(d <= worst)) worst = d;
        }
        moved = std::max(moved, std::abs(a.n1 - a.n0));
    };
    compare(there.fixed, here.fixed);
    REQUIRE(there.cells.size() == here.cells.size());
    for (std::size_t c = 0; c < here.cells.size(); c++) {
        CHECK(there.cells[c].channels == here.cells[c].channels);
        for (std::size_t e = 0; e < nb201::kEdges; e++)
            for (nb201::Op op : {nb201::Op::nor_conv_1x1, nb201::Op::nor_conv_3x3})
                compare(there.cells[c].ops[e][static_cast<std::size_t>(op)],
                        here.cells[c].ops[e][static_cast<std::size_t>(op)]);
    }
    CHECK(worst < 1e-12);  // sums of at most some thousand terms in double, in two orders
    CHECK(moved > 1e-4);
}
