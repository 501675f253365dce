#include "nas/data/colour.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "nas/data/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nas/data/colour.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace colour {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using Reals = hn::ScalableTag<float>;
using Integers = hn::Rebind<std::int32_t, Reals>;
using Bytes = hn::Rebind<std::uint8_t, Reals>;

/// Calls f(first byte) for whole vectors of the pixels, of `step` bytes; what is left over goes through a copy.
template <class F>
HWY_INLINE void in_vectors(std::uint8_t* pixels, std::size_t bytes, std::size_t step, F&& f) {
    std::size_t i = 0;
    for (; i + step <= bytes; i += step) f(pixels + i);
    if (i == bytes) return;
    HWY_ALIGN std::uint8_t rest[3 * HWY_MAX_BYTES] = {};
    std::memcpy(rest, pixels + i, bytes - i);
    f(rest);
    std::memcpy(pixels + i, rest, bytes - i);
}

/// Blend.c: base + factor * (value - base) in float, cut to 0..255, rounded down.
template <class V>
HWY_INLINE hn::Vec<Bytes> blend(V base, hn::Vec<Integers> value, hn::Vec<Reals> factor) {
    const Reals d;
    const auto distance = hn::ConvertTo(d, hn::Sub(value, base));
    const auto mixed = hn::Add(hn::ConvertTo(d, base), hn::Mul(factor, distance));
    return hn::DemoteTo(Bytes(), hn::ConvertTo(Integers(), mixed));
}

/// Convert.c's luma of 8-bit RGB.
HWY_INLINE hn::Vec<Integers> luma(hn::Vec<Integers> r, hn::Vec<Integers> g, hn::Vec<Integers> b) {
    const Integers d;
    const auto sum = hn::Add(hn::Mul(r, hn::Set(d, 19595)), hn::Mul(g, hn::Set(d, 38470)));
    return hn::ShiftRight<16>(hn::Add(sum, hn::Add(hn::Mul(b, hn::Set(d, 7471)), hn::Set(d, 0x8000))));
}

void blend_with(std::uint8_t* pixels, std::size_t bytes, int base, float factor) {
    const Integers d;
    const Bytes d8;
    const auto from = hn::Set(d, base);
    const auto by = hn::Set(Reals(), factor);
    in_vectors(pixels, bytes, hn::Lanes(d), [&](std::uint8_t* p) HWY_ATTR {
        hn::StoreU(blend(from, hn::PromoteTo(d, hn::LoadU(d8, p)), by), d8, p);
    });
}

void blend_with_luma(std::uint8_t* pixels, std::size_t bytes, float factor) {
    const Integers d;
    const Bytes d8;
    const auto by = hn::Set(Reals(), factor);
    in_vectors(pixels, bytes, 3 * hn::Lanes(d), [&](std::uint8_t* p) HWY_ATTR {
        hn::Vec<Bytes> r8, g8, b8;
        hn::LoadInterleaved3(d8, p, r8, g8, b8);
        const auto r = hn::PromoteTo(d, r8), g = hn::PromoteTo(d, g8), b = hn::PromoteTo(d, b8);
        const auto grey = luma(r, g, b);
        hn::StoreInterleaved3(blend(grey, r, by), blend(grey, g, by), blend(grey, b, by), d8, p);
    });
}

std::uint64_t luma_sum(const std::uint8_t* pixels, std::size_t bytes) {
    const Integers d;
    const Bytes d8;
    auto total = hn::Zero(d);
    const std::size_t lanes = hn::Lanes(d), step = 3 * lanes;
    std::uint64_t sum = 0;
    std::size_t i = 0, in_total = 0;
    const auto flush = [&]() HWY_ATTR {
        HWY_ALIGN std::int32_t parts[HWY_MAX_BYTES / 4];
        hn::Store(total, d, parts);
        for (std::size_t k = 0; k < lanes; k++) sum += static_cast<std::uint32_t>(parts[k]);
        total = hn::Zero(d);
        in_total = 0;
    };
    for (; i + step <= bytes; i += step) {
        hn::Vec<Bytes> r8, g8, b8;
        hn::LoadInterleaved3(d8, pixels + i, r8, g8, b8);
        total = hn::Add(total, luma(hn::PromoteTo(d, r8), hn::PromoteTo(d, g8), hn::PromoteTo(d, b8)));
        if (++in_total == (std::size_t{1} << 22)) flush();  // 2^22 * 255 < 2^31
    }
    flush();
    for (; i < bytes; i += 3) {
        sum +=
            static_cast<std::uint32_t>(pixels[i] * 19595 + pixels[i + 1] * 38470 + pixels[i + 2] * 7471 + 0x8000) >> 16;
    }
    return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace colour
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent {
namespace colour {
HWY_EXPORT(blend_with);
HWY_EXPORT(blend_with_luma);
HWY_EXPORT(luma_sum);

namespace {
std::uint8_t clip8(int v) { return static_cast<std::uint8_t>(std::clamp(v, 0, 255)); }

/// Convert.c's rgb2hsv_row and hsv2rgb_row, float and double where they have them.
void turn(std::uint8_t* p, std::uint8_t shift) {
    const int r = p[0], g = p[1], b = p[2];
    const int most = std::max({r, g, b}), least = std::min({r, g, b});
    std::uint8_t h = 0, s = 0;
    if (least != most) {
        const auto range = static_cast<float>(most - least);
        const float saturation = range / static_cast<float>(most);
        const float rc = static_cast<float>(most - r) / range, gc = static_cast<float>(most - g) / range,
                    bc = static_cast<float>(most - b) / range;
        float hue;
        if (r == most) {
            hue = bc - gc;
        } else if (g == most) {
            hue = static_cast<float>(2.0 + rc - bc);
        } else {
            hue = static_cast<float>(4.0 + gc - rc);
        }
        hue = static_cast<float>(std::fmod(hue / 6.0 + 1.0, 1.0));
        h = clip8(static_cast<int>(hue * 255.0));
        s = clip8(static_cast<int>(saturation * 255.0));
    }
    h = static_cast<std::uint8_t>(h + shift);
    if (s == 0) {
        p[0] = p[1] = p[2] = static_cast<std::uint8_t>(most);
        return;
    }
    const double sixth = static_cast<float>(h) * 6.0 / 255.0;
    const int i = static_cast<int>(std::floor(sixth));
    const auto f = static_cast<float>(sixth - static_cast<float>(i));
    const auto fs = static_cast<float>(static_cast<float>(s) / 255.0);
    const auto v = static_cast<float>(most);
    const auto byte = [](double x) { return clip8(static_cast<int>(std::round(x))); };
    const std::uint8_t low = byte(v * (1.0 - fs)), falling = byte(v * (1.0 - fs * f)),
                       rising = byte(v * (1.0 - fs * (1.0 - f))), high = static_cast<std::uint8_t>(most);
    static constexpr int pick[6][3] = {{3, 2, 0}, {1, 3, 0}, {0, 3, 2}, {0, 1, 3}, {2, 0, 3}, {3, 0, 1}};
    const std::uint8_t values[4] = {low, falling, rising, high};
    for (int c = 0; c < 3; c++) p[c] = values[pick[i % 6][c]];
}
}  // namespace
}  // namespace colour

void brighten(std::span<std::uint8_t> pixels, float factor) {
    HWY_DYNAMIC_DISPATCH(colour::blend_with)(pixels.data(), pixels.size(), 0, factor);
}

void change_contrast(std::span<std::uint8_t> pixels, float factor) {
    if (pixels.empty()) return;
    const std::uint64_t sum = HWY_DYNAMIC_DISPATCH(colour::luma_sum)(pixels.data(), pixels.size());
    const std::size_t count = pixels.size() / 3;
    const double mean = static_cast<double>(sum) / static_cast<double>(count);
    const int base = static_cast<int>(std::floor(mean + 0.5));
    HWY_DYNAMIC_DISPATCH(colour::blend_with)(pixels.data(), pixels.size(), base, factor);
}

void saturate(std::span<std::uint8_t> pixels, float factor) {
    HWY_DYNAMIC_DISPATCH(colour::blend_with_luma)(pixels.data(), pixels.size(), factor);
}

void turn_hue(std::span<std::uint8_t> pixels, std::uint8_t shift) {
    for (std::size_t i = 0; i + 3 <= pixels.size(); i += 3) colour::turn(&pixels[i], shift);
}

void shift_channels(std::span<std::uint8_t> pixels, const std::array<double, 3>& offset) {
    std::array<std::array<std::uint8_t, 256>, 3> table;
    for (std::size_t c = 0; c < 3; c++) {
        for (int v = 0; v < 256; v++) {
            table[c][static_cast<std::size_t>(v)] =
                static_cast<std::uint8_t>(std::clamp(v / 255.0 + offset[c], 0.0, 1.0) * 255.0);
        }
    }
    for (std::size_t i = 0; i + 3 <= pixels.size(); i += 3) {
        for (std::size_t c = 0; c < 3; c++) pixels[i + c] = table[c][pixels[i + c]];
    }
}

std::array<double, 3> lighting_offset(const std::array<double, 3>& alpha) {
    static constexpr double values[3] = {0.2175, 0.0188, 0.0045};
    static constexpr double vectors[3][3] = {
        {-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};
    std::array<double, 3> offset{};
    for (std::size_t c = 0; c < 3; c++) {
        for (std::size_t i = 0; i < 3; i++) offset[c] += vectors[c][i] * (alpha[i] * values[i]);
    }
    return offset;
}

}  // namespace nascent
#endif
