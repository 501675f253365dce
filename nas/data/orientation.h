// The EXIF orientation of a JPEG: how a camera was held.
#pragma once
#include <cstdint>
#include <span>

#include "nas/data/picture.h"

namespace nascent {

/// The tag 0x0112 of the first EXIF segment before the picture data: 1 (as stored) to 8. 1 where there is none or where
/// it is damaged: as every reader does, a picture with broken EXIF is still a picture.
int exif_orientation(std::span<const std::uint8_t> jpeg);

/// Whether height and width change places.
inline bool swaps_sides(int orientation) { return orientation >= 5; }

/// Where a region of the picture as shown lies in the picture as stored (`height` x `width` stored).
Region stored_region(int orientation, const Region& shown, int height, int width);

/// The stored pixels as shown. Mirrored (2), turned by 180 degrees (3), upside down (4), transposed (5), turned right
/// by 90 (6), transposed over the other diagonal (7), turned left by 90 (8); `orientation` 1 gives them as they are.
Picture oriented(Picture stored, int orientation);

}  // namespace nascent
