// The GPU's plain kernels of mixed ops: the CPU's bits, but for the weight's gradient, which a block sums, and softmax,
// whose exponential is the device's.
#include "kernels/mix_plain.h"

#include <algorithm>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

TEST_CASE_TEMPLATE("gpu copy_channels, slices and zero", T, float, double) {
    unsigned seed = 60;
    for (const Image& s : {Image{1, 1, 1, 1}, {2, 5, 3, 7}, {3, 4, 6, 40}})
        for (bool accumulate : {false, true})
            for (int stride : {1, 2}) {
                CAPTURE(s.c);
                CAPTURE(stride);
                Numbers numbers(seed++);
                const int first = s.c / 3, count = (s.c + 1) / 2, wide = s.c + 5;
                const std::size_t pixels = s.pixels(), all_of = pixels * static_cast<std::size_t>(wide),
                                  strided = static_cast<std::size_t>(s.n * ((s.h + stride - 1) / stride) *
                                                                     ((s.w + stride - 1) / stride) * s.c);
                auto x = numbers.uniform<T>(s.size()), dy = numbers.uniform<T>(s.size());
                if (s.c > 1) x[0] = dy[0] = std::numeric_limits<T>::quiet_NaN();
                const auto before = numbers.uniform<T>(all_of), dx0 = numbers.uniform<T>(s.size());
                same_bits_in_every_order([&](bool on_gpu) {
                    std::vector<Guarded<T>> out{before, dx0, Guarded<T>(strided), dx0};
                    kernels::copy_channels<T>(where(on_gpu), pixels, count, x.data() + first, s.c, out[0].data() + 3,
                                              wide, accumulate);
                    kernels::slice_channels_backward<T>(where(on_gpu), pixels, s.c, first, count, dy.data(),
                                                        out[1].data(), accumulate);
                    kernels::zero_forward<T>(where(on_gpu), s, stride, x.data(), out[2].data());
                    kernels::zero_backward<T>(where(on_gpu), s, stride, dy.data(), out[3].data(), accumulate);
                    return out;
                });
            }
}

TEST_CASE_TEMPLATE("gpu weighted and its gradients", T, float, double) {
    unsigned seed = 70;
    for (std::size_t size : {1, 255, 256, 5003})
        for (int count : {1, 8, 300})
            for (bool accumulate : {false, true}) {
                CAPTURE(size);
                CAPTURE(count);
                Numbers numbers(seed++);
                const int index = count * 2 / 3;
                const std::vector<Guarded<T>> in{numbers.uniform<T>(size), numbers.uniform<T>(count),
                                                 numbers.uniform<T>(size), numbers.uniform<T>(size),
                                                 numbers.uniform<T>(count)};
                auto run = [&]<class U>(const std::vector<Guarded<U>>& v, bool on_gpu) {
                    Guarded<U> y(size), dx = v[3], dweights = v[4];
                    kernels::weighted_forward<U>(where(on_gpu), size, v[0].data(), v[1].data() + index, y.data());
                    auto backward = [&](U* to, U* to_weights) {
                        kernels::weighted_backward<U>(where(on_gpu), size, v[0].data(), v[1].data(), count, index,
                                                      v[2].data(), to, accumulate, to_weights, accumulate);
                    };
                    backward(dx.data(), nullptr);
                    backward(nullptr, dweights.data());
                    return std::vector<Guarded<U>>{y, dx, dweights};
                };
                const auto want = expect(in, [&](const std::vector<Guarded<double>>& v) { return run(v, false); });
                in_every_order([&] {
                    const auto got = run(in, true);
                    for (std::size_t o = 0; o < got.size(); o++)  // in double; then a rounding of the result
                        check_close(got[o], want[o], 1, "weighted",
                                    static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                        2 * std::numeric_limits<double>::epsilon() * static_cast<double>(size + 1));
                    return got;
                });
            }
}

TEST_CASE_TEMPLATE("gpu softmax and its gradient", T, float, double) {
    unsigned seed = 80;
    for (auto [rows, columns] : {std::pair{1, 1}, {14, 8}, {300, 5}})
        for (bool accumulate : {false, true}) {
            CAPTURE(rows);
            Numbers numbers(seed++);
            const std::size_t size = static_cast<std::size_t>(rows * columns);
            auto x = numbers.fractions<T>(size, 1000, 8);
            const auto y0 = numbers.uniform<T>(size), dy = numbers.uniform<T>(size), before = numbers.uniform<T>(size);
            auto forward = [&]<class U>(U, bool on_gpu) {
                Guarded<U> in(size), y(size);
                std::copy(x.begin(), x.end(), in.begin());
                kernels::softmax_forward<U>(where(on_gpu), rows, columns, in.data(), y.data());
                return y;
            };
            const auto wide_y = forward(double{}, false);
            std::vector<Bounded> want;
            for (double v : wide_y) want.push_back({v, v});
            in_every_order([&] {
                const auto y = forward(T{}, true);
                // Two exponentials, each within 2 units in the last place, the sum, the quotient, the result.
                check_close(y, want, 1, "y",
                            static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                std::numeric_limits<double>::epsilon() * (columns + 6));
                return std::vector<Guarded<T>>{y};
            });
            same_bits_in_every_order([&](bool on_gpu) {
                std::vector<Guarded<T>> out{before};
                kernels::softmax_backward<T>(where(on_gpu), rows, columns, y0.data(), dy.data(), out[0].data(),
                                             accumulate);
                return out;
            });
            x[size / 2] = std::numeric_limits<T>::quiet_NaN();
            const auto cpu = forward(T{}, false), gpu = forward(T{}, true);
            const std::size_t row = size / 2 / static_cast<std::size_t>(columns);
            for (std::size_t i = 0; i < size; i++) {
                CHECK(std::isnan(cpu[i]) == (i / static_cast<std::size_t>(columns) == row));
                CHECK(std::isnan(gpu[i]) == std::isnan(cpu[i]));
            }
        }
}

}  // namespace
}  // namespace nascent::test
