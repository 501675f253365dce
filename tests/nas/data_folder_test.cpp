// JPEG and PNG decoding, resizing, and the folder-per-class reader, on pictures the test writes.
#include <algorithm>
#include <cstdlib>

#include "nas/data/dataset.h"
#include "nas/data/picture.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
Picture decoded(const std::string& bytes) {
    return decode_picture({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, "x.jpg");
}

std::string refusal(const std::string& bytes) {
    return error_of(ErrorKind::data, [&] { decoded(bytes); });
}

int largest_difference(const Pixels& a, const Pixels& b) {
    REQUIRE(a.size() == b.size());
    int largest = 0;
    for (std::size_t i = 0; i < a.size(); i++) largest = std::max(largest, std::abs(a[i] - b[i]));
    return largest;
}
}  // namespace

TEST_CASE("data: JPEG in RGB, grey, CMYK and YCCK, baseline and progressive") {
    // At quality 100 a coefficient is rounded to a multiple of 1. The DCT is orthonormal, so the squared errors of a
    // block's 64 samples sum to at most 64 / 4, and one sample is at most 4 off, 5 with its own roundings. RGB adds
    // 1.772 times the error of chroma: 5 + 8.9; and the ramp's slope of 1 where chroma is subsampled: below 15.
    for (bool progressive : {false, true}) {
        const Picture p = decoded(jpeg(24, 16, JCS_RGB, 3, ramp(24, 16), JCS_UNKNOWN, progressive));
        CHECK(p.width == 24);
        CHECK(p.height == 16);
        CHECK(largest_difference(p.pixels, ramp(24, 16)) < 15);
    }
    const Picture grey = decoded(jpeg(8, 8, JCS_GRAYSCALE, 1, Pixels(64, 77)));
    CHECK(grey.pixels == Pixels(192, 77));

    // Inks 51, 102, 153 and black 64, stored inverted: R = 204 * 191 / 255 ... In a flat block only the mean is
    // rounded, by 1/16: a sample is at most 1 off, the product of two of them at most 2, and after YCC to RGB (1
    // + 1.772) at most 4.
    Pixels inks, rgb;
    for (int i = 0; i < 64; i++) {
        for (int v : {204, 153, 102, 191}) inks.push_back(static_cast<std::uint8_t>(v));
        for (int v : {153, 115, 76}) rgb.push_back(static_cast<std::uint8_t>(v));
    }
    CHECK(largest_difference(decoded(jpeg(8, 8, JCS_CMYK, 4, inks, JCS_CMYK)).pixels, rgb) <= 2);
    CHECK(largest_difference(decoded(jpeg(8, 8, JCS_CMYK, 4, inks, JCS_YCCK)).pixels, rgb) <= 4);
}

TEST_CASE("data: PNG of every kind becomes 8-bit RGB") {
    const Pixels colours = ramp(9, 5);
    for (bool interlaced : {false, true}) {
        CHECK(decoded(png(9, 5, 8, PNG_COLOR_TYPE_RGB, colours, interlaced)).pixels == colours);
    }
    Pixels with_alpha, sixteen;
    for (std::size_t i = 0; i < colours.size(); i++) {
        with_alpha.push_back(colours[i]);
        if (i % 3 == 2) with_alpha.push_back(static_cast<std::uint8_t>(i));  // dropped, not blended
        sixteen.insert(sixteen.end(), {colours[i], colours[i]});             // v * 257 is v in 8 bits
    }
    CHECK(decoded(png(9, 5, 8, PNG_COLOR_TYPE_RGBA, with_alpha)).pixels == colours);
    CHECK(decoded(png(9, 5, 16, PNG_COLOR_TYPE_RGB, sixteen)).pixels == colours);
    CHECK(decoded(png(2, 1, 8, PNG_COLOR_TYPE_GRAY, {5, 250})).pixels == Pixels{5, 5, 5, 250, 250, 250});
    CHECK(decoded(png(2, 1, 8, PNG_COLOR_TYPE_GA, {5, 0, 250, 9})).pixels == Pixels{5, 5, 5, 250, 250, 250});
    CHECK(decoded(png(3, 1, 1, PNG_COLOR_TYPE_GRAY, {0xA0})).pixels == Pixels{255, 255, 255, 0, 0, 0, 255, 255, 255});
    CHECK(decoded(png(3, 1, 4, PNG_COLOR_TYPE_PALETTE, {0x01, 0xF0})).pixels ==
          Pixels{0, 10, 20, 1, 11, 21, 15, 25, 35});
}

TEST_CASE("data: a picture cut at any byte is corrupt") {
    const std::string whole_jpeg = jpeg(24, 16, JCS_RGB, 3, ramp(24, 16));
    const std::string progressive = jpeg(24, 16, JCS_RGB, 3, ramp(24, 16), JCS_UNKNOWN, true);
    const std::string whole_png = png(9, 5, 8, PNG_COLOR_TYPE_RGB, ramp(9, 5));
    for (const std::string* whole : {&whole_jpeg, &progressive, &whole_png}) {
        for (std::size_t size = 0; size < whole->size(); size++) {
            CHECK_MESSAGE(contains(refusal(whole->substr(0, size)), "x.jpg: "),
                          "cut at " << size << " of " << whole->size());
        }
    }
    CHECK(contains(refusal("GIF89a"), "neither JPEG nor PNG"));
    std::string damaged = whole_png;
    damaged[damaged.size() / 2] ^= 1;
    CHECK(contains(refusal(damaged), "corrupt picture"));
}

TEST_CASE("data: a picture that declares more than 64 Mpixel is refused before it is unpacked") {
    std::string big = flat_jpeg(8, 8, {1, 2, 3});
    const std::size_t frame = big.find("\xFF\xC0");
    REQUIRE(frame != std::string::npos);
    for (std::size_t i : {5, 6, 7, 8}) big[frame + i] = '\x7f';  // height and width 32639
    CHECK(contains(refusal(big), "more pixels than allowed"));
    CHECK(decoded(png(4096, 1, 1, PNG_COLOR_TYPE_GRAY, Pixels(512))).width == 4096);
    CHECK(contains(refusal(png(16385, 4097, 1, PNG_COLOR_TYPE_GRAY, Pixels(4097 * 2049))), "more pixels than allowed"));
}

TEST_CASE("data: resizing averages with a triangle filter") {
    // 4 -> 2: scale 2, support 2. Output 0 is centred at 1 and sees inputs 0, 1, 2 at distances 1/2, 1/2, 3/2: weights
    // 3/4, 3/4, 1/4 over 7/4, i.e. 3/7, 3/7, 1/7.
    Picture p{4, 4, Pixels(48)};
    for (std::size_t y = 0; y < 4; y++) p.pixels[(y * 4 + 2) * 3] = 70;      // red: column 2
    for (std::size_t x = 0; x < 4; x++) p.pixels[(1 * 4 + x) * 3 + 1] = 70;  // green: row 1
    for (std::size_t i = 0; i < 16; i++) p.pixels[i * 3 + 2] = 200;          // blue: flat
    CHECK(square_resized(p, 2).pixels == Pixels{10, 30, 200, 30, 30, 200, 10, 10, 200, 30, 10, 200});
    // Enlarging 2 -> 4 is plain bilinear: 1/4 and 3/4 between the two.
    Picture two{2, 2, {0, 0, 0, 100, 0, 0, 0, 0, 0, 100, 0, 0}};
    const Picture four = square_resized(two, 4);
    for (std::size_t y = 0; y < 4; y++) {
        for (std::size_t x = 0; x < 4; x++) CHECK(four.pixels[(y * 4 + x) * 3] == std::vector<int>{0, 25, 75, 100}[x]);
    }
    // The centre square of 5 x 3, untouched when its side is the one asked for.
    Picture wide{3, 5, ramp(5, 3)};
    const Picture square = square_resized(wide, 3);
    for (std::size_t y = 0; y < 3; y++) {
        CHECK(std::equal(&square.pixels[y * 9], &square.pixels[y * 9] + 9, &wide.pixels[(y * 5 + 1) * 3]));
    }
}

TEST_CASE("data: a folder of classes, sorted, told by content") {
    TemporaryFolder folder;
    const auto flat_png = [](std::uint8_t v) { return png(8, 8, 8, PNG_COLOR_TYPE_RGB, Pixels(192, v)); };
    write_file(folder / "train/b/2.png", flat_png(3));
    write_file(folder / "train/b/10.JPEG", flat_png(2));  // a PNG by content; "10" sorts before "2"
    write_file(folder / "train/a/z.txt", flat_jpeg(8, 8, {1, 1, 1}));
    write_file(folder / "train/a/.hidden", "not a picture");
    write_file(folder / "train/readme", "not a class");
    write_file(folder / "val/a/1.png", flat_png(4));
    write_file(folder / "val/b/1.png", flat_png(5));
    for (int threads : {1, 3}) {
        DatasetOptions options;
        options.threads = threads;
        const Dataset set = load_dataset("folder:" + folder.path(), options);
        CHECK(set.classes == 2);
        CHECK(set.class_names == std::vector<std::string>{"a", "b"});
        CHECK(set.train.labels == std::vector<int>{0, 1, 1});
        REQUIRE(set.train.pixels.size() == 3 * 192);
        for (std::size_t i = 0; i < 3; i++) CHECK(set.train.picture(i)[0] == i + 1);
        CHECK(set.test.labels == std::vector<int>{0, 1});
        CHECK(set.test.picture(1)[191] == 5);
    }
    DatasetOptions options;
    options.size = 4;
    const Dataset small = load_dataset("folder:" + folder.path(), options);
    CHECK(small.train.width == 4);
    CHECK(small.test.pixels.size() == 2 * 48);
    write_file(folder / "test/a/1.png", flat_png(6));
    write_file(folder / "test/b/1.png", flat_png(7));
    CHECK(load_dataset("folder:" + folder.path()).test.picture(0)[0] == 6);  // test goes before val
}

TEST_CASE("data: corrupt files, other sizes and missing folders are named") {
    TemporaryFolder folder;
    const auto load_error = [&](DatasetOptions options = {}) {
        return error_of(ErrorKind::data, [&] { load_dataset("folder:" + folder / "set", options); });
    };
    CHECK(contains(load_error(), "not a folder"));
    const auto picture = [](int i) { return flat_jpeg(8, 8, Pixels(3, static_cast<std::uint8_t>(i))); };
    for (int i = 0; i < 300; i++) {
        const std::string name = std::string(i < 10 ? "00" : i < 100 ? "0" : "") + std::to_string(i) + ".jpg";
        write_file(folder / ("set/train/" + std::string(i % 2 ? "odd/" : "even/") + name), picture(i % 200));
    }
    CHECK(contains(load_error(), "has neither test/ nor val/"));
    write_file(folder / "set/val/even/0.jpg", picture(0));
    CHECK(contains(load_error(), "val: no class folder 'odd'"));
    write_file(folder / "set/val/odd/0.jpg", picture(1));
    write_file(folder / "set/val/third/0.jpg", picture(1));
    CHECK(contains(load_error(), "train: no class folder 'third'"));
    std::filesystem::remove_all(folder / "set/val/third");
    CHECK(load_error() == "");

    // Of two corrupt files the first in order is the one named, whichever thread is faster.
    write_file(folder / "set/train/even/298.jpg", "rubbish");
    write_file(folder / "set/train/even/004.jpg", picture(4).substr(0, 200));
    DatasetOptions options;
    for (int threads : {1, 2, 4}) {
        options.threads = threads;
        CHECK(contains(load_error(options), "even/004.jpg: corrupt picture"));
    }
    options.skip_corrupt = true;
    const Dataset set = load_dataset("folder:" + folder / "set", options);
    CHECK(set.skipped == 2);
    REQUIRE(set.train.count() == 298);
    CHECK(set.train.pixels.size() == 298 * 192);
    std::vector<int> expected;
    for (int label : {0, 1}) {
        for (int i = label; i < 300; i += 2) {
            if (i != 4 && i != 298) expected.push_back(i % 200);
        }
    }
    for (std::size_t i = 0; i < expected.size(); i++) {
        CHECK(std::abs(set.train.picture(i)[0] - expected[i]) <= 1);
        CHECK(set.train.labels[i] == (i < 148 ? 0 : 1));
    }

    write_file(folder / "set/train/even/004.jpg", flat_jpeg(9, 8, {1, 1, 1}));
    const std::string message = load_error(options);
    CHECK(contains(message, "even/004.jpg: 9x8 pixels, expected 8x8 like"));
    CHECK(contains(message, "--size"));
    options.size = 8;
    CHECK(load_dataset("folder:" + folder / "set", options).skipped == 1);
    std::filesystem::create_directories(folder / "set/val/odd2");
    std::filesystem::create_directories(folder / "set/train/odd2");
    CHECK(contains(load_error(options), "odd2: class folder without files"));
}
