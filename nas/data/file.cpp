#include "nas/data/file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "engine/base/error.h"

namespace nascent {

Bytes read_bytes(const std::string& path, std::size_t limit) {
    std::error_code error;
    const bool regular = std::filesystem::is_regular_file(path, error);
    NASCENT_CHECK(!error, data, "{}: {}", path, error.message());
    NASCENT_CHECK(regular, data, "{}: not a regular file", path);
    const std::uintmax_t size = std::filesystem::file_size(path, error);
    NASCENT_CHECK(!error, data, "{}: {}", path, error.message());
    NASCENT_CHECK(size <= limit, data, "{}: {} bytes, expected at most {}", path, size, limit);
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
    NASCENT_CHECK(file != nullptr, data, "{}: {}", path, std::strerror(errno));
    Bytes bytes(static_cast<std::size_t>(size));
    const std::size_t got = bytes.empty() ? 0 : std::fread(bytes.data(), 1, bytes.size(), file.get());
    NASCENT_CHECK(got == bytes.size(), data, "{}: read {} of {} bytes", path, got, bytes.size());
    return bytes;
}

FileStat file_stat(const std::string& path) {
    struct stat status = {};
    NASCENT_CHECK(::stat(path.c_str(), &status) == 0, data, "{}: {}", path, std::strerror(errno));
    return {static_cast<std::uint64_t>(status.st_size),
            static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string join_names(std::span<const std::string_view> names) {
    std::string all;
    for (std::string_view name : names) all.append(all.empty() ? "" : ", ").append(name);
    return all;
}

}  // namespace nascent
