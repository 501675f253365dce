#include "ops/optim/sgd.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "tests/ops/optimizer_bench.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

/// torch.optim.SGD, in double, as PyTorch 1.4 ran it: a zero gradient once there has been one.
struct Dense {
    Numbers w, v;
    bool started = false;
    void step(const SgdOptions& o, double lr, const Numbers* g, double scale = 1) {
        if (!g && !started) return;
        if (v.empty()) v.assign(w.size(), 0);
        started = true;
        for (std::size_t i = 0; i < w.size(); i++) {
            const double d = (g ? (*g)[i] * scale : 0) + o.weight_decay * w[i];
            v[i] = o.momentum * v[i] + d;
            w[i] -= lr * (o.nesterov ? d + o.momentum * v[i] : v[i]);
        }
    }
};

}  // namespace

TEST_CASE("coasting equals a dense optimizer with zero gradients, skipping leaves parameters alone") {
    for (DType dtype : {DType::f64, DType::f32})
        for (bool nesterov : {true, false})
            for (auto inactive : {SgdOptions::Inactive::coast, SgdOptions::Inactive::skip}) {
                CAPTURE(name_of(dtype));
                CAPTURE(nesterov);
                const bool coast = inactive == SgdOptions::Inactive::coast;
                CAPTURE(coast);
                const SgdOptions options{0.9, 5e-2, nesterov, 0, inactive};
                Bench b(8, dtype);
                std::vector<Dense> dense(8);
                for (int r = 0; r < 8; r++) dense[static_cast<std::size_t>(r)].w = to_host(b.store.raw(r));
                Sgd sgd(b.store, options, rate);
                const int steps = 60;
                for (int s = 0; s < steps; s++) {
                    std::vector<int> on;
                    for (int r = 0; r < 7; r++)  // the last range is never on a path
                        if (on_path(r, s)) on.push_back(r);
                    if (on.empty()) on.push_back(0);
                    b.step(sgd, on);
                    for (int r = 0; r < 8; r++) {
                        const bool active = std::find(on.begin(), on.end(), r) != on.end();
                        const Numbers g = Bench::gradient(r, s);
                        if (active || coast)
                            dense[static_cast<std::size_t>(r)].step(options, rate(s), active ? &g : nullptr);
                    }
                    if (s % 5 == 2) b.store.read(s % 8);  // a reader between brings one range up to date, which goes on
                }
                // Each step rounds w and v a few times; errors of v reach w with gain at most lr mu / (1 - mu) < 1 a
                // step.
                const double tolerance = (dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON) * steps * 16;
                for (int r = 0; r < 8; r++) {
                    CAPTURE(r);
                    std::vector<std::byte> peeked(Bench::length * size_of(dtype));
                    sgd.peek(r, peeked.data());
                    const Numbers before = to_host(b.store.raw(r));
                    sgd.peek(r, peeked.data());
                    CHECK(to_host(b.store.raw(r)) == before);  // looking changes nothing
                    const Tensor read = b.store.read(r);
                    CHECK(std::memcmp(read.data, peeked.data(), peeked.size()) == 0);
                    const Numbers now = to_host(read);
                    for (int i = 0; i < Bench::length; i++) {
                        const auto k = static_cast<std::size_t>(i);
                        CHECK(std::abs(now[k] - dense[static_cast<std::size_t>(r)].w[k]) <= tolerance);
                    }
                }
            }
}

TEST_CASE("an op that was on the path but not on the way to the loss begins to coast, as with a zero gradient") {
    const SgdOptions options{0.9, 5e-2, true, 0, SgdOptions::Inactive::coast};
    Bench b(3, DType::f64);
    Dense dead{to_host(b.store.raw(1)), {}}, never{to_host(b.store.raw(2)), {}};
    Sgd sgd(b.store, options, rate);
    const Numbers zero(Bench::length, 0.0);
    b.step(sgd, {0});
    for (int s = 1; s < 6; s++) {
        b.step(sgd, {0}, s == 1 ? std::vector<int>{1} : std::vector<int>{});
        dead.step(options, rate(s), &zero);
    }
    const Numbers now = to_host(b.store.read(1));
    for (std::size_t i = 0; i < now.size(); i++) CHECK(std::abs(now[i] - dead.w[i]) <= DBL_EPSILON * 100);
    CHECK(to_host(b.store.read(2)) == never.w);
    CHECK(now != never.w);
}

TEST_CASE("gradients are clipped to a global norm") {
    const SgdOptions options{0.9, 0, false, 0.5, SgdOptions::Inactive::skip};
    Bench b(2, DType::f64);
    std::vector<Dense> dense(2);
    for (int r = 0; r < 2; r++) dense[static_cast<std::size_t>(r)].w = to_host(b.store.raw(r));
    Sgd sgd(b.store, options, rate);
    b.step(sgd, {0, 1});
    double sum = 0;
    for (int r = 0; r < 2; r++)
        for (double g : Bench::gradient(r, 0)) sum += g * g;
    CHECK(b.norm == doctest::Approx(std::sqrt(sum)).epsilon(1e-14));
    CHECK(b.norm > 1);
    for (int r = 0; r < 2; r++) {
        const Numbers g = Bench::gradient(r, 0);
        dense[static_cast<std::size_t>(r)].step(options, rate(0), &g, 0.5 / (std::sqrt(sum) + 1e-6));
        const Numbers now = to_host(b.store.read(r));
        for (std::size_t i = 0; i < now.size(); i++)
            CHECK(std::abs(now[i] - dense[static_cast<std::size_t>(r)].w[i]) <= 1e-15);
    }
}
