#include "kernels/adam.h"

#include "tests/kernels/optimizers.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("adam steps as the formula says", T, float, double) {
    constexpr std::size_t kCounts[] = {1, 3, 16, 17, 8192, 9001, 0};
    constexpr int kRanges = static_cast<int>(std::size(kCounts));
    for (int mode = 0; mode < 4; mode++) {
        const double squares = mode == 2 ? 16 : 0.01;  // clipped in mode 2
        kernels::AdamStep step{3e-2, mode & 1 ? 0.5 : 0.9, 0.999, mode & 2 ? 1e-8 : 0.1, mode & 1 ? 1e-1 : 0.0};
        if (mode & 2) step.clip = {1, &squares};
        Numbers numbers(mode + 1);
        std::vector<Guarded<T>> w, m, v, g;
        for (std::size_t count : kCounts) {
            for (auto* to : {&w, &m, &g, &v}) to->push_back(numbers.uniform<T>(count));
            for (T& x : v.back()) x = std::fabs(x) + T(0.01);
        }
        auto range = [&](std::vector<Guarded<T>>& to_w, std::vector<Guarded<T>>& to_m, std::vector<Guarded<T>>& to_v,
                         int r) {
            return kernels::AdamRange<T>{to_w[r].data(), to_m[r].data(), to_v[r].data(),
                                         g[r].data(),    kCounts[r],     r % 3 ? 40 * r : 1};
        };
        std::vector<std::array<std::vector<Bounded>, 3>> want;
        for (int r = 0; r < kRanges; r++) want.push_back(adam_expected(step, range(w, m, v, r)));
        for_each_target_and_threads([&](const kernels::Stream& stream) {
            std::vector<Guarded<T>> new_w = w, new_m = m, new_v = v;
            std::vector<kernels::AdamRange<T>> ranges;
            for (int r = 0; r < kRanges; r++) ranges.push_back(range(new_w, new_m, new_v, r));
            kernels::adam<T>(stream, step, ranges);
            std::vector<Guarded<T>> outputs;
            for (int r = 0; r < kRanges; r++) {
                INFO("range ", r, " mode ", mode);
                check_close(new_w[r], want[r][0], kAdamWeightRoundings, "w");
                check_close(new_m[r], want[r][1], kAdamFirstRoundings, "m");
                check_close(new_v[r], want[r][2], kAdamSecondRoundings, "v");
                outputs.insert(outputs.end(), {new_w[r], new_m[r], new_v[r]});
            }
            return outputs;
        });
    }
}

}  // namespace
}  // namespace nascent::test
