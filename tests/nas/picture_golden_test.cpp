// Resizing, colours and orientation against what Pillow and OpenCV made of the same pictures
// (tests/golden/pictures.py).
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/io/crc32.h"
#include "kernels/target.h"
#include "nas/data/colour.h"
#include "nas/data/orientation.h"
#include "nas/data/resample.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
const nlohmann::json& golden() {
    static const nlohmann::json all =
        nlohmann::json::parse(std::ifstream(std::string(NASCENT_SOURCE_DIR) + "/tests/golden/pictures.json"));
    return all;
}

std::uint32_t crc(const Pixels& pixels) { return crc32(std::as_bytes(std::span(pixels))); }

Picture made(int height, int width, std::uint32_t seed, bool two_values = false) {
    Picture p{height, width, noise(height, width, seed)};
    if (two_values) {
        for (auto& v : p.pixels) v = v > 127 ? 255 : 0;
    }
    return p;
}

Pixels resized(const Picture& p, int height, int width, Resampling convention) {
    Pixels out(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
    Resampler().resize(view_of(p), height, width, convention, out.data());
    return out;
}
/// With every instruction set that this machine has, and one without vectors.
template <class F>
void for_each_target(F&& f) {
    const std::string before(kernels::cpu_target());
    for (const std::string_view name : kernels::cpu_targets()) {
        CAPTURE(name);
        kernels::force_cpu_target(name);
        f();
    }
    kernels::force_cpu_target(before);
}
}  // namespace

TEST_CASE("pictures: resizing is Pillow's and OpenCV's to the bit") {
    REQUIRE(golden()["resize"].size() >= 10);
    for (const auto& c : golden()["resize"]) {
        const Picture p = made(c["from"][0], c["from"][1], c["seed"], c["two_values"]);
        const int height = c["to"][0], width = c["to"][1];
        CAPTURE(c.dump());
        for_each_target([&] {
            CHECK(crc(resized(p, height, width, Resampling::pillow)) == c["pillow"]);
            CHECK(crc(resized(p, height, width, Resampling::opencv)) == c["opencv"]);
        });
    }
}

TEST_CASE("pictures: brightness, contrast, saturation and hue are Pillow's to the bit") {
    REQUIRE(golden()["colour"].size() >= 20);
    for (const auto& c : golden()["colour"]) {
        const Pixels from = noise(c["size"][0], c["size"][1], c["seed"]);
        CAPTURE(c.dump());
        Pixels p = from;
        if (c.contains("shift")) {
            turn_hue(p, c["shift"].get<std::uint8_t>());
            CHECK(crc(p) == c["hue"]);
            continue;
        }
        const auto factor = c["factor"].get<float>();
        for_each_target([&] {
            p = from;
            brighten(p, factor);
            CHECK(crc(p) == c["brightness"]);
            p = from;
            change_contrast(p, factor);
            CHECK(crc(p) == c["contrast"]);
            p = from;
            saturate(p, factor);
            CHECK(crc(p) == c["saturation"]);
        });
    }
}

TEST_CASE("pictures: every orientation is turned as Pillow turns it, and so are regions") {
    REQUIRE(golden()["turned"].size() == 7);
    const Picture stored = made(5, 7, 9);
    CHECK(oriented(stored, 1).pixels == stored.pixels);
    for (const auto& c : golden()["turned"]) {
        const int orientation = c["orientation"];
        CAPTURE(orientation);
        const Picture shown = oriented(stored, orientation);
        CHECK(shown.height == (orientation >= 5 ? 7 : 5));
        CHECK(shown.width == (orientation >= 5 ? 5 : 7));
        CHECK(crc(shown.pixels) == c["crc"]);
        // A region of what is shown, cut from what is stored and then turned.
        const Region region{1, 2, 3, 2};
        const Region from = stored_region(orientation, region, 5, 7);
        Picture part{from.height, from.width, {}};
        for (int y = 0; y < from.height; y++) {
            const auto* row = &stored.pixels[static_cast<std::size_t>(((from.top + y) * 7 + from.left) * 3)];
            part.pixels.insert(part.pixels.end(), row, row + 3 * from.width);
        }
        const Picture turned = oriented(part, orientation);
        REQUIRE(turned.height == region.height);
        REQUIRE(turned.width == region.width);
        for (int y = 0; y < region.height; y++) {
            for (int i = 0; i < 3 * region.width; i++) {
                CHECK(turned.pixels[static_cast<std::size_t>(y * region.width * 3 + i)] ==
                      shown.pixels[static_cast<std::size_t>(((region.top + y) * shown.width + region.left) * 3 + i)]);
            }
        }
    }
}

TEST_CASE("pictures: a window of a resized picture, a box of the source") {
    const Picture p = made(61, 83, 4);
    for (const Resampling convention : {Resampling::pillow, Resampling::opencv}) {
        const Pixels whole = resized(p, 40, 30, convention);
        const Region window{11, 7, 20, 9};
        Pixels part(20 * 9 * 3);
        Resampler resampler;
        resampler.resize(view_of(p), {0, 0, 61, 83}, 40, 30, window, convention, part.data());
        for (std::size_t y = 0; y < 20; y++) {
            CHECK(std::equal(&part[y * 27], &part[y * 27] + 27, &whole[((y + 11) * 30 + 7) * 3]));
        }
        // One resampler for several sizes, and a source whose rows lie apart: what is cut out beforehand.
        Picture cut{20, 31, {}};
        for (int y = 0; y < 20; y++) {
            const auto* row = &p.pixels[static_cast<std::size_t>(((y + 5) * 83 + 9) * 3)];
            cut.pixels.insert(cut.pixels.end(), row, row + 93);
        }
        PictureView view = view_of(p);
        view.pixels += (5 * 83 + 9) * 3;
        view.height = 20, view.width = 31;
        Pixels from_view(50 * 12 * 3);
        resampler.resize(view, 50, 12, convention, from_view.data());
        CHECK(from_view == resized(cut, 50, 12, convention));
    }
    // A flat picture stays flat, whatever the box.
    const Picture flat{9, 9, Pixels(243, 77)};
    for (const Resampling convention : {Resampling::pillow, Resampling::opencv}) {
        Pixels out(5 * 4 * 3);
        Resampler().resize(view_of(flat), {0.25, 1.5, 8.75, 9}, 5, 4, {0, 0, 5, 4}, convention, out.data());
        for (int v : out) CHECK(v == 77);
    }
}

TEST_CASE("pictures: resizing refuses what cannot be meant") {
    const Picture p = made(6, 5, 1);
    Pixels out(1000);
    Resampler r;
    const auto refused = [&](const SourceBox& box, int height, int width, const Region& window) {
        return error_of(ErrorKind::usage,
                        [&] { r.resize(view_of(p), box, height, width, window, Resampling::pillow, out.data()); });
    };
    const SourceBox all{0, 0, 6, 5};
    CHECK(refused(all, 4, 4, {0, 0, 4, 4}).empty());
    CHECK(contains(refused(all, 0, 4, {0, 0, 1, 1}), "to 4x0"));
    CHECK(contains(refused({0, 0, 7, 5}, 4, 4, {0, 0, 4, 4}), "rows 0..7"));
    CHECK(contains(refused({3, 0, 3, 5}, 4, 4, {0, 0, 4, 4}), "rows 3..3"));
    CHECK(contains(refused(all, 4, 4, {1, 0, 4, 4}), "window of 4x4 at (0, 1)"));
    CHECK(contains(error_of(ErrorKind::usage, [] { resampling("pilow"); }), "did you mean 'pillow'"));
}

TEST_CASE("pictures: lighting adds the eigenvectors' share") {
    // alpha = (1, 0, 0): the first eigenvector times its value.
    const std::array<double, 3> offset = lighting_offset({1, 0, 0});
    CHECK(offset[0] == doctest::Approx(-0.5675 * 0.2175).epsilon(1e-12));
    CHECK(offset[2] == doctest::Approx(-0.5836 * 0.2175).epsilon(1e-12));
    // The eigenvectors are orthonormal to the four digits they are given with.
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            std::array<double, 3> a{}, b{};
            a[static_cast<std::size_t>(i)] = b[static_cast<std::size_t>(k)] = 1;
            const std::array<double, 3> u = lighting_offset(a), v = lighting_offset(b);
            const double values[3] = {0.2175, 0.0188, 0.0045};
            const double product = (u[0] * v[0] + u[1] * v[1] + u[2] * v[2]) / (values[i] * values[k]);
            CHECK(std::abs(product - (i == k)) < 3 * 2 * 0.82 * 0.00005 + 1e-7);
        }
    }
    Pixels p{0, 100, 255, 255, 3, 128};
    shift_channels(p, {0.1, -0.1, 1.0});
    // 25.5 and 280.5 (cut at 255), 74.5, -22.5; cut to whole numbers.
    CHECK(p == Pixels{25, 74, 255, 255, 0, 255});
}
