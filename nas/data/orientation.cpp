#include "nas/data/orientation.h"

#include <cstddef>
#include <cstring>
#include <utility>

namespace nascent {
namespace {
using Bytes = std::span<const std::uint8_t>;

std::uint32_t number(Bytes bytes, std::size_t at, std::size_t count, bool little) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; i++) value = value << 8 | bytes[at + (little ? count - 1 - i : i)];
    return value;
}

/// `tiff`: what follows "Exif\0\0". 0 where it holds no orientation.
int tiff_orientation(Bytes tiff) {
    if (tiff.size() < 8) return 0;
    const bool little = tiff[0] == 'I';
    if (tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M') || number(tiff, 2, 2, little) != 42) return 0;
    const std::size_t directory = number(tiff, 4, 4, little);
    if (directory > tiff.size() - 2) return 0;
    const std::size_t entries = number(tiff, directory, 2, little);
    for (std::size_t i = 0, at = directory + 2; i < entries && at + 12 <= tiff.size(); i++, at += 12) {
        if (number(tiff, at, 2, little) != 0x0112) continue;
        const bool one_short = number(tiff, at + 2, 2, little) == 3 && number(tiff, at + 4, 4, little) == 1;
        const std::uint32_t value = number(tiff, at + 8, 2, little);
        return one_short && value >= 1 && value <= 8 ? static_cast<int>(value) : 0;
    }
    return 0;
}
}  // namespace

int exif_orientation(Bytes jpeg) {
    static constexpr std::uint8_t exif[] = {'E', 'x', 'i', 'f', 0, 0};
    std::size_t at = 2;
    while (at + 4 <= jpeg.size() && jpeg[at] == 0xFF) {
        const std::uint8_t marker = jpeg[at + 1];
        if (marker == 0xFF) {  // padding
            at++;
            continue;
        }
        if (marker == 0xDA || marker == 0xD9) break;  // the picture data; the end
        const std::size_t length = number(jpeg, at + 2, 2, false);
        if (length < 2 || length > jpeg.size() - at - 2) break;
        const Bytes body = jpeg.subspan(at + 4, length - 2);
        if (marker == 0xE1 && body.size() > sizeof exif && std::memcmp(body.data(), exif, sizeof exif) == 0) {
            const int found = tiff_orientation(body.subspan(sizeof exif));
            return found > 0 ? found : 1;
        }
        at += 2 + length;
    }
    return 1;
}

Region stored_region(int orientation, const Region& shown, int height, int width) {
    Region r = shown;
    if (swaps_sides(orientation)) r = {shown.left, shown.top, shown.width, shown.height};
    const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    if (from_right) r.left = width - r.left - r.width;
    if (from_below) r.top = height - r.top - r.height;
    return r;
}

Picture oriented(Picture stored, int orientation) {
    if (orientation <= 1) return stored;
    const bool swap = swaps_sides(orientation);
    Picture out{swap ? stored.width : stored.height, swap ? stored.height : stored.width, {}};
    out.pixels.resize(stored.pixels.size());
    std::uint8_t* to = out.pixels.data();
    for (int y = 0; y < out.height; y++) {
        for (int x = 0; x < out.width; x++, to += 3) {
            const Region from = stored_region(orientation, {y, x, 1, 1}, stored.height, stored.width);
            const std::size_t pixel = static_cast<std::size_t>(from.top) * static_cast<std::size_t>(stored.width) +
                                      static_cast<std::size_t>(from.left);
            std::memcpy(to, &stored.pixels[pixel * 3], 3);
        }
    }
    return out;
}

}  // namespace nascent
