#include "kernels/copy.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace nascent::kernels::cpu {
namespace {
BFloat16 rounded(float v) {
    if (v != v) return {0x7fff};
    const auto bits = std::bit_cast<std::uint32_t>(v);
    return {static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
}  // namespace

void copy_list(const Stream&, std::span<const CopyItem> items) {
    for (const CopyItem& i : items)
        if (i.count > 0) std::memcpy(i.to, i.from, i.count);
}
void round_list(const Stream&, std::span<const RoundItem> items) {
    for (const RoundItem& r : items)
        for (std::size_t i = 0; i < r.count; i++) r.to[i] = rounded(r.from[i]);
}

}  // namespace nascent::kernels::cpu
