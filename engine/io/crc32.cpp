#include "engine/io/crc32.h"

#include <array>

namespace nascent {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; i++) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? (value >> 1) ^ 0xEDB88320u : value >> 1;
        table[i] = value;
    }
    return table;
}
constexpr std::array<std::uint32_t, 256> table = make_table();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) {
    std::uint32_t value = ~before;
    for (std::byte b : bytes) value = (value >> 8) ^ table[(value ^ static_cast<std::uint32_t>(b)) & 0xFF];
    return ~value;
}

std::uint32_t crc32(std::string_view text, std::uint32_t before) {
    return crc32(std::as_bytes(std::span(text.data(), text.size())), before);
}

}  // namespace nascent
