#include "nas/data/picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>

#include "engine/base/error.h"
#include "nas/data/orientation.h"

namespace nascent {
namespace {
constexpr std::uint64_t max_pixels = std::uint64_t{64} << 20;

/// What the decoder's callback works on.
struct Request {
    const DecodeOptions& options;
    const ChooseRegion* choose;  // null: all of it
    int orientation;
    bool jpeg;
    DecodedRegion& out;
    Region cut = {};  // PNG: of the whole picture, afterwards
    std::exception_ptr error = nullptr;
};

/// The most times that a region can be halved and keep `least` pixels a side, as a power of two.
int halvings(const Region& region, int least) {
    int d = 1;
    while (least > 0 && d < 8 && std::min(region.height, region.width) / (2 * d) >= least) d *= 2;
    return d;
}

void plan(Request& request, int height, int width, detail::Part& part) {
    const bool swap = swaps_sides(request.orientation);
    const int shown_height = swap ? width : height, shown_width = swap ? height : width;
    Region region{0, 0, shown_height, shown_width};
    if (request.choose != nullptr) region = checked_region(*request.choose, shown_height, shown_width);
    DecodedRegion& out = request.out;
    out.top = out.left = 0, out.bottom = region.height, out.right = region.width;
    region = stored_region(request.orientation, region, height, width);
    request.cut = region;
    if (!request.jpeg) region = {0, 0, height, width};
    // Halved pictures of odd sizes do not turn exactly.
    const int d = request.jpeg && request.orientation == 1 ? halvings(region, request.options.least_side) : 1;
    const auto ceiling = [&](int v) { return (v + d - 1) / d; };
    const int top = region.top / d, left = region.left / d;
    const Region scaled{top, left, ceiling(region.top + region.height) - top,
                        ceiling(region.left + region.width) - left};
    if (d > 1) {
        out.top = static_cast<double>(region.top) / d - top;
        out.left = static_cast<double>(region.left) / d - left;
        out.bottom = out.top + static_cast<double>(region.height) / d;
        out.right = out.left + static_cast<double>(region.width) / d;
    }
    part = {static_cast<std::uint32_t>(scaled.top), static_cast<std::uint32_t>(scaled.left),
            static_cast<std::uint32_t>(scaled.height), static_cast<std::uint32_t>(scaled.width),
            static_cast<std::uint32_t>(d)};
}

std::uint8_t* place(void* context, std::uint32_t width, std::uint32_t height, detail::Part& part) noexcept {
    Request& request = *static_cast<Request*>(context);
    if (width == 0 || height == 0 || std::uint64_t{width} * height > max_pixels) return nullptr;
    try {
        plan(request, static_cast<int>(height), static_cast<int>(width), part);
        Picture& picture = request.out.picture;
        picture.height = static_cast<int>(part.height);
        picture.width = static_cast<int>(part.width);
        picture.pixels.resize(std::size_t{part.width} * part.height * 3);
        return picture.pixels.data();
    } catch (...) {
        request.error = std::current_exception();
        return nullptr;
    }
}

/// Keeps a region of a picture.
void cut(Picture& picture, const Region& region) {
    if (region == Region{0, 0, picture.height, picture.width}) return;
    const auto stride = static_cast<std::size_t>(picture.width) * 3, kept = static_cast<std::size_t>(region.width) * 3;
    const std::uint8_t* from = picture.pixels.data() + static_cast<std::size_t>(region.top) * stride +
                               static_cast<std::size_t>(region.left) * 3;
    std::uint8_t* to = picture.pixels.data();
    for (int y = 0; y < region.height; y++, from += stride, to += kept) std::memmove(to, from, kept);
    picture.height = region.height, picture.width = region.width;
    picture.pixels.resize(static_cast<std::size_t>(region.height) * kept);
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

PictureView view_of(const Picture& picture) {
    return {picture.pixels.data(), static_cast<std::size_t>(picture.width) * 3, picture.height, picture.width};
}

Region checked_region(const ChooseRegion& choose, int height, int width) {
    const Region r = choose(height, width);
    NASCENT_CHECK(r.top >= 0 && r.left >= 0 && r.height > 0 && r.width > 0 && r.height <= height - r.top &&
                      r.width <= width - r.left,
                  usage, "a region of {}x{} at ({}, {}) is not inside a picture of {}x{}", r.width, r.height, r.left,
                  r.top, width, height);
    return r;
}

namespace {
void decode(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeOptions& options,
            const ChooseRegion* choose, DecodedRegion& out) {
    static constexpr std::uint8_t jpeg[] = {0xFF, 0xD8, 0xFF};
    static constexpr std::uint8_t png[] = {0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A};
    const bool is_jpeg = starts_with(bytes, jpeg);
    NASCENT_CHECK(is_jpeg || starts_with(bytes, png), data,
                  "{}: neither JPEG nor PNG (expected FF D8 FF or 89 50 4E 47 at byte 0 of {})", name, bytes.size());
    const int orientation = is_jpeg && options.orientation ? exif_orientation(bytes) : 1;
    Request request{.options = options, .choose = choose, .orientation = orientation, .jpeg = is_jpeg, .out = out};
    char message[detail::message_size] = "";
    const bool ok =
        (is_jpeg ? detail::decode_jpeg : detail::decode_png)(bytes.data(), bytes.size(), place, &request, message);
    if (request.error) std::rethrow_exception(request.error);
    NASCENT_CHECK(ok, data, "{}: corrupt picture: {}", name, message);
    if (!is_jpeg) cut(out.picture, request.cut);
    if (orientation != 1) out.picture = oriented(std::move(out.picture), orientation);
}
}  // namespace

Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name) {
    DecodedRegion out;
    decode(bytes, name, {}, nullptr, out);
    return std::move(out.picture);
}

void decode_region(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeOptions& options,
                   const ChooseRegion& choose, DecodedRegion& out) {
    decode(bytes, name, options, &choose, out);
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
