// What is copied and rounded from several places, on the CPU.
#include "kernels/copy.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

float as_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// By definition: of all numbers of 16 bits the nearest, of two the one that is even; beyond the largest by half of
/// what lies between numbers there, or more: infinite.
std::uint16_t nearest(float v) {
    if (std::isnan(v)) return 0x7fff;
    const std::uint16_t sign = std::signbit(v) ? 0x8000 : 0;
    const double size = std::fabs(static_cast<double>(v));
    std::uint32_t low = 0, high = 0x7f80;  // their numbers grow
    while (high - low > 1) {
        const std::uint32_t middle = (low + high) / 2;
        (static_cast<double>(as_float(static_cast<std::uint16_t>(middle))) <= size ? low : high) = middle;
    }
    const auto value = [](std::uint32_t bits) {
        return bits == 0x7f80 ? 0x1p128 : static_cast<double>(as_float(static_cast<std::uint16_t>(bits)));
    };
    const double below = size - value(low), above = value(high) - size;
    const bool up = std::isinf(v) || below > above || (below == above && low % 2 == 1);
    return static_cast<std::uint16_t>(sign | (up ? high : low));
}

}  // namespace

TEST_CASE("copies of several places") {
    const std::array<std::size_t, 4> sizes{1, 0, 70, 5001};
    std::vector<Guarded<unsigned char>> from, to;
    std::vector<kernels::CopyItem> items;
    for (std::size_t size : sizes) {
        Guarded<unsigned char>& some = from.emplace_back(size);
        for (std::size_t k = 0; k < size; k++) some[k] = static_cast<unsigned char>(31 * size + 7 * k);
        to.emplace_back(size);
    }
    for (std::size_t i = 0; i < sizes.size(); i++) items.push_back({to[i].data(), from[i].data(), from[i].size()});
    kernels::copy_list(kernels::Stream{}, items);
    for (std::size_t i = 0; i < sizes.size(); i++) CHECK((to[i].intact() && to[i].same_bits(from[i])));
    kernels::copy_list(kernels::Stream{}, {});
}

TEST_CASE("floats are rounded to the nearest bf16, ties to even, in several places") {
    Numbers numbers(61);
    std::vector<Guarded<float>> from;
    for (std::size_t size : {0, 1, 300}) from.push_back(numbers.uniform<float>(size));
    constexpr float kMost = std::numeric_limits<float>::max(), kInfinity = std::numeric_limits<float>::infinity();
    std::vector<float> special = {0,
                                  1 + 0x1p-8f,
                                  1 + 3 * 0x1p-8f,
                                  1 + 0x1.2p-8f,
                                  1 + 0x1.8p-9f,
                                  kMost,
                                  kInfinity,
                                  as_float(0x7f7f),
                                  std::nextafter(as_float(0x7f7f), kInfinity),
                                  std::numeric_limits<float>::denorm_min(),
                                  as_float(1),
                                  1.5f * as_float(1),
                                  0.5f * as_float(1),
                                  as_float(0x7f),
                                  0x1.feffffp-1f,
                                  0x1.ffp-1f};
    for (std::size_t i = special.size(); i-- > 0;) special.push_back(-special[i]);
    special.push_back(std::numeric_limits<float>::quiet_NaN());
    special.push_back(std::bit_cast<float>(0xff800001u));  // the smallest of all, and rounding its bits is infinite
    Guarded<float>& last = from.emplace_back(special.size());
    for (std::size_t i = 0; i < special.size(); i++) last[i] = special[i];

    std::vector<Guarded<std::uint16_t>> to;
    std::vector<kernels::RoundItem> items;
    for (const auto& f : from) to.emplace_back(f.size());
    for (std::size_t i = 0; i < from.size(); i++)
        items.push_back({reinterpret_cast<kernels::BFloat16*>(to[i].data()), from[i].data(), from[i].size()});
    kernels::round_list(kernels::Stream{}, items);
    for (std::size_t i = 0; i < from.size(); i++) {
        CHECK(to[i].intact());
        for (std::size_t k = 0; k < from[i].size(); k++) {
            CAPTURE(from[i][k]);
            CHECK(to[i][k] == nearest(from[i][k]));
        }
    }
    kernels::round_list(kernels::Stream{}, {});
}

}  // namespace nascent::test
