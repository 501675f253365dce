// The passes between states and folded channels, by definition: element (n, p, c) lies in picture n / fold, channel n %
// fold * seen + c.
#include "kernels/fold.h"

#include "tests/kernels/fold_shapes.h"

namespace nascent::test {
namespace {

std::size_t folded_at(const kernels::FoldedShape& s, int n, int p, int c) {
    return ((static_cast<std::size_t>(n / s.fold) * s.pixels + p) * s.fold + n % s.fold) * s.seen + c;
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
        const int wide = s.c + 3;
        auto others = numbers.uniform<T>(pixels * wide);
        const auto seen = numbers.uniform<T>(pixels * s.seen), dy = numbers.uniform<T>(pixels * wide);
        // Channels that lie folded are not read where they do not.
        for_each_pixel(s, [&](int, int, std::size_t pixel) {
            std::fill_n(others.data() + pixel * wide + 1, s.seen, std::numeric_limits<T>::quiet_NaN());
        });
        auto apart = [&](int n, int p, std::size_t pixel, int c) {
            return c < s.seen ? seen[folded_at(s, n, p, c)] : others[pixel * wide + 1 + c];
        };
        for_each_target_and_threads([&](const kernels::Stream& stream) {
            std::vector<Guarded<T>> out;
            for (int i = 0; i < 4; i++) out.emplace_back(pixels * s.c);
            for (int i = 0; i < 3; i++) out.emplace_back(pixels * s.seen);
            Guarded<T>&y = out[0], &alone = out[1], &dx = out[2], &last = out[3], &next = out[4], &folded = out[5],
            &last_folded = out[6];
            kernels::join_folded<T>(stream, s, seen.data(), others.data() + 1, wide, y.data(), s.c, next.data());
            kernels::join_folded<T>(stream, s, seen.data(), others.data() + 1, wide, alone.data(), s.c, nullptr);
            kernels::part_folded<T>(stream, s, dy.data() + 2, wide, seen.data(), others.data() + 1, wide, dx.data(),
                                    s.c, folded.data());
            kernels::part_folded<T>(stream, s, dy.data() + 2, wide, nullptr, nullptr, 0, last.data(), s.c,
                                    last_folded.data());
            for (const Guarded<T>& v : out) CHECK(v.intact());
            for_each_pixel(s, [&](int n, int p, std::size_t pixel) {
                for (int c = 0; c < s.c; c++) {
                    const int from = source_of(s, c);
                    const T joined = apart(n, p, pixel, from), plain = dy[pixel * wide + 2 + c];
                    const T parted = plain + apart(n, p, pixel, c);
                    CHECK(y[pixel * s.c + c] == joined);
                    CHECK(dx[pixel * s.c + from] == parted);
                    CHECK(last[pixel * s.c + from] == plain);
                    if (c < s.seen) CHECK(next[folded_at(s, n, p, c)] == joined);
                    if (from < s.seen) CHECK(folded[folded_at(s, n, p, from)] == parted);
                    if (from < s.seen) CHECK(last_folded[folded_at(s, n, p, from)] == plain);
                }
            });
            CHECK(alone.same_bits(y));
            return out;
        });
    }
}

}  // namespace
}  // namespace nascent::test
