#include "kernels/mix_plain.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

TEST_CASE_TEMPLATE("copy_channels and the gradient of a slice", T, float, double) {
    unsigned seed = 60;
    for (auto [pixels, channels, first, count] :
         {std::array{1, 1, 0, 1}, {15, 7, 2, 3}, {40, 5, 0, 2}, {6, 8, 5, 3}, {3, 4, 0, 4}})
        for (bool accumulate : {false, true}) {
            INFO("pixels ", pixels, " channels ", channels);
            Numbers numbers(seed++);
            const int wider = channels + 2;
            const Guarded<T> x = numbers.uniform<T>(pixels * channels), dy = numbers.uniform<T>(pixels * count),
                             to0 = numbers.uniform<T>(pixels * wider), dx0 = numbers.uniform<T>(x.size());
            Guarded<T> to = to0, dx(x.size());
            if (accumulate) dx = dx0;
            kernels::copy_channels<T>({}, pixels, count, x.data() + first, channels, to.data() + 1, wider, accumulate);
            kernels::slice_channels_backward<T>({}, pixels, channels, first, count, dy.data(), dx.data(), accumulate);
            CHECK((to.intact() && dx.intact()));
            for (int p = 0; p < pixels; p++) {
                for (int c = 0; c < wider; c++) {
                    const std::size_t at = p * wider + c;
                    if (c < 1 || c > count)
                        CHECK(to[at] == to0[at]);
                    else
                        CHECK(to[at] == (accumulate ? to0[at] : T(0)) + x[p * channels + first + c - 1]);
                }
                for (int c = 0; c < channels; c++) {
                    const std::size_t at = p * channels + c;
                    const bool taken = c >= first && c < first + count;
                    CHECK(dx[at] == (accumulate ? dx0[at] : T(0)) + (taken ? dy[p * count + c - first] : T(0)));
                }
            }
        }
}

TEST_CASE_TEMPLATE("zero lets not-a-numbers pass from and to the pixels that it reads alone", T, float, double) {
    for (const Image& s : {Image{3, 6, 5, 2}, {2, 5, 7, 1}})
        for (int stride : {1, 2, 3}) {
            CAPTURE(stride);
            const int oh = (s.h + stride - 1) / stride, ow = (s.w + stride - 1) / stride;
            Guarded<T> x(s.size()), dy(s.n * oh * ow * s.c), y(dy.size()), dx(x.size());
            for (std::size_t i = 0; i < x.size(); i++)
                x[i] = i * i % 5 == 1 ? std::numeric_limits<T>::quiet_NaN() : T(1);
            for (std::size_t i = 0; i < dy.size(); i++) dy[i] = x[x.size() - 1 - i];
            kernels::zero_forward<T>({}, s, stride, x.data(), y.data());
            kernels::zero_backward<T>({}, s, stride, dy.data(), dx.data(), false);
            CHECK((y.intact() && dx.intact()));
            for (int n = 0; n < s.n; n++)
                for (int h = 0; h < s.h; h++)
                    for (int w = 0; w < s.w; w++)
                        for (int c = 0; c < s.c; c++) {
                            const std::size_t in = ((n * s.h + h) * s.w + w) * s.c + c,
                                              out = ((n * oh + h / stride) * ow + w / stride) * s.c + c;
                            const bool read = h % stride == 0 && w % stride == 0;
                            if (read) CHECK(std::isnan(y[out]) == std::isnan(x[in]));
                            CHECK(std::isnan(dx[in]) == (read && std::isnan(dy[out])));
                        }
        }
}

TEST_CASE_TEMPLATE("zero and its gradient", T, float, double) {
    unsigned seed = 70;
    for (const Image& s : {Image{1, 1, 1, 1}, {2, 5, 4, 3}, {35, 3, 2, 2}})
        for (int stride : {1, 2, 3})
            for (bool accumulate : {false, true}) {
                INFO("h ", s.h, " stride ", stride);
                Numbers numbers(seed++);
                const int oh = (s.h + stride - 1) / stride, ow = (s.w + stride - 1) / stride;
                Guarded<T> x = numbers.uniform<T>(s.size()), dy = numbers.uniform<T>(s.n * oh * ow * s.c);
                // Each first row: not-a-numbers where they are read, and go on as such; an unread one is no matter.
                for (int i = 0; i < s.w * s.c; i++) x[i] = std::numeric_limits<T>::infinity();
                dy[0] = std::numeric_limits<T>::quiet_NaN();
                const Guarded<T> dx0 = numbers.uniform<T>(s.size());
                Guarded<T> y(dy.size()), dx(s.size());
                if (accumulate) dx = dx0;
                kernels::zero_forward<T>({}, s, stride, x.data(), y.data());
                kernels::zero_backward<T>({}, s, stride, dy.data(), dx.data(), accumulate);
                CHECK((y.intact() && dx.intact()));
                for (std::size_t i = 0; i < y.size(); i++)
                    if (i < static_cast<std::size_t>(ow * s.c))
                        CHECK(std::isnan(y[i]));
                    else
                        CHECK(y[i] == 0);
                CHECK(std::isnan(dx[0]));
                for (std::size_t i = 1; i < dx.size(); i++) CHECK(dx[i] == (accumulate ? dx0[i] : T(0)));
            }
}

TEST_CASE_TEMPLATE("weighted and its gradients", T, float, double) {
    unsigned seed = 80;
    for (std::size_t size : {1, 7, 1000})
        for (auto [count, index] : {std::pair{1, 0}, {8, 3}, {5, 4}})
            for (bool accumulate : {false, true}) {
                INFO("size ", size, " count ", count);
                Numbers numbers(seed++);
                const Guarded<T> x = numbers.uniform<T>(size), w = numbers.uniform<T>(count),
                                 dy = numbers.uniform<T>(size), dx0 = numbers.uniform<T>(size),
                                 dw0 = numbers.uniform<T>(count);
                std::vector<Bounded> want(size), want_dx(size), want_dw(count);
                for (int i = 0; accumulate && i < count; i++) want_dw[i].add(dw0[i]);
                for (std::size_t i = 0; i < size; i++) {
                    if (accumulate) want_dx[i].add(dx0[i]);
                    want[i].add(static_cast<Real>(x[i]) * w[index]);
                    want_dx[i].add(static_cast<Real>(dy[i]) * w[index]);
                    want_dw[index].add(static_cast<Real>(dy[i]) * x[i]);
                }
                Guarded<T> y(size), dx(size), dw(count);
                if (accumulate) dx = dx0, dw = dw0;
                kernels::weighted_forward<T>({}, size, x.data(), w.data() + index, y.data());
                auto backward = [&](T* to, T* to_weights) {
                    kernels::weighted_backward<T>({}, size, x.data(), w.data(), count, index, dy.data(), to, accumulate,
                                                  to_weights, accumulate);
                };
                backward(dx.data(), nullptr);
                backward(nullptr, dw.data());
                check_close(y, want, 1, "y");
                check_close(dx, want_dx, 2, "dx");
                check_close(dw, want_dw, static_cast<double>(size) + 2, "dw");
            }
}

TEST_CASE_TEMPLATE("softmax and its gradient", T, float, double) {
    unsigned seed = 90;
    for (auto [rows, columns] : {std::pair{1, 1}, {14, 8}, {3, 5}, {40, 2}})
        for (int mode = 0; mode < 4; mode++) {
            const bool accumulate = mode & 1, far = mode & 2;  // apart so that exponentials alone would overflow
            INFO("rows ", rows, " columns ", columns, " mode ", mode);
            Numbers numbers(seed++);
            const std::size_t size = static_cast<std::size_t>(rows * columns);
            const Guarded<T> x = far ? numbers.fractions<T>(size, 30, 4, 4000) : numbers.uniform<T>(size);
            const Guarded<T> given = numbers.uniform<T>(size), dy = numbers.uniform<T>(size),
                             before = numbers.uniform<T>(size);
            std::vector<Bounded> want(size), want_dx(size);
            for (int row = 0; row < rows; row++) {
                const std::size_t first = static_cast<std::size_t>(row * columns);
                Real sum = 0;
                Bounded dot;
                for (int i = 0; i < columns; i++) {
                    sum += std::exp(static_cast<Real>(x[first + i]) - x[first]);
                    dot.add(static_cast<Real>(dy[first + i]) * given[first + i]);
                }
                for (std::size_t i = first; i < first + columns; i++) {
                    want[i].add(std::exp(static_cast<Real>(x[i]) - x[first]) / sum);
                    if (accumulate) want_dx[i].add(before[i]);
                    want_dx[i].value += given[i] * (dy[i] - dot.value);
                    want_dx[i].magnitude += std::fabs(given[i]) * (std::fabs(dy[i]) + dot.magnitude);
                }
            }
            Guarded<T> y(size), dx(size);
            if (accumulate) dx = before;
            kernels::softmax_forward<T>({}, rows, columns, x.data(), y.data());
            kernels::softmax_backward<T>({}, rows, columns, given.data(), dy.data(), dx.data(), accumulate);
            // A difference from the largest is exact when far, below 2 otherwise; its rounding goes into the
            // exponential.
            check_close(y, want, columns + 2 + 6.0, "y");
            check_close(dx, want_dx, columns + 5.0, "dx");
        }
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    const T x[] = {-inf, 0, -inf, nan, 1, 2, 0, 1, nan};
    T y[9];
    kernels::softmax_forward<T>({}, 3, 3, x, y);
    CHECK((y[0] == 0 && y[1] == 1 && y[2] == 0));
    for (int i = 3; i < 9; i++) CHECK(std::isnan(y[i]));
}

}  // namespace
}  // namespace nascent::test
