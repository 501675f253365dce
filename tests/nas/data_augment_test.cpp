// Normalisation constants and the mirror-then-crop augmentation.
#include <map>

#include "nas/data/augment.h"
#include "nas/data/normalise.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
using Pixels = std::vector<std::uint8_t>;

Pixels numbered(int height, int width) {
    Pixels out;
    for (int i = 0; i < height * width; i++) {
        for (int c = 0; c < 3; c++) out.push_back(static_cast<std::uint8_t>(1 + i % 80 + 80 * c));
    }
    return out;
}

/// What torchvision does: mirror, pad with zeros on all sides, cut out.
Pixels mirrored_padded_cropped(const Pixels& from, int height, int width, const Augmentation& a) {
    const int py = crop_padding(height), px = crop_padding(width);
    const int ph = height + 2 * py, pw = width + 2 * px;
    Pixels padded(static_cast<std::size_t>(ph * pw * 3)), out;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < 3; c++) {
                padded[static_cast<std::size_t>(((y + py) * pw + x + px) * 3 + c)] =
                    from[static_cast<std::size_t>((y * width + (a.flip ? width - 1 - x : x)) * 3 + c)];
            }
        }
    }
    for (int y = 0; y < height; y++) {
        const auto row = padded.begin() + ((y + a.top) * pw + a.left) * 3;
        out.insert(out.end(), row, row + width * 3);
    }
    return out;
}

Dataset named(const std::string& name, std::vector<std::string> classes = {}) {
    Dataset set;
    set.name = name;
    set.class_names = std::move(classes);
    return set;
}
}  // namespace

TEST_CASE("data: a small picture mirrored and cropped, by hand") {
    // 8 x 8 is padded by 1. Row 0 has red 10 .. 17; all else is 0 but the last row, which has green 20 .. 27.
    Pixels from(192), to(192, 99);
    for (std::size_t x = 0; x < 8; x++) {
        from[x * 3] = static_cast<std::uint8_t>(10 + x);
        from[(56 + x) * 3 + 1] = static_cast<std::uint8_t>(20 + x);
    }
    const auto line = [&](std::size_t y, std::size_t c) {
        std::vector<int> out;
        for (std::size_t x = 0; x < 8; x++) out.push_back(to[(y * 8 + x) * 3 + c]);
        return out;
    };
    augment(from.data(), 8, 8, {false, 1, 1}, to.data());
    CHECK(to == from);
    augment(from.data(), 8, 8, {true, 0, 2}, to.data());  // mirrored, moved down by 1 and left by 1
    CHECK(line(0, 0) == std::vector<int>(8));             // the padding
    CHECK(line(1, 0) == std::vector<int>{16, 15, 14, 13, 12, 11, 10, 0});
    CHECK(line(7, 1) == std::vector<int>(8));              // the last row has left the picture
    augment(from.data(), 8, 8, {false, 2, 0}, to.data());  // moved up by 1 and right by 1
    CHECK(line(0, 0) == std::vector<int>(8));
    CHECK(line(6, 1) == std::vector<int>{0, 20, 21, 22, 23, 24, 25, 26});
    CHECK(line(7, 1) == std::vector<int>(8));
}

TEST_CASE("data: every mirror and crop equals mirroring, padding and cutting") {
    for (const auto& [height, width] : {std::pair(8, 16), std::pair(16, 8), std::pair(32, 32), std::pair(7, 9)}) {
        const Pixels from = numbered(height, width);
        Pixels to(from.size());
        for (bool flip : {false, true}) {
            for (int top = 0; top <= 2 * crop_padding(height); top++) {
                for (int left = 0; left <= 2 * crop_padding(width); left++) {
                    augment(from.data(), height, width, {flip, top, left}, to.data());
                    REQUIRE(to == mirrored_padded_cropped(from, height, width, {flip, top, left}));
                }
            }
        }
    }
}

TEST_CASE("data: mirror and crop are drawn uniformly and independently") {
    CHECK(crop_padding(32) == 4);
    CHECK(crop_padding(16) == 2);
    // 162 outcomes, 400 draws each: a count has standard deviation 20; 5 of them either way.
    std::map<std::tuple<bool, int, int>, int> counts;
    for (std::uint32_t i = 0; i < 162 * 400; i++) {
        const Augmentation a = draw_augmentation(3, i / 64, i % 64, 32, 32);
        counts[{a.flip, a.top, a.left}]++;
    }
    CHECK(counts.size() == 162);
    for (const auto& [outcome, count] : counts) {
        CHECK(std::get<1>(outcome) <= 8);
        CHECK(std::get<2>(outcome) <= 8);
        CHECK(std::abs(count - 400) <= 100);
    }
}

TEST_CASE("data: normalisation by name and by data set") {
    const auto table = normalisation_table<double>(normalisation("cifar10", named("folder")));
    CHECK(table[255][0] == doctest::Approx((255 - 125.3) / 63.0).epsilon(1e-14));
    CHECK(table[17][1] == doctest::Approx((17 - 123.0) / 62.1).epsilon(1e-14));
    CHECK(table[0][2] == doctest::Approx(-113.9 / 66.7).epsilon(1e-14));  // the padding is black, not 0
    const auto single = normalisation_table<float>(normalisation("cifar10", named("folder")));
    for (std::size_t v = 0; v < 256; v++) {
        for (std::size_t c = 0; c < 3; c++) CHECK(single[v][c] == static_cast<float>(table[v][c]));
    }
    CHECK(normalisation_table<double>(normalisation("cifar100", named("")))[255][2] ==
          doctest::Approx((255 - 112.4) / 70.4));
    CHECK(normalisation_table<double>(normalisation("imagenet16", named("")))[1][0] ==
          doctest::Approx((1 - 122.68) / 63.22));
    CHECK(normalisation_table<double>(normalisation("imagenet", named("")))[0][1] == doctest::Approx(-0.456 / 0.224));
    CHECK(normalisation_table<double>(normalisation("half", named("")))[255][1] == 1.0);

    const auto chosen = [](const Dataset& set) { return normalisation("auto", set).name; };
    CHECK(chosen(named("cifar10")) == "cifar10");
    CHECK(chosen(named("cifar100")) == "cifar100");
    CHECK(chosen(named("imagenet16")) == "imagenet16");
    CHECK(chosen(named("synthetic")) == "half");
    CHECK(chosen(named("folder", {"cat", "dog"})) == "imagenet");
    CHECK(chosen(named("folder", {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                                  "truck"})) == "cifar10");
    CHECK(contains(error_of(ErrorKind::usage, [] { normalisation("cifar1", named("folder")); }),
                   "did you mean 'cifar10'"));
}
