#include "engine/io/crc32.h"

#include <array>

namespace nascent {
namespace {

// tables[k][b]: what byte b does to the CRC when k more bytes follow it.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
    Tables t{};
    for (std::uint32_t i = 0; i < 256; i++) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? (value >> 1) ^ 0xEDB88320u : value >> 1;
        t[0][i] = value;
    }
    for (std::size_t k = 1; k < t.size(); k++) {
        for (std::size_t i = 0; i < 256; i++) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xFF];
    }
    return t;
}
constexpr Tables tables = make_tables();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) {
    std::uint32_t value = ~before;
    std::size_t i = 0;
    const auto at = [&](std::size_t k) { return static_cast<std::uint32_t>(bytes[i + k]); };
    for (; i + 8 <= bytes.size(); i += 8) {
        value ^= at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24;
        value = tables[7][value & 0xFF] ^ tables[6][(value >> 8) & 0xFF] ^ tables[5][(value >> 16) & 0xFF] ^
                tables[4][value >> 24] ^ tables[3][at(4)] ^ tables[2][at(5)] ^ tables[1][at(6)] ^ tables[0][at(7)];
    }
    for (; i < bytes.size(); i++) value = (value >> 8) ^ tables[0][(value ^ at(0)) & 0xFF];
    return ~value;
}

std::uint32_t crc32(std::string_view text, std::uint32_t before) {
    return crc32(std::as_bytes(std::span(text.data(), text.size())), before);
}

}  // namespace nascent
