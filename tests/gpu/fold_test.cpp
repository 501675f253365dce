// The GPU's passes between states and folded channels, and of halves, have the CPU's bits.
#include "kernels/fold.h"

#include <algorithm>

#include "kernels/partial.h"
#include "tests/gpu/check.h"
#include "tests/kernels/fold_shapes.h"

namespace nascent::test {
namespace {

TEST_CASE_TEMPLATE("gpu folded channels", T, float, double) {
    for (const kernels::FoldedShape& s : folded_shapes()) {
        CAPTURE(s.c);
        Numbers numbers(40);
        const auto pixels = static_cast<std::size_t>(s.n) * s.pixels;
        const int wide = s.c + 1;
        const auto x = numbers.uniform<T>(pixels * wide), dy = numbers.uniform<T>(pixels * wide),
                   seen = numbers.uniform<T>(pixels * s.seen),
                   half = numbers.uniform<T>(pixels * static_cast<std::size_t>(s.c - s.seen));
        const T weight[] = {T(0.7)};
        const kernels::Around<T> around[] = {{x.data(), wide}, {half.data(), s.c - s.seen, s.seen, weight}};
        same_bits_in_every_order([&](bool on_gpu) {
            const kernels::Stream stream = where(on_gpu);
            std::vector<Guarded<T>> out;
            for (int i = 0; i < 4; i++) out.emplace_back(pixels * s.seen);
            for (int i = 0; i < 4; i++) out.emplace_back(pixels * wide);
            out.emplace_back(pixels * wide), out.emplace_back(pixels * s.seen);
            for (std::size_t i = 4; i < 9; i++) std::fill_n(out[i].data(), out[i].size(), T(3));
            kernels::fold_channels<T>(stream, s, x.data(), wide, out[0].data());
            kernels::unfold_channels<T>(stream, s, seen.data(), out[4].data(), wide);
            kernels::join_folded<T>(stream, s, seen.data(), around, out[5].data(), wide, out[1].data());
            kernels::part_folded<T>(stream, s, dy.data(), wide, seen.data(), around, out[6].data(), wide,
                                    out[2].data());
            kernels::part_folded<T>(stream, s, nullptr, 0, seen.data(), around, out[8].data(), wide, out[9].data());
            kernels::part_folded<T>(stream, s, dy.data(), wide, nullptr, {}, out[7].data(), wide, out[3].data());
            return out;
        });
    }
}

TEST_CASE_TEMPLATE("gpu channel_permute", T, float, double) {
    for (auto [pixels, c, times] : {std::array{1, 1, 1}, {7, 16, 5}, {200, 8, 3}, {5, 512, 171}})
        for (bool accumulate : {false, true})
            for (bool inverse : {false, true}) {
                CAPTURE(c);
                const kernels::ChannelOrder order = some_order(c, times, 2);
                Numbers numbers(42);
                const auto count = static_cast<std::size_t>(pixels);
                const auto x = numbers.uniform<T>(count * (c + 3));
                const Guarded<T> before = numbers.uniform<T>(count * (c + 1));
                same_bits_in_every_order([&](bool on_gpu) {
                    std::vector<Guarded<T>> out{before};
                    kernels::channel_permute<T>(where(on_gpu), count, order, inverse, x.data() + 2, c + 3,
                                                out[0].data(), c + 1, accumulate);
                    return out;
                });
            }
}

TEST_CASE_TEMPLATE("gpu halves", T, float, double) {
    for (const kernels::Image s : {kernels::Image{1, 2, 2, 1}, {2, 4, 6, 12}, {3, 6, 2, 17}, {35, 2, 4, 3}}) {
        CAPTURE(s.c);
        Numbers numbers(41);
        const auto x = numbers.uniform<T>(s.pixels() * static_cast<std::size_t>(s.c + 2));
        const auto dz = numbers.uniform<T>(s.size() / 4);
        Guarded<std::uint8_t> taps[2] = {Guarded<std::uint8_t>(s.size() / 4), Guarded<std::uint8_t>(s.size() / 4)};
        same_bits_in_every_order([&](bool on_gpu) {
            std::vector<Guarded<T>> out{Guarded<T>(s.size() / 4), Guarded<T>(s.size())};
            kernels::halve_forward<T>(where(on_gpu), s, x.data() + 1, s.c + 2, out[0].data(), taps[on_gpu].data());
            kernels::halve_backward<T>(where(on_gpu), s, taps[on_gpu].data(), dz.data(), out[1].data(), s.c);
            return out;
        });
        CHECK(taps[0].same_bits(taps[1]));
    }
}

}  // namespace
}  // namespace nascent::test
