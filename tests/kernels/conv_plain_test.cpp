// Square windows with padding k / 2 are in conv_test.cpp.
#include "kernels/conv_plain.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;
using kernels::same_axis;
using kernels::same_window;
using kernels::Window;
using kernels::WindowAxis;

struct Shape {
    Image x;
    Window at;
    int oh, ow;  // counted by hand
};
const Shape kShapes[] = {
    {{1, 1, 1, 2}, same_window(5, 1, 2), 1, 1},
    {{2, 5, 7, 3}, same_window(3), 5, 7},
    {{2, 5, 7, 3}, same_window(3, 2), 3, 4},
    {{1, 8, 6, 5}, same_window(5, 2, 2), 4, 3},
    {{35, 4, 3, 2}, same_window(7), 4, 3},
    {{1, 9, 8, 4}, same_window(3, 1, 2), 9, 8},
    {{2, 3, 9, 3}, {same_axis(1), same_axis(7)}, 3, 9},
    {{2, 3, 8, 3}, {same_axis(1), same_axis(7, 2)}, 3, 4},
    {{2, 9, 3, 3}, {same_axis(7, 2), same_axis(1)}, 5, 3},
    {{2, 6, 8, 5}, {{1, 2, 1, -1}, {1, 2, 1, -1}}, 3, 4},  // FactorizedReduce: as many as from pixel 0 where even,
    {{1, 7, 5, 5}, {{1, 2, 1, -1}, {1, 2, 1, -1}}, 3, 2},  // fewer where odd
    {{2, 2, 3, 4}, {{2}, {2}}, 1, 2},
    {{2, 7, 6, 2}, {{2, 3, 2, 1, 2}, {3, 1, 2, -1, 3}}, 3, 4},
    {{1, 6, 5, 2}, {{3, 1, 1, 1, -2}, {2, 2, 1, 0, -1}}, 3, 2},
};

/// f(pixel, output pixel, tap) wherever a window's tap lies on the image, by definition.
template <class F>
void for_each_product(const Shape& s, F&& f) {
    for (int n = 0; n < s.x.n; n++)
        for (int out = 0; out < s.oh * s.ow; out++)
            for (int tap = 0; tap < s.at.h.taps * s.at.w.taps; tap++) {
                auto pixel = [](const WindowAxis& a, int i, int t) { return i * a.stride - a.before + t * a.dilation; };
                const int y = pixel(s.at.h, out / s.ow, tap / s.at.w.taps),
                          x = pixel(s.at.w, out % s.ow, tap % s.at.w.taps);
                if (y < 0 || y >= s.x.h || x < 0 || x >= s.x.w) continue;
                f(static_cast<std::size_t>((n * s.x.h + y) * s.x.w + x),
                  static_cast<std::size_t>(n * s.oh * s.ow + out), static_cast<std::size_t>(tap));
            }
}

TEST_CASE("windows are counted") {
    for (const Shape& s : kShapes) {
        CHECK(s.at.h.windows(s.x.h) == s.oh);
        CHECK(s.at.w.windows(s.x.w) == s.ow);
    }
    CHECK(WindowAxis{2, 2}.windows(1) == 0);  // not (1 - 2) / 2 + 1
    CHECK(WindowAxis{1, 2, 1, -1}.windows(1) == 0);
    CHECK(WindowAxis{3, 1, 2}.windows(4) == 0);
    CHECK(WindowAxis{3, 1, 2}.windows(5) == 1);
    CHECK(same_window(3, 2) == Window{{3, 2, 1, 1, 1}, {3, 2, 1, 1, 1}});
    CHECK(same_axis(5, 2, 2) == WindowAxis{5, 2, 2, 4, 4});
}

TEST_CASE_TEMPLATE("conv_plain and depthwise_plain with any window", T, float, double) {
    unsigned seed = 300;
    ThreadPool pool(2);
    for (const Shape& s : kShapes)
        for (int mode = 0; mode < 4; mode++) {
            const bool accumulate = mode & 1, depthwise = mode & 2;
            INFO("x ", s.x.n, " ", s.x.h, " ", s.x.w, " ", s.x.c, " mode ", mode);
            Numbers numbers(seed++);
            const int c_in = s.x.c, c_out = depthwise ? c_in : 3, per_tap = depthwise ? 1 : c_in;
            const std::size_t out_pixels = static_cast<std::size_t>(s.x.n) * s.oh * s.ow;
            const Guarded<T> x = numbers.uniform<T>(s.x.size()), dy = numbers.uniform<T>(out_pixels * c_out),
                             w = numbers.uniform<T>(s.at.h.taps * s.at.w.taps * per_tap * c_out);
            const Guarded<T> dx0 = numbers.uniform<T>(x.size()), dw0 = numbers.uniform<T>(w.size());
            std::vector<Bounded> want(dy.size()), want_dx(x.size()), want_dw(w.size());
            for (std::size_t i = 0; accumulate && i < want_dx.size(); i++) want_dx[i].add(dx0[i]);
            for (std::size_t i = 0; accumulate && i < want_dw.size(); i++) want_dw[i].add(dw0[i]);
            for_each_product(s, [&](std::size_t in, std::size_t out, std::size_t tap) {
                for (int o = 0; o < c_out; o++)
                    for (int i = depthwise ? o : 0; i < (depthwise ? o + 1 : c_in); i++) {
                        const std::size_t weight = (tap * per_tap + (depthwise ? 0 : i)) * c_out + o;
                        const Real v = x[in * c_in + i], g = dy[out * c_out + o];
                        want[out * c_out + o].add(v * w[weight]);
                        want_dx[in * c_in + i].add(g * w[weight]);
                        want_dw[weight].add(v * g);
                    }
            });
            Guarded<T> y(dy.size()), dx(x.size()), dw(w.size());
            if (accumulate) dx = dx0, dw = dw0;
            auto backward = [&](T* to, T* to_weights) {
                if (depthwise)
                    kernels::depthwise_plain_backward<T>(stream_of(pool), s.x, s.at, x.data(), w.data(), dy.data(), to,
                                                         accumulate, to_weights, accumulate);
                else
                    kernels::conv_plain_backward<T>(stream_of(pool), s.x, s.at, c_out, x.data(), w.data(), dy.data(),
                                                    to, accumulate, to_weights, accumulate);
            };
            if (depthwise)
                kernels::depthwise_plain_forward<T>(stream_of(pool), s.x, s.at, x.data(), w.data(), y.data());
            else
                kernels::conv_plain_forward<T>(stream_of(pool), s.x, s.at, c_out, x.data(), w.data(), y.data());
            backward(dx.data(), nullptr);
            backward(nullptr, dw.data());
            const double taps = s.at.h.taps * s.at.w.taps;
            check_close(y, want, 2 * taps * per_tap + 1, "y");
            check_close(dx, want_dx, 2 * taps * c_out + 2, "dx");
            check_close(dw, want_dw, 2 * static_cast<double>(out_pixels) + 2, "dw");
        }
}

}  // namespace
}  // namespace nascent::test
