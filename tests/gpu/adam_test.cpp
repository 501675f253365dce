// The GPU's Adam, on the emulator in three orders of the threads.
#include "kernels/adam.h"

#include "tests/gpu/check.h"
#include "tests/kernels/optimizers.h"

namespace nascent::test {
namespace {

/// Weights, moments and gradients of ranges; of most ranges one is off a 16-byte address, of every fifth none.
template <class T>
struct Ranges {
    std::vector<Guarded<T>> w, m, v, g;
    Ranges(const std::vector<std::size_t>& counts, unsigned seed) {
        Numbers numbers(seed);
        for (std::size_t r = 0; r < counts.size(); r++) {
            std::size_t k = r;
            for (auto* to : {&w, &m, &v, &g}) to->push_back(at_skew(numbers.uniform<T>(counts[r]), k++ % 5 > 0));
            for (T& x : v.back()) x = std::fabs(x) + T(0.01);
        }
    }
    std::vector<kernels::AdamRange<T>> list() {
        std::vector<kernels::AdamRange<T>> all;
        for (std::size_t r = 0; r < w.size(); r++)
            all.push_back({w[r].data(), m[r].data(), v[r].data(), g[r].data(), w[r].size(),
                           r % 3 ? static_cast<std::int64_t>(40 * r) : 1});
        return all;
    }
    void check(const kernels::AdamStep& step, Ranges& before) {
        const auto old = before.list();
        for (std::size_t r = 0; r < w.size(); r++) {
            CAPTURE(r);
            const auto want = adam_expected(step, old[r]);
            check_close(w[r], want[0], kAdamWeightRoundings, "w");
            check_close(m[r], want[1], kAdamFirstRoundings, "m");
            check_close(v[r], want[2], kAdamSecondRoundings, "v");
        }
    }
};

TEST_CASE_TEMPLATE("gpu adam steps as the formula says", T, float, double) {
    for (std::size_t ranges : {0, 7, 70})
        for (int mode = 0; mode < 4; mode++) {
            if (ranges == 70 && mode != 3) continue;
            CAPTURE(ranges);
            CAPTURE(mode);
            std::vector<std::size_t> counts;
            for (std::size_t r = 0; r < ranges; r++) counts.push_back(r == 0 ? 1 : r == 4 ? 4099 : r == 6 ? 0 : 7 * r);
            const double squares = mode == 2 ? 16 : 0.01;  // clipped in mode 2
            kernels::AdamStep step{3e-2, mode & 1 ? 0.5 : 0.9, 0.999, mode & 2 ? 1e-8 : 0.1, mode & 1 ? 1e-1 : 0.0};
            if (mode & 2) step.clip = {1, &squares};
            Ranges<T> before(counts, static_cast<unsigned>(mode + 1));
            in_every_order([&] {
                Ranges<T> now = before;
                const auto list = now.list();
                kernels::adam<T>(kGpu, step, list);
                now.check(step, before);
                std::vector<Guarded<T>> outputs = now.w;
                outputs.insert(outputs.end(), now.m.begin(), now.m.end());
                outputs.insert(outputs.end(), now.v.begin(), now.v.end());
                return outputs;
            });
        }
}

TEST_CASE_TEMPLATE("gpu adam over more ranges than one launch takes", T, float, double) {
    std::vector<std::size_t> counts(640);
    for (std::size_t r = 0; r < counts.size(); r++) counts[r] = 1 + r % 5;
    const kernels::AdamStep step{1e-2, 0.5, 0.999, 1e-8, 1e-3};
    Ranges<T> before(counts, 9), now = before;
    const auto list = now.list();
    kernels::adam<T>(kGpu, step, list);
    now.check(step, before);
}

}  // namespace
}  // namespace nascent::test
