// Decoding a part of a picture: the same bits as of the whole.
#include <algorithm>
#include <span>

#include "engine/base/rng.h"
#include "nas/data/orientation.h"
#include "nas/data/picture.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
std::span<const std::uint8_t> bytes_of(const std::string& file) {
    return {reinterpret_cast<const std::uint8_t*>(file.data()), file.size()};
}

DecodedRegion part_of(const std::string& file, const Region& region, const DecodeOptions& options = {}) {
    DecodedRegion out;
    decode_region(
        bytes_of(file), "x", options, [&](int, int) { return region; }, out);
    return out;
}

Picture whole_of(const std::string& file, const DecodeOptions& options = {}) {
    DecodedRegion out;
    decode_region(
        bytes_of(file), "x", options,
        [](int h, int w) {
            return Region{0, 0, h, w};
        },
        out);
    return out.picture;
}

bool same_part(const Picture& whole, const Region& r, const Picture& part) {
    if (part.height != r.height || part.width != r.width) return false;
    for (int y = 0; y < r.height; y++) {
        const auto* row = &whole.pixels[static_cast<std::size_t>(((r.top + y) * whole.width + r.left) * 3)];
        if (!std::equal(row, row + 3 * r.width, &part.pixels[static_cast<std::size_t>(y * r.width * 3)])) return false;
    }
    return true;
}

/// Region number k of a height x width picture.
Region some_region(std::uint32_t k, int height, int width) {
    const Random a(1, RandomStream::test, k, 0), b(1, RandomStream::test, k, 1);
    Region r;
    r.height = 1 + static_cast<int>(a.below(0, static_cast<std::uint32_t>(height)));
    r.width = 1 + static_cast<int>(a.below(1, static_cast<std::uint32_t>(width)));
    r.top = static_cast<int>(b.below(0, static_cast<std::uint32_t>(height - r.height + 1)));
    r.left = static_cast<int>(b.below(1, static_cast<std::uint32_t>(width - r.width + 1)));
    return r;
}
}  // namespace

TEST_CASE("pictures: a region of a JPEG has the bits of the whole, whatever its sampling") {
    const int width = 83, height = 67;
    std::uint32_t k = 0;
    for (bool progressive : {false, true}) {
        for (const auto& sampling :
             {std::pair(1, 1), std::pair(2, 1), std::pair(1, 2), std::pair(2, 2), std::pair(4, 1), std::pair(4, 2)}) {
            const int columns = sampling.first, rows = sampling.second;
            const JpegShape shape{columns, rows, 80, ""};
            const std::string file =
                jpeg(width, height, JCS_RGB, 3, noise(height, width, 3), JCS_UNKNOWN, progressive, shape);
            const Picture whole = whole_of(file);
            REQUIRE(whole.pixels == decode_picture(bytes_of(file), "x").pixels);
            for (int i = 0; i < 40; i++) {
                const Region r = some_region(k++, height, width);
                CAPTURE(columns);
                CAPTURE(rows);
                CAPTURE(progressive);
                CAPTURE(r.top);
                CAPTURE(r.left);
                CAPTURE(r.height);
                CAPTURE(r.width);
                CHECK(same_part(whole, r, part_of(file, r).picture));
            }
        }
    }
}

TEST_CASE("pictures: a region of grey and of ink JPEGs and of PNGs") {
    const int width = 45, height = 39;
    Pixels grey = noise(height, width, 5), inks = noise(height, width, 6);
    grey.resize(static_cast<std::size_t>(width * height));
    const Pixels more = noise(height, width, 7);
    inks.insert(inks.end(), more.begin(), more.begin() + width * height);
    for (const std::string& file :
         {jpeg(width, height, JCS_GRAYSCALE, 1, grey), jpeg(width, height, JCS_CMYK, 4, inks, JCS_CMYK),
          jpeg(width, height, JCS_CMYK, 4, inks, JCS_YCCK),
          png(width, height, 8, PNG_COLOR_TYPE_RGB, noise(height, width, 8)),
          png(width, height, 8, PNG_COLOR_TYPE_RGB, noise(height, width, 8), true)}) {
        const Picture whole = decode_picture(bytes_of(file), "x");
        for (std::uint32_t k = 0; k < 30; k++) {
            const Region r = some_region(k, height, width);
            CHECK(same_part(whole, r, part_of(file, r).picture));
        }
    }
}

TEST_CASE("pictures: regions outside, and choosers that throw") {
    const std::string file = jpeg(20, 10, JCS_RGB, 3, ramp(20, 10));
    const std::string lossless = png(20, 10, 8, PNG_COLOR_TYPE_RGB, ramp(20, 10));
    for (const std::string& f : {file, lossless}) {
        for (const Region& r : {Region{0, 0, 11, 20}, Region{-1, 0, 5, 5}, Region{0, 16, 5, 5}, Region{0, 0, 0, 5}}) {
            CHECK(contains(error_of(ErrorKind::usage, [&] { part_of(f, r); }), "not inside a picture of 20x10"));
        }
        DecodedRegion out;
        const auto refuse = [](int h, int w) -> Region { fail(ErrorKind::runtime, "asked of {}x{}", w, h); };
        CHECK(contains(error_of(ErrorKind::runtime, [&] { decode_region(bytes_of(f), "x", {}, refuse, out); }),
                       "asked of 20x10"));
    }
}

TEST_CASE("pictures: of a region rows below are not read, rows above and beside are") {
    const std::string file = jpeg(64, 64, JCS_RGB, 3, noise(64, 64, 1));
    const Picture whole = whole_of(file);
    const std::string cut = file.substr(0, file.size() / 2);
    const Region top{0, 0, 8, 64}, bottom{56, 0, 8, 64};
    CHECK(same_part(whole, top, part_of(cut, top).picture));
    CHECK(contains(error_of(ErrorKind::data, [&] { part_of(cut, bottom); }), "x: corrupt picture"));
    CHECK(contains(error_of(ErrorKind::data, [&] { part_of(cut, {0, 0, 64, 64}); }), "x: corrupt picture"));
}

TEST_CASE("pictures: EXIF orientation, applied only on request") {
    const int width = 24, height = 16;
    const Pixels pixels = ramp(width, height);
    const Picture stored = whole_of(jpeg(width, height, JCS_RGB, 3, pixels));
    for (int orientation = 1; orientation <= 8; orientation++) {
        for (bool little : {false, true}) {
            const JpegShape shape{0, 0, 100, exif_segment(orientation, little)};
            const std::string file = jpeg(width, height, JCS_RGB, 3, pixels, JCS_UNKNOWN, false, shape);
            CHECK(exif_orientation(bytes_of(file)) == orientation);
            CHECK(whole_of(file).pixels == stored.pixels);
            const DecodeOptions turn{.orientation = true, .least_side = 0};
            const Picture shown = oriented(stored, orientation);
            CHECK(whole_of(file, turn).pixels == shown.pixels);
            const Region r = some_region(static_cast<std::uint32_t>(orientation), shown.height, shown.width);
            CHECK(same_part(shown, r, part_of(file, r, turn).picture));
        }
    }
    // Damaged segments mean the picture as stored.
    const std::string good = exif_segment(6);
    for (std::size_t size = 0; size < good.size() - 4; size++) {
        const JpegShape shape{0, 0, 100, good.substr(0, size)};
        const int found = exif_orientation(bytes_of(jpeg(8, 8, JCS_RGB, 3, ramp(8, 8), JCS_UNKNOWN, false, shape)));
        CHECK(found == 1);
    }
    for (const auto& [at, value] : {std::pair(6, 'X'), std::pair(8, '\x2b'), std::pair(10, '\x7f'),
                                    std::pair(18, '\x04'), std::pair(24, '\x09'), std::pair(24, '\0')}) {
        std::string bad = good;
        bad[static_cast<std::size_t>(at)] = value;
        const JpegShape shape{0, 0, 100, bad};
        CHECK(exif_orientation(bytes_of(jpeg(8, 8, JCS_RGB, 3, ramp(8, 8), JCS_UNKNOWN, false, shape))) == 1);
    }
    CHECK(exif_orientation({}) == 1);
}

TEST_CASE("pictures: halving in the decoder keeps the least side and the region") {
    const int width = 240, height = 160;
    const std::string file = jpeg(width, height, JCS_RGB, 3, [&] {
        Pixels p;
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int c = 0; c < 3; c++) p.push_back(static_cast<std::uint8_t>((x + y) / 2));
        return p;
    }());
    const auto halved = [&](const Region& r, int least) {
        return part_of(file, r, {.orientation = false, .least_side = least});
    };
    const Region r{16, 33, 100, 120};
    CHECK(halved(r, 0).picture.height == 100);
    CHECK(halved(r, 51).picture.height == 100);
    const DecodedRegion two = halved(r, 50);
    CHECK(two.picture.height == 50);
    CHECK(two.top == 0);
    CHECK(two.left == 0.5);  // column 33 is the middle of halved column 16
    CHECK(two.bottom == 50);
    CHECK(two.right == 60.5);
    CHECK(two.picture.width == 61);
    CHECK(halved(r, 25).picture.height == 25);  // rows 4 to 28 of 40
    CHECK(halved(r, 12).picture.height == 13);
    CHECK(halved(r, 1).picture.height == 13);  // at most by 8
    // The mean of 2x2 of a ramp of slope 1/2 and quality 100 (a sample is at most 5 off, as data_folder_test has it).
    for (int y = 0; y < 50; y++) {
        for (int x = 0; x < 61; x++) {
            const double mean = (2 * (8 + y) + 2 * (16 + x) + 1) / 2.0;
            CHECK(std::abs(two.picture.pixels[static_cast<std::size_t>((y * 61 + x) * 3)] - mean) < 6);
        }
    }
    // Not with turned pictures, whose halves would not fall on the same pixels.
    const std::string turned =
        jpeg(width, height, JCS_RGB, 3, noise(height, width, 2), JCS_UNKNOWN, false, {0, 0, 100, exif_segment(3)});
    CHECK(part_of(turned, r, {.orientation = true, .least_side = 10}).picture.height == 100);
}
