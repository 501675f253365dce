// Convolutions of activations stored as bf16, on the emulator in three orders of the threads.
#include <algorithm>

#include "kernels/conv_list.h"
#include "kernels/norm.h"
#include "tests/gpu/dense_case.h"
#include "tests/gpu/stored.h"

namespace nascent::test {
namespace {

struct Outputs {
    Bits z, da;
    Guarded<float> dw;
    Guarded<double> sums;
    bool same_bits(const Outputs& o) const {
        return z.same_bits(o.z) && da.same_bits(o.da) && dw.same_bits(o.dw) && sums.same_bits(o.sums);
    }
};

/// What a convolution finds as its weights: bf16 that it must read, and no number where the floats are; or floats, and
/// no number where the bf16 are, which are at no multiple of 16 bytes if the floats are at one.
struct Weights {
    Guarded<float> as_are;
    Bits as_bf16;
    Weights(const Guarded<float>& w, bool aligned, bool rounded)
        : as_are(rounded ? Guarded<float>(w.size(), 0) : at_skew(w, aligned)),
          as_bf16(rounded ? stored(w) : Bits(w.size(), aligned ? 1 : 0)) {}
    operator kernels::ConvWeights<BFloat16>() const { return {as_are.data(), elements(as_bf16)}; }
};

Outputs run(const Case<float>& from, bool accumulate, bool aligned, bool rounded = false) {
    Case<float> c = from;
    const Weights w(from.w, aligned, rounded);
    for (Guarded<float>* v : {&c.scale, &c.shift, &c.dz_scale, &c.dz_slope, &c.dz_shift, &c.dw})
        *v = at_skew(*v, aligned);
    const Bits x = stored(c.x, aligned), dy = stored(c.dy, aligned), z = stored(c.z, aligned);
    Outputs out{Bits(dy.size(), aligned ? 0 : 1), Bits(x.size(), aligned ? 0 : 1),
                Guarded<float>(c.w.size(), aligned ? 0 : 1), Guarded<double>(2 * static_cast<std::size_t>(c.s.c_out))};
    if (accumulate) out.da = stored(c.da, aligned), out.dw = c.dw;
    Workspace forward(kernels::conv_forward_workspace(kGpu, c.s, sizeof(BFloat16))),
        backward(kernels::conv_backward_workspace(kGpu, c.s, sizeof(BFloat16)));
    const Prologue<BFloat16> prologue{c.prologue().scale, c.prologue().shift, c.relu};
    kernels::conv_forward<BFloat16>(kGpu, c.s, elements(x), prologue, w, elements(out.z), out.sums.data(),
                                    forward.get());
    NormFold<BFloat16> fold;
    if (c.fold) fold = {elements(z), c.dz_scale.data(), c.dz_slope.data(), c.dz_shift.data()};
    kernels::conv_backward<BFloat16>(kGpu, c.s, elements(x), prologue, w, elements(dy), fold, elements(out.da),
                                     accumulate, out.dw.data(), accumulate, backward.get());
    CHECK((forward.intact() && backward.intact()));
    CHECK((out.z.intact() && out.da.intact() && out.dw.intact() && out.sums.intact()));
    return out;
}

void check(const Case<float>& from, unsigned seed, bool accumulate, bool aligned) {
    const ConvShape& s = from.s;
    INFO("shape ", name(s), "affine ", from.affine, " relu ", from.relu, " fold ", from.fold, " accumulate ",
         accumulate, " aligned ", aligned);
    Case<float> c = from;
    for (Guarded<float>* v : {&c.x, &c.dy, &c.z, &c.da}) *v = rounded(*v);
    // What tensor cores take are eights of channels; an instruction adds 16 products and rounds once.
    const bool dense = aligned && s.c_in % 8 == 0 && s.c_out % 8 == 0;
    const DenseWant want =
        dense_reference(c, dense ? DenseFactors(c, to_bf16) : DenseFactors(c, [](float v) { return v; }), accumulate);
    auto sums_of = [&](int channels) { return s.k * s.k * (dense ? (channels + 15) / 16 : channels) + accumulate; };
    const Outputs got = run(c, accumulate, aligned);
    if (dense) CHECK(run(c, accumulate, aligned, true).same_bits(got));
    check_stored(got.z, want.z, sums_of(s.c_in), "z");
    check_stored(got.da, want.da, sums_of(s.c_out), "da");
    check_close(got.dw, want.dw,
                (dense ? 2.0 * s.n * s.out_h() * ((s.out_w() + 15) / 16) : static_cast<double>(s.pixels())) + 8 + 2,
                "dw");
    std::vector<Bounded> sums(got.sums.size());  // of the z that was stored
    for (std::size_t j = 0; j < got.z.size(); j++) {
        const std::size_t channel = j % static_cast<std::size_t>(s.c_out);
        const Real z = from_stored(got.z[j]);
        sums[channel].add(z), sums[static_cast<std::size_t>(s.c_out) + channel].add(z * z);
    }
    check_close(got.sums, sums, static_cast<double>(s.pixels()) + 1, "sums");
    for (auto order : {simt::Order::reverse, simt::Order::shuffled}) {
        simt::set_order(order, seed);
        CHECK(run(c, accumulate, aligned).same_bits(got));
    }
    simt::set_order(simt::Order::forward);
}

TEST_CASE("gpu convolution of bf16 is that of the rounded factors, rounded") {
    constexpr ConvShape kShapes[] = {{1, 32, 32, 16, 16, 3, 1}, {2, 16, 16, 32, 32, 3, 1}, {2, 8, 8, 64, 64, 3, 1},
                                     {1, 16, 16, 32, 64, 3, 2}, {2, 16, 16, 16, 16, 1, 1}, {2, 8, 8, 64, 64, 1, 1},
                                     {1, 1, 1, 8, 8, 1, 1},     {2, 5, 7, 8, 24, 3, 1},    {3, 7, 5, 40, 8, 3, 2},
                                     {2, 9, 11, 16, 16, 1, 2},  {40, 2, 17, 24, 8, 3, 1},  {1, 3, 19, 72, 80, 3, 1}};
    unsigned seed = 60;
    for (const ConvShape& s : kShapes) {
        const unsigned i = seed++;
        Case<float> c(s, i, i % 2 != 0, i % 3 != 0, i % 2 == 0);
        c.x = Numbers(i + 77).uniform<float>(c.x.size());
        check(c, i, i % 4 < 2, true);
    }
}

TEST_CASE("gpu convolution of bf16 takes any channels and addresses, with factors as they are") {
    constexpr ConvShape kShapes[] = {{2, 9, 8, 3, 16, 3, 1},  {1, 1, 1, 1, 1, 1, 1},   {2, 5, 7, 4, 12, 3, 1},
                                     {3, 7, 5, 5, 8, 3, 2},   {35, 2, 3, 12, 3, 1, 1}, {2, 6, 9, 8, 17, 3, 1},
                                     {1, 9, 11, 20, 16, 1, 2}};
    unsigned seed = 90;
    for (const ConvShape& s : kShapes)
        for (bool aligned : {true, false}) {
            const unsigned i = seed++;
            check(Case<float>(s, i, i % 2 != 0, i % 3 != 0, i % 4 < 2), i, i % 3 == 0, aligned);
        }
    const ConvShape dense{2, 5, 7, 8, 24, 3, 1};  // whose tensors are off an address
    check(Case<float>(dense, seed, true, true, true), seed, true, false);
}

TEST_CASE("bf16 convolutions side by side are those one after the other") {
    unsigned seed = 150;
    for (const ConvShape& s : {ConvShape{3, 5, 4, 16, 16, 3, 1},
                               {2, 3, 5, 8, 40, 1, 1},
                               {3, 6, 5, 8, 8, 3, 2},
                               {2, 3, 5, 5, 36, 3, 1},
                               {1, 1, 1, 3, 2, 3, 1}})
        for (bool aligned : {true, false}) {
            CAPTURE(name(s));
            CAPTURE(aligned);
            struct Conv {
                Bits x, dy, z, da;
                Guarded<float> w, dw, scale, shift, maps[3];
                Guarded<double> mean, rstd;
            };
            const std::size_t in = static_cast<std::size_t>(s.n * s.h * s.w * s.c_in),
                              c = static_cast<std::size_t>(s.c_out), out = s.pixels() * c;
            Numbers numbers(seed++);
            std::vector<Conv> all;
            for (int i = 0; i < 35; i++) {  // more than a launch takes
                Conv& v = all.emplace_back();
                v.x = stored(numbers.uniform<float>(in), aligned), v.da = stored(numbers.uniform<float>(in), aligned);
                v.dy = stored(numbers.uniform<float>(out), aligned), v.z = Bits(out, aligned ? 0 : 1);
                v.w = at_skew(numbers.uniform<float>(static_cast<std::size_t>(s.k * s.k * s.c_in) * c), aligned);
                v.dw = at_skew(numbers.uniform<float>(v.w.size()), aligned);
                for (Guarded<float>* m : {&v.scale, &v.shift}) *m = Guarded<float>(c);
                for (Guarded<float>& m : v.maps) m = at_skew(numbers.uniform<float>(c), aligned);
                for (Guarded<double>* m : {&v.mean, &v.rstd}) *m = Guarded<double>(c);
            }
            auto fold = [](const Conv& v) {
                return NormFold<BFloat16>{elements(v.z), v.maps[0].data(), v.maps[1].data(), v.maps[2].data()};
            };
            const Prologue<BFloat16> relu{nullptr, nullptr, true};
            auto together = [&](std::vector<Conv> convs, bool rounded = false) {
                std::vector<Weights> weights;  // of every second, if all are not to be floats
                std::vector<kernels::NormedConv<BFloat16>> list;
                std::vector<kernels::NormedConvBackward<BFloat16>> back;
                for (Conv& v : convs) weights.emplace_back(v.w, aligned, rounded && weights.size() % 2 == 0);
                for (std::size_t i = 0; i < convs.size(); i++) {
                    Conv& v = convs[i];
                    const kernels::ConvWeights<BFloat16> w = weights[i];
                    list.push_back({elements(v.x), w.w, elements(v.z), v.mean.data(), v.rstd.data(), v.scale.data(),
                                    v.shift.data()});
                    list.back().rounded = w.rounded;
                    back.push_back(
                        {elements(v.x), w.w, elements(v.dy), fold(v), elements(v.da), v.dw.data(), true, 0, w.rounded});
                }
                Workspace forward(kernels::normed_convs_forward_workspace(kGpu, s, sizeof(BFloat16), list.size())),
                    backward(kernels::normed_convs_backward_workspace(kGpu, s, sizeof(BFloat16), list.size()));
                kernels::normed_convs_forward<BFloat16>(kGpu, s, 1e-5, 0.1, list, forward.get());
                kernels::normed_convs_backward<BFloat16>(kGpu, s, back, backward.get());
                CHECK((forward.intact() && backward.intact()));
                return convs;
            };
            const std::vector<Conv> got = together(all);
            if (aligned && s.c_in % 8 == 0 && s.c_out % 8 == 0) {
                const std::vector<Conv> halves = together(all, true);
                for (std::size_t i = 0; i < all.size(); i++) {
                    CHECK(halves[i].z.same_bits(got[i].z));
                    CHECK(halves[i].da.same_bits(got[i].da));
                }
            }
            for (std::size_t i = 0; i < all.size(); i++) {
                Conv& v = all[i];
                Guarded<double> sums(2 * c);
                Workspace workspace(std::max(kernels::conv_forward_workspace(kGpu, s, sizeof(BFloat16)),
                                             kernels::conv_backward_workspace(kGpu, s, sizeof(BFloat16))));
                kernels::conv_forward<BFloat16>(kGpu, s, elements(v.x), relu, v.w.data(), elements(v.z), sums.data(),
                                                workspace.get());
                kernels::norm_finish<float>(kGpu, {s.c_out, s.pixels(), 1e-5, 0.1}, sums.data(), nullptr, nullptr,
                                            nullptr, nullptr, v.mean.data(), v.rstd.data(), v.scale.data(),
                                            v.shift.data());
                kernels::conv_backward<BFloat16>(kGpu, s, elements(v.x), relu, v.w.data(), elements(v.dy), fold(v),
                                                 elements(v.da), true, v.dw.data(), true, workspace.get());
                CHECK(got[i].z.same_bits(v.z));
                CHECK(got[i].da.same_bits(v.da));
                CHECK(got[i].dw.same_bits(v.dw));
                for (const Bits* b : {&got[i].z, &got[i].da}) CHECK(b->intact());
                std::vector<Bounded> mean(c), rstd(c);
                double largest = 0;
                for (float z : floats(v.z)) largest = std::max<double>(largest, std::abs(z));
                // Sums of as many terms, in another order; the variance is off by four times as much.
                for (std::size_t k = 0; k < c; k++) {
                    mean[k] = {v.mean[k], largest};
                    rstd[k] = {v.rstd[k], std::pow(v.rstd[k], 3) * largest * largest};
                }
                check_close(got[i].mean, mean, static_cast<double>(s.pixels()), "mean");
                check_close(got[i].rstd, rstd, 4 * static_cast<double>(s.pixels()) + 4, "rstd");
            }
            in_every_order([&] {
                std::vector<Bits> outputs;
                for (const Conv& v : together(all)) outputs.push_back(v.z), outputs.push_back(v.da);
                return outputs;
            });
        }
}

/// Small integers, whose products and sums bf16 holds.
TEST_CASE("gpu convolution of bf16 is float32's to the bit where nothing is rounded") {
    unsigned seed = 120;
    for (const ConvShape& s : {ConvShape{2, 6, 5, 8, 16, 3, 1},
                               {2, 6, 5, 16, 8, 3, 2},
                               {3, 4, 4, 16, 16, 1, 1},
                               {2, 6, 5, 3, 8, 3, 1},
                               {1, 7, 4, 5, 3, 3, 1}}) {
        INFO("shape ", name(s));
        Case<float> c(s, seed, false, true, false);
        Numbers numbers(seed++);
        c.x = numbers.fractions<float>(c.x.size(), 1, 1);
        c.w = numbers.fractions<float>(c.w.size(), 1, 1);
        c.dy = numbers.fractions<float>(c.dy.size(), 1, 1);
        c.da = numbers.fractions<float>(c.da.size(), 3, 1);
        c.dw = numbers.fractions<float>(c.dw.size(), 3, 1);
        const Outputs got = run(c, true, true);
        const DenseOutputs want = run_dense(kGpu, c, true);
        CHECK(floats(got.z).same_bits(want.z));
        CHECK(floats(got.da).same_bits(want.da));
        CHECK(got.dw.same_bits(want.dw));
        CHECK(got.sums.same_bits(want.sums));
    }
}

TEST_CASE("not-a-number and infinity come through bf16 as they do through float32") {
    for (const ConvShape& s : {ConvShape{1, 8, 16, 8, 8, 3, 1}, {1, 8, 16, 3, 5, 3, 1}})  // rows of full tiles
        for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
            const std::size_t in = static_cast<std::size_t>(s.c_in), out = static_cast<std::size_t>(s.c_out);
            Case<float> c(s, 9, true, true, true);
            for (Guarded<float>* v : {&c.x, &c.dy, &c.z}) *v = rounded(*v);
            c.x[5 * in + 2] = bad;
            c.dy[100 * out + 1] = bad;
            const Outputs got = run(c, false, true);
            const DenseOutputs want = run_dense(kGpu, c, false);
            auto same = [](const Guarded<float>& a, const Guarded<float>& b) {
                return std::equal(a.begin(), a.end(), b.begin(),
                                  [](float p, float q) { return std::isfinite(p) == std::isfinite(q); });
            };
            CHECK(same(floats(got.z), want.z));
            CHECK(same(floats(got.da), want.da));
            CHECK(same(got.dw, want.dw));
        }
}

TEST_CASE("floats become the nearest bf16, ties to even") {
    CHECK(to_bf16(1.0f) == 1.0f);
    CHECK(to_bf16(1 + 0x1p-8f) == 1.0f);
    CHECK(to_bf16(1 + 3 * 0x1p-8f) == 1 + 0x1p-6f);
    CHECK(to_bf16(-1 - 0x1.02p-8f) == -1 - 0x1p-7f);
    CHECK(to_bf16(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
    CHECK(std::isnan(to_bf16(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace nascent::test
