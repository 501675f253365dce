// One picture: decoding JPEG and PNG from memory, whole or in part, and resizing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace nascent {

struct Picture {
    int height = 0, width = 0;
    std::vector<std::uint8_t> pixels;  // (h, w, 3) RGB
};

/// Pixels that belong to somebody else: row y begins at pixels + y * stride.
struct PictureView {
    const std::uint8_t* pixels = nullptr;  // (h, w, 3) RGB
    std::size_t stride = 0;                // bytes
    int height = 0, width = 0;
};
PictureView view_of(const Picture& picture);

/// A rectangle in a picture, in pixels.
struct Region {
    int top = 0, left = 0, height = 0, width = 0;
    bool operator==(const Region&) const = default;
};

/// Decodes by magic bytes, not by name. JPEG: grey and CMYK/YCCK (Adobe's inverted convention) become RGB. PNG:
/// palette, grey, 16 bit (scaled) and alpha (dropped) become 8-bit RGB; no gamma is applied. The EXIF orientation is
/// not applied, as PIL and torchvision do not. Throws Error(data) that names `name` when the bytes are neither, are
/// corrupt or cut short, or hold more than 64 Mpixel.
Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name);

struct DecodeOptions {
    /// Turn and mirror JPEGs as their EXIF orientation says (OpenCV's imread does, and so do mmcv's
    /// loaders; PIL's and torchvision's do not). Regions are of the picture as shown.
    bool orientation = false;
    /// JPEG: halve the picture within the decoder, once to three times, while the region keeps at least this many
    /// pixels a side (0: never). Cheaper, but other pixels than those of a full decoding: averages of 2x2 .. 8x8.
    int least_side = 0;
};

/// Which part of a picture of this size is wanted; it must lie inside.
using ChooseRegion = std::function<Region(int height, int width)>;
/// Asks it; Error(usage) for a region that is empty or reaches outside.
Region checked_region(const ChooseRegion& choose, int height, int width);

/// The part of a picture and, where the decoder has halved it, what of these pixels the region is.
struct DecodedRegion {
    Picture picture;
    /// The region's borders in `picture`'s pixels: the whole of it unless it was halved.
    double top = 0, left = 0, bottom = 0, right = 0;
};

/// The pixels of `decode_picture` in the region that `choose` names once the size is known, to the bit (unless
/// `least_side` allows others). Of a JPEG the rows below are not decoded at all, so that damage there goes unnoticed;
/// above and beside only the entropy code is. Throws as decode_picture and whatever `choose` throws; Error(usage) for a
/// region that is empty or reaches outside. `out` is reused: hand it in again and little is allocated.
void decode_region(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeOptions& options,
                   const ChooseRegion& choose, DecodedRegion& out);

/// The centre square, resized to side x side with a triangle filter whose support grows with the reduction (what PIL
/// calls antialiased bilinear).
Picture square_resized(const Picture& picture, int side);

namespace detail {
/// What of a picture is written: a rectangle of the picture divided by `denominator` (1, 2, 4 or 8).
struct Part {
    std::uint32_t top = 0, left = 0, height = 0, width = 0;
    std::uint32_t denominator = 1;
};
/// Receives the dimensions, fills `part` and returns room for part.height * part.width * 3 bytes, or null (which fails
/// the decoding). Never throws: C frames lie between it and whoever would catch.
using Place = std::uint8_t* (*)(void* context, std::uint32_t width, std::uint32_t height, Part& part) noexcept;
inline constexpr std::size_t message_size = 256;
/// False on failure, with a text in `message`. They hold no C++ object, because the C libraries leave them by longjmp.
bool decode_jpeg(const std::uint8_t* bytes, std::size_t size, Place place, void* context, char* message);
/// Decodes the whole picture whatever `part` says.
bool decode_png(const std::uint8_t* bytes, std::size_t size, Place place, void* context, char* message);
}  // namespace detail

}  // namespace nascent
