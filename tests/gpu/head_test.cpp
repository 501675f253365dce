// The GPU's head kernels against the CPU's in double, on the emulator in three orders of the threads.
#include "kernels/head.h"

#include <algorithm>

#include "kernels/node.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

constexpr Image kImages[] = {{1, 1, 1, 1}, {1, 5, 7, 3}, {2, 4, 4, 16}, {3, 2, 2, 17}, {2, 3, 1, 136}, {5, 30, 5, 4}};

TEST_CASE_TEMPLATE("gpu norm_relu_pool and its gradients", T, float, double) {
    unsigned seed = 1;
    for (const Image& s : kImages)
        for (int off = -1; off < 10; off++) {  // none, one or (9) all are off a 16-byte address
            const bool accumulate = off & 1;
            CAPTURE(s.c);
            CAPTURE(off);
            Numbers numbers(seed++);
            const std::size_t c = static_cast<std::size_t>(s.c), pooled = static_cast<std::size_t>(s.n) * c;
            const double pixels = s.h * s.w;
            // x, scale, shift: exact before the ReLU and never zero; dpooled, a, b, c, dx before.
            std::vector<Guarded<T>> in{numbers.fractions<T>(s.size(), 64, 32), numbers.fractions<T>(c, 3, 2),
                                       numbers.fractions<T>(c, 32, 128, 0.5), numbers.uniform<T>(pooled)};
            for (int i = 0; i < 3; i++) in.push_back(numbers.uniform<T>(c));
            in.push_back(numbers.uniform<T>(s.size()));
            for (int i = 0; i < 8; i++) in[i] = at_skew(in[i], off != i && off != 9);
            const auto want = expect(in, [&](const std::vector<Guarded<double>>& d) {
                Guarded<double> y(pooled), dx = d[7], two(2 * c);
                Workspace workspace(kernels::norm_sums_workspace(kernels::Stream{}, s, 1));
                kernels::norm_relu_pool<double>({}, s, d[0].data(), d[1].data(), d[2].data(), y.data());
                kernels::norm_relu_pool_backward_sums<double>({}, s, d[0].data(), d[1].data(), d[2].data(), d[3].data(),
                                                              two.data(), workspace.get());
                kernels::norm_relu_pool_backward<double>({}, s, d[0].data(), d[1].data(), d[2].data(), d[3].data(),
                                                         d[4].data(), d[5].data(), d[6].data(), dx.data(), accumulate);
                return std::vector<Guarded<double>>{y, two, dx};
            });
            in_every_order([&] {
                Guarded<T> y(pooled, off < 8 ? 0 : 1), dx = in[7];
                Guarded<double> two(2 * c);
                Workspace workspace(kernels::norm_sums_workspace(kGpu, s, 1));
                kernels::norm_relu_pool<T>(kGpu, s, in[0].data(), in[1].data(), in[2].data(), y.data());
                kernels::norm_relu_pool_backward_sums<T>(kGpu, s, in[0].data(), in[1].data(), in[2].data(),
                                                         in[3].data(), two.data(), workspace.get());
                kernels::norm_relu_pool_backward<T>(kGpu, s, in[0].data(), in[1].data(), in[2].data(), in[3].data(),
                                                    in[4].data(), in[5].data(), in[6].data(), dx.data(), accumulate);
                CHECK(workspace.intact());
                // The sums are of doubles; the reference's, of as many pixels, are no better.
                check_close(y, want[0], 2, "pooled",
                            static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                std::numeric_limits<double>::epsilon() * (pixels + 2));
                check_close(two, want[1], 2 * (static_cast<double>(s.pixels()) + 3), "sums",
                            std::numeric_limits<double>::epsilon());
                // g: a quotient and a product; an affine map; three additions; and the reference's.
                check_close(dx, want[2], 2 * 6, "dx");
                return std::vector<Guarded<T>>{y, dx, bits_of<T>(two)};
            });
        }
}

TEST_CASE_TEMPLATE("gpu linear and its gradients", T, float, double) {
    struct Shape {
        int n, in, out;
    };
    unsigned seed = 40;
    for (const Shape& s : {Shape{1, 1, 1}, {2, 64, 10}, {3, 17, 5}, {70, 4, 3}, {2, 132, 33}, {37, 8, 2}})
        for (int off = -1; off < 8; off++) {  // none, one or (7) all are off a 16-byte address
            const bool accumulate = off & 1, with_bias = off != 1;
            CAPTURE(s.in);
            CAPTURE(off);
            Numbers numbers(seed++);
            const std::size_t n = static_cast<std::size_t>(s.n), in = static_cast<std::size_t>(s.in),
                              out = static_cast<std::size_t>(s.out);
            std::vector<Guarded<T>> data;  // x, w, bias, dy, dx, dw, dbias
            for (std::size_t size : {n * in, out * in, out, n * out, n * in, out * in, out})
                data.push_back(at_skew(numbers.uniform<T>(size), off != static_cast<int>(data.size()) && off != 7));
            const auto want = expect(data, [&](const std::vector<Guarded<double>>& d) {
                Guarded<double> y(n * out), dx = d[4], dw = d[5], db = d[6];
                kernels::linear_forward<double>({}, s.n, s.in, s.out, d[0].data(), d[1].data(),
                                                with_bias ? d[2].data() : nullptr, y.data());
                kernels::linear_backward<double>({}, s.n, s.in, s.out, d[0].data(), d[1].data(), d[3].data(), dx.data(),
                                                 accumulate, dw.data(), accumulate, db.data(), accumulate);
                return std::vector<Guarded<double>>{y, dx, dw, db};
            });
            in_every_order([&] {
                Guarded<T> y(n * out, off < 7 ? 0 : 1);
                kernels::linear_forward<T>(kGpu, s.n, s.in, s.out, data[0].data(), data[1].data(),
                                           with_bias ? data[2].data() : nullptr, y.data());
                check_close(y, want[0], 2 * (s.in + 2.0), "y");
                std::vector<Guarded<T>> outputs{y};
                for (int unwanted : {-1, 0, 1, 2}) {
                    if (unwanted >= 0 && off > 0) continue;
                    Guarded<T> dx = data[4], dw = data[5], db = data[6];
                    kernels::linear_backward<T>(kGpu, s.n, s.in, s.out, data[0].data(), data[1].data(), data[3].data(),
                                                unwanted == 0 ? nullptr : dx.data(), accumulate,
                                                unwanted == 1 ? nullptr : dw.data(), accumulate,
                                                unwanted == 2 ? nullptr : db.data(), accumulate);
                    if (unwanted == 0)
                        CHECK(dx.same_bits(data[4]));
                    else
                        check_close(dx, want[1], 2 * (s.out + 1.0), "dx");
                    if (unwanted == 1)
                        CHECK(dw.same_bits(data[5]));
                    else
                        check_close(dw, want[2], 2 * (s.n + 2.0), "dw");
                    if (unwanted == 2)
                        CHECK(db.same_bits(data[6]));
                    else
                        check_close(db, want[3], 2 * (s.n + 2.0), "dbias");
                    outputs.insert(outputs.end(), {dx, dw, db});
                }
                return outputs;
            });
        }
}

/// Up to 20 apart, and one far off: exponentials must neither overflow nor all vanish.
template <class T>
Guarded<T> logits_of(Numbers& numbers, std::size_t size) {
    Guarded<T> logits = numbers.fractions<T>(size, 320, 32);
    logits[0] = T(1000);
    return logits;
}

TEST_CASE_TEMPLATE("gpu cross entropy and its gradient", T, float, double) {
    unsigned seed = 80;
    for (int n : {1, 5, 300})
        for (int classes : {1, 2, 10, 33})
            for (T smoothing : {T(0), T(0.125)}) {
                CAPTURE(n);
                CAPTURE(classes);
                Numbers numbers(seed++);
                const std::size_t size = static_cast<std::size_t>(n) * static_cast<std::size_t>(classes);
                const Guarded<T> logits = logits_of<T>(numbers, size), before = numbers.uniform<T>(size);
                const Guarded<double> wide_logits = wide(logits);
                std::vector<int> labels;
                for (int i = 0; i < n; i++) labels.push_back(numbers.index(classes));
                Guarded<T> dloss(1);
                dloss[0] = T(0.75);
                Guarded<double> loss(1), p(size);
                kernels::cross_entropy_forward<double>({}, n, classes, wide_logits.data(), labels.data(), smoothing,
                                                       loss.data(), p.data(), nullptr);
                std::vector<Bounded> want_p(size), want_loss(1);
                want_loss[0].value = loss[0];
                for (int i = 0; i < n; i++) {
                    const double* row = wide_logits.data() + i * classes;
                    const double top = *std::max_element(row, row + classes);
                    double sum = 0;
                    for (int k = 0; k < classes; k++) sum += std::exp(row[k] - top);
                    for (int k = 0; k < classes; k++) {
                        const std::size_t at = static_cast<std::size_t>(i * classes + k);
                        want_p[at].add(p[at]);
                        const double target = static_cast<double>(smoothing) / classes +
                                              (k == labels[static_cast<std::size_t>(i)] ? 1 - smoothing : 0);
                        // What is added up is (logit - top) and log(sum), each with its own rounding.
                        want_loss[0].magnitude +=
                            target * (std::fabs(row[k] - top) + std::fabs(row[k]) + std::fabs(top) + std::log(sum)) / n;
                    }
                }
                in_every_order([&] {
                    Guarded<T> got_loss(1), probabilities(size);
                    Workspace workspace(kernels::cross_entropy_workspace(kGpu, n));
                    kernels::cross_entropy_forward<T>(kGpu, n, classes, logits.data(), labels.data(), smoothing,
                                                      got_loss.data(), probabilities.data(), workspace.get());
                    CHECK(workspace.intact());
                    // All in double but for two roundings of a probability and one of the loss.
                    const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                           std::numeric_limits<double>::epsilon() * (2 * (classes + n + 4.0));
                    check_close(probabilities, want_p, 2, "probabilities", epsilon);
                    check_close(got_loss, want_loss, 1, "loss", epsilon);
                    std::vector<Guarded<T>> outputs{got_loss, probabilities};
                    for (bool accumulate : {false, true}) {
                        Guarded<T> got = before, cpu = before;
                        kernels::cross_entropy_backward<T>(kGpu, n, classes, probabilities.data(), labels.data(),
                                                           smoothing, dloss.data(), got.data(), accumulate);
                        kernels::cross_entropy_backward<T>({}, n, classes, probabilities.data(), labels.data(),
                                                           smoothing, dloss.data(), cpu.data(), accumulate);
                        CHECK(got.same_bits(cpu));
                        CHECK(got.intact());
                        outputs.push_back(got);
                    }
                    return outputs;
                });
            }
}

TEST_CASE_TEMPLATE("not-a-number and labels out of range are in the loss, on both devices", T, float, double) {
    constexpr int n = 4, classes = 3;
    for (bool on_gpu : {false, true})
        for (int wrong = 0; wrong < 5; wrong++) {
            CAPTURE(on_gpu);
            CAPTURE(wrong);
            Numbers numbers(7);
            Guarded<T> logits = numbers.uniform<T>(n * classes), loss(1), p(n * classes);
            std::vector<int> labels{2, 0, 1, 1};
            if (wrong < 3) logits[3 + static_cast<std::size_t>(wrong)] = std::numeric_limits<T>::quiet_NaN();
            if (wrong == 3) labels[1] = classes;
            if (wrong == 4) labels[1] = -1;
            auto forward = kernels::cross_entropy_forward<T>;
            auto bytes = kernels::cross_entropy_workspace;
            Workspace workspace(bytes(where(on_gpu), n));
            forward(where(on_gpu), n, classes, logits.data(), labels.data(), T(0), loss.data(), p.data(),
                    workspace.get());
            CHECK(std::isnan(loss[0]));
            for (std::size_t i = 0; i < n * classes; i++) CHECK(std::isnan(p[i]) == (i / classes == 1));
        }
}

}  // namespace
}  // namespace nascent::test
