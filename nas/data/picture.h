// One picture: decoding JPEG and PNG from memory, and resizing.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nascent {

struct Picture {
    int height = 0, width = 0;
    std::vector<std::uint8_t> pixels;  // (h, w, 3) RGB
};

/// Decodes by magic bytes, not by name. JPEG: grey and CMYK/YCCK (Adobe's inverted convention) become RGB. PNG:
/// palette, grey, 16 bit (scaled) and alpha (dropped) become 8-bit RGB; no gamma is applied. Throws Error(data) that
/// names `name` when the bytes are neither, are corrupt or cut short, or hold more than 64 Mpixel.
Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name);

/// The centre square, resized to side x side with a triangle filter whose support grows with the reduction (what PIL
/// calls antialiased bilinear).
Picture square_resized(const Picture& picture, int side);

namespace detail {
/// Receives the dimensions, returns room for height * width * 3 bytes, or null (which fails the decoding). Never
/// throws: C frames lie between it and whoever would catch.
using Allocate = std::uint8_t* (*)(void* context, std::uint32_t width, std::uint32_t height) noexcept;
inline constexpr std::size_t message_size = 256;
/// False on failure, with a text in `message`. They hold no C++ object, because the C libraries leave them by longjmp.
bool decode_jpeg(const std::uint8_t* bytes, std::size_t size, Allocate allocate, void* context, char* message);
bool decode_png(const std::uint8_t* bytes, std::size_t size, Allocate allocate, void* context, char* message);
}  // namespace detail

}  // namespace nascent
