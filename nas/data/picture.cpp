#include "nas/data/picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/error.h"

namespace nascent {
namespace {
constexpr std::uint64_t max_pixels = std::uint64_t{64} << 20;

std::uint8_t* make_room(void* context, std::uint32_t width, std::uint32_t height) noexcept {
    if (width == 0 || height == 0 || std::uint64_t{width} * height > max_pixels) return nullptr;
    try {
        auto& picture = *static_cast<Picture*>(context);
        picture.height = static_cast<int>(height);
        picture.width = static_cast<int>(width);
        picture.pixels.resize(std::size_t{width} * height * 3);
        return picture.pixels.data();
    } catch (...) {
        return nullptr;
    }
}

bool starts_with(std::span<const std::uint8_t> bytes, std::span<const std::uint8_t> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

/// For output i: inputs [first, first + weights.size()) with these weights.
struct Tap {
    int first;
    std::vector<double> weights;
};

std::vector<Tap> triangle_taps(int from, int to) {
    const double scale = static_cast<double>(from) / to;
    const double support = std::max(1.0, scale);
    std::vector<Tap> taps(static_cast<std::size_t>(to));
    for (int i = 0; i < to; i++) {
        const double centre = (i + 0.5) * scale;
        Tap& tap = taps[static_cast<std::size_t>(i)];
        tap.first = std::max(0, static_cast<int>(centre - support + 0.5));
        const int end = std::min(from, static_cast<int>(centre + support + 0.5));
        double total = 0;
        for (int j = tap.first; j < end; j++) {
            tap.weights.push_back(std::max(0.0, 1.0 - std::abs(j + 0.5 - centre) / support));
            total += tap.weights.back();
        }
        for (double& w : tap.weights) w /= total;
    }
    return taps;
}
}  // namespace

Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name) {
    static constexpr std::uint8_t jpeg[] = {0xFF, 0xD8, 0xFF};
    static constexpr std::uint8_t png[] = {0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A};
    Picture picture;
    char message[detail::message_size] = "";
    bool ok = false;
    if (starts_with(bytes, jpeg)) {
        ok = detail::decode_jpeg(bytes.data(), bytes.size(), make_room, &picture, message);
    } else if (starts_with(bytes, png)) {
        ok = detail::decode_png(bytes.data(), bytes.size(), make_room, &picture, message);
    } else {
        fail(ErrorKind::data, "{}: neither JPEG nor PNG (expected FF D8 FF or 89 50 4E 47 at byte 0 of {})", name,
             bytes.size());
    }
    NASCENT_CHECK(ok, data, "{}: corrupt picture: {}", name, message);
    return picture;
}

Picture square_resized(const Picture& picture, int side) {
    const int edge = std::min(picture.height, picture.width);
    const int top = (picture.height - edge) / 2, left = (picture.width - edge) / 2;
    const auto source = [&](int y, int x) {
        return &picture.pixels[(static_cast<std::size_t>(top + y) * static_cast<std::size_t>(picture.width) +
                                static_cast<std::size_t>(left + x)) *
                               3];
    };
    const auto s = static_cast<std::size_t>(side), e = static_cast<std::size_t>(edge);
    Picture out{side, side, std::vector<std::uint8_t>(s * s * 3)};
    if (edge == side) {
        for (int y = 0; y < side; y++)
            std::memcpy(&out.pixels[static_cast<std::size_t>(y) * s * 3], source(y, 0), s * 3);
        return out;
    }
    const std::vector<Tap> taps = triangle_taps(edge, side);
    std::vector<double> narrow(e * s * 3);  // (edge, side, 3)
    for (int y = 0; y < edge; y++) {
        double* row = &narrow[static_cast<std::size_t>(y) * s * 3];
        for (const Tap& tap : taps) {
            for (std::size_t j = 0; j < tap.weights.size(); j++) {
                const std::uint8_t* p = source(y, tap.first + static_cast<int>(j));
                for (int c = 0; c < 3; c++) row[c] += tap.weights[j] * p[c];
            }
            row += 3;
        }
    }
    std::vector<double> row(s * 3);
    for (std::size_t y = 0; y < s; y++) {
        std::fill(row.begin(), row.end(), 0.0);
        for (std::size_t j = 0; j < taps[y].weights.size(); j++) {
            const double* from = &narrow[(static_cast<std::size_t>(taps[y].first) + j) * s * 3];
            for (std::size_t i = 0; i < s * 3; i++) row[i] += taps[y].weights[j] * from[i];
        }
        for (std::size_t i = 0; i < s * 3; i++) {
            out.pixels[y * s * 3 + i] = static_cast<std::uint8_t>(std::clamp(row[i] + 0.5, 0.0, 255.0));
        }
    }
    return out;
}

}  // namespace nascent
