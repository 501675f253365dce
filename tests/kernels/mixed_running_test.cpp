// Running statistics of mixed cells' norms.
#include "kernels/mixed.h"
#include "tests/kernels/check.h"

namespace nascent::test {

using namespace kernels;

TEST_CASE_TEMPLATE("running statistics move and become scales", T, float, double) {
    Numbers numbers(54);
    constexpr int kChannels = 5;
    for (auto [count, fold] : {std::pair{10, 1}, {1, 1}, {6, 3}}) {
        CAPTURE(count);
        const auto wide = static_cast<std::size_t>(kChannels * fold);
        Guarded<double> mean(wide), rstd(wide);
        const Guarded<double> means = numbers.uniform<double>(kChannels);
        for (int i = 0; i < kChannels * fold; i++) mean[i] = means[i / fold], rstd[i] = 0.5 + i / fold;
        Guarded<T> running_mean = numbers.uniform<T>(kChannels), running_var(kChannels), scale(wide), shift(wide);
        for (T& v : running_var) v = T(0.75);
        const Guarded<T> before = running_mean;
        const RunningNorm<T> norms[] = {{running_mean.data(), running_var.data(), mean.data(), rstd.data(),
                                         static_cast<std::size_t>(count), kChannels, fold}};
        running_update<T>(Stream{}, 1e-5, 0.25, norms);
        const RunningScale<T> scales[] = {
            {running_mean.data(), running_var.data(), scale.data(), shift.data(), kChannels, fold}};
        running_scales<T>(Stream{}, 1e-3, scales);
        const double eps = 4 * std::numeric_limits<T>::epsilon();
        CHECK((running_mean.intact() && running_var.intact() && scale.intact() && shift.intact()));
        for (int i = 0; i < kChannels * fold; i++) {
            const int c = i / fold;
            // One pixel has no unbiased variance: its variance, 0 but for eps, is taken as it is.
            const double variance = 1 / (rstd[i] * rstd[i]) - 1e-5, unbiased = count > 1 ? count / (count - 1.0) : 1;
            CHECK(running_mean[c] == doctest::Approx(0.75 * before[c] + 0.25 * means[c]).epsilon(eps));
            CHECK(running_var[c] == doctest::Approx(0.75 * 0.75 + 0.25 * variance * unbiased).epsilon(eps));
            CHECK(scale[i] == doctest::Approx(1 / std::sqrt(running_var[c] + 1e-3)).epsilon(eps));
            CHECK(shift[i] == doctest::Approx(-running_mean[c] / std::sqrt(running_var[c] + 1e-3)).epsilon(eps));
        }
    }
}

}  // namespace nascent::test
