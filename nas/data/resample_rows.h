// The inner loops of Resampler, as vectors. All read and write up to 64 bytes past what they are asked for.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nascent::rows {

/// Pillow's horizontal pass of one row: out[i] = round(sum over k of weights[i * taps + k] * line[first_i - origin +
/// k]), pixels of three bytes. ranges: (count, 2) first and number of taps; weights in 22-bit fixed point.
void narrow(const std::uint8_t* line, int origin, const int* ranges, const std::int32_t* weights, int taps, int count,
            std::uint8_t* out);

/// Pillow's vertical pass of one row: out[i] = round(sum over k < taps of weights[k] * rows[k * stride + i]), i <
/// bytes.
void sum(const std::uint8_t* rows, std::size_t stride, const std::int32_t* weights, int taps, std::size_t bytes,
         std::uint8_t* out);

/// cv2's horizontal pass: out[3 i + c] = weights[2 i] * p[c] + weights[2 i + 1] * p[3 + c] with p the pixel first_i of
/// the line that begins at pixel `origin`. ranges: (count, 2), of which the first of each pair is used.
void mix_columns(const std::uint8_t* line, int origin, const int* ranges, const std::int32_t* weights, int count,
                 std::int32_t* out);

/// cv2's vertical pass: (((b0 (upper >> 4)) >> 16) + ((b1 (lower >> 4)) >> 16) + 2) >> 2, i < count.
void mix_rows(const std::int32_t* upper, const std::int32_t* lower, const std::int32_t* weights, std::size_t count,
              std::uint8_t* out);

}  // namespace nascent::rows
