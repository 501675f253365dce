#include "ops/optim/adam.h"

#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <cstdio>

#include "engine/io/safetensors.h"
#include "tests/ops/optimizer_bench.h"
#include "tests/python.h"
#include "tests/temporary_folder.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// torch.optim.Adam, in double.
struct Dense {
    Numbers w, m, v;
    int steps = 0;
    void step(const AdamOptions& o, double lr, const Numbers& g, double scale = 1) {
        if (m.empty()) m.assign(w.size(), 0), v.assign(w.size(), 0);
        steps++;
        for (std::size_t i = 0; i < w.size(); i++) {
            const double d = g[i] * scale + o.weight_decay * w[i];
            m[i] = o.beta1 * m[i] + (1 - o.beta1) * d;
            v[i] = o.beta2 * v[i] + (1 - o.beta2) * d * d;
            const double first = m[i] / (1 - std::pow(o.beta1, steps)), second = v[i] / (1 - std::pow(o.beta2, steps));
            w[i] -= lr * first / (std::sqrt(second) + o.eps);
        }
    }
};

constexpr int kRanges = 6, kSteps = 30;

/// The ranges with a gradient in a step; the last has none ever.
std::vector<int> on_step(int step) {
    std::vector<int> on;
    for (int r = 0; r < kRanges - 1; r++)
        if (on_path(r, step)) on.push_back(r);
    if (on.empty()) on.push_back(0);
    return on;
}

double norm_of(const std::vector<int>& on, int step) {
    double sum = 0;
    for (int r : on)
        for (double g : Bench::gradient(r, step)) sum += g * g;
    return std::sqrt(sum);
}

/// What an error of a few roundings of m, v and w in each step comes to: m / sqrt(v) is at most 1 / sqrt(1 - beta2) in
/// size, whatever the gradients, and rates are at most 0.1.
double tolerance(DType dtype, const AdamOptions& o) {
    const double epsilon = dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON;
    return epsilon * kSteps * (4 + 22 * 0.1 / std::sqrt(1 - o.beta2));
}

const AdamOptions kOptions[] = {{}, {0.5, 0.999, 1e-8, 1e-3}, {0.9, 0.99, 1e-3, 5e-2, 2}};

}  // namespace

TEST_CASE("adam equals the formula in double: a range without a gradient rests, and its steps do not count") {
    for (DType dtype : {DType::f64, DType::f32})
        for (const AdamOptions& options : kOptions) {
            CAPTURE(name_of(dtype));
            CAPTURE(options.beta1);
            Bench b(kRanges, dtype);
            std::vector<Dense> dense(kRanges);
            for (int r = 0; r < kRanges; r++) dense[static_cast<std::size_t>(r)].w = to_host(b.store.raw(r));
            Adam adam(b.store, options, rate);
            for (int s = 0; s < kSteps; s++) {
                const std::vector<int> on = on_step(s);
                b.step(adam, on);
                const double norm = norm_of(on, s);
                if (options.clip_norm > 0)
                    CHECK(b.norm == doctest::Approx(norm).epsilon(1e-6));
                else
                    CHECK(b.norm == 0);
                const double scale = options.clip_norm > 0 ? std::min(1.0, options.clip_norm / (norm + 1e-6)) : 1;
                for (int r : on)
                    dense[static_cast<std::size_t>(r)].step(options, rate(s), Bench::gradient(r, s), scale);
            }
            CHECK(adam.step_number() == kSteps);
            for (int r = 0; r < kRanges; r++) {
                CAPTURE(r);
                const Dense& want = dense[static_cast<std::size_t>(r)];
                const Numbers now = to_host(b.store.raw(r));
                CHECK(adam.state(r).steps == want.steps);
                for (std::size_t i = 0; i < now.size(); i++)
                    CHECK(std::abs(now[i] - want.w[i]) <= tolerance(dtype, options));
            }
            CHECK(dense[kRanges - 1].steps == 0);
            CHECK(to_host(adam.state(kRanges - 1).second) == Numbers(Bench::length, 0));
        }
}

TEST_CASE("adam goes on from a restored state with the same bits") {
    const AdamOptions& options = kOptions[1];
    Bench whole(kRanges, DType::f32), first(kRanges, DType::f32), second(kRanges, DType::f32);
    Adam all(whole.store, options, rate), before(first.store, options, rate), after(second.store, options, rate);
    for (int s = 0; s < kSteps; s++) {
        whole.step(all, on_step(s));
        if (s < kSteps / 2) first.step(before, on_step(s));
    }
    for (int r = 0; r < kRanges; r++) {
        from_host(second.store.raw(r), to_host(first.store.raw(r)));
        from_host(after.state(r).first, to_host(before.state(r).first));
        from_host(after.state(r).second, to_host(before.state(r).second));
        after.set_steps(r, before.state(r).steps);
    }
    after.set_step_number(before.step_number());
    for (int s = kSteps / 2; s < kSteps; s++) second.step(after, on_step(s));
    for (int r = 0; r < kRanges; r++) CHECK(to_host(second.store.raw(r)) == to_host(whole.store.raw(r)));
    CHECK_THROWS_AS(after.set_steps(0, -1), Error);
    CHECK_THROWS_AS(after.state(kRanges), Error);
}

TEST_CASE("adam steps the ranges it was given and clips by their norm alone") {
    AdamOptions options = kOptions[2];
    options.clip_norm = 0.5;
    Bench b(3, DType::f64);
    Adam adam(b.store, options, rate, {1});
    const Numbers others[] = {to_host(b.store.raw(0)), to_host(b.store.raw(2))};
    Dense dense{to_host(b.store.raw(1)), {}, {}};
    b.step(adam, {0, 1, 2});
    dense.step(options, rate(0), Bench::gradient(1, 0), 0.5 / (norm_of({1}, 0) + 1e-6));
    CHECK(b.norm == doctest::Approx(norm_of({1}, 0)).epsilon(1e-14));
    const Numbers now = to_host(b.store.raw(1));
    for (std::size_t i = 0; i < now.size(); i++) CHECK(std::abs(now[i] - dense.w[i]) <= tolerance(DType::f64, options));
    CHECK(to_host(b.store.raw(0)) == others[0]);
    CHECK(to_host(b.store.raw(2)) == others[1]);
    CHECK_THROWS_AS(adam.state(0), Error);
    CHECK_THROWS_AS(Adam(b.store, options, rate, {3}), Error);
}

TEST_CASE("adam equals PyTorch's") {
    const std::string python = nascent::test::python_with_torch();
    if (python.empty()) {
        std::puts(
            "[SKIPPED] no python3 with torch and numpy (Debian: python3-torch): Adam was NOT compared with PyTorch");
        return;
    }
    for (const AdamOptions& options : kOptions) {
        CAPTURE(options.beta1);
        nascent::test::TemporaryFolder folder;
        Bench b(kRanges, DType::f64);
        std::map<std::string, Numbers> given;
        given["options"] = {options.beta1, options.beta2, options.eps, options.weight_decay, options.clip_norm};
        for (int s = 0; s < kSteps; s++) given["rates"].push_back(rate(s));
        for (int r = 0; r < kRanges; r++) given["w/" + std::to_string(r)] = to_host(b.store.raw(r));
        Adam adam(b.store, options, rate);
        for (int s = 0; s < kSteps; s++)
            for (int r : on_step(s)) given["g/" + std::to_string(r) + "/" + std::to_string(s)] = Bench::gradient(r, s);
        std::vector<SafeTensor> tensors;
        for (const auto& [name, values] : given)
            tensors.push_back(safe_tensor(name, {static_cast<std::int64_t>(values.size())}, std::span(values)));
        write_safetensors(folder / "in.safetensors", tensors);
        REQUIRE(std::system(fmt::format("{} {}/tests/golden/adam_steps.py --in {} --out {}", python, NASCENT_SOURCE_DIR,
                                        folder / "in.safetensors", folder / "out.safetensors")
                                .c_str()) == 0);
        for (int s = 0; s < kSteps; s++) b.step(adam, on_step(s));
        const SafeTensors theirs = SafeTensors::read(folder / "out.safetensors");
        auto compare = [&](const std::string& name, const Numbers& ours) {
            CAPTURE(name);
            Numbers values(ours.size());
            theirs.copy(name, std::span(values));
            for (std::size_t i = 0; i < ours.size(); i++)
                CHECK(std::abs(ours[i] - values[i]) <= tolerance(DType::f64, options));
        };
        for (int r = 0; r < kRanges; r++) {
            const std::string name = std::to_string(r);
            std::int64_t steps = -1;
            theirs.copy("steps/" + name, std::span(&steps, 1));
            CHECK(adam.state(r).steps == steps);
            compare("w/" + name, to_host(b.store.raw(r)));
            if (steps == 0) continue;
            compare("m/" + name, to_host(adam.state(r).first));
            compare("v/" + name, to_host(adam.state(r).second));
        }
    }
}
