#include "nas/data/transform.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/data/colour.h"

namespace nascent {
namespace {
constexpr std::uint32_t tries = 10;
// Places of the draws of one access; a Philox block holds two.
constexpr std::uint32_t crop_draws = 0, jitter_draws = 4 * tries, flip_draw = jitter_draws + 6,
                        lighting_draws = flip_draw + 2, draws_per_access = 64;
static_assert(lighting_draws + 4 <= draws_per_access);

/// Python's round: to the nearest, halves to even.
int nearest(double value) { return static_cast<int>(std::nearbyint(value)); }

Region centre(const TrainTransform& t, int height, int width) {
    const double ratio = static_cast<double>(width) / height;
    int h = height, w = width;
    if (ratio < t.least_ratio) {
        h = std::clamp(nearest(width / t.least_ratio), 1, height);
    } else if (ratio > t.most_ratio) {
        w = std::clamp(nearest(height * t.most_ratio), 1, width);
    }
    return {(height - h) / 2, (width - w) / 2, h, w};
}
}  // namespace

double PictureDraws::uniform(std::uint32_t draw) const {
    const std::uint64_t block = access_ * (draws_per_access / 2) + draw / 2;
    return Random(seed_, RandomStream::picture, block, element_).uniform(static_cast<int>(draw % 2));
}

Region PictureDraws::crop(const TrainTransform& t, int height, int width) const {
    const double area = static_cast<double>(height) * width;
    const auto place = [](double u, int room) {  // uniform among room + 1 places, those of a negative room below 0
        const int places = std::abs(room) + 1;
        const int at = std::min(static_cast<int>(u * places), places - 1);
        return room < 0 ? -at : at;
    };
    for (std::uint32_t i = 0; i < tries; i++) {
        const std::uint32_t d = crop_draws + 4 * i;
        const double wanted = area * (t.least_area + uniform(d) * (t.most_area - t.least_area));
        int h = 0, w = 0;
        if (t.crop == CropRule::square) {
            h = w = std::max(1, nearest(std::sqrt(wanted)));
        } else {
            const double low = std::log(t.least_ratio), high = std::log(t.most_ratio);
            const double ratio = std::exp(low + uniform(d + 1) * (high - low));
            w = nearest(std::sqrt(wanted * ratio));
            h = nearest(std::sqrt(wanted / ratio));
        }
        const bool fits = h > 0 && w > 0 && h <= height && w <= width;
        const bool last_square = t.crop == CropRule::square && i + 1 == tries;
        if (fits || last_square) return {place(uniform(d + 2), height - h), place(uniform(d + 3), width - w), h, w};
    }
    return centre(t, height, width);
}

bool PictureDraws::flip(double probability) const { return uniform(flip_draw) < probability; }

std::array<int, 4> PictureDraws::jitter_order() const {
    auto rest = static_cast<int>(uniform(jitter_draws) * 24);
    std::array<int, 4> order{0, 1, 2, 3};
    for (int i = 3; i > 0; i--) {
        std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(rest % (i + 1))]);
        rest /= i + 1;
    }
    return order;
}

double PictureDraws::jitter(int i) const { return 2 * uniform(jitter_draws + 1 + static_cast<std::uint32_t>(i)) - 1; }

std::array<double, 3> PictureDraws::lighting() const {
    std::array<double, 3> out{};
    for (std::uint32_t i = 0; i < 3; i++) {
        const std::uint32_t pair = lighting_draws + i / 2 * 2;
        const double radius = std::sqrt(-2 * std::log(1 - uniform(pair)));
        const double angle = 2 * std::numbers::pi * uniform(pair + 1);
        out[i] = radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
    }
    return out;
}

EvaluationCrop evaluation_crop(const EvaluationTransform& t, int height, int width) {
    const auto longer = [&](int longer_side, int shorter_side) {
        const double side = static_cast<double>(t.resize) * longer_side / shorter_side;
        NASCENT_CHECK(side < 1e9, data, "a picture of {}x{} cannot be resized to a shorter side of {}", width, height,
                      t.resize);
        return std::max(t.resize, t.round_longer ? nearest(side) : static_cast<int>(side));
    };
    EvaluationCrop out{t.resize, t.resize, {0, 0, t.crop, t.crop}};
    if (height > width) {
        out.height = longer(height, width);
    } else {
        out.width = longer(width, height);
    }
    out.window.top = nearest((out.height - t.crop) / 2.0);
    out.window.left = nearest((out.width - t.crop) / 2.0);
    return out;
}

void vary_colours(const TrainTransform& t, const PictureDraws& draws, std::span<std::uint8_t> pixels) {
    if (t.jitter.any()) {
        const double strength[4] = {t.jitter.brightness, t.jitter.contrast, t.jitter.saturation, t.jitter.hue};
        for (int change : draws.jitter_order()) {
            const double s = strength[change];
            if (s <= 0) continue;
            const double u = draws.jitter(change), low = std::max(0.0, 1 - s);
            const auto factor = static_cast<float>(low + (u + 1) / 2 * (1 + s - low));
            if (change == 0) brighten(pixels, factor);
            if (change == 1) change_contrast(pixels, factor);
            if (change == 2) saturate(pixels, factor);
            // torchvision: uint8(255 * turn), which wraps.
            if (change == 3) turn_hue(pixels, static_cast<std::uint8_t>(static_cast<int>(u * s * 255)));
        }
    }
    if (t.lighting > 0) {
        std::array<double, 3> alpha = draws.lighting();
        for (double& a : alpha) a *= t.lighting;
        std::array<double, 3> offset = lighting_offset(alpha);
        if (t.lighting_reversed) std::swap(offset[0], offset[2]);
        shift_channels(pixels, offset);
    }
}

template <class T>
NormalisationTable<T> pixel_table(const PixelFormat& format) {
    NormalisationTable<T> table = normalisation_table<T>(format.norm);
    for (std::size_t v = 0; v < 256; v++) {
        if (format.scale == PixelFormat::Scale::bytes) table[v].fill(static_cast<T>(v));
        if (format.scale == PixelFormat::Scale::unit) table[v].fill(static_cast<T>(static_cast<double>(v) / 255));
        if (format.bgr) std::swap(table[v][0], table[v][2]);
    }
    return table;
}
template NormalisationTable<float> pixel_table(const PixelFormat&);
template NormalisationTable<double> pixel_table(const PixelFormat&);

}  // namespace nascent
