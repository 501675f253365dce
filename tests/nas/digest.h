// Checksums that tests compare long sequences by.
#pragma once
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace nascent_tests {

/// CRC-32 of zlib, eight lower-case hexadecimal digits.
inline std::string crc32(std::string_view bytes) {
    std::uint32_t crc = 0xffffffffu;
    for (unsigned char byte : bytes) {
        crc ^= byte;
        for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1u) ? 0xedb88320u : 0u);
    }
    return fmt::format("{:08x}", ~crc);
}

/// MD5 (RFC 1321), 32 lower-case hexadecimal digits.
inline std::string md5(std::string_view text) {
    std::string m(text);
    m += '\x80';
    while (m.size() % 64 != 56) m += '\0';
    for (int i = 0; i < 8; ++i) m += static_cast<char>((std::uint64_t{text.size()} * 8) >> (8 * i));
    constexpr std::array<int, 16> turns = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
    std::array<std::uint32_t, 4> state = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u};
    for (std::size_t block = 0; block < m.size(); block += 64) {
        std::array<std::uint32_t, 16> x{};
        for (std::size_t i = 0; i < 64; ++i) {
            x[i / 4] |= static_cast<std::uint32_t>(static_cast<unsigned char>(m[block + i])) << (8 * (i % 4));
        }
        auto [a, b, c, d] = state;
        for (std::uint32_t i = 0; i < 64; ++i) {
            std::uint32_t f, k;
            if (i < 16) {
                f = (b & c) | (~b & d);
                k = i;
            } else if (i < 32) {
                f = (d & b) | (~d & c);
                k = (5 * i + 1) % 16;
            } else if (i < 48) {
                f = b ^ c ^ d;
                k = (3 * i + 5) % 16;
            } else {
                f = c ^ (b | ~d);
                k = (7 * i) % 16;
            }
            auto sine = static_cast<std::uint32_t>(std::floor(std::fabs(std::sin(i + 1.0)) * 4294967296.0));
            std::uint32_t next = b + std::rotl(a + f + sine + x[k], turns[i / 16 * 4 + i % 4]);
            a = d;
            d = c;
            c = b;
            b = next;
        }
        state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
    }
    std::string hex;
    for (std::uint32_t word : state) {
        for (int i = 0; i < 4; ++i) hex += fmt::format("{:02x}", (word >> (8 * i)) & 0xffu);
    }
    return hex;
}

}  // namespace nascent_tests
