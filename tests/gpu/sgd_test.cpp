// The GPU's SGD and clipping, on the emulator in three orders of the threads.
#include "kernels/sgd.h"

#include <algorithm>

#include "tests/gpu/check.h"
#include "tests/kernels/optimizers.h"

namespace nascent::test {
namespace {

/// Ranges of weights, momentum and gradients; every third after a gap, every fourth without a gradient. Of most
/// one is off a 16-byte address, of every fourth none.
template <class T>
struct Ranges {
    std::vector<std::size_t> counts;
    std::vector<Guarded<T>> w, v, g;
    Ranges(std::vector<std::size_t> counts_, unsigned seed) : counts(std::move(counts_)) {
        Numbers numbers(seed);
        for (std::size_t r = 0; r < counts.size(); r++) {
            std::size_t k = r;
            for (auto* to : {&w, &v, &g}) to->push_back(at_skew(numbers.uniform<T>(counts[r]), k++ % 4 > 0));
        }
    }
    std::vector<kernels::SgdRange<T>> list() {
        std::vector<kernels::SgdRange<T>> all;
        for (std::size_t r = 0; r < counts.size(); r++) {
            all.push_back({w[r].data(), v[r].data(), r % 4 == 2 ? nullptr : g[r].data(), counts[r]});
            all.back().decays = r % 5 != 3;
            if (r % 3 == 1) {
                const double gap[4] = {0.75, -0.3, 0.1, 0.8};
                std::copy(gap, gap + 4, all.back().gap);
            }
        }
        return all;
    }
    void check(const kernels::SgdStep& step, Ranges& before) {
        const auto old = before.list();
        for (std::size_t r = 0; r < counts.size(); r++) {
            CAPTURE(r);
            const auto want = sgd_expected(step, old[r]);
            check_close(w[r], want[0], kSgdWeightRoundings, "w");
            check_close(v[r], want[1], kSgdMomentumRoundings, "v");
            if (r % 3 != 1 && r % 4 == 2) CHECK(w[r].same_bits(before.w[r]));
        }
    }
    std::vector<Guarded<T>> outputs() const {
        std::vector<Guarded<T>> all = w;
        all.insert(all.end(), v.begin(), v.end());
        return all;
    }
};

TEST_CASE_TEMPLATE("gpu sgd steps as the formula says", T, float, double) {
    // A few ranges, of which one takes three blocks; more than a short list holds.
    for (std::size_t ranges : {0, 9, 70})
        for (int mode = 0; mode < 5; mode++) {
            if (ranges == 70 && mode < 3) continue;
            CAPTURE(ranges);
            CAPTURE(mode);
            std::vector<std::size_t> counts;
            for (std::size_t r = 0; r < ranges; r++) counts.push_back(r == 0 ? 1 : r == 4 ? 4099 : r == 6 ? 0 : 7 * r);
            const double squares = mode == 2 ? 16 : 0.01;  // clipped in mode 2
            kernels::SgdStep step{0.1, mode & 1 ? 0.9 : 0.0, mode & 2 ? 5e-4 : 0.0, mode == 3};
            if (mode & 2) step.clip = {1, &squares};
            if (mode == 4) step.decay = 1e-2, step.clip_value = 0.3;
            Ranges<T> before(counts, static_cast<unsigned>(mode + 1));
            in_every_order([&] {
                Ranges<T> now = before;
                const auto list = now.list();
                kernels::sgd<T>(kGpu, step, list);
                now.check(step, before);
                return now.outputs();
            });
        }
}

TEST_CASE_TEMPLATE("gpu sgd over more ranges than one launch takes", T, float, double) {
    std::vector<std::size_t> counts(710);
    for (std::size_t r = 0; r < counts.size(); r++) counts[r] = 1 + r % 5;
    const kernels::SgdStep step{0.1, 0.9, 5e-4, true};
    Ranges<T> before(counts, 9), now = before;
    const auto list = now.list();
    kernels::sgd<T>(kGpu, step, list);
    now.check(step, before);
}

TEST_CASE_TEMPLATE("gpu sgd is poisoned by a norm that is not a number, as PyTorch is", T, float, double) {
    Ranges<T> r({5}, 3);
    const double squares = std::numeric_limits<double>::quiet_NaN();
    const auto list = r.list();
    kernels::sgd<T>(kGpu, {0.1, 0.9, 0, true, {1, &squares}}, list);
    for (T x : r.w[0]) CHECK(std::isnan(x));
}

TEST_CASE_TEMPLATE("gpu sum_of_squares", T, float, double) {
    // One launch of a short list; of a long one; and more ranges than one launch takes, which is slow, in one order.
    for (std::size_t ranges : {0, 5, 70, 2000}) {
        CAPTURE(ranges);
        Numbers numbers(5);
        std::vector<Guarded<T>> g;
        for (std::size_t r = 0; r < ranges; r++)
            g.push_back(at_skew(numbers.uniform<T>(r == 2 ? 6001 : 1 + 3 * r % 40), r % 2 == 0));
        Bounded want;
        std::vector<kernels::GradientRange<T>> list;
        for (const Guarded<T>& range : g) {
            list.push_back({range.data(), range.size()});
            for (T x : range) want.add(static_cast<Real>(x) * x);
        }
        list.push_back({nullptr, 100});
        list.push_back({nullptr, 0});
        const std::span<const kernels::GradientRange<T>> all(list);
        auto run = [&] {
            Guarded<double> sum(1);
            Workspace workspace(kernels::sum_of_squares_workspace<T>(kGpu, all));
            kernels::sum_of_squares<T>(kGpu, all, sum.data(), workspace.get());
            CHECK(workspace.intact());
            // A thread's share of a block, eight levels of a tree; then of the blocks.
            check_close(sum, {want}, 2 * (8 + 8 + 8 + 8), "sum");
            return std::vector<Guarded<double>>{sum};
        };
        if (ranges < 2000)
            in_every_order(run);
        else
            run();
    }
}

}  // namespace
}  // namespace nascent::test
