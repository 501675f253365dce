#include "kernels/partial.h"

#include <algorithm>
#include <cmath>

#include "kernels/pool_plain.h"
#include "tests/kernels/fold_shapes.h"

namespace nascent::test {
namespace {

TEST_CASE("channels of PC-DARTS's example are shuffled as its code does") {
    std::vector<double> x(16), y(16);
    for (int i = 0; i < 16; i++) x[i] = i;
    kernels::channel_shuffle<double>({}, 1, 16, 4, false, x.data(), 16, y.data(), 16, false);
    CHECK(y == std::vector<double>{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15});
}

TEST_CASE_TEMPLATE("channel_shuffle is a permutation with an inverse, between any pitches", T, float, double) {
    unsigned seed = 1;
    for (auto [pixels, c, groups] : {std::array{1, 1, 1}, {7, 16, 4}, {600, 8, 2}, {5, 12, 3}, {300, 32, 4}, {2, 5, 5}})
        for (bool accumulate : {false, true}) {
            INFO("pixels ", pixels, " channels ", c, " groups ", groups);
            Numbers numbers(seed++);
            const int wide = c + 3;
            const auto x = numbers.uniform<T>(static_cast<std::size_t>(pixels * wide));
            const Guarded<T> before = numbers.uniform<T>(static_cast<std::size_t>(pixels * c));
            Guarded<T> y = before, back = x;
            kernels::channel_shuffle<T>({}, static_cast<std::size_t>(pixels), c, groups, false, x.data() + 1, wide,
                                        y.data(), c, accumulate);
            for (int p = 0; p < pixels; p++)
                for (int i = 0; i < c / groups; i++)
                    for (int g = 0; g < groups; g++) {
                        const std::size_t at = p * c + i * groups + g;
                        CHECK(y[at] == (accumulate ? before[at] : T(0)) + x[p * wide + 1 + g * (c / groups) + i]);
                    }
            if (accumulate) continue;
            for (int p = 0; p < pixels; p++) std::fill_n(back.data() + p * wide + 1, c, T(-7));
            kernels::channel_shuffle<T>({}, static_cast<std::size_t>(pixels), c, groups, true, y.data(), c,
                                        back.data() + 1, wide, false);
            CHECK(std::equal(x.data(), x.data() + x.size(), back.data()));
            CHECK((y.intact() && back.intact()));
        }
}

TEST_CASE_TEMPLATE("channel_permute is an order of channels and its inverse, between any pitches", T, float, double) {
    for (auto [pixels, c, times] : {std::array{1, 1, 1}, {7, 16, 5}, {600, 8, 3}, {5, 12, 7}, {300, 512, 171}})
        for (bool accumulate : {false, true}) {
            CAPTURE(c);
            const kernels::ChannelOrder order = some_order(c, times, 2);
            Numbers numbers(static_cast<unsigned>(c));
            const int wide = c + 3;
            const auto x = numbers.uniform<T>(static_cast<std::size_t>(pixels * wide));
            const Guarded<T> before = numbers.uniform<T>(static_cast<std::size_t>(pixels * c));
            Guarded<T> y = before, back = x;
            kernels::channel_permute<T>({}, static_cast<std::size_t>(pixels), order, false, x.data() + 1, wide,
                                        y.data(), c, accumulate);
            for (int p = 0; p < pixels; p++)
                for (int i = 0; i < c; i++)
                    CHECK(y[p * c + i] == (accumulate ? before[p * c + i] : T(0)) + x[p * wide + 1 + order.at[i]]);
            CHECK(y.intact());
            if (accumulate) continue;
            for (int p = 0; p < pixels; p++) std::fill_n(back.data() + p * wide + 1, c, T(-7));
            kernels::channel_permute<T>({}, static_cast<std::size_t>(pixels), order, true, y.data(), c, back.data() + 1,
                                        wide, false);
            CHECK((std::equal(x.data(), x.data() + x.size(), back.data()) && back.intact()));
        }
}

TEST_CASE_TEMPLATE("halves of some channels are the plain pool's of 2 x 2", T, float, double) {
    for (const kernels::Image s :
         {kernels::Image{1, 2, 2, 1}, {2, 4, 6, 12}, {3, 6, 2, 16}, {1, 8, 4, 37}, {35, 2, 4, 3}}) {
        CAPTURE(s.c);
        Numbers numbers(static_cast<unsigned>(s.c));
        const int wide = s.c + 4;
        auto x = numbers.uniform<T>(s.pixels() * static_cast<std::size_t>(wide));
        for (std::size_t i = 0; i < x.size(); i += 3) x[i] = T(0.5);  // equals: the first counts
        x[5] = std::numeric_limits<T>::quiet_NaN();
        Guarded<T> mine(s.size());
        for (std::size_t p = 0; p < s.pixels(); p++)
            std::copy_n(x.data() + p * wide + 3, s.c, mine.data() + p * static_cast<std::size_t>(s.c));
        const kernels::PoolShape pool{s, 2, 2, 0};
        Guarded<T> z(s.size() / 4), want(s.size() / 4), dx(s.pixels() * static_cast<std::size_t>(wide)),
            want_dx(s.size());
        Guarded<std::uint8_t> tap(s.size() / 4), want_tap(s.size() / 4);
        std::fill_n(dx.data(), dx.size(), T(7));
        kernels::halve_forward<T>({}, s, x.data() + 3, wide, z.data(), tap.data());
        kernels::max_pool_plain_forward<T>({}, pool, mine.data(), want.data(), want_tap.data());
        CHECK((z.same_bits(want) && z.intact() && tap.same_bits(want_tap) && tap.intact()));
        const auto dz = numbers.uniform<T>(s.size() / 4);
        kernels::halve_backward<T>({}, s, tap.data(), dz.data(), dx.data() + 2, wide);
        kernels::max_pool_plain_backward<T>({}, pool, tap.data(), dz.data(), want_dx.data(), false);
        CHECK(dx.intact());
        for (std::size_t i = 0; i < dx.size(); i++) {
            const std::size_t p = i / static_cast<std::size_t>(wide);
            const int c = static_cast<int>(i % static_cast<std::size_t>(wide)) - 2;
            CHECK(dx[i] == (c >= 0 && c < s.c ? want_dx[p * static_cast<std::size_t>(s.c) + c] : T(7)));
        }
    }
}

TEST_CASE_TEMPLATE("edge_weights are products with the softmax of each node's betas", T, float, double) {
    for (const kernels::EdgeRows s : {kernels::EdgeRows{4, 2, 8}, {1, 1, 3}, {3, 1, 1}, {2, 5, 40}}) {
        Numbers numbers(static_cast<unsigned>(s.ops));
        const int edges = s.edges();
        const auto w = numbers.uniform<T>(edges * s.ops), b = numbers.uniform<T>(edges);
        Guarded<T> share(edges), y(edges * (s.ops + 1));
        kernels::edge_weights_forward<T>({}, s, w.data(), b.data(), share.data(), y.data());
        CHECK((share.intact() && y.intact()));
        int first = 0;
        for (int node = 0; node < s.nodes; node++) {
            long double sum = 0;
            for (int e = first; e < first + s.first + node; e++) sum += std::exp(static_cast<long double>(b[e]));
            for (int e = first; e < first + s.first + node; e++) {
                const auto part = static_cast<double>(std::exp(static_cast<long double>(b[e])) / sum);
                const double bound = 4 * std::numeric_limits<T>::epsilon();
                CHECK(std::abs(y[e * (s.ops + 1) + s.ops] - part) <= bound * part);
                for (int o = 0; o < s.ops; o++)
                    CHECK(std::abs(y[e * (s.ops + 1) + o] - part * w[e * s.ops + o]) <=
                          bound * part * std::abs(w[e * s.ops + o]));
            }
            first += s.first + node;
        }
        CHECK(first == edges);
    }
}

TEST_CASE_TEMPLATE("betas whose exponentials no number holds still have shares", T, float, double) {
    // The second node's are far below the first's, and its first far below its others: what is subtracted must be the
    // largest of its own.
    const kernels::EdgeRows s{2, 2, 1};
    const T w[] = {1, 1, 1, 1, 1}, b[] = {900, 900, -900, -100, -100};
    Guarded<T> share(5), y(10);
    kernels::edge_weights_forward<T>({}, s, w, b, share.data(), y.data());
    const T want[] = {T(0.5), T(0.5), 0, T(0.5), T(0.5)};
    for (int e = 0; e < 5; e++) CHECK((share[e] == want[e] && y[2 * e] == want[e] && y[2 * e + 1] == want[e]));
}

}  // namespace
}  // namespace nascent::test
