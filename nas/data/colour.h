// Changes of colour that training pictures are varied with, on bytes (n, 3) RGB in place. Brightness, contrast,
// saturation and hue are Pillow's (ImageEnhance on Blend.c, Convert.c) to the bit, as torchvision applies them to PIL
// pictures; the same bits on every machine.
#pragma once
#include <array>
#include <cstdint>
#include <span>

namespace nascent {

/// Products with black: min(255, factor * value), cut to a whole number. factor >= 0.
void brighten(std::span<std::uint8_t> pixels, float factor);

/// Distances from the mean luma (rounded) times `factor`.
void change_contrast(std::span<std::uint8_t> pixels, float factor);

/// Distances from each pixel's luma times `factor`.
void saturate(std::span<std::uint8_t> pixels, float factor);

/// Turns the hue by `shift` 256ths of the circle, through Pillow's 8-bit HSV (which loses colours even for shift 0).
void turn_hue(std::span<std::uint8_t> pixels, std::uint8_t shift);

/// Adds `offset`[c] (on the scale 0..1) to channel c: byte(clip(value / 255 + offset, 0, 1) * 255), cut, in double.
void shift_channels(std::span<std::uint8_t> pixels, const std::array<double, 3>& offset);

/// What PCA lighting adds: the eigenvectors of ImageNet's RGB covariance (Krizhevsky et al. 2012) times alpha_i times
/// the eigenvalues 0.2175, 0.0188, 0.0045.
std::array<double, 3> lighting_offset(const std::array<double, 3>& alpha);

}  // namespace nascent
