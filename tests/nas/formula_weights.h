// Weights given by a formula, the same in Python and here, so that figures of published programs can be compared
// without a file of weights.
#pragma once
#include <cstdint>
#include <string>

#include "nas/metric/angle.h"

namespace nascent_tests {

inline std::uint32_t crc_of(const std::string& text) {
    std::uint32_t crc = 0xffffffffu;
    for (unsigned char byte : text) {
        crc ^= byte;
        for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1u) ? 0xedb88320u : 0u);
    }
    return ~crc;
}

/// Element i of a tensor before training, in -0.5 ... 0.5.
inline double formula(std::uint32_t crc, std::int64_t i) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761u + crc;
    x ^= x >> 16;
    x *= 0x45d9f3bu;
    x ^= x >> 16;
    return x / 4294967296.0 - 0.5;
}

/// Sums of a tensor of `count` elements: before u(name), after half of it plus u(name!), with one added before to
/// weights of batch norms.
inline nascent::AngleSums formula_sums(const std::string& name, std::int64_t count, bool norm_weight) {
    const std::uint32_t first = crc_of(name), second = crc_of(name + "!");
    nascent::AngleSums sums;
    for (std::int64_t i = 0; i < count; ++i) {
        const double w0 = formula(first, i) + norm_weight, w1 = 0.5 * w0 + formula(second, i);
        sums += {w0 * w1, w0 * w0, w1 * w1};
    }
    return sums;
}

}  // namespace nascent_tests
