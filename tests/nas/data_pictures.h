// JPEG and PNG files that tests write, and pictures that are a formula.
#pragma once
#include <cstdio>
// jpeglib.h needs stdio.h before it.
#include <jpeglib.h>
#include <png.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace nascent::testing {

using Pixels = std::vector<std::uint8_t>;

/// How a JPEG is made: the first component's sampling relative to the others', quality, an APP1 segment.
struct JpegShape {
    int columns = 0, rows = 0;  // 0: as the library does
    int quality = 100;
    std::string app1;
};

/// `samples`: (h, w, components). The space stored follows from `in` unless `stored` says otherwise.
inline std::string jpeg(int width, int height, J_COLOR_SPACE in, int components, std::vector<std::uint8_t> samples,
                        J_COLOR_SPACE stored = JCS_UNKNOWN, bool progressive = false, JpegShape shape = {}) {
    jpeg_compress_struct info;
    jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* memory = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &memory, &size);
    info.image_width = static_cast<JDIMENSION>(width);
    info.image_height = static_cast<JDIMENSION>(height);
    info.in_color_space = in;
    info.input_components = components;
    jpeg_set_defaults(&info);
    if (stored != JCS_UNKNOWN) jpeg_set_colorspace(&info, stored);
    jpeg_set_quality(&info, shape.quality, TRUE);
    if (progressive) jpeg_simple_progression(&info);
    if (shape.columns > 0) info.comp_info[0].h_samp_factor = shape.columns;
    if (shape.rows > 0) info.comp_info[0].v_samp_factor = shape.rows;
    jpeg_start_compress(&info, TRUE);
    if (!shape.app1.empty()) {
        jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(shape.app1.data()),
                          static_cast<unsigned>(shape.app1.size()));
    }
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = &samples[info.next_scanline * static_cast<std::size_t>(width * components)];
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    std::string out(reinterpret_cast<char*>(memory), size);
    free(memory);
    return out;
}

inline std::string flat_jpeg(int width, int height, std::vector<std::uint8_t> colour) {
    std::vector<std::uint8_t> samples;
    for (int i = 0; i < width * height; i++) samples.insert(samples.end(), colour.begin(), colour.end());
    return jpeg(width, height, JCS_RGB, 3, samples);
}

/// `rows`: packed as PNG stores them. Palette entries: (0, 10, 20), (1, 11, 21) ...
inline std::string png(int width, int height, int depth, int type, std::vector<std::uint8_t> rows,
                       bool interlaced = false) {
    std::string out;
    png_structp writer = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(writer);
    png_set_write_fn(
        writer, &out,
        [](png_structp p, png_bytep bytes, std::size_t n) {
            static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(bytes), n);
        },
        [](png_structp) {});
    png_set_IHDR(writer, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth, type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_color palette[16];
    if (type == PNG_COLOR_TYPE_PALETTE) {
        for (int i = 0; i < 16; i++) {
            palette[i] = {static_cast<png_byte>(i), static_cast<png_byte>(10 + i), static_cast<png_byte>(20 + i)};
        }
        png_set_PLTE(writer, info, palette, 1 << depth);
        png_byte alpha[2] = {0, 128};
        png_set_tRNS(writer, info, alpha, 2, nullptr);
    }
    std::vector<png_bytep> pointers;
    for (int y = 0; y < height; y++)
        pointers.push_back(&rows[static_cast<std::size_t>(y) * rows.size() / static_cast<std::size_t>(height)]);
    png_set_rows(writer, info, pointers.data());
    png_write_png(writer, info, PNG_TRANSFORM_IDENTITY, nullptr);
    png_destroy_write_struct(&writer, &info);
    return out;
}

/// A smooth picture, so that chroma subsampling cannot blur it by more than its slope.
inline Pixels ramp(int width, int height) {
    Pixels out;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c : {60 + x, 90 + y, 120 + (x + y) / 2}) out.push_back(static_cast<std::uint8_t>(c));
        }
    }
    return out;
}

/// Byte i is the top byte of the square of (i + seed) * 2654435761 (32 bits); tests/golden/pictures.py has the same.
inline Pixels noise(int height, int width, std::uint32_t seed) {
    Pixels out(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
    for (std::size_t i = 0; i < out.size(); i++) {
        std::uint32_t v = (static_cast<std::uint32_t>(i) + seed) * 2654435761u;
        v *= v;
        out[i] = static_cast<std::uint8_t>(v >> 24);
    }
    return out;
}

/// "Exif" with one entry, the orientation.
inline std::string exif_segment(int orientation, bool little = true) {
    const auto number = [&](unsigned value, int bytes) {
        std::string out;
        for (int i = 0; i < bytes; i++) out += static_cast<char>(value >> (8 * (little ? i : bytes - 1 - i)));
        return out;
    };
    std::string out("Exif\0\0", 6);
    out += little ? "II" : "MM";
    out += number(42, 2) + number(8, 4) + number(1, 2);
    return out + number(0x0112, 2) + number(3, 2) + number(1, 4) + number(static_cast<unsigned>(orientation), 2) +
           number(0, 2) + number(0, 4);
}

}  // namespace nascent::testing
