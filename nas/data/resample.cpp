#include "nas/data/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "engine/base/error.h"
#include "nas/data/file.h"
#include "nas/data/resample_rows.h"
#include "nas/space/nearest_name.h"

namespace nascent {
namespace {
constexpr std::size_t slack = 64;  // bytes that a vector may read or write past a row
constexpr int pillow_bits = 22;
constexpr int opencv_one = 2048;

std::size_t padded(int width) { return (static_cast<std::size_t>(width) * 3 + 2 * slack - 1) / slack * slack; }

/// Halves up, as Resample.c rounds (it cuts towards 0 after adding a half).
int rounded(double value) {
    value += 0.5;
    return static_cast<int>(value);
}

/// The mean of 2x2, which cv2 takes for a reduction by exactly 2.
void halve(const PictureView& from, const Region& window, std::uint8_t* to) {
    for (int y = window.top; y < window.top + window.height; y++) {
        const std::uint8_t* row = from.pixels + 2 * static_cast<std::size_t>(y) * from.stride;
        for (int x = window.left; x < window.left + window.width; x++) {
            const std::uint8_t* p = row + 6 * static_cast<std::size_t>(x);
            for (int c = 0; c < 3; c++, p++) {
                *to++ = static_cast<std::uint8_t>((p[0] + p[3] + p[from.stride] + p[from.stride + 3] + 2) >> 2);
            }
        }
    }
}
}  // namespace

Resampling resampling(const std::string& name) {
    static constexpr std::array<std::string_view, 2> names = {"pillow", "opencv"};
    for (std::size_t i = 0; i < names.size(); i++) {
        if (name == names[i]) return static_cast<Resampling>(i);
    }
    fail(ErrorKind::usage, "resizing '{}' is unknown, did you mean '{}'? (known: {})", name, nearest_name(name, names),
         join_names(names));
}

void Resampler::triangle(int size, double begin, double end, int to, int first, int count, Taps& taps) {
    const double scale = (end - begin) / to, support = std::max(scale, 1.0);
    taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
    taps.ranges.resize(static_cast<std::size_t>(count));
    taps.weights.assign(static_cast<std::size_t>(count) * static_cast<std::size_t>(taps.width), 0);
    std::vector<double> weights(static_cast<std::size_t>(taps.width));
    for (int i = 0; i < count; i++) {
        const double centre = begin + (first + i + 0.5) * scale, inverse = 1.0 / support;
        const int low = std::max(0, rounded(centre - support));
        const int high = std::min(size, rounded(centre + support));
        double total = 0;
        for (int k = 0; k < high - low; k++) {
            const double distance = std::abs((k + low - centre + 0.5) * inverse);
            weights[static_cast<std::size_t>(k)] = distance < 1.0 ? 1.0 - distance : 0.0;
            total += weights[static_cast<std::size_t>(k)];
        }
        taps.ranges[static_cast<std::size_t>(i)] = {low, high - low};
        std::int32_t* out = &taps.weights[static_cast<std::size_t>(i) * static_cast<std::size_t>(taps.width)];
        for (int k = 0; k < high - low; k++) {
            double w = weights[static_cast<std::size_t>(k)];
            if (total != 0.0) w /= total;
            out[k] = rounded(w * (1 << pillow_bits));
        }
    }
}

void Resampler::linear(int size, double begin, double end, int to, int first, int count, bool clamp, Taps& taps) {
    // As cv2 computes it: the reciprocal of the reciprocal in double, the position in float.
    const double scale = 1.0 / (to / (end - begin));
    taps.width = 2;
    taps.ranges.resize(static_cast<std::size_t>(count));
    taps.weights.resize(static_cast<std::size_t>(count) * 2);
    for (int i = 0; i < count; i++) {
        auto position = static_cast<float>(begin + (first + i + 0.5) * scale - 0.5);
        int low = static_cast<int>(std::floor(position));
        position -= static_cast<float>(low);
        if (clamp && low < 0) low = 0, position = 0;
        if (clamp && low >= size - 1) low = size - 1, position = 0;
        taps.ranges[static_cast<std::size_t>(i)] = {low, 2};
        const auto weight = [](float w) { return static_cast<std::int32_t>(std::lrintf(w * opencv_one)); };
        taps.weights[2 * static_cast<std::size_t>(i)] = weight(1.0f - position);
        taps.weights[2 * static_cast<std::size_t>(i) + 1] = weight(position);
    }
}

void Resampler::pillow(const PictureView& from, const Region& window, std::uint8_t* to) {
    const int low = rows_.ranges.front().first, high = rows_.ranges.back().first + rows_.ranges.back().count;
    const std::size_t stride = padded(window.width), row_bytes = static_cast<std::size_t>(window.width) * 3;
    narrow_.resize(static_cast<std::size_t>(high - low) * stride + slack);
    const int first = columns_.ranges.front().first;
    const int last = columns_.ranges.back().first + columns_.ranges.back().count;
    line_.resize(padded(last - first) + slack);
    for (int y = low; y < high; y++) {
        std::memcpy(line_.data(),
                    from.pixels + static_cast<std::size_t>(y) * from.stride + static_cast<std::size_t>(first) * 3,
                    static_cast<std::size_t>(last - first) * 3);
        rows::narrow(line_.data(), first, &columns_.ranges[0].first, columns_.weights.data(), columns_.width,
                     window.width, &narrow_[static_cast<std::size_t>(y - low) * stride]);
    }
    out_.resize(row_bytes + slack);
    for (int y = 0; y < window.height; y++, to += row_bytes) {
        const Taps::Range range = rows_.ranges[static_cast<std::size_t>(y)];
        rows::sum(&narrow_[static_cast<std::size_t>(range.first - low) * stride], stride,
                  &rows_.weights[static_cast<std::size_t>(y) * static_cast<std::size_t>(rows_.width)], range.count,
                  row_bytes, out_.data());
        std::memcpy(to, out_.data(), row_bytes);
    }
}

void Resampler::opencv(const PictureView& from, const Region& window, std::uint8_t* to) {
    const std::size_t row_bytes = static_cast<std::size_t>(window.width) * 3;
    const int first = columns_.ranges.front().first;
    const int last = std::min(from.width, columns_.ranges.back().first + 2);
    line_.resize(padded(last - first) + slack);
    for (auto& line : lines_) line.resize(row_bytes + slack);
    int held[2] = {-1, -1};
    const auto line = [&](int y) -> const std::int32_t* {
        y = std::clamp(y, 0, from.height - 1);
        const int slot = y % 2;
        std::int32_t* out = lines_[slot].data();
        if (held[slot] == y) return out;
        held[slot] = y;
        std::memcpy(line_.data(),
                    from.pixels + static_cast<std::size_t>(y) * from.stride + static_cast<std::size_t>(first) * 3,
                    static_cast<std::size_t>(last - first) * 3);
        rows::mix_columns(line_.data(), first, &columns_.ranges[0].first, columns_.weights.data(), window.width, out);
        return out;
    };
    out_.resize(row_bytes + slack);
    for (int y = 0; y < window.height; y++, to += row_bytes) {
        const int low = rows_.ranges[static_cast<std::size_t>(y)].first;
        const std::int32_t* upper = line(low);
        const std::int32_t* lower = line(low + 1);
        rows::mix_rows(upper, lower, &rows_.weights[2 * static_cast<std::size_t>(y)], row_bytes, out_.data());
        std::memcpy(to, out_.data(), row_bytes);
    }
}

void Resampler::resize(const PictureView& from, const SourceBox& box, int height, int width, const Region& window,
                       Resampling convention, std::uint8_t* to) {
    NASCENT_CHECK(from.height > 0 && from.width > 0 && height > 0 && width > 0, usage,
                  "resizing a picture of {}x{} to {}x{}", from.width, from.height, width, height);
    NASCENT_CHECK(box.top >= 0 && box.left >= 0 && box.top < box.bottom && box.left < box.right &&
                      box.bottom <= from.height && box.right <= from.width,
                  usage, "resizing columns {}..{} and rows {}..{} of a picture of {}x{}", box.left, box.right, box.top,
                  box.bottom, from.width, from.height);
    NASCENT_CHECK(window.top >= 0 && window.left >= 0 && window.height > 0 && window.width > 0 &&
                      window.height <= height - window.top && window.width <= width - window.left,
                  usage, "a window of {}x{} at ({}, {}) in a picture resized to {}x{}", window.width, window.height,
                  window.left, window.top, width, height);
    if (convention == Resampling::pillow) {
        triangle(from.width, box.left, box.right, width, window.left, window.width, columns_);
        triangle(from.height, box.top, box.bottom, height, window.top, window.height, rows_);
        return pillow(from, window, to);
    }
    const bool whole = box.top == 0 && box.left == 0 && box.bottom == from.height && box.right == from.width;
    if (whole && from.height == 2 * height && from.width == 2 * width) return halve(from, window, to);
    linear(from.width, box.left, box.right, width, window.left, window.width, true, columns_);
    linear(from.height, box.top, box.bottom, height, window.top, window.height, false, rows_);
    opencv(from, window, to);
}

}  // namespace nascent
