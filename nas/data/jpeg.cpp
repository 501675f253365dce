// JPEG through libjpeg-turbo. Its errors leave by longjmp: everything the jump crosses is plain data, and what must
// outlive the jump lies in the caller's frame.
#include <csetjmp>
#include <cstdio>
#include <cstring>
// jpeglib.h needs stdio.h before it.
#include <jerror.h>
#include <jpeglib.h>

#include "nas/data/picture.h"

namespace nascent::detail {
namespace {
struct State {
    jpeg_decompress_struct info;
    jpeg_error_mgr errors;
    jpeg_progress_mgr progress;
    std::jmp_buf jump;
    char* message;
    const std::uint8_t* bytes;
    std::size_t size;
    Place place;
    void* context;
    const char* refusal;  // ours rather than the library's
};

[[noreturn]] void leave(j_common_ptr info) {
    State& state = *static_cast<State*>(info->client_data);
    char text[JMSG_LENGTH_MAX];
    if (state.refusal == nullptr) info->err->format_message(info, text);
    std::snprintf(state.message, message_size, "%s", state.refusal ? state.refusal : text);
    std::longjmp(state.jump, 1);
}

// The library goes on with grey after these warnings; a picture cut short or with broken codes is corrupt to us.
void emit(j_common_ptr info, int level) {
    if (level >= 0) return;
    const int code = info->err->msg_code;
    if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC) {
        leave(info);
    }
}

void silent(j_common_ptr) {}

// A progressive file of a few bytes can ask for very many passes.
void watch(j_common_ptr info) {
    State& state = *static_cast<State*>(info->client_data);
    if (info->is_decompressor && state.info.input_scan_number > 500) {
        state.refusal = "more than 500 scans";
        leave(info);
    }
}

// PIL's product of two bytes over 255, rounded.
int product(int a, int b) {
    const int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

// Adobe stores 255 - ink.
void to_rgb(const std::uint8_t* inks, std::size_t count, std::uint8_t* rgb) {
    for (; count > 0; count--, inks += 4, rgb += 3) {
        for (int c = 0; c < 3; c++) rgb[c] = static_cast<std::uint8_t>(inks[3] - product(255 - inks[c], inks[3]));
    }
}

void read_part(jpeg_decompress_struct& info, const Part& part, bool cmyk, std::uint8_t* out) {
    JDIMENSION first = 0;  // the first column that is decoded
    const bool narrow = part.width < info.output_width;
    if (narrow) {
        // Fancy upsampling looks at neighbours, which at the borders of what is decoded are missing: a margin of one
        // MCU keeps every pixel that is taken what it is in the whole picture.
        const JDIMENSION margin = static_cast<JDIMENSION>(info.max_h_samp_factor * DCTSIZE);
        first = part.left > margin ? part.left - margin : 0;
        JDIMENSION end = part.left + part.width + margin;
        end = end < info.output_width ? end : info.output_width;
        JDIMENSION columns = end - first;
        jpeg_crop_scanline(&info, &first, &columns);
    }
    if (part.top > 0) jpeg_skip_scanlines(&info, part.top);
    JSAMPARRAY row = nullptr;
    if (cmyk || narrow) {
        row = info.mem->alloc_sarray(reinterpret_cast<j_common_ptr>(&info), JPOOL_IMAGE,
                                     info.output_width * static_cast<JDIMENSION>(info.output_components), 1);
    }
    const std::size_t stride = std::size_t{part.width} * 3;
    const std::size_t skipped = std::size_t{part.left - first};
    for (JDIMENSION y = 0; y < part.height; y++, out += stride) {
        if (row == nullptr) {
            jpeg_read_scanlines(&info, &out, 1);
            continue;
        }
        jpeg_read_scanlines(&info, row, 1);
        if (cmyk) {
            to_rgb(row[0] + 4 * skipped, part.width, out);
        } else {
            std::memcpy(out, row[0] + 3 * skipped, stride);
        }
    }
}

bool decode(State& state) {
    if (setjmp(state.jump) != 0) return false;
    jpeg_decompress_struct& info = state.info;
    jpeg_create_decompress(&info);
    info.client_data = &state;
    info.progress = &state.progress;
    info.mem->max_memory_to_use = 1L << 30;
    jpeg_mem_src(&info, state.bytes, static_cast<unsigned long>(state.size));
    jpeg_read_header(&info, TRUE);
    const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
    info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    Part part;
    std::uint8_t* out = state.place(state.context, info.image_width, info.image_height, part);
    if (out == nullptr) {
        state.refusal = "more pixels than allowed, or no memory for them";
        leave(reinterpret_cast<j_common_ptr>(&info));
    }
    info.scale_num = 1;
    info.scale_denom = part.denominator;
    jpeg_start_decompress(&info);
    read_part(info, part, cmyk, out);
    // Else rows below are left undecoded; destroying the decompressor ends that.
    if (info.output_scanline == info.output_height) jpeg_finish_decompress(&info);
    return true;
}
}  // namespace

bool decode_jpeg(const std::uint8_t* bytes, std::size_t size, Place place, void* context, char* message) {
    State state = {};
    state.message = message;
    state.bytes = bytes;
    state.size = size;
    state.place = place;
    state.context = context;
    state.info.err = jpeg_std_error(&state.errors);
    state.errors.error_exit = leave;
    state.errors.emit_message = emit;
    state.errors.output_message = silent;
    state.progress.progress_monitor = watch;
    state.info.client_data = &state;  // an error inside jpeg_create_decompress needs it
    const bool ok = decode(state);
    jpeg_destroy_decompress(&state.info);
    return ok;
}

}  // namespace nascent::detail
