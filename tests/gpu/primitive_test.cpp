// The GPU's plain kernels have the CPU's bits where a thread sums as the CPU's loop does; on the emulator in three
// orders of the threads.
#include "kernels/primitive.h"

#include <algorithm>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

TEST_CASE_TEMPLATE("gpu relu, add and copy", T, float, double) {
    Numbers numbers(1);
    for (std::size_t size : {1, 256, 1003})
        for (bool accumulate : {false, true}) {
            Guarded<T> x = numbers.uniform<T>(size);
            const Guarded<T> dy = numbers.uniform<T>(size), before = numbers.uniform<T>(size);
            if (size > 2) x[1] = 0, x[2] = std::numeric_limits<T>::quiet_NaN();
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> out{Guarded<T>(size), Guarded<T>(size), before,
                                            before,           Guarded<T>(size), before};
                kernels::relu_forward<T>(where(on_gpu), size, x.data(), out[0].data());
                kernels::add_forward<T>(where(on_gpu), size, dy.data(), before.data(), out[1].data());
                kernels::relu_backward<T>(where(on_gpu), size, x.data(), dy.data(), out[2].data(), accumulate);
                kernels::copy_or_add<T>(where(on_gpu), size, dy.data(), out[3].data(), accumulate);
                Guarded<T> large = x;
                for (T& v : large) v *= 8;
                kernels::relu6_forward<T>(where(on_gpu), size, large.data(), out[4].data());
                kernels::relu6_backward<T>(where(on_gpu), size, large.data(), dy.data(), out[5].data(), accumulate);
                return out;
            });
        }
}

TEST_CASE_TEMPLATE("gpu batch_norm_plain and its gradients", T, float, double) {
    unsigned seed = 10;
    for (const Image& s : {Image{1, 1, 2, 1}, {2, 3, 5, 7}, {3, 10, 10, 3}})
        for (int mode = 0; mode < 8; mode++) {
            const bool affine = mode & 1, accumulate = mode & 2, constant = mode & 4;
            const double eps = 1e-5;
            CAPTURE(s.c);
            CAPTURE(mode);
            Numbers numbers(seed++);
            const std::size_t c = static_cast<std::size_t>(s.c), count = s.pixels();
            const auto x = numbers.uniform<T>(s.size()), dy = numbers.uniform<T>(s.size()),
                       gamma = numbers.uniform<T>(c), beta = numbers.uniform<T>(c), dx0 = numbers.uniform<T>(s.size()),
                       dgamma0 = numbers.uniform<T>(c), dbeta0 = numbers.uniform<T>(c);
            // What the backward starts from.
            Guarded<T> mean0(c), rstd0(c), y0(s.size());
            kernels::batch_norm_plain_forward<T>({}, s, x.data(), nullptr, nullptr, eps, y0.data(), mean0.data(),
                                                 rstd0.data());
            auto run = [&]<class U>(U, bool on_gpu) {
                auto as = [](const Guarded<T>& from) {
                    Guarded<U> to(from.size());
                    std::copy(from.begin(), from.end(), to.begin());
                    return to;
                };
                const auto x1 = as(x), dy1 = as(dy), gamma1 = as(gamma), beta1 = as(beta), mean1 = as(mean0),
                           rstd1 = as(rstd0);
                const U *g = affine ? gamma1.data() : nullptr, *b = affine ? beta1.data() : nullptr;
                Guarded<U> y(s.size()), mean(c), rstd(c), dx = as(dx0), dgamma = as(dgamma0), dbeta = as(dbeta0),
                                                          dx2 = as(dx0);
                kernels::batch_norm_plain_forward<U>(where(on_gpu), s, x1.data(), g, b, eps, y.data(), mean.data(),
                                                     rstd.data());
                auto backward = kernels::batch_norm_plain_backward<U>;
                backward(where(on_gpu), s, x1.data(), g, mean1.data(), rstd1.data(), constant, dy1.data(), dx.data(),
                         accumulate, affine ? dgamma.data() : nullptr, accumulate, affine ? dbeta.data() : nullptr,
                         accumulate);
                backward(where(on_gpu), s, x1.data(), g, mean1.data(), rstd1.data(), constant, dy1.data(), nullptr,
                         false, nullptr, false, nullptr, false);
                return std::vector<Guarded<U>>{y, mean, rstd, dx, dgamma, dbeta};
            };
            const auto cpu = run(double{}, false);
            std::vector<std::vector<Bounded>> want(cpu.size());
            for (std::size_t o = 0; o < cpu.size(); o++)
                for (double value : cpu[o]) want[o].push_back({value, std::fabs(value)});
            for (std::size_t k = 0; k < c; k++) {
                Real size = 0, sum = 0, dot = 0;
                const Real m = mean0[k], r = rstd0[k];
                for (std::size_t i = k; i < s.size(); i += c) {
                    size += std::fabs(static_cast<Real>(x[i])) / count;
                    sum += std::fabs(dy[i]);
                    dot += std::fabs(dy[i]) * (std::fabs(x[i]) + std::fabs(m)) * r;
                }
                want[1][k].magnitude = size;
                // An error of the mean moves the variance by its square only; rstd amplifies what is in x - mean.
                want[2][k].magnitude = want[2][k].value * (1 + want[2][k].value * size);
                const Real factor = affine ? std::fabs(gamma[k]) : 1;
                for (std::size_t i = k; i < s.size(); i += c) {
                    const Real magnitude = std::fabs(x[i]) + size;
                    want[0][i].magnitude =
                        magnitude * want[2][k].magnitude * factor + (affine ? std::fabs(beta[k]) : 0);
                    want[3][i].magnitude =
                        factor * r * (std::fabs(dy[i]) + (sum + magnitude * r * dot) / count) + std::fabs(dx0[i]);
                }
                want[4][k].magnitude = dot + std::fabs(dgamma0[k]);
                want[5][k].magnitude = sum + std::fabs(dbeta0[k]);
            }
            in_every_order([&] {
                const auto got = run(T{}, true);
                for (std::size_t o = 0; o < got.size(); o++) {
                    CAPTURE(o);
                    // In double, as the reference; then a rounding of the result.
                    check_close(got[o], want[o], 1, "batch_norm_plain",
                                static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                    std::numeric_limits<double>::epsilon() * 2 * (static_cast<double>(count) + 10));
                }
                return got;
            });
            if (!affine) continue;
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> running{gamma, dbeta0};
                kernels::batch_norm_plain_running<T>(where(on_gpu), {s.c, accumulate ? count : 1, eps, 0.1},
                                                     mean0.data(), rstd0.data(), running[0].data(), running[1].data());
                return running;
            });
        }
}

}  // namespace
}  // namespace nascent::test
