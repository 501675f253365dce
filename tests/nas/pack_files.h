// Pictures that tests pack.
#pragma once
#include <string>

#include "nas/data/pack_write.h"
#include "tests/nas/data_pictures.h"
#include "tests/nas/data_testing.h"

namespace nascent::testing {

/// Two classes with five pictures of several kinds and sizes.
inline void write_pictures(const TemporaryFolder& folder, const std::string& split = "train") {
    const auto at = [&](const std::string& name) { return folder / ("set/" + split + "/" + name); };
    write_file(at("ant/1.jpg"), jpeg(40, 30, JCS_RGB, 3, ramp(40, 30)));
    write_file(at("ant/2.JPEG"), png(31, 50, 8, PNG_COLOR_TYPE_RGB, noise(50, 31, 2)));
    write_file(at("bee/1.jpg"), jpeg(9, 9, JCS_GRAYSCALE, 1, Pixels(81, 60)));
    write_file(at("bee/2.jpg"),
               jpeg(64, 24, JCS_RGB, 3, noise(24, 64, 3), JCS_UNKNOWN, true, {0, 0, 90, exif_segment(6)}));
    write_file(at("bee/3.png"), png(20, 20, 8, PNG_COLOR_TYPE_RGB, noise(20, 20, 4)));
}

inline PackOptions settings(PackGeometry geometry, int side, int threads = 1) {
    PackOptions options;
    options.settings.geometry = geometry;
    options.settings.side = side;
    options.threads = threads;
    return options;
}

}  // namespace nascent::testing
