#include "kernels/norm.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

// The numbers are chosen so that every step is exact in both types, unless it says otherwise.
namespace nascent::test {
namespace {

const kernels::Stream kStream{};

TEST_CASE_TEMPLATE("norm_finish by hand", T, float, double) {
    using Pair = std::array<T, 2>;
    // Channel 0 is {1, 2, 3, 6}; channel 1 a constant whose squares' sum came out too small.
    const std::array<double, 4> sums{12, 2, 50, 1 - 0x1p-50};
    const Pair gamma{2, 3}, beta{1, -1};
    std::array<double, 2> mean{}, rstd{};
    Pair scale{}, shift{}, running_mean{1, 2}, running_var{1, 2};
    const kernels::NormShape shape{2, 4, 0.5, 0.25};
    kernels::norm_finish<T>(kStream, shape, sums.data(), gamma.data(), beta.data(), running_mean.data(),
                            running_var.data(), mean.data(), rstd.data(), scale.data(), shift.data());
    CHECK(mean == std::array{3.0, 0.5});
    CHECK(rstd == std::array{0.5, 1 / std::sqrt(0.5)});
    CHECK(scale == Pair{1, static_cast<T>(3 / std::sqrt(0.5))});
    CHECK(shift[0] == -2);
    CHECK(static_cast<double>(shift[1]) == doctest::Approx(-1 - 1.5 / std::sqrt(0.5)).epsilon(1e-6));
    CHECK(running_mean == Pair{T(1.5), T(1.625)});
    // The unbiased variance is 14 / 3.
    CHECK(running_var == Pair{static_cast<T>(0.75 + 0.25 * (3.5 * 4 / 3)), T(1.5)});

    kernels::norm_finish<T>(kStream, shape, sums.data(), nullptr, nullptr, nullptr, nullptr, mean.data(), rstd.data(),
                            scale.data(), shift.data());
    CHECK(scale[0] == T(0.5));
    CHECK(shift[0] == T(-1.5));

    // One pixel has no unbiased variance; the running one moves towards the biased, which is 0.
    const std::array<double, 2> one{3, 9};
    kernels::norm_finish<T>(kStream, {1, 1, 0.25, 0.25}, one.data(), nullptr, nullptr, running_mean.data(),
                            &(running_var[0] = 1), mean.data(), rstd.data(), scale.data(), shift.data());
    CHECK(rstd[0] == 2);
    CHECK(running_var[0] == T(0.75));
}

TEST_CASE_TEMPLATE("norm_finish of pixels after others gives the statistics of all of them", T, float, double) {
    // {1, 2, 3, 6}, {4, 8} and {0, 4} one after another: mean 3.5, squared deviations 48.
    const std::vector<std::vector<double>> batches{{1, 2, 3, 6}, {4, 8}, {0, 4}};
    T running_mean = 7, running_var = 9;  // forgotten by a first batch
    double mean = 0, rstd = 0;
    T scale = 0, shift = 0;
    std::size_t count = 0;
    for (const std::vector<double>& batch : batches) {
        std::array<double, 2> sums{};
        for (double x : batch) sums[0] += x, sums[1] += x * x;
        count += batch.size();
        const kernels::NormShape shape{1, batch.size(), 0.5,
                                       static_cast<double>(batch.size()) / static_cast<double>(count), true};
        kernels::norm_finish<T>(kStream, shape, sums.data(), nullptr, nullptr, &running_mean, &running_var, &mean,
                                &rstd, &scale, &shift);
        CHECK(mean == sums[0] / static_cast<double>(batch.size()));  // what normalises is the batch's own
        if (count == 4) CHECK(running_var == static_cast<T>(14 / 3.0));
    }
    const double rounding = sizeof(T) == 4 ? 1e-6 : 1e-14;
    CHECK(std::abs(running_mean - 3.5) < rounding);
    CHECK(std::abs(running_var - 48 / 7.0) < 10 * rounding);
}

TEST_CASE_TEMPLATE("norm_running by hand", T, float, double) {
    using Pair = std::array<T, 2>;
    const Pair gamma{2, 3}, beta{1, -1}, mean{3, 5}, var{T(3.5), T(0.5)};
    Pair scale{}, shift{};
    const kernels::NormShape shape{2, 4, 0.5, 0.25};
    kernels::norm_running<T>(kStream, shape, gamma.data(), beta.data(), mean.data(), var.data(), scale.data(),
                             shift.data());
    CHECK(scale == Pair{1, 3});
    CHECK(shift == Pair{-2, -16});
    kernels::norm_running<T>(kStream, shape, nullptr, nullptr, mean.data(), var.data(), scale.data(), shift.data());
    CHECK(scale == Pair{T(0.5), 1});
    CHECK(shift == Pair{T(-1.5), -5});
}

TEST_CASE_TEMPLATE("norm_fold by hand", T, float, double) {
    using Pair = std::array<T, 2>;
    const std::array<double, 2> s{2, -4}, sz{10, 0}, mean{3, 1}, rstd{0.5, 2};
    const Pair gamma{2, 4};
    const kernels::NormShape shape{2, 4, 0.5, 0.25};
    for (bool accumulate : {false, true}) {
        Pair scale{}, slope{}, shift{}, dgamma{100, 200}, dbeta{300, 400};
        kernels::norm_fold<T>(kStream, shape, s.data(), sz.data(), mean.data(), rstd.data(), gamma.data(), scale.data(),
                              slope.data(), shift.data(), dgamma.data(), accumulate, dbeta.data(), !accumulate);
        CHECK(scale == Pair{1, 8});
        CHECK(slope == Pair{T(-0.25), -32});
        CHECK(shift == Pair{T(0.25), 40});
        CHECK(dgamma == (accumulate ? Pair{102, 208} : Pair{2, 8}));
        CHECK(dbeta == (accumulate ? Pair{2, -4} : Pair{302, 396}));
        kernels::norm_fold<T>(kStream, shape, s.data(), sz.data(), mean.data(), rstd.data(), nullptr, scale.data(),
                              slope.data(), shift.data(), nullptr, false, nullptr, false);
        CHECK(scale == Pair{T(0.5), 2});
        CHECK(slope == Pair{T(-0.125), -8});
        CHECK(shift == Pair{T(0.125), 10});
    }
}

}  // namespace
}  // namespace nascent::test
