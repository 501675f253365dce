// SGD that clips by value and decays some of a range's parameters only.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "engine/io/safetensors.h"
#include "ops/optim/sgd.h"
#include "tests/gpu_device.h"
#include "tests/ops/optimizer_bench.h"
#include "tests/python.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

constexpr int kSteps = 24, kRanges = 4;

/// Ranges as blocks have them: a convolution with its batch-norm, twice; a bare convolution; a batch-norm alone.
struct Blocks {
    std::unique_ptr<Device> device;
    ParameterStore store;
    Arena arena;
    Blocks(std::unique_ptr<Device> d, DType dtype)
        : device(std::move(d)), store(*device, dtype), arena(*device, std::size_t{1} << 26) {
        for (int r = 0; r < kRanges; r++) {
            const std::string name = "r" + std::to_string(r);
            store.begin_range(name);
            for (int part = 0; part < (r < 2 ? 2 : 1); part++) {
                const std::string layer = name + "." + std::to_string(part);
                if (r != 3) store.add(layer + ".conv", {3, 1, 5, 7 + r});
                if (r != 2) store.add(layer + ".gamma", {7 + r}), store.add(layer + ".beta", {7 + r});
            }
        }
        store.allocate();
        for (std::size_t p = 0; p < store.parameters().size(); p++)
            from_host(store.raw(static_cast<int>(p)),
                      random_numbers(store.parameters()[p].shape.size(), static_cast<std::uint32_t>(p)));
    }
    /// Elements in [-1, 1], of which clipping at 0.4 changes most.
    Numbers gradient(int parameter, int step) const {
        return random_numbers(store.parameters()[static_cast<std::size_t>(parameter)].shape.size(),
                              static_cast<std::uint32_t>(1000 + 100 * step + parameter));
    }
    /// The first range is on every path, the last on few.
    static bool on(int range, int step) { return range == 0 || on_path(range, step); }
    void step(Sgd& sgd) {
        arena.reset();
        ExecutionScope execution(arena);
        Tape tape(arena, &store);
        TapeScope recording(&tape);
        const int number = static_cast<int>(sgd.step_number());
        std::vector<Tensor> inputs;
        std::vector<int> parameters;
        for (std::size_t p = 0; p < store.parameters().size(); p++) {
            if (!on(store.parameters()[p].range, number)) continue;
            parameters.push_back(static_cast<int>(p));
            inputs.push_back(store.read(static_cast<int>(p)));
        }
        Tensor y = arena.tensor({1}, store.dtype());
        from_host(y, {1});
        y.id = tape.record("test", inputs, y, [&](const Tensor&, std::span<Into> into) {
            for (std::size_t i = 0; i < into.size(); i++) from_host(into[i].grad, gradient(parameters[i], number));
        });
        tape.backward(y, y.detached());
        sgd.step(tape);
    }
    /// All parameters as they are now, brought up to date by reading or, with `peek`, without.
    Numbers weights(const Sgd& sgd, bool peek) {
        Numbers all;
        for (int r = 0; r < kRanges; r++) {
            const ParameterRange& range = store.ranges()[static_cast<std::size_t>(r)];
            std::vector<std::byte> bytes(range.count * size_of(store.dtype()));
            sgd.peek(r, bytes.data());
            std::size_t at = 0;
            for (int p = range.first; p < range.first + range.parameters; p++) {
                const Numbers read = peek ? Numbers(store.raw(p).size()) : to_host(store.read(p));
                for (double x : read) {
                    with_type(store.dtype(), [&](auto zero) {
                        decltype(zero) v;
                        std::memcpy(&v, bytes.data() + at, sizeof(v));
                        if (!peek) CHECK(v == static_cast<decltype(zero)>(x));  // a peek is what a read gives
                        all.push_back(v);
                        at += sizeof(v);
                    });
                }
            }
        }
        return all;
    }
    Numbers momenta() const {
        Numbers all;
        for (std::size_t p = 0; p < store.parameters().size(); p++)
            for (double x : to_host(store.raw_momentum(static_cast<int>(p)))) all.push_back(x);
        return all;
    }
};

SgdOptions options_of(bool nesterov, SgdOptions::Inactive inactive) {
    SgdOptions o{0.9, 0.05, nesterov, 0, inactive};
    o.clip_value = 0.4;
    o.decays = [](const Parameter& p) { return p.shape.rank() == 4; };
    return o;
}
double constant_rate(std::int64_t) { return 0.1; }

void write_problem(const Blocks& b, const SgdOptions& o, const std::string& path) {
    std::vector<std::vector<double>> numbers;
    std::vector<std::vector<std::int64_t>> integers;
    std::vector<SafeTensor> tensors;
    auto shape_of = [&](std::size_t p) {
        return std::vector<std::int64_t>{static_cast<std::int64_t>(b.store.parameters()[p].shape.size())};
    };
    const std::size_t count = b.store.parameters().size();
    numbers.reserve(count * (kSteps + 1)), integers.reserve(count + 1);
    for (std::size_t p = 0; p < count; p++) {
        const Parameter& meta = b.store.parameters()[p];
        numbers.push_back(to_host(b.store.raw(static_cast<int>(p))));
        tensors.push_back(safe_tensor("w/" + meta.name, shape_of(p), std::span(std::as_const(numbers.back()))));
        integers.push_back({o.decays(meta) ? 1 : 0});
        tensors.push_back(safe_tensor("decays/" + meta.name, {1}, std::span(std::as_const(integers.back()))));
        for (int s = 0; s < kSteps; s++) {
            if (!Blocks::on(meta.range, s)) continue;
            numbers.push_back(b.gradient(static_cast<int>(p), s));
            tensors.push_back(safe_tensor(fmt::format("g/{}/{}", s, meta.name), shape_of(p),
                                          std::span(std::as_const(numbers.back()))));
        }
    }
    integers.push_back({kSteps});
    tensors.push_back(safe_tensor("steps", {1}, std::span(std::as_const(integers.back()))));
    write_safetensors(path, tensors);
}

}  // namespace

TEST_CASE("sgd that clips by value and spares parameters from weight decay equals PyTorch's") {
    const std::string python = nascent::test::python_with_torch();
    if (python.empty()) {
        std::puts(
            "[SKIPPED] no python3 with torch and numpy (Debian: python3-torch): SGD was NOT compared with PyTorch");
        return;
    }
    nascent::test::TemporaryFolder folder;
    for (bool nesterov : {false, true})
        for (auto inactive : {SgdOptions::Inactive::coast, SgdOptions::Inactive::skip}) {
            const bool coast = inactive == SgdOptions::Inactive::coast;
            CAPTURE(nesterov);
            CAPTURE(coast);
            const SgdOptions o = options_of(nesterov, inactive);
            Blocks b(make_device("cpu", 2), DType::f64);
            write_problem(b, o, folder / "in.safetensors");
            REQUIRE(std::system(
                        fmt::format("{} {}/tests/golden/sgd_steps.py {} {} --clip-value 0.4 --lr 0.1 --momentum "
                                    "0.9 --weight-decay 0.05{}{}",
                                    python, NASCENT_SOURCE_DIR, folder / "in.safetensors", folder / "out.safetensors",
                                    nesterov ? " --nesterov" : "", coast ? " --coast" : "")
                            .c_str()) == 0);
            const SafeTensors theirs = SafeTensors::read(folder / "out.safetensors");
            Sgd sgd(b.store, o, constant_rate);
            for (int s = 0; s < kSteps; s++) b.step(sgd);
            const Numbers now = b.weights(sgd, false), momenta = b.momenta();
            // Each step rounds w and v a few times; errors of v reach w with gain at most lr mu / (1 - mu) < 1 a step.
            const double tolerance = DBL_EPSILON * kSteps * 16;
            std::size_t at = 0;
            for (const Parameter& p : b.store.parameters()) {
                CAPTURE(p.name);
                std::vector<double> w(p.shape.size()), v(w.size());
                theirs.copy("w/" + p.name, std::span(w));
                theirs.copy("v/" + p.name, std::span(v));
                for (std::size_t i = 0; i < w.size(); i++, at++) {
                    CHECK(std::abs(now[at] - w[i]) <= tolerance);
                    CHECK(std::abs(momenta[at] - v[i]) <= tolerance * 10);  // 1 / (1 - momentum)
                }
            }
            CHECK(at == now.size());
        }
}

TEST_CASE("sgd in pieces has the same bits for any threads, and on the gpu those of the cpu but for rounding") {
    for (auto inactive : {SgdOptions::Inactive::coast, SgdOptions::Inactive::skip}) {
        const SgdOptions o = options_of(true, inactive);
        auto run = [&](std::unique_ptr<Device> device, DType dtype) {
            Blocks b(std::move(device), dtype);
            Sgd sgd(b.store, o, constant_rate);
            for (int s = 0; s < kSteps; s++) b.step(sgd);
            Numbers all = b.weights(sgd, true);
            const Numbers read = b.weights(sgd, false), momenta = b.momenta();
            CHECK(read == all);
            all.insert(all.end(), momenta.begin(), momenta.end());
            return all;
        };
        const Numbers one = run(make_device("cpu", 1), DType::f32);
        CHECK(run(make_device("cpu", 3), DType::f32) == one);
        auto gpu = gpu_device();
        if (!gpu) continue;
        const Numbers there = run(std::move(gpu), DType::f64), here = run(make_device("cpu", 2), DType::f64);
        for (std::size_t i = 0; i < here.size(); i++) CHECK(std::abs(here[i] - there[i]) <= DBL_EPSILON * kSteps * 160);
    }
}

TEST_CASE("a decay that is everybody's changes no bit of a step") {
    SgdOptions o{0.9, 0.05, true, 0, SgdOptions::Inactive::coast};
    Blocks a(make_device("cpu", 2), DType::f32), b(make_device("cpu", 2), DType::f32);
    Sgd plain(a.store, o, constant_rate);
    o.decays = [](const Parameter&) { return true; };
    o.clip_value = 2;  // above every element
    Sgd asked(b.store, o, constant_rate);
    for (int s = 0; s < kSteps; s++) a.step(plain), b.step(asked);
    CHECK(a.weights(plain, true) == b.weights(asked, true));
    CHECK(a.momenta() == b.momenta());
}

TEST_CASE("clipping by value and by norm at once is refused") {
    Blocks b(make_device("cpu", 1), DType::f32);
    SgdOptions o;
    o.clip_norm = o.clip_value = 1;
    CHECK_THROWS_AS(Sgd(b.store, o, constant_rate), Error);
}
