#include "kernels/head.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

constexpr Image kImages[] = {{1, 1, 1, 1}, {1, 5, 7, 3}, {2, 8, 8, 64}, {3, 2, 2, 17}, {33, 3, 1, 5}, {70, 2, 1, 40}};

TEST_CASE_TEMPLATE("norm_relu_pool and its gradients", T, float, double) {
    unsigned seed = 1;
    for (const Image& s : kImages)
        for (bool accumulate : {false, true}) {
            INFO("image ", s.n, " ", s.h, " ", s.w, " ", s.c);
            Numbers numbers(seed++);
            // Exact before the ReLU and never zero.
            const Guarded<T> x = numbers.fractions<T>(s.size(), 64, 32), scale = numbers.fractions<T>(s.c, 3, 2);
            const Guarded<T> shift = numbers.fractions<T>(s.c, 32, 128, 0.5);
            const Guarded<T> dpooled = numbers.uniform<T>(static_cast<std::size_t>(s.n) * s.c);
            const Guarded<T> a = numbers.uniform<T>(s.c), b = numbers.uniform<T>(s.c), c = numbers.uniform<T>(s.c);
            const Guarded<T> before = numbers.uniform<T>(s.size());
            const std::size_t pixels = static_cast<std::size_t>(s.h) * s.w;
            std::vector<Bounded> want(dpooled.size()), want_sums(static_cast<std::size_t>(2) * s.c), want_dx(s.size());
            for (std::size_t i = 0; i < s.size(); i++) {
                const std::size_t k = i % s.c, at = i / (pixels * s.c) * s.c + k;
                const Real y = static_cast<Real>(x[i]) * scale[k] + shift[k];
                const Real g = y > 0 ? static_cast<Real>(dpooled[at]) / pixels : 0;
                want[at].value += std::max<Real>(y, 0) / pixels;
                want[at].magnitude += (std::fabs(static_cast<Real>(x[i]) * scale[k]) + std::fabs(shift[k])) / pixels;
                want_sums[k].add(g);
                want_sums[s.c + k].add(g * x[i]);
                if (accumulate) want_dx[i].add(before[i]);
                want_dx[i].add(g * a[k]);
                want_dx[i].add(static_cast<Real>(x[i]) * b[k]);
                want_dx[i].add(c[k]);
            }
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Workspace workspace(kernels::norm_sums_workspace(stream, s, 1));
                Guarded<T> pooled(dpooled.size()), dx(s.size());
                Guarded<double> sums(want_sums.size());
                if (accumulate) dx = before;
                kernels::norm_relu_pool<T>(stream, s, x.data(), scale.data(), shift.data(), pooled.data());
                kernels::norm_relu_pool_backward_sums<T>(stream, s, x.data(), scale.data(), shift.data(),
                                                         dpooled.data(), sums.data(), workspace.get());
                kernels::norm_relu_pool_backward<T>(stream, s, x.data(), scale.data(), shift.data(), dpooled.data(),
                                                    a.data(), b.data(), c.data(), dx.data(), accumulate);
                CHECK(workspace.intact());
                check_close(pooled, want, static_cast<double>(pixels) + 3, "pooled");
                check_close(sums, want_sums, static_cast<double>(pixels) + 3, "sums",
                            static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                std::numeric_limits<double>::epsilon() * (s.n + 32));
                check_close(dx, want_dx, 6, "dx");
                Guarded<T> bits(sums.size() * sizeof(double) / sizeof(T));
                std::memcpy(bits.data(), sums.data(), sums.size() * sizeof(double));
                return std::vector<Guarded<T>>{pooled, dx, bits};
            });
        }
}

TEST_CASE_TEMPLATE("linear and its gradients", T, float, double) {
    struct Shape {
        int n, in, out;
    };
    unsigned seed = 40;
    for (const Shape& s : {Shape{1, 1, 1}, {1, 64, 10}, {64, 64, 10}, {3, 17, 5}, {70, 5, 33}, {2, 33, 100}})
        for (int mode = 0; mode < 4; mode++) {
            const bool accumulate = mode & 1, with_bias = mode & 2;
            INFO("linear ", s.n, " ", s.in, " ", s.out);
            Numbers numbers(seed++);
            const std::size_t n = s.n, in = s.in, out = s.out;
            const Guarded<T> x = numbers.uniform<T>(n * in), w = numbers.uniform<T>(out * in),
                             bias = numbers.uniform<T>(out);
            const Guarded<T> dy = numbers.uniform<T>(n * out), dx0 = numbers.uniform<T>(n * in);
            const Guarded<T> dw0 = numbers.uniform<T>(out * in), dbias0 = numbers.uniform<T>(out);
            std::vector<Bounded> y(n * out), dx(n * in), dw(out * in), dbias(out);
            for (std::size_t o = 0; o < out; o++) {
                if (accumulate) dbias[o].add(dbias0[o]);
                for (std::size_t r = 0; r < n; r++) {
                    if (with_bias) y[r * out + o].add(bias[o]);
                    dbias[o].add(dy[r * out + o]);
                    for (std::size_t i = 0; i < in; i++) {
                        y[r * out + o].add(static_cast<Real>(x[r * in + i]) * w[o * in + i]);
                        dx[r * in + i].add(static_cast<Real>(dy[r * out + o]) * w[o * in + i]);
                        dw[o * in + i].add(static_cast<Real>(dy[r * out + o]) * x[r * in + i]);
                    }
                }
            }
            for (std::size_t i = 0; accumulate && i < dx.size(); i++) dx[i].add(dx0[i]);
            for (std::size_t i = 0; accumulate && i < dw.size(); i++) dw[i].add(dw0[i]);
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Guarded<T> got(n * out);
                kernels::linear_forward<T>(stream, s.n, s.in, s.out, x.data(), w.data(),
                                           with_bias ? bias.data() : nullptr, got.data());
                check_close(got, y, 2.0 * s.in + 2, "y");
                std::vector<Guarded<T>> outputs{got};
                // All, and each unwanted gradient in turn.
                for (int unwanted : {-1, 0, 1, 2}) {
                    Guarded<T> gx(n * in), gw(out * in), gb(out);
                    if (accumulate) gx = dx0, gw = dw0, gb = dbias0;
                    kernels::linear_backward<T>(stream, s.n, s.in, s.out, x.data(), w.data(), dy.data(),
                                                unwanted == 0 ? nullptr : gx.data(), accumulate,
                                                unwanted == 1 ? nullptr : gw.data(), accumulate,
                                                unwanted == 2 ? nullptr : gb.data(), accumulate);
                    if (unwanted != 0) check_close(gx, dx, 2.0 * s.out + 2, "dx");
                    if (unwanted != 1) check_close(gw, dw, 2.0 * s.n + 2, "dw");
                    if (unwanted != 2) check_close(gb, dbias, s.n + 1.0, "dbias");
                    if (unwanted < 0) outputs.insert(outputs.end(), {gx, gw, gb});
                }
                return outputs;
            });
        }
}

TEST_CASE_TEMPLATE("cross entropy and its gradient", T, float, double) {
    unsigned seed = 80;
    for (int n : {1, 5, 64})
        for (int classes : {1, 2, 10, 33, 120})
            for (T smoothing : {T(0), T(0.125)})
                for (bool accumulate : {false, true}) {
                    INFO("n ", n, " classes ", classes);
                    Numbers numbers(seed++);
                    const std::size_t size = static_cast<std::size_t>(n) * classes;
                    // Up to 20 apart, and one far off: exponentials must neither overflow nor all vanish.
                    Guarded<T> logits = numbers.fractions<T>(size, 320, 32);
                    logits[0] = T(1000);
                    const Guarded<T> before = numbers.uniform<T>(size);
                    std::vector<int> labels;
                    for (int i = 0; i < n; i++) labels.push_back(numbers.index(classes));
                    Guarded<T> dloss(1);
                    dloss[0] = T(0.75);
                    std::vector<Bounded> p(size), loss(1), dlogits(size);
                    for (int i = 0; i < n; i++) {
                        Real top = -1e9L, sum = 0;
                        for (int k = 0; k < classes; k++) top = std::max<Real>(top, logits[i * classes + k]);
                        for (int k = 0; k < classes; k++) sum += std::exp(logits[i * classes + k] - top);
                        for (int k = 0; k < classes; k++) {
                            const std::size_t at = static_cast<std::size_t>(i) * classes + k;
                            const Real target =
                                static_cast<Real>(smoothing) / classes + (k == labels[i] ? 1 - smoothing : 0);
                            const Real log_p = logits[at] - top - std::log(sum);
                            p[at].add(std::exp(log_p));
                            loss[0].value -= target * log_p / n;
                            // What is added up is (logit - top) and log(sum), each with its own rounding.
                            loss[0].magnitude +=
                                target *
                                (std::fabs(logits[at] - top) + std::fabs(logits[at]) + std::fabs(top) + std::log(sum)) /
                                n;
                            if (accumulate) dlogits[at].add(before[at]);
                            dlogits[at].value += dloss[0] * (std::exp(log_p) - target) / n;
                            dlogits[at].magnitude += dloss[0] * (std::exp(log_p) + target) / n;
                        }
                    }
                    const kernels::Stream stream;
                    Guarded<T> probabilities(size), got_loss(1), got(size);
                    Workspace workspace(kernels::cross_entropy_workspace(stream, n));
                    if (accumulate) got = before;
                    kernels::cross_entropy_forward<T>(stream, n, classes, logits.data(), labels.data(), smoothing,
                                                      got_loss.data(), probabilities.data(), workspace.get());
                    CHECK(workspace.intact());
                    kernels::cross_entropy_backward<T>(stream, n, classes, probabilities.data(), labels.data(),
                                                       smoothing, dloss.data(), got.data(), accumulate);
                    // Two roundings to T and the sum of exponentials; then the gradient's few operations more.
                    check_close(probabilities, p, classes + 4.0, "probabilities");
                    check_close(got_loss, loss, classes + n + 4.0, "loss");
                    check_close(got, dlogits, classes + 8.0, "dlogits");
                }
}

TEST_CASE_TEMPLATE("the loss of what is no label is not a number", T, float, double) {
    Numbers numbers(90);
    const auto logits = numbers.uniform<T>(6);
    for (int label : {-1, 3, 2}) {
        const int labels[] = {1, label};
        Guarded<T> loss(1), probabilities(6);
        Workspace workspace(kernels::cross_entropy_workspace({}, 2));
        kernels::cross_entropy_forward<T>({}, 2, 3, logits.data(), labels, T(0), loss.data(), probabilities.data(),
                                          workspace.get());
        CHECK(std::isnan(loss[0]) == (label != 2));
    }
}

}  // namespace
}  // namespace nascent::test
