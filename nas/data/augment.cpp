#include "nas/data/augment.h"

#include <algorithm>
#include <cstring>

#include "engine/base/rng.h"

namespace nascent {

Augmentation draw_augmentation(std::uint64_t seed, std::uint64_t step, std::uint32_t position, int height, int width) {
    const auto rows = static_cast<std::uint32_t>(2 * crop_padding(height) + 1);
    const auto columns = static_cast<std::uint32_t>(2 * crop_padding(width) + 1);
    // One draw, taken apart, so that the three are independent.
    std::uint32_t v = Random(seed, RandomStream::augment, step, position).below(0, 2 * rows * columns);
    Augmentation a;
    a.flip = v % 2 != 0;
    v /= 2;
    a.top = static_cast<int>(v % rows);
    a.left = static_cast<int>(v / rows);
    return a;
}

void augment(const std::uint8_t* from, int height, int width, const Augmentation& a, std::uint8_t* to) {
    const int dy = a.top - crop_padding(height), dx = a.left - crop_padding(width);
    const int first = std::clamp(-dx, 0, width), end = std::clamp(width - dx, 0, width);  // columns inside the picture
    const auto row_bytes = static_cast<std::size_t>(width) * 3;
    for (int y = 0; y < height; y++, to += row_bytes) {
        const int source_y = y + dy;
        if (source_y < 0 || source_y >= height) {
            std::memset(to, 0, row_bytes);
            continue;
        }
        const std::uint8_t* row = from + static_cast<std::size_t>(source_y) * row_bytes;
        std::memset(to, 0, static_cast<std::size_t>(first) * 3);
        std::memset(to + static_cast<std::size_t>(end) * 3, 0, static_cast<std::size_t>(width - end) * 3);
        if (!a.flip) {
            std::memcpy(to + static_cast<std::size_t>(first) * 3, row + static_cast<std::size_t>(first + dx) * 3,
                        static_cast<std::size_t>(end - first) * 3);
            continue;
        }
        for (int x = first; x < end; x++) {
            std::memcpy(to + static_cast<std::size_t>(x) * 3, row + static_cast<std::size_t>(width - 1 - (x + dx)) * 3,
                        3);
        }
    }
}

}  // namespace nascent
