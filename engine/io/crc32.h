// CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320; the one of zip and PNG): finds damage, not forgery.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace nascent {

/// CRC of `bytes` appended to data whose CRC is `before` (0 for a start): crc32(b, crc32(a)) is the CRC of a followed
/// by b.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0);
std::uint32_t crc32(std::string_view text, std::uint32_t before = 0);

}  // namespace nascent
