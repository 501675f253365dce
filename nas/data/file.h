// Small helpers that the readers of foreign files share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nascent {

using Bytes = std::vector<std::uint8_t>;

/// The whole file. Throws Error(data) that names it when it cannot be read, is no regular file, or has more than
/// `limit` bytes.
Bytes read_bytes(const std::string& path, std::size_t limit);

/// What the file system says of a file.
struct FileStat {
    std::uint64_t bytes = 0;
    std::int64_t time = 0;  // of the last change, ns since 1970
};
/// Follows links. Throws Error(data) that names the file.
FileStat file_stat(const std::string& path);

/// "a, b, c".
std::string join_names(std::span<const std::string_view> names);

}  // namespace nascent
