// Where things lie in a pack; docs/formats.md has it as a table. Little-endian throughout.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nascent::pack_layout {

inline constexpr std::string_view head_magic = "nascpack", tail_magic = "packnasc";
inline constexpr std::uint32_t version = 1;
/// Header: magic (8), version (4), zeros. Pictures and tables begin at multiples of `border`.
inline constexpr std::size_t border = 64;
/// Tables: geometry, side, resize, orientation, classes (4 each), skipped (4), count (8); then names, index.
inline constexpr std::size_t settings_bytes = 32;
/// Index: offset (8), height, width, label, crc (4 each), source bytes (8), time (8), crc (4), name's length (4).
inline constexpr std::size_t entry_bytes = 48;
/// At the file's end: offset and length of the tables, length of the file (8 each), CRC-32 of the tables and of these
/// 28 bytes (4 each), magic (8).
inline constexpr std::size_t tail_bytes = 40;

inline constexpr std::uint64_t at_border(std::uint64_t n) { return (n + border - 1) / border * border; }
inline constexpr int most_side = 65535;

}  // namespace nascent::pack_layout
