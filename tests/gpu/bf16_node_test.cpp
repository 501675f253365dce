// Passes over activations stored as bf16: arithmetic is float, so that they are the passes over floats of the same
// values, rounded. On the emulator in three orders of the threads.
#include <algorithm>
#include <array>

#include "kernels/head.h"
#include "kernels/node_list.h"
#include "kernels/picture.h"
#include "kernels/primitive.h"
#include "tests/gpu/stored.h"

namespace nascent::test {
namespace {

using kernels::ConvShape;
using kernels::Image;

constexpr Image kImages[] = {{1, 1, 1, 1}, {2, 5, 7, 3}, {2, 4, 6, 16}, {3, 2, 2, 17}, {2, 4, 2, 136}, {35, 4, 2, 8}};

/// The same values as bf16 and as float.
struct Both {
    Bits bits;
    Guarded<float> values;
};
Both draw(Numbers& numbers, std::size_t count, bool aligned) {
    const Bits bits = stored(numbers.uniform<float>(count), aligned);
    return {bits, floats(bits, aligned)};
}
Guarded<float> vector(Numbers& numbers, int c, bool aligned) {
    return at_skew(numbers.uniform<float>(static_cast<std::size_t>(c)), aligned);
}
void check_rounded(const Bits& got, const Guarded<float>& want) {
    CHECK(got.intact());
    CHECK(std::equal(got.begin(), got.end(), want.begin(), want.end(),
                     [](std::uint16_t a, float b) { return a == simt::to_bf16(b); }));
}
/// Element by element: f(BFloat16{}, the argument's part, result) gives what the same of floats gives, rounded.
template <class F>
void same_rounded(std::size_t count, const Both& before, bool aligned, F&& f) {
    Guarded<float> want(count, aligned ? 0 : 1);
    std::copy(before.values.begin(), before.values.end(), want.begin());
    f(want.data());
    in_every_order([&] {
        Bits got(count, aligned ? 0 : 1);
        std::copy(before.bits.begin(), before.bits.end(), got.begin());
        f(elements(got));
        check_rounded(got, want);
        return std::vector<Bits>{got};
    });
}
const float* of(const Both& b, const float*) { return b.values.data(); }
const BFloat16* of(const Both& b, const BFloat16*) { return elements(b.bits); }

TEST_CASE("gpu nodes and pools of bf16 are those of floats, rounded") {
    unsigned seed = 1;
    for (const Image& s : kImages)
        for (bool aligned : {true, false}) {
            CAPTURE(s.c);
            CAPTURE(aligned);
            Numbers numbers(seed++);
            std::vector<Both> x;
            for (int i = 0; i < 8; i++) x.push_back(draw(numbers, s.size(), aligned));
            std::vector<Guarded<float>> maps;
            for (int i = 0; i < 6; i++) maps.push_back(vector(numbers, s.c, aligned));
            const Both nothing = draw(numbers, s.size(), aligned), &dy = x[0];
            for (int terms = 0; terms < 4; terms++)
                same_rounded(s.size(), nothing, aligned, [&]<class S>(S* y) {
                    std::vector<kernels::NormTerm<S>> norms;
                    std::vector<const S*> pools, skips;
                    for (std::size_t i = 0; i < 3 && terms > 0; i++)
                        norms.push_back({of(x[i], y), maps[2 * i].data(), maps[2 * i + 1].data()});
                    for (std::size_t i = 3; i < 5 && terms > 1; i++) pools.push_back(of(x[i], y));
                    for (std::size_t i = 5; i < 8 && terms != 1; i++) skips.push_back(of(x[i], y));
                    kernels::node_combine<S>(kGpu, s, norms, pools, skips, y);
                });
            for (int i = 0; i < 8; i++)
                same_rounded(s.size(), x[1], aligned, [&]<class S>(S* dx) {
                    kernels::node_input_gradient<S>(kGpu, s, of(dy, dx), i & 1, i & 2, dx, i & 4);
                });
            same_rounded(2 * s.size(), draw(numbers, 2 * s.size(), aligned), aligned, [&]<class S>(S* dx) {
                // Off 16 bytes for the second where the first is not: both go one by one.
                const std::array<kernels::NodeInput<S>, 2> inputs{
                    {{dx, true, true, false}, {dx + s.size(), false, true, true}}};
                kernels::node_input_gradients<S>(kGpu, s, of(dy, dx), inputs);
            });
            same_rounded(s.size(), nothing, aligned,
                         [&]<class S>(S* y) { kernels::add_forward<S>(kGpu, s.size(), of(x[1], y), of(x[2], y), y); });
            for (bool accumulate : {false, true})
                same_rounded(s.size(), x[3], aligned, [&]<class S>(S* y) {
                    kernels::copy_or_add<S>(kGpu, s.size(), of(x[1], y), y, accumulate);
                });
            const Guarded<float> floats = numbers.uniform<float>(s.size());
            same_rounded(s.size(), nothing, aligned,
                         [&]<class S>(S* y) { kernels::store_as<S>(kGpu, s.size(), floats.data(), y); });
            if (s.h % 2 > 0 || s.w % 2 > 0) continue;
            const std::size_t quarter = s.size() / 4;
            const Both half = draw(numbers, quarter, aligned);
            same_rounded(quarter, half, aligned,
                         [&]<class S>(S* y) { kernels::avg_pool_2x2<S>(kGpu, s, of(x[1], y), y); });
            for (bool accumulate : {false, true})
                same_rounded(s.size(), x[2], aligned, [&]<class S>(S* dx) {
                    kernels::avg_pool_2x2_backward<S>(kGpu, s, of(half, dx), dx, accumulate);
                });
        }
}

/// Per channel the sums of x and of x * z: runs of 64 floats, then double.
TEST_CASE("gpu sums over bf16 are as near as those over floats") {
    unsigned seed = 40;
    for (const Image& s : kImages)
        for (bool aligned : {true, false}) {
            CAPTURE(s.c);
            CAPTURE(aligned);
            Numbers numbers(seed++);
            const std::size_t c = static_cast<std::size_t>(s.c);
            std::vector<Both> x;
            for (int i = 0; i < 5; i++) x.push_back(draw(numbers, s.size(), aligned));
            std::vector<Bounded> want(5 * c), squares(2 * c);
            for (std::size_t i = 0; i < s.size(); i++) {
                const Real v = x[0].values[i];
                want[i % c].add(v), squares[i % c].add(v), squares[c + i % c].add(v * v);
                for (std::size_t k = 1; k < 5; k++) want[k * c + i % c].add(v * x[k].values[i]);
            }
            auto sums = [&]<class S>(S) {
                const S* any = nullptr;
                std::vector<const S*> z;
                for (std::size_t k = 1; k < 5; k++) z.push_back(of(x[k], any));
                Workspace workspace(kernels::norm_sums_workspace(kGpu, s, 4));
                std::vector<Guarded<double>> out{Guarded<double>(5 * c), Guarded<double>(2 * c)};
                kernels::norm_backward_sums<S>(kGpu, s, of(x[0], any), z, out[0].data(), workspace.get());
                kernels::channel_sums<S>(kGpu, s, of(x[0], any), out[1].data(), workspace.get());
                CHECK(workspace.intact());
                return out;
            };
            const auto floats = sums(0.0f);
            in_every_order([&] {
                const auto got = sums(BFloat16{});
                check_close(got[0], want, 64, "sums of products", std::numeric_limits<float>::epsilon());
                check_close(got[1], squares, 64, "sums of squares", std::numeric_limits<float>::epsilon());
                if (s.c % 4 > 0 || !aligned)  // both one by one
                    for (std::size_t i = 0; i < 2; i++) CHECK(got[i].same_bits(floats[i]));
                return got;
            });
        }
}

TEST_CASE("gpu head of bf16 is that of floats") {
    unsigned seed = 60;
    for (const Image& s : kImages)
        for (bool aligned : {true, false}) {
            CAPTURE(s.c);
            CAPTURE(aligned);
            Numbers numbers(seed++);
            const std::size_t c = static_cast<std::size_t>(s.c), pooled = static_cast<std::size_t>(s.n) * c;
            const Both x = draw(numbers, s.size(), aligned), before = draw(numbers, s.size(), aligned);
            const Guarded<float> dpooled = at_skew(numbers.uniform<float>(pooled), aligned);
            std::vector<Guarded<float>> maps;
            for (int i = 0; i < 5; i++) maps.push_back(vector(numbers, s.c, aligned));
            for (bool accumulate : {false, true})
                same_rounded(s.size(), before, aligned, [&]<class S>(S* dx) {
                    kernels::norm_relu_pool_backward<S>(kGpu, s, of(x, dx), maps[0].data(), maps[1].data(),
                                                        dpooled.data(), maps[2].data(), maps[3].data(), maps[4].data(),
                                                        dx, accumulate);
                });
            auto means = [&]<class S>(S) {
                const S* any = nullptr;
                Guarded<float> y(pooled, aligned ? 0 : 1);
                Guarded<double> two(2 * c);
                Workspace workspace(kernels::norm_sums_workspace(kGpu, s, 1));
                kernels::norm_relu_pool<S>(kGpu, s, of(x, any), maps[0].data(), maps[1].data(), y.data());
                kernels::norm_relu_pool_backward_sums<S>(kGpu, s, of(x, any), maps[0].data(), maps[1].data(),
                                                         dpooled.data(), two.data(), workspace.get());
                CHECK(workspace.intact());
                return std::pair{y, two};
            };
            const auto [y, two] = means(0.0f);
            std::vector<Bounded> want_y(pooled), want_two(2 * c);
            for (std::size_t i = 0; i < s.size(); i++) {  // the sums' own terms
                const std::size_t at = i / (c * static_cast<std::size_t>(s.h * s.w)) * c + i % c;
                const float v = x.values[i], a = std::fma(v, maps[0][i % c], maps[1][i % c]);
                want_y[at].magnitude += std::fabs(a);
                const Real g = std::fabs(dpooled[at]) / (s.h * s.w);
                want_two[i % c].magnitude += g, want_two[c + i % c].magnitude += g * std::fabs(v);
            }
            for (std::size_t i = 0; i < pooled; i++) want_y[i].value = y[i];
            for (std::size_t i = 0; i < 2 * c; i++) want_two[i].value = two[i];
            in_every_order([&] {
                const auto [got_y, got_two] = means(BFloat16{});
                CHECK(got_y.intact());
                // Sums of doubles in another order, one rounding to float.
                check_close(got_y, want_y, 1, "pooled");
                check_close(got_two, want_two, 2 * static_cast<double>(s.pixels()), "sums");
                return std::vector<Guarded<double>>{wide(got_y), got_two};
            });
        }
}

TEST_CASE("gpu pictures become bf16, and their convolution is that of floats, rounded") {
    unsigned seed = 90;
    for (const ConvShape& s : {ConvShape{2, 8, 8, 3, 16, 3, 1}, {1, 5, 7, 3, 3, 3, 1}, {3, 4, 4, 3, 12, 3, 1}}) {
        CAPTURE(s.c_out);
        Numbers numbers(seed++);
        std::vector<std::uint8_t> pictures(static_cast<std::size_t>(4 * s.h * s.w * 3));
        for (std::uint8_t& b : pictures) b = static_cast<std::uint8_t>(numbers.index(256));
        std::vector<kernels::PictureDraw> draws;
        for (int i = 0; i < s.n; i++) draws.push_back({numbers.index(4), numbers.index(5), numbers.index(3), i % 2});
        const Guarded<float> table = numbers.uniform<float>(256 * 3);
        const std::size_t in = static_cast<std::size_t>(s.n * s.h * s.w * 3),
                          out = s.pixels() * static_cast<std::size_t>(s.c_out);
        auto batch = [&]<class S>(const S*) {
            return kernels::PictureBatch<S>{pictures.data(), draws.data(), table.data(), 2, 1};
        };
        same_rounded(in, draw(numbers, in, true), true,
                     [&]<class S>(S* x) { kernels::picture_input<S>(kGpu, s, batch(x), x); });
        const Guarded<float> w = at_skew(numbers.uniform<float>(27 * static_cast<std::size_t>(s.c_out)), true);
        same_rounded(out, draw(numbers, out, true), true, [&]<class S>(S* z) {
            Workspace workspace(kernels::picture_conv_forward_workspace(kGpu, s, sizeof(S)));
            Guarded<double> sums(2 * static_cast<std::size_t>(s.c_out));
            kernels::picture_conv_forward<S>(kGpu, s, batch(z), w.data(), z, sums.data(), workspace.get());
            CHECK(workspace.intact());
            std::vector<Bounded> want(sums.size());  // of what was stored
            for (std::size_t i = 0; i < out; i++) {
                Real v;
                if constexpr (std::is_same_v<S, float>)
                    v = z[i];
                else
                    v = from_stored(z[i].bits);
                want[i % (want.size() / 2)].add(v), want[want.size() / 2 + i % (want.size() / 2)].add(v * v);
            }
            check_close(sums, want, static_cast<double>(s.pixels()) + 1, "sums");
        });
        const Both dy = draw(numbers, out, true), z = draw(numbers, out, true);
        std::vector<Guarded<float>> maps;
        for (int i = 0; i < 3; i++) maps.push_back(vector(numbers, s.c_out, true));
        const Guarded<float> before = numbers.uniform<float>(w.size());
        auto gradient = [&]<class S>(S) {
            const S* any = nullptr;
            Guarded<float> dw = before;
            Workspace workspace(kernels::picture_conv_backward_workspace(kGpu, s, sizeof(S)));
            kernels::picture_conv_backward<S>(kGpu, s, batch(any), of(dy, any),
                                              {of(z, any), maps[0].data(), maps[1].data(), maps[2].data()}, dw.data(),
                                              true, workspace.get());
            CHECK(workspace.intact());
            return dw;
        };
        in_every_order([&] {
            const Guarded<float> dw = gradient(BFloat16{});
            CHECK(dw.same_bits(gradient(0.0f)));
            return std::vector<Guarded<float>>{dw};
        });
    }
}

}  // namespace
}  // namespace nascent::test
