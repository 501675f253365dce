// What training transforms draw, evaluation crops, the published pipelines.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "nas/data/colour.h"
#include "nas/data/transform.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
constexpr int draws = 20'000;
/// Five standard deviations of the mean of `draws` numbers of this deviation.
double bound(double deviation) { return 5 * deviation / std::sqrt(static_cast<double>(draws)); }
}  // namespace

TEST_CASE("pictures: torchvision's crops have its areas, ratios and places") {
    const TrainTransform t;
    const int height = 1000, width = 1000;
    double area = 0, log_ratio = 0, top = 0, left = 0;
    int tops = 0, lefts = 0;
    for (std::uint32_t i = 0; i < draws; i++) {
        const Region r = PictureDraws(3, 1, i).crop(t, height, width);
        REQUIRE(r.top >= 0);
        REQUIRE(r.left >= 0);
        REQUIRE(r.top + r.height <= height);
        REQUIRE(r.left + r.width <= width);
        const double ratio = static_cast<double>(r.width) / r.height;
        REQUIRE(ratio > 0.745);
        REQUIRE(ratio < 1.342);
        const double a = r.height * static_cast<double>(r.width) / (height * width);
        REQUIRE(a > 0.0795);
        if (a < 0.5) area += a, log_ratio += std::log(ratio), tops++;  // here every first try fits
        if (r.height < height) top += static_cast<double>(r.top) / (height - r.height), lefts++;
        if (r.width < width) left += static_cast<double>(r.left) / (width - r.width);
    }
    // Areas uniform in 0.08..0.5: mean 0.29, deviation 0.42 / sqrt(12); log ratios uniform in +-log(4/3). Rounding to
    // whole pixels moves an area by less than 0.004 and a mean of them by far less.
    const double share = std::sqrt(static_cast<double>(tops) / draws);
    CHECK(std::abs(area / tops - 0.29) < bound(0.42 / std::sqrt(12.0)) / share + 1e-4);
    CHECK(std::abs(log_ratio / tops) < bound(2 * std::log(4.0 / 3) / std::sqrt(12.0)) / share + 1e-4);
    CHECK(std::abs(top / lefts - 0.5) < 2 * bound(1 / std::sqrt(12.0)));
    CHECK(std::abs(left / lefts - 0.5) < 2 * bound(1 / std::sqrt(12.0)));
}

TEST_CASE("pictures: where no crop fits it is the centre, of the ratios allowed") {
    const TrainTransform t;
    TrainTransform large = t;
    large.least_area = large.most_area = 1;
    // Ratio 10: a whole area of at most 4/3 never fits. Height 30: width 30 * 4/3 = 40.
    for (std::uint32_t i = 0; i < 50; i++) {
        CHECK(PictureDraws(1, 0, i).crop(large, 30, 300) == Region{0, 130, 30, 40});
        CHECK(PictureDraws(1, 0, i).crop(large, 300, 30) == Region{130, 0, 40, 30});
    }
    CHECK(PictureDraws(1, 0, 1).crop(t, 1, 1) == Region{0, 0, 1, 1});
    for (std::uint32_t i = 0; i < 200; i++) {
        const Region r = PictureDraws(1, 0, i).crop(t, 1, 500);
        CHECK(r.height == 1);
        CHECK(r.width >= 1);
        CHECK(r.left + r.width <= 500);
    }
}

TEST_CASE("pictures: square crops, padded where none fits") {
    TrainTransform t;
    t.crop = CropRule::square;
    double area = 0;
    for (std::uint32_t i = 0; i < draws; i++) {
        const Region r = PictureDraws(5, 2, i).crop(t, 500, 500);
        REQUIRE(r.height == r.width);
        REQUIRE(r.top >= 0);
        REQUIRE(r.top + r.height <= 500);
        area += r.height * static_cast<double>(r.width) / 250'000;
    }
    CHECK(std::abs(area / draws - 0.54) < bound(0.92 / std::sqrt(12.0)) + 1e-4);
    t.least_area = t.most_area = 1;  // side sqrt(200 * 50) = 100 > 50
    std::set<int> tops, lefts;
    for (std::uint32_t i = 0; i < 2000; i++) {
        const Region r = PictureDraws(5, 2, i).crop(t, 50, 200);
        REQUIRE(r.height == 100);
        REQUIRE(r.width == 100);
        tops.insert(r.top), lefts.insert(r.left);
    }
    CHECK(*tops.begin() == -50);
    CHECK(*tops.rbegin() == 0);
    CHECK(*lefts.begin() == 0);
    CHECK(*lefts.rbegin() == 100);
    CHECK(tops.size() == 51);
}

TEST_CASE("pictures: flips, orders of jitter, strengths and lighting are distributed as they should be") {
    std::map<std::array<int, 4>, int> orders;
    int flips = 0;
    double sums[4] = {}, squares[4] = {}, light[3] = {}, light_squares[3] = {}, products[3] = {};
    for (std::uint32_t i = 0; i < draws; i++) {
        const PictureDraws d(9, 0, i);
        flips += d.flip(0.5);
        orders[d.jitter_order()]++;
        for (int k = 0; k < 4; k++) sums[k] += d.jitter(k), squares[k] += d.jitter(k) * d.jitter(k);
        const std::array<double, 3> n = d.lighting();
        for (std::size_t k = 0; k < 3; k++) {
            light[k] += n[k], light_squares[k] += n[k] * n[k], products[k] += n[k] * n[(k + 1) % 3];
        }
    }
    CHECK(std::abs(flips / double{draws} - 0.5) < bound(0.5));
    CHECK(orders.size() == 24);
    for (const auto& [order, count] : orders) {
        CHECK(std::abs(count / double{draws} - 1.0 / 24) < bound(std::sqrt(1.0 / 24 * 23 / 24)));
    }
    for (int k = 0; k < 4; k++) {
        CHECK(std::abs(sums[k] / draws) < bound(1 / std::sqrt(3.0)));
        CHECK(std::abs(squares[k] / draws - 1.0 / 3) < bound(std::sqrt(4.0 / 45)));
    }
    for (int k = 0; k < 3; k++) {
        CHECK(std::abs(light[k] / draws) < bound(1));
        CHECK(std::abs(light_squares[k] / draws - 1) < bound(std::sqrt(2.0)));
        CHECK(std::abs(products[k] / draws) < bound(1));
    }
    CHECK_FALSE(PictureDraws(9, 0, 1).flip(0));
    CHECK(PictureDraws(9, 0, 1).flip(1));
}

TEST_CASE("pictures: draws differ from seed to seed, access to access and picture to picture, and only there") {
    const TrainTransform t;
    const auto crop = [&](std::uint64_t seed, std::uint64_t access, std::uint32_t picture) {
        const Region r = PictureDraws(seed, access, picture).crop(t, 5000, 5000);
        return std::array{r.top, r.left, r.height, r.width};
    };
    std::set<std::array<int, 4>> all;
    for (std::uint64_t seed = 0; seed < 5; seed++) {
        for (std::uint64_t access = 0; access < 5; access++) {
            for (std::uint32_t picture = 0; picture < 5; picture++) {
                all.insert(crop(seed, access, picture));
                CHECK(crop(seed, access, picture) == crop(seed, access, picture));
            }
        }
    }
    CHECK(all.size() == 125);
}

TEST_CASE("pictures: jitter is its changes in the order drawn, each of strength 0 left out") {
    TrainTransform t;
    t.jitter = {0.4, 0.3, 0.2, 0.1};
    for (std::uint32_t i = 0; i < 30; i++) {
        const PictureDraws d(4, 0, i);
        Pixels expected = noise(9, 11, i), got = expected;
        const auto factor = [&](int change, double s) {  // uniform in 1 - s .. 1 + s
            return static_cast<float>((1 - s) + (d.jitter(change) + 1) / 2 * (1 + s - (1 - s)));
        };
        for (int change : d.jitter_order()) {
            if (change == 0) brighten(expected, factor(0, 0.4));
            if (change == 1) change_contrast(expected, factor(1, 0.3));
            if (change == 2) saturate(expected, factor(2, 0.2));
            if (change == 3) turn_hue(expected, static_cast<std::uint8_t>(static_cast<int>(d.jitter(3) * 0.1 * 255)));
        }
        vary_colours(t, d, got);
        CHECK(got == expected);
    }
    TrainTransform strong;  // factors from 0, not from below
    strong.jitter = {3, 0, 0, 0};
    for (std::uint32_t i = 0; i < 30; i++) {
        const PictureDraws d(4, 0, i);
        Pixels expected = noise(9, 11, i), got = expected;
        brighten(expected, static_cast<float>((d.jitter(0) + 1) / 2 * 4));
        vary_colours(strong, d, got);
        CHECK(got == expected);
    }
    TrainTransform off;
    Pixels p = noise(9, 11, 1);
    vary_colours(off, PictureDraws(4, 0, 1), p);
    CHECK(p == noise(9, 11, 1));
    off.lighting = 0.1;
    vary_colours(off, PictureDraws(4, 0, 1), p);
    Pixels lit = noise(9, 11, 1);
    std::array<double, 3> alpha = PictureDraws(4, 0, 1).lighting();
    for (double& a : alpha) a *= 0.1;
    shift_channels(lit, lighting_offset(alpha));
    CHECK(p == lit);
    CHECK(p != noise(9, 11, 1));
    off.lighting_reversed = true;
    Pixels reversed = noise(9, 11, 1), expected = reversed;
    vary_colours(off, PictureDraws(4, 0, 1), reversed);
    const std::array<double, 3> o = lighting_offset(alpha);
    shift_channels(expected, {o[2], o[1], o[0]});
    CHECK(reversed == expected);
}

TEST_CASE("pictures: evaluation crops round as the originals do") {
    const EvaluationTransform cut{256, 224, Resampling::pillow, false}, nearest{256, 224, Resampling::opencv, true};
    // 500 / 333 * 256 = 384.38; 375 -> 256: 341.33; 335 x 499: 381.32; 338 x 500: 378.698.
    EvaluationCrop c = evaluation_crop(cut, 338, 500);
    CHECK(c.height == 256);
    CHECK(c.width == 378);
    CHECK(c.window == Region{16, 77, 224, 224});
    c = evaluation_crop(nearest, 338, 500);
    CHECK(c.width == 379);
    CHECK(c.window.left == 78);  // 77.5 to even
    c = evaluation_crop(cut, 500, 338);
    CHECK(c.height == 378);
    CHECK(c.width == 256);
    CHECK(c.window == Region{77, 16, 224, 224});
    CHECK(contains(error_of(ErrorKind::data, [&] { evaluation_crop(cut, 1, 4'000'000); }),
                   "4000000x1 cannot be resized"));
    CHECK(evaluation_crop(cut, 1, 3'000'000).width == 768'000'000);
    c = evaluation_crop(cut, 10, 10);
    CHECK(c.height == 256);
    CHECK(c.width == 256);
}

TEST_CASE("pictures: the published pipelines and what a pipeline may be") {
    for (const char* name :
         {"spos", "mmrazor-shufflenet", "mmrazor-mobilenet", "anglenas", "rlnas", "imagenet", "darts-imagenet"}) {
        check_pipeline(picture_pipeline(name));
    }
    CHECK(contains(error_of(ErrorKind::usage, [] { picture_pipeline("sops"); }), "did you mean 'spos'"));
    const PicturePipeline spos = picture_pipeline("spos");
    const auto bytes = pixel_table<float>(spos.format);
    CHECK(bytes[200] == std::array<float, 3>{200, 200, 200});
    CHECK(pixel_table<double>(picture_pipeline("rlnas").format)[51][1] == 0.2);
    PixelFormat format;
    CHECK(pixel_table<double>(format)[0][0] == -0.485 / 0.229);
    format.bgr = true;
    CHECK(pixel_table<double>(format)[0][0] == -0.406 / 0.225);
    const auto refused = [](auto change) {
        PicturePipeline p;
        change(p);
        return error_of(ErrorKind::usage, [&] { check_pipeline(p); });
    };
    CHECK(contains(refused([](auto& p) { p.train.size = 0; }), "pictures of 0x0"));
    CHECK(contains(refused([](auto& p) { p.evaluation.crop = 257; }), "crops 257 of a shorter side of 256"));
    CHECK(contains(refused([](auto& p) { p.train.least_area = 0; }), "of the area"));
    CHECK(contains(refused([](auto& p) { p.train.most_ratio = 0.5; }), "ratios"));
    CHECK(contains(refused([](auto& p) { p.train.jitter.hue = 0.6; }), "hue 0.6, expected 0..0.5"));
    CHECK(contains(refused([](auto& p) { p.train.jitter.contrast = -1; }), "contrast -1"));
    CHECK(contains(refused([](auto& p) { p.train.flip = 1.5; }), "flip 1.5"));
    CHECK(contains(refused([](auto& p) { p.train.lighting = std::nan(""); }), "lighting"));
}
