// Convolutions on tensor cores, on the emulator in three orders of the threads.
#include <algorithm>

#include "tests/gpu/dense_case.h"

namespace nascent::test {
namespace {

constexpr ConvShape kShapes[] = {
    // First-class channels: several tiles to a picture, pictures to a tile, both halves of a block's channels.
    {1, 32, 32, 16, 16, 3, 1},
    {2, 16, 16, 32, 32, 3, 1},
    {3, 8, 8, 64, 64, 3, 1},
    {1, 16, 16, 16, 32, 3, 2},
    {1, 16, 16, 32, 64, 3, 2},
    {1, 32, 32, 16, 16, 1, 1},
    {3, 8, 8, 64, 64, 1, 1},
    {5, 8, 8, 128, 32, 1, 1},
    // Any fours of channels, odd sizes, one pixel, more than a block's channels, strided points.
    {1, 1, 1, 4, 4, 1, 1},
    {2, 5, 7, 4, 12, 3, 1},
    {3, 7, 5, 20, 8, 3, 2},
    {9, 3, 3, 8, 24, 3, 1},
    {2, 6, 9, 24, 36, 1, 1},
    {1, 2, 2, 132, 36, 3, 2},
    {2, 33, 35, 16, 16, 1, 2},
    {70, 2, 17, 12, 36, 3, 1},
    {30, 1, 17, 64, 64, 1, 1},
    {1, 2, 21, 72, 80, 3, 1},
};

/// Roundings of the three results on tensor cores that add 8 products at a time and round once.
struct Steps {
    double z, da, dw;
    explicit Steps(const ConvShape& s)
        : z(s.k * s.k * ((s.c_in + 7) / 8)),
          da(s.k * s.k * ((s.c_out + 7) / 8) + 1),  // and what was there
          // At most a row of a tile for every row of pixels and 8 columns, cut in two; groups, chunks, what was there.
          dw(2.0 * s.n * s.out_h() * ((s.out_w() + 7) / 8) + 8 + 2) {}
};

void check(const ConvShape& s, unsigned seed, bool affine, bool relu, bool fold, bool accumulate) {
    INFO("shape ", name(s), "affine ", affine, " relu ", relu, " fold ", fold, " accumulate ", accumulate);
    Case<float> c(s, seed, affine, relu, fold);
    Numbers numbers(seed + 77);  // of all bits: to be rounded
    c.x = numbers.uniform<float>(c.x.size());
    const DenseFactors exact(c, [](float v) { return v; }), rounded(c, to_tf32);
    const DenseWant want = dense_reference(c, rounded, accumulate), strict_want = dense_reference(c, exact, accumulate);

    const DenseOutputs got = run_dense(kTf32, c, accumulate);
    const Steps steps(s);
    check_close(got.z, want.z, steps.z, "z");
    check_close(got.da, want.da, steps.da, "da");
    check_close(got.dw, want.dw, steps.dw, "dw");
    std::vector<Bounded> want_sums(got.sums.size());  // of the z that was stored
    for (std::size_t i = 0; i < got.z.size(); i++) {
        const std::size_t channel = i % static_cast<std::size_t>(s.c_out);
        want_sums[channel].add(got.z[i]);
        want_sums[static_cast<std::size_t>(s.c_out) + channel].add(static_cast<Real>(got.z[i]) * got.z[i]);
    }
    check_close(got.sums, want_sums, static_cast<double>(s.pixels()) + 1, "sums");

    // Each factor is off by a part of 2^-11, so that a product is by (1 + 2^-11)^2 - 1; then roundings as above, and
    // the strict kernel's, of which there is one for each product.
    const DenseOutputs strict = run_dense(kGpu, c, accumulate);
    const double product = (2 * kTf32Roundoff + kTf32Roundoff * kTf32Roundoff) / std::numeric_limits<float>::epsilon();
    auto near = [&](const Guarded<float>& a, const Guarded<float>& b, const std::vector<Bounded>& magnitude,
                    double roundings, const char* what) {
        std::vector<Bounded> center(a.size());
        for (std::size_t i = 0; i < a.size(); i++) center[i] = {static_cast<Real>(b[i]), magnitude[i].magnitude};
        // The magnitude of rounded products is larger than that of the exact ones by as much.
        check_close(a, center, (product + roundings) * (1 + 4 * kTf32Roundoff), what);
    };
    near(got.z, strict.z, strict_want.z, steps.z + s.k * s.k * s.c_in, "z, strictly");
    near(got.da, strict.da, strict_want.da, steps.da + s.k * s.k * s.c_out + 3, "da, strictly");
    near(got.dw, strict.dw, strict_want.dw, steps.dw + 2 * static_cast<double>(s.pixels()) + 12 + 4, "dw, strictly");
    CHECK_FALSE(got.z.same_bits(strict.z));
    CHECK_FALSE(got.da.same_bits(strict.da));
    CHECK_FALSE(got.dw.same_bits(strict.dw));

    for (auto order : {simt::Order::reverse, simt::Order::shuffled}) {
        simt::set_order(order, seed);
        CHECK(run_dense(kTf32, c, accumulate).same_bits(got));
    }
    simt::set_order(simt::Order::forward);
}

TEST_CASE("gpu convolution in tf32 is that of the rounded factors, and near the strict one") {
    unsigned seed = 1;
    for (const ConvShape& s : kShapes) {
        const unsigned i = seed++;
        check(s, i, i % 2 != 0, i % 3 != 0, i % 2 == 0, i % 4 < 2);
        if (s.n * s.h * s.w <= 40) check(s, i + 100, i % 2 == 0, i % 3 == 0, i % 2 != 0, i % 4 >= 2);
    }
}

TEST_CASE("what tf32 does not take is strict: other channels, other addresses, double") {
    for (const ConvShape& s : {ConvShape{2, 6, 5, 6, 8, 3, 1}, {2, 6, 5, 8, 6, 3, 1}, {1, 9, 9, 3, 16, 3, 1}}) {
        const Case<float> c(s, 5, true, true, true);
        CHECK(run_dense(kTf32, c, true).same_bits(run_dense(kGpu, c, true)));
    }
    const ConvShape s{2, 6, 5, 8, 12, 3, 1};
    const Case<float> c(s, 6, true, true, true);
    CHECK(run_dense(kTf32, c, true, false).same_bits(run_dense(kGpu, c, true, false)));
    CHECK_FALSE(run_dense(kTf32, c, true).dw.same_bits(run_dense(kGpu, c, true).dw));
    CHECK(kernels::conv_forward_workspace(kTf32, s, sizeof(double)) ==
          kernels::conv_forward_workspace(kGpu, s, sizeof(double)));
}

TEST_CASE("not-a-number and infinity come through tf32 as they do through float32") {
    const ConvShape s{1, 8, 16, 8, 8, 3, 1};  // rows are multiples of 8
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        Case<float> c(s, 9, true, true, true);
        c.x[5 * 8 + 2] = bad;
        c.dy[100 * 8 + 1] = bad;
        const DenseOutputs got = run_dense(kTf32, c, false), strict = run_dense(kGpu, c, false);
        auto same = [](const Guarded<float>& a, const Guarded<float>& b) {
            return std::equal(a.begin(), a.end(), b.begin(),
                              [](float p, float q) { return std::isfinite(p) == std::isfinite(q); });
        };
        CHECK(same(got.z, strict.z));
        CHECK(same(got.da, strict.da));
        CHECK(same(got.dw, strict.dw));
    }
}

}  // namespace
}  // namespace nascent::test
