// Class folders of pictures of many sizes.
#pragma once
#include "tests/nas/data_pictures.h"
#include "tests/temporary_folder.h"

namespace nascent::test {

namespace fs = std::filesystem;

inline constexpr int classes = 3, training = 8, held_out = 4;

inline std::string picture(const std::string& folder, const char* split, int label, int number) {
    return folder + "/" + split + "/" + std::string(1, static_cast<char>('a' + label)) + "/" + std::to_string(number);
}

/// Pictures of many sizes, a colour beside noise in each class.
inline void write_folders(const std::string& folder) {
    for (auto [split, count] : {std::pair{"train", training}, {"val", held_out}})
        for (int label = 0; label < classes; label++)
            for (int i = 0; i < count; i++) {
                const int height = 40 + i * 7 % 50, width = 90 - i * 11 % 50;
                auto pixels = nascent::testing::noise(height, width, static_cast<std::uint32_t>(label * 100 + i));
                for (std::size_t p = static_cast<std::size_t>(label); p < pixels.size(); p += 3) pixels[p] |= 0xC0;
                const std::string path = picture(folder, split, label, i);
                fs::create_directories(fs::path(path).parent_path());
                write_text(path, nascent::testing::jpeg(width, height, JCS_RGB, 3, pixels));
            }
}

}  // namespace nascent::test
