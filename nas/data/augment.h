// NAS-Bench-201's training augmentation: mirror with probability 1/2, then a crop of the zero-padded picture.
#pragma once
#include <cstdint>

namespace nascent {

/// What one access to one picture draws: the crop starts `top` rows and `left` columns into the padded picture.
struct Augmentation {
    bool flip = false;
    int top = 0, left = 0;
};

/// The padding on each side: 4 at 32, 2 at 16.
inline int crop_padding(int side) { return side / 8; }

/// A pure function of its arguments: flip in {0, 1}, top in 0..2 crop_padding(height), left alike, each uniform.
Augmentation draw_augmentation(std::uint64_t seed, std::uint64_t step, std::uint32_t position, int height, int width);

/// from, to: (h, w, 3), not overlapping. Padding is black in the bytes, as torchvision pads a PIL picture: it is there
/// before normalisation and becomes -mean / std by it.
void augment(const std::uint8_t* from, int height, int width, const Augmentation& augmentation, std::uint8_t* to);

}  // namespace nascent
