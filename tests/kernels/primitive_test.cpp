#include "kernels/primitive.h"

#include <algorithm>

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

TEST_CASE_TEMPLATE("relu6 is shut from 6 on", T, float, double) {
    const kernels::Stream stream;
    Guarded<T> x(7), dy(7), y(7);
    const T values[] = {-1, 0, T(0.5), T(5.5), 6, 7, std::numeric_limits<T>::quiet_NaN()};
    std::copy_n(values, 7, x.begin());
    std::fill(dy.begin(), dy.end(), T(3));
    kernels::relu6_forward<T>(stream, 7, x.data(), y.data());
    const T forward[] = {0, 0, T(0.5), T(5.5), 6, 6}, backward[] = {0, 0, 3, 3, 0, 0, 3};
    CHECK(std::equal(forward, forward + 6, y.begin()));
    CHECK((std::isnan(y[6]) && y.intact()));
    for (bool accumulate : {false, true}) {
        Guarded<T> dx(7);
        std::fill(dx.begin(), dx.end(), T(2));
        kernels::relu6_backward<T>(stream, 7, x.data(), dy.data(), dx.data(), accumulate);
        for (std::size_t i = 0; i < 7; i++) CHECK(dx[i] == backward[i] + (accumulate ? 2 : 0));
    }
}

TEST_CASE_TEMPLATE("relu, add and copy", T, float, double) {
    Numbers numbers(1);
    const kernels::Stream stream;
    for (std::size_t size : {1, 5, 1000}) {
        Guarded<T> x = numbers.uniform<T>(size);
        const Guarded<T> dy = numbers.uniform<T>(size), before = numbers.uniform<T>(size);
        if (size > 1) x[1] = 0;
        for (bool accumulate : {false, true}) {
            Guarded<T> y(size), sum(size), dx(size), copy(size);
            if (accumulate) dx = before, copy = before;
            kernels::relu_forward<T>(stream, size, x.data(), y.data());
            kernels::add_forward<T>(stream, size, x.data(), dy.data(), sum.data());
            kernels::relu_backward<T>(stream, size, x.data(), dy.data(), dx.data(), accumulate);
            kernels::copy_or_add<T>(stream, size, dy.data(), copy.data(), accumulate);
            for (std::size_t i = 0; i < size; i++) {
                const T old = accumulate ? before[i] : T(0);
                CHECK(y[i] == (x[i] > 0 ? x[i] : T(0)));
                CHECK(sum[i] == x[i] + dy[i]);
                CHECK(dx[i] == old + (x[i] > 0 ? dy[i] : T(0)));
                CHECK(copy[i] == old + dy[i]);
            }
            CHECK((y.intact() && sum.intact() && dx.intact() && copy.intact()));
        }
    }
    Guarded<T> nan(1), y(1), dx(1);  // a fresh buffer holds not-a-numbers
    kernels::relu_forward<T>(stream, 1, nan.data(), y.data());
    kernels::relu_backward<T>(stream, 1, nan.data(), nan.data(), dx.data(), false);
    CHECK((std::isnan(y[0]) && std::isnan(dx[0])));
}

TEST_CASE_TEMPLATE("batch_norm_plain and its gradients", T, float, double) {
    unsigned seed = 10;
    ThreadPool pool(2);
    for (const Image& s : {Image{1, 1, 2, 1}, {2, 3, 5, 7}, {33, 2, 2, 40}})
        for (int mode = 0; mode < 8; mode++) {
            const bool affine = mode & 1, accumulate = mode & 2, constant = mode & 4;
            const double eps = 1e-5;
            INFO("image ", s.n, " ", s.h, " ", s.w, " ", s.c, " mode ", mode);
            Numbers numbers(seed++);
            const Guarded<T> x = numbers.uniform<T>(s.size()), dy = numbers.uniform<T>(s.size());
            const Guarded<T> gamma = numbers.uniform<T>(s.c), beta = numbers.uniform<T>(s.c);
            const Guarded<T> dx0 = numbers.uniform<T>(s.size()), dgamma0 = numbers.uniform<T>(s.c);
            const Guarded<T> dbeta0 = numbers.uniform<T>(s.c);
            const std::size_t count = s.pixels();
            Guarded<T> y(s.size()), mean(s.c), rstd(s.c), dx(s.size()), dgamma(s.c), dbeta(s.c);
            if (accumulate) dx = dx0, dgamma = dgamma0, dbeta = dbeta0;
            kernels::batch_norm_plain_forward<T>(stream_of(pool), s, x.data(), affine ? gamma.data() : nullptr,
                                                 affine ? beta.data() : nullptr, eps, y.data(), mean.data(),
                                                 rstd.data());
            kernels::batch_norm_plain_backward<T>(stream_of(pool), s, x.data(), affine ? gamma.data() : nullptr,
                                                  mean.data(), rstd.data(), constant, dy.data(), dx.data(), accumulate,
                                                  dgamma.data(), accumulate, dbeta.data(), accumulate);
            kernels::batch_norm_plain_backward<T>(stream_of(pool), s, x.data(), nullptr, mean.data(), rstd.data(),
                                                  constant, dy.data(), nullptr, false, nullptr, false, nullptr, false);
            std::vector<Bounded> want_mean(s.c), want_rstd(s.c), want_y(s.size()), want_dx(s.size()), want_dgamma(s.c),
                want_dbeta(s.c);
            for (std::size_t c = 0; c < static_cast<std::size_t>(s.c); c++) {
                Real squares = 0;
                for (std::size_t p = 0; p < count; p++) want_mean[c].add(static_cast<Real>(x[p * s.c + c]) / count);
                const Real m = want_mean[c].value;
                for (std::size_t p = 0; p < count; p++) squares += (x[p * s.c + c] - m) * (x[p * s.c + c] - m) / count;
                const Real r = 1 / std::sqrt(squares + eps);
                // An error of the mean, |x| eps, moves the variance by its square only; r amplifies what is in x -
                // mean.
                want_rstd[c].value = r, want_rstd[c].magnitude = r * (1 + r * want_mean[c].magnitude);
                // The backward starts from the mean and rstd as stored in T.
                const Real sm = mean[c], sr = rstd[c], g = affine ? gamma[c] : T(1);
                if (accumulate) want_dgamma[c].add(dgamma0[c]), want_dbeta[c].add(dbeta0[c]);
                Bounded sum, dot;
                for (std::size_t p = 0; p < count; p++) {
                    const std::size_t at = p * s.c + c;
                    sum.add(dy[at]);
                    dot.value += dy[at] * (x[at] - sm) * sr;
                    dot.magnitude += std::fabs(dy[at]) * (std::fabs(x[at]) + std::fabs(sm)) * sr;
                }
                want_dgamma[c].value += dot.value, want_dgamma[c].magnitude += dot.magnitude;
                want_dbeta[c].value += sum.value, want_dbeta[c].magnitude += sum.magnitude;
                for (std::size_t p = 0; p < count; p++) {
                    const std::size_t at = p * s.c + c;
                    want_y[at].value = (x[at] - m) * r * g + (affine ? beta[c] : T(0));
                    want_y[at].magnitude = (std::fabs(x[at]) + std::fabs(m)) * want_rstd[c].magnitude * std::fabs(g) +
                                           (affine ? std::fabs(beta[c]) : T(0));
                    if (accumulate) want_dx[at].add(dx0[at]);
                    const Real hat = (x[at] - sm) * sr, hat_magnitude = (std::fabs(x[at]) + std::fabs(sm)) * sr;
                    want_dx[at].value += g * sr * (dy[at] - (constant ? 0 : (sum.value + hat * dot.value) / count));
                    want_dx[at].magnitude +=
                        std::fabs(g) * sr *
                        (std::fabs(dy[at]) + (sum.magnitude + hat_magnitude * dot.magnitude) / count);
                }
            }
            const double length = static_cast<double>(count);
            check_close(mean, want_mean, length + 2, "mean");
            check_close(rstd, want_rstd, length + 6, "rstd");
            check_close(y, want_y, length + 10, "y");
            check_close(dgamma, want_dgamma, length + 4, "dgamma");
            check_close(dbeta, want_dbeta, length + 2, "dbeta");
            check_close(dx, want_dx, length + 10, "dx");
        }
}

TEST_CASE_TEMPLATE("relu and relu6 and their gradients", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    for (std::size_t size : {1, 37}) {
        Numbers numbers(static_cast<unsigned>(size));
        Guarded<T> x = numbers.fractions<T>(size, 40, 4);  // both kinks among them
        const auto dy = numbers.uniform<T>(size), before = numbers.uniform<T>(size);
        if (size > 4) x[1] = 0, x[2] = 6, x[3] = nan;
        for (bool six : {false, true})
            for (bool accumulate : {false, true}) {
                Guarded<T> y(size), dx(size);
                if (accumulate) dx = before;
                if (six) {
                    kernels::relu6_forward<T>({}, size, x.data(), y.data());
                    kernels::relu6_backward<T>({}, size, x.data(), dy.data(), dx.data(), accumulate);
                } else {
                    kernels::relu_forward<T>({}, size, x.data(), y.data());
                    kernels::relu_backward<T>({}, size, x.data(), dy.data(), dx.data(), accumulate);
                }
                CHECK((y.intact() && dx.intact()));
                for (std::size_t i = 0; i < size; i++) {
                    const bool high = six && x[i] >= 6, shut = x[i] <= 0 || high;
                    if (std::isnan(x[i]))
                        CHECK(std::isnan(y[i]));
                    else
                        CHECK(y[i] == (high ? T(6) : shut ? T(0) : x[i]));
                    CHECK(dx[i] == (accumulate ? before[i] : T(0)) + (shut ? T(0) : dy[i]));
                }
            }
    }
}

}  // namespace
}  // namespace nascent::test
