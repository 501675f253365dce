// What every harness does: hand the bytes to a reader, which may answer with an Error and with nothing else.
#pragma once
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace nascent::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

template <class F>
int expect_error_or_nothing(F&& f) {
    try {
        f();
    } catch (const Error&) {
    }
    return 0;
}

/// A file in memory, for readers that take paths.
inline std::string as_file(const std::string& name, std::string_view bytes) {
    static const std::string folder = "/dev/shm/nascent-fuzz-" + std::to_string(getpid());
    const std::string path = folder + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return path;
}

}  // namespace nascent::fuzz
