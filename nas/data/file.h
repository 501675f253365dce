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
Bytes read_file(const std::string& path, std::size_t limit);

/// The name with the smallest edit distance to `given` (the first of equals); `names` must not be empty.
std::string_view nearest_name(std::string_view given, std::span<const std::string_view> names);

/// "a, b, c".
std::string join_names(std::span<const std::string_view> names);

}  // namespace nascent
