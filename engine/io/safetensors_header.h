// What the JSON header of a safetensors file says, before it is believed.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nascent {

/// The name in a header that is no tensor's.
inline constexpr std::string_view safetensors_metadata = "__metadata__";

struct SafeEntry {
    std::string name;
    std::string dtype;
    std::vector<std::uint64_t> shape, offsets;
    bool has_shape = false, has_offsets = false;
};

struct SafeHeader {
    std::vector<SafeEntry> entries;  // in the order of the text
    std::map<std::string, std::string> metadata;
};

/// Entries with dtype, shape and two ascending offsets each; whether these fit one another and the file is for the
/// caller to check. Error of kind checkpoint, beginning with `path`, for anything else. Takes no more memory than a
/// small multiple of the text.
SafeHeader parse_safetensors_header(std::string_view text, const std::string& path);

}  // namespace nascent
