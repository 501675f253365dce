#include "kernels/pool_plain.h"

#include <algorithm>

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Image;
using kernels::PoolShape;

constexpr PoolShape kPools[] = {{{1, 1, 1, 1}, 3, 1, 1},  {{2, 5, 7, 3}, 3, 1, 1}, {{1, 8, 6, 17}, 2, 2, 0},
                                {{35, 5, 4, 2}, 3, 2, 1}, {{1, 9, 9, 4}, 5, 3, 2}, {{2, 8, 7, 3}, 5, 3, 0}};

/// The pixels of every window inside the image, in row order: f(output, their places).
template <class F>
void for_each_window(const PoolShape& s, F&& f) {
    const int oh = s.out_h(), ow = s.out_w(), c = s.x.c;
    for (std::size_t o = 0; o < static_cast<std::size_t>(s.x.n) * oh * ow * c; o++) {
        const int ox = static_cast<int>(o / c % ow), oy = static_cast<int>(o / c / ow % oh);
        const std::size_t n = o / c / ow / oh;
        std::vector<std::size_t> window;
        for (int i = 0; i < s.k * s.k; i++) {
            const int iy = oy * s.stride - s.padding + i / s.k, ix = ox * s.stride - s.padding + i % s.k;
            if (iy >= 0 && iy < s.x.h && ix >= 0 && ix < s.x.w)
                window.push_back(((n * s.x.h + iy) * s.x.w + ix) * c + o % c);
        }
        f(o, window);
    }
}

TEST_CASE_TEMPLATE("avg_pool_plain and its gradient", T, float, double) {
    unsigned seed = 30;
    ThreadPool pool(2);
    for (const PoolShape& s : kPools)
        for (bool accumulate : {false, true}) {
            INFO("k ", s.k, " stride ", s.stride, " h ", s.x.h);
            Numbers numbers(seed++);
            const std::size_t out = static_cast<std::size_t>(s.x.n) * s.out_h() * s.out_w() * s.x.c;
            const Guarded<T> x = numbers.uniform<T>(s.x.size()), dy = numbers.uniform<T>(out);
            const Guarded<T> before = numbers.uniform<T>(s.x.size());
            std::vector<Bounded> want(out), want_dx(s.x.size());
            for (std::size_t i = 0; accumulate && i < want_dx.size(); i++) want_dx[i].add(before[i]);
            for_each_window(s, [&](std::size_t o, const std::vector<std::size_t>& window) {
                for (std::size_t at : window) {
                    want[o].add(static_cast<Real>(x[at]) / window.size());
                    want_dx[at].add(static_cast<Real>(dy[o]) / window.size());
                }
            });
            Guarded<T> y(out), dx(s.x.size());
            if (accumulate) dx = before;
            kernels::avg_pool_plain_forward<T>(stream_of(pool), s, x.data(), y.data());
            kernels::avg_pool_plain_backward<T>(stream_of(pool), s, dy.data(), dx.data(), accumulate);
            check_close(y, want, s.k * s.k + 2.0, "y");
            check_close(dx, want_dx, s.k * s.k + 3.0, "dx");
        }
}

TEST_CASE_TEMPLATE("max_pool_plain and its gradient", T, float, double) {
    unsigned seed = 40;
    ThreadPool pool(2);
    for (const PoolShape& s : kPools)
        for (int mode = 0; mode < 4; mode++) {
            const bool accumulate = mode & 1, ties = mode & 2;
            INFO("k ", s.k, " stride ", s.stride, " h ", s.x.h, " mode ", mode);
            Numbers numbers(seed++);
            const std::size_t out = static_cast<std::size_t>(s.x.n) * s.out_h() * s.out_w() * s.x.c;
            const Guarded<T> x = ties ? numbers.fractions<T>(s.x.size(), 1, 1) : numbers.uniform<T>(s.x.size());
            const Guarded<T> dy = numbers.uniform<T>(out), before = numbers.uniform<T>(s.x.size());
            std::vector<Bounded> want_dx(s.x.size());
            for (std::size_t i = 0; accumulate && i < want_dx.size(); i++) want_dx[i].add(before[i]);
            Guarded<T> y(out), dx(s.x.size()), want(out);
            Guarded<std::uint8_t> tap(out);
            for_each_window(s, [&](std::size_t o, const std::vector<std::size_t>& window) {
                const std::size_t at =
                    *std::max_element(window.begin(), window.end(), [&](auto a, auto b) { return x[a] < x[b]; });
                want[o] = x[at];
                want_dx[at].add(dy[o]);
            });
            if (accumulate) dx = before;
            kernels::max_pool_plain_forward<T>(stream_of(pool), s, x.data(), y.data(), tap.data());
            kernels::max_pool_plain_backward<T>(stream_of(pool), s, tap.data(), dy.data(), dx.data(), accumulate);
            CHECK(y.same_bits(want));
            CHECK((y.intact() && tap.intact()));
            check_close(dx, want_dx, s.k * s.k + 2.0, "dx");
        }
}

TEST_CASE_TEMPLATE("max_pool_plain takes not-a-numbers and infinities as PyTorch does", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
    const PoolShape s{{1, 2, 2, 1}, 3, 1, 1};  // every window holds all four pixels
    struct {
        T x[4];
        int winner;
    } const cases[] = {{{1, 3, 3, 2}, 1},
                       {{0, nan, 5, 2}, 1},
                       {{nan, 7, nan, inf}, 2},
                       {{nan, nan, 1, 1}, 1},
                       {{-inf, -inf, -inf, -inf}, 0},
                       {{-inf, 4, inf, 4}, 2},
                       {{-inf, nan, -inf, 1}, 1},
                       {{1, 1, 1, nan}, 3}};
    for (const auto& c : cases) {
        Guarded<T> y(4), dx(4);
        Guarded<std::uint8_t> tap(4);
        const T dy[] = {1, 2, 4, 8};
        kernels::max_pool_plain_forward<T>({}, s, c.x, y.data(), tap.data());
        kernels::max_pool_plain_backward<T>({}, s, tap.data(), dy, dx.data(), false);
        for (int i = 0; i < 4; i++) {
            CHECK(std::memcmp(&y[i], &c.x[c.winner], sizeof(T)) == 0);
            CHECK(dx[i] == (i == c.winner ? 15 : 0));
        }
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
