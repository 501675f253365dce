// The plain kernels; conv_plain is in conv_test.cpp.
#include "kernels/primitive.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;
using kernels::PoolShape;

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
        for (int mode = 0; mode < 4; mode++) {
            const bool affine = mode & 1, accumulate = mode & 2;
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
                                                  mean.data(), rstd.data(), dy.data(), dx.data(), accumulate,
                                                  dgamma.data(), accumulate, dbeta.data(), accumulate);
            kernels::batch_norm_plain_backward<T>(stream_of(pool), s, x.data(), nullptr, mean.data(), rstd.data(),
                                                  dy.data(), nullptr, false, nullptr, false, nullptr, false);
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
                    want_dx[at].value += g * sr * (dy[at] - (sum.value + hat * dot.value) / count);
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

TEST_CASE_TEMPLATE("avg_pool_plain and its gradient", T, float, double) {
    unsigned seed = 30;
    ThreadPool pool(2);
    for (const PoolShape& s : {PoolShape{{1, 1, 1, 1}, 3, 1, 1},
                               {{2, 5, 7, 3}, 3, 1, 1},
                               {{1, 8, 6, 17}, 2, 2, 0},
                               {{35, 5, 4, 2}, 3, 2, 1},
                               {{1, 9, 9, 4}, 5, 3, 2}})
        for (bool accumulate : {false, true}) {
            INFO("k ", s.k, " stride ", s.stride, " h ", s.x.h);
            Numbers numbers(seed++);
            const int oh = s.out_h(), ow = s.out_w(), c = s.x.c;
            const std::size_t out = static_cast<std::size_t>(s.x.n) * oh * ow * c;
            const Guarded<T> x = numbers.uniform<T>(s.x.size()), dy = numbers.uniform<T>(out);
            const Guarded<T> before = numbers.uniform<T>(s.x.size());
            std::vector<Bounded> want(out), want_dx(s.x.size());
            for (std::size_t i = 0; accumulate && i < want_dx.size(); i++) want_dx[i].add(before[i]);
            for (std::size_t o = 0; o < out; o++) {
                const int ox = static_cast<int>(o / c % ow), oy = static_cast<int>(o / c / ow % oh);
                const std::size_t n = o / c / ow / oh;
                std::vector<std::size_t> window;
                for (int i = 0; i < s.k * s.k; i++) {
                    const int iy = oy * s.stride - s.padding + i / s.k, ix = ox * s.stride - s.padding + i % s.k;
                    if (iy >= 0 && iy < s.x.h && ix >= 0 && ix < s.x.w)
                        window.push_back(((n * s.x.h + iy) * s.x.w + ix) * c + o % c);
                }
                for (std::size_t at : window) {
                    want[o].add(static_cast<Real>(x[at]) / window.size());
                    want_dx[at].add(static_cast<Real>(dy[o]) / window.size());
                }
            }
            Guarded<T> y(out), dx(s.x.size());
            if (accumulate) dx = before;
            kernels::avg_pool_plain_forward<T>(stream_of(pool), s, x.data(), y.data());
            kernels::avg_pool_plain_backward<T>(stream_of(pool), s, dy.data(), dx.data(), accumulate);
            check_close(y, want, s.k * s.k + 2.0, "y");
            check_close(dx, want_dx, s.k * s.k + 3.0, "dx");
        }
}

TEST_CASE_TEMPLATE("global_avg_pool and its gradient", T, float, double) {
    const kernels::Stream stream;
    unsigned seed = 50;
    for (const Image& s : {Image{1, 1, 1, 1}, {2, 3, 5, 7}, {3, 8, 8, 40}})
        for (bool accumulate : {false, true}) {
            Numbers numbers(seed++);
            const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w;
            const Guarded<T> x = numbers.uniform<T>(s.size()), before = numbers.uniform<T>(s.size());
            const Guarded<T> dpooled = numbers.uniform<T>(static_cast<std::size_t>(s.n) * s.c);
            std::vector<Bounded> want(dpooled.size()), want_dx(s.size());
            for (std::size_t i = 0; i < s.size(); i++) {
                const std::size_t at = i / (pixels * s.c) * s.c + i % s.c;
                want[at].add(static_cast<Real>(x[i]) / pixels);
                if (accumulate) want_dx[i].add(before[i]);
                want_dx[i].add(static_cast<Real>(dpooled[at]) / pixels);
            }
            Guarded<T> pooled(dpooled.size()), dx(s.size());
            if (accumulate) dx = before;
            kernels::global_avg_pool_forward<T>(stream, s, x.data(), pooled.data());
            kernels::global_avg_pool_backward<T>(stream, s, dpooled.data(), dx.data(), accumulate);
            check_close(pooled, want, static_cast<double>(pixels) + 2, "pooled");
            check_close(dx, want_dx, 3, "dx");
        }
}

}  // namespace
}  // namespace nascent::test
