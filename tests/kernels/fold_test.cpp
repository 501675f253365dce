// The passes between states and folded channels, by definition: element (n, p, c) lies in picture n / fold, channel c *
// fold + n % fold.
#include "kernels/fold.h"

#include <algorithm>

#include "tests/kernels/fold_shapes.h"

namespace nascent::test {
namespace {

std::size_t folded_at(const kernels::FoldedShape& s, int n, int p, int c) {
    return ((static_cast<std::size_t>(n / s.fold) * s.pixels + p) * s.seen + c) * s.fold + n % s.fold;
}
/// Where channel c comes from in the shuffle.
int source_of(const kernels::FoldedShape& s, int c) {
    return s.order ? s.order->at[c] : c % s.groups * (s.c / s.groups) + c / s.groups;
}

/// f(n, p, pixel).
template <class F>
void for_each_pixel(const kernels::FoldedShape& s, F&& f) {
    for (int n = 0; n < s.n; n++)
        for (int p = 0; p < s.pixels; p++) f(n, p, static_cast<std::size_t>(n) * s.pixels + p);
}

TEST_CASE_TEMPLATE("fold_channels and unfold_channels move a state's first channels", T, float, double) {
    for (const kernels::FoldedShape& s : folded_shapes()) {
        CAPTURE(s.c);
        Numbers numbers(3);
        const auto pixels = static_cast<std::size_t>(s.n) * s.pixels;
        const int wide = s.c + 3;
        const auto x = numbers.uniform<T>(pixels * wide);
        Guarded<T> folded(pixels * s.seen), back(pixels * wide);
        std::fill_n(back.data(), back.size(), T(7));
        kernels::fold_channels<T>({}, s, x.data() + 2, wide, folded.data());
        kernels::unfold_channels<T>({}, s, folded.data(), back.data() + 1, wide);
        CHECK((folded.intact() && back.intact()));
        for_each_pixel(s, [&](int n, int p, std::size_t pixel) {
            for (int c = 0; c < s.seen; c++) CHECK(folded[folded_at(s, n, p, c)] == x[pixel * wide + 2 + c]);
            for (int c = 0; c < wide; c++)
                CHECK(back[pixel * wide + c] == (c >= 1 && c <= s.seen ? x[pixel * wide + c + 1] : T(7)));
        });
    }
}

TEST_CASE_TEMPLATE("join_folded and part_folded shuffle the parts of a state", T, float, double) {
    for (const kernels::FoldedShape& s : folded_shapes()) {
        CAPTURE(s.c);
        CAPTURE(s.fold);
        Numbers numbers(5);
        const auto pixels = static_cast<std::size_t>(s.n) * s.pixels;
        const int wide = s.c + 3, others = s.c - s.seen;
        // Short fractions: every sum is exact. One state whole, one of which only these channels lie there.
        auto whole = numbers.fractions<T>(pixels * wide, 4, 4);
        const auto half = numbers.fractions<T>(pixels * others, 4, 4);
        const auto seen = numbers.fractions<T>(pixels * s.seen, 4, 4), dy = numbers.fractions<T>(pixels * wide, 4, 4);
        const T weight[] = {T(0.75)};
        const kernels::Around<T> around[] = {{whole.data() + 1, wide}, {half.data(), others, s.seen, weight}};
        // Channels that lie folded are not read where they do not.
        for_each_pixel(s, [&](int, int, std::size_t pixel) {
            std::fill_n(whole.data() + pixel * wide + 1, s.seen, std::numeric_limits<T>::quiet_NaN());
        });
        auto apart = [&](int n, int p, std::size_t pixel, int c) {
            return c < s.seen ? seen[folded_at(s, n, p, c)]
                              : whole[pixel * wide + 1 + c] + T(0.75) * half[pixel * others + c - s.seen];
        };
        for_each_target_and_threads([&](const kernels::Stream& stream) {
            std::vector<Guarded<T>> out;
            for (int i = 0; i < 5; i++) out.emplace_back(pixels * s.c);
            for (int i = 0; i < 4; i++) out.emplace_back(pixels * s.seen);
            Guarded<T>&y = out[0], &alone = out[1], &dx = out[2], &last = out[3], &without = out[4], &next = out[5],
            &folded = out[6], &last_folded = out[7], &without_folded = out[8];
            kernels::join_folded<T>(stream, s, seen.data(), around, y.data(), s.c, next.data());
            kernels::join_folded<T>(stream, s, seen.data(), around, alone.data(), s.c, nullptr);
            kernels::part_folded<T>(stream, s, dy.data() + 2, wide, seen.data(), around, dx.data(), s.c, folded.data());
            kernels::part_folded<T>(stream, s, dy.data() + 2, wide, nullptr, {}, last.data(), s.c, last_folded.data());
            kernels::part_folded<T>(stream, s, nullptr, 0, seen.data(), around, without.data(), s.c,
                                    without_folded.data());
            for (const Guarded<T>& v : out) CHECK(v.intact());
            for_each_pixel(s, [&](int n, int p, std::size_t pixel) {
                for (int c = 0; c < s.c; c++) {
                    const int from = source_of(s, c);
                    const T joined = apart(n, p, pixel, from), plain = dy[pixel * wide + 2 + c];
                    const T reached = apart(n, p, pixel, c);
                    CHECK(y[pixel * s.c + c] == joined);
                    CHECK(dx[pixel * s.c + from] == plain + reached);
                    CHECK(last[pixel * s.c + from] == plain);
                    CHECK(without[pixel * s.c + from] == reached);
                    if (c < s.seen) CHECK(next[folded_at(s, n, p, c)] == joined);
                    if (from < s.seen) CHECK(folded[folded_at(s, n, p, from)] == plain + reached);
                    if (from < s.seen) CHECK(last_folded[folded_at(s, n, p, from)] == plain);
                    if (from < s.seen) CHECK(without_folded[folded_at(s, n, p, from)] == reached);
                }
            });
            CHECK(alone.same_bits(y));
            return out;
        });
    }
}

TEST_CASE("as many pictures lie side by side as leave the fewest lanes empty") {
    using kernels::fold_of;
    CHECK(fold_of(64, 16) == 1);
    CHECK(fold_of(64, 4) == 4);
    CHECK(fold_of(64, 8) == 2);
    CHECK(fold_of(64, 6) == 8);
    CHECK(fold_of(64, 12) == 4);
    CHECK(fold_of(64, 24) == 2);
    CHECK(fold_of(64, 9) == 4);
    CHECK(fold_of(64, 1) == 8);
    CHECK(fold_of(12, 6) == 2);
    CHECK(fold_of(12, 12) == 4);
    CHECK(fold_of(7, 4) == 1);
    CHECK(fold_of(64, 72) == 1);
}

}  // namespace
}  // namespace nascent::test
