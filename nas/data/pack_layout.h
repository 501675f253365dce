// Where things lie in a pack; docs/formats.md has it as a table. Little-endian throughout.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
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

namespace nascent {

struct PackTables;

/// Where the tables lie, as a pack's end says.
struct PackTail {
    std::uint64_t tables = 0, tables_bytes = 0;
    std::uint32_t tables_crc32 = 0;
};
/// parse_pack() in two steps, for who reads only parts of a file of `size` bytes: its first bytes and its last ones, as
/// many as a border and a tail take or as there are; then the tables.
PackTail parse_pack_tail(std::span<const std::uint8_t> head, std::span<const std::uint8_t> end, std::size_t size,
                         const std::string& name);
PackTables parse_pack_tables(std::span<const std::uint8_t> tables, const PackTail& tail, const std::string& name);

}  // namespace nascent
