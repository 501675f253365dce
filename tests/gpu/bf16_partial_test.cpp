// Channels of states stored as bf16, moved and added up: the nearest bf16 of what the same kernel makes of the same
// numbers stored as floats.
#include <utility>

#include "kernels/fold.h"
#include "kernels/pool_plain.h"
#include "tests/gpu/stored.h"
#include "tests/kernels/channel_sums_shapes.h"
#include "tests/kernels/fold_shapes.h"

namespace nascent::test {
namespace {

template <class S>
using Kept = std::conditional_t<std::is_same_v<S, float>, Guarded<float>, Bits>;
inline float* elements(Guarded<float>& v) { return v.data(); }
inline const float* elements(const Guarded<float>& v) { return v.data(); }
template <class S>
Kept<S> kept(const Guarded<float>& v) {
    if constexpr (std::is_same_v<S, float>)
        return v;
    else
        return stored(v);
}

/// f(S{}) the outputs; inputs are rounded before.
template <class F>
void check_nearest(F&& f) {
    std::vector<Bits> got;
    in_every_order([&] { return got = f(BFloat16{}); });
    const std::vector<Guarded<float>> want = f(float{});
    for (std::size_t i = 0; i < want.size(); i++) {
        CAPTURE(i);
        CHECK(got[i].intact());
        std::size_t wrong = 0;
        for (std::size_t j = 0; j < want[i].size(); j++)
            wrong +=
                std::isnan(want[i][j]) ? !std::isnan(from_stored(got[i][j])) : got[i][j] != simt::to_bf16(want[i][j]);
        CHECK(wrong == 0);
    }
}

TEST_CASE("gpu channels of bf16 that are folded, shuffled and permuted") {
    for (const kernels::FoldedShape& s : folded_shapes()) {
        CAPTURE(s.c);
        Numbers numbers(40);
        const auto pixels = static_cast<std::size_t>(s.n) * s.pixels;
        const int wide = s.c + 1;
        const auto x = rounded(numbers.uniform<float>(pixels * wide)),
                   dy = rounded(numbers.uniform<float>(pixels * wide)),
                   seen = rounded(numbers.uniform<float>(pixels * s.seen)),
                   half = rounded(numbers.uniform<float>(pixels * static_cast<std::size_t>(s.c - s.seen)));
        const float weight[] = {0.7f};
        kernels::ChannelOrder order{s.c, {}};
        for (int i = 0; i < s.c; i++) order.at[i] = static_cast<std::uint16_t>(s.c - 1 - i);
        check_nearest([&]<class S>(S) {
            const Kept<S> x_ = kept<S>(x), dy_ = kept<S>(dy), seen_ = kept<S>(seen), half_ = kept<S>(half);
            const kernels::Around<S> around[] = {{elements(x_), wide}, {elements(half_), s.c - s.seen, s.seen, weight}};
            std::vector<Kept<S>> out;
            for (int i = 0; i < 3; i++) out.emplace_back(pixels * s.seen);
            for (int i = 0; i < 5; i++) out.push_back(x_);
            kernels::fold_channels<S>(kGpu, s, elements(x_), wide, elements(out[0]));
            kernels::unfold_channels<S>(kGpu, s, elements(seen_), elements(out[3]), wide);
            kernels::join_folded<S>(kGpu, s, elements(seen_), around, elements(out[4]), wide, elements(out[1]));
            kernels::part_folded<S>(kGpu, s, elements(dy_), wide, elements(seen_), around, elements(out[5]), wide,
                                    elements(out[2]));
            kernels::channel_shuffle<S>(kGpu, pixels, s.c, s.groups, true, elements(dy_), wide, elements(out[6]), wide,
                                        true);
            kernels::channel_permute<S>(kGpu, pixels, order, false, elements(dy_), wide, elements(out[7]), wide, true);
            return out;
        });
    }
}

TEST_CASE("gpu halves of bf16, and means") {
    for (const kernels::Image s : {kernels::Image{1, 2, 2, 1}, {2, 4, 6, 12}, {3, 6, 2, 17}, {35, 2, 4, 3}}) {
        CAPTURE(s.c);
        Numbers numbers(41);
        const auto x = rounded(numbers.uniform<float>(s.pixels() * static_cast<std::size_t>(s.c + 2)));
        const auto dz = rounded(numbers.uniform<float>(s.size() / 4)),
                   before = rounded(numbers.uniform<float>(s.size()));
        const Guarded<float> dpooled = numbers.uniform<float>(static_cast<std::size_t>(s.n) * s.c);
        std::vector<Guarded<std::uint8_t>> taps;
        std::vector<Guarded<float>> means;
        check_nearest([&]<class S>(S) {
            const Kept<S> x_ = kept<S>(x), dz_ = kept<S>(dz);
            std::vector<Kept<S>> out{Kept<S>(s.size() / 4), Kept<S>(s.size()), Kept<S>(s.size()), kept<S>(before)};
            auto& tap = taps.emplace_back(s.size() / 4);
            kernels::halve_forward<S>(kGpu, s, elements(x_) + 1, s.c + 2, elements(out[0]), tap.data());
            kernels::halve_backward<S>(kGpu, s, tap.data(), elements(dz_), elements(out[1]), s.c);
            kernels::global_avg_pool_forward<S>(kGpu, s, elements(x_), means.emplace_back(dpooled.size()).data());
            kernels::global_avg_pool_backward<S>(kGpu, s, dpooled.data(), elements(out[2]), false);
            kernels::global_avg_pool_backward<S>(kGpu, s, dpooled.data(), elements(out[3]), true);
            return out;
        });
        for (std::size_t i = 1; i < taps.size(); i++) {
            CHECK(taps[i].same_bits(taps[0]));
            CHECK(means[i].same_bits(means[0]));
        }
    }
}

TEST_CASE("gpu sum_channels of bf16") {
    for (const ChannelSumsCase& c : channel_sums_cases())
        for (const bool accumulate : {false, true}) {
            CAPTURE(c.shape.fold);
            Numbers numbers(44);
            std::vector<Guarded<float>> in, before;
            for (const SummedChannels& s : c.sources) in.push_back(rounded(numbers.uniform<float>(c.size(s))));
            for (const SummedChannels& s : c.results) before.push_back(rounded(numbers.uniform<float>(c.size(s))));
            check_nearest([&]<class S>(S) {
                std::vector<Kept<S>> in_, out;
                for (const auto& v : in) in_.push_back(kept<S>(v));
                for (const auto& v : before) out.push_back(kept<S>(v));
                std::vector<kernels::SummedState<const S>> sources;
                std::vector<kernels::SummedState<S>> results;
                for (std::size_t i = 0; i < in_.size(); i++)
                    sources.push_back(
                        {elements(std::as_const(in_[i])), c.sources[i].c, c.pixel(c.sources[i]), c.sources[i].folded});
                for (std::size_t i = 0; i < out.size(); i++)
                    results.push_back({elements(out[i]), c.results[i].c, c.pixel(c.results[i]), c.results[i].folded});
                kernels::sum_channels<S>(kGpu, c.shape, sources, c.summands(), results, accumulate);
                return out;
            });
        }
}

}  // namespace
}  // namespace nascent::test
