// PNG through libpng; the same rules about longjmp as in jpeg.cpp.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "nas/data/picture.h"

namespace nascent::detail {
namespace {
struct State {
    png_structp png;
    png_infop info;
    const std::uint8_t* bytes;
    std::size_t left;
    Place place;
    void* context;
    char* message;
};

[[noreturn]] void leave(png_structp png, png_const_charp text) {
    State& state = *static_cast<State*>(png_get_error_ptr(png));
    std::snprintf(state.message, message_size, "%s", text);
    png_longjmp(png, 1);
}

void silent(png_structp, png_const_charp) {}

void read(png_structp png, png_bytep to, std::size_t size) {
    State& state = *static_cast<State*>(png_get_io_ptr(png));
    if (size > state.left) png_error(png, "the file ends too early");
    std::memcpy(to, state.bytes, size);
    state.bytes += size;
    state.left -= size;
}

bool decode(State& state) {
    png_structp png = state.png;
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_read_fn(png, &state, read);
    png_set_chunk_malloc_max(png, 16u << 20);
    png_set_chunk_cache_max(png, 64);
    png_read_info(png, state.info);
    const png_uint_32 width = png_get_image_width(png, state.info), height = png_get_image_height(png, state.info);
    Part part;
    std::uint8_t* out = state.place(state.context, width, height, part);
    if (out == nullptr) png_error(png, "more pixels than allowed, or no memory for them");
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, state.info);
    const std::size_t stride = std::size_t{width} * 3;
    if (png_get_rowbytes(png, state.info) != stride) png_error(png, "a row does not become 8-bit RGB");
    for (int pass = 0; pass < passes; pass++) {
        for (png_uint_32 y = 0; y < height; y++) png_read_row(png, out + y * stride, nullptr);
    }
    png_read_end(png, nullptr);
    return true;
}
}  // namespace

bool decode_png(const std::uint8_t* bytes, std::size_t size, Place place, void* context, char* message) {
    State state = {nullptr, nullptr, bytes, size, place, context, message};
    state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, leave, silent);
    if (state.png != nullptr) state.info = png_create_info_struct(state.png);
    bool ok = false;
    if (state.info != nullptr) {
        ok = decode(state);
    } else {
        std::snprintf(message, message_size, "no memory for the decoder");
    }
    png_destroy_read_struct(&state.png, &state.info, nullptr);
    return ok;
}

}  // namespace nascent::detail
