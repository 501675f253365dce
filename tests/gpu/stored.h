// Tensors stored as bf16 in the GPU kernels' tests.
#pragma once
#include <algorithm>

#include "kernels/element.h"
#include "tests/gpu/check.h"

namespace nascent::test {

using kernels::BFloat16;

inline float from_stored(std::uint16_t bits) { return simt::from_bits(static_cast<unsigned>(bits) << 16); }
inline float to_bf16(float v) { return from_stored(simt::to_bf16(v)); }

/// Bits of bf16, at a multiple of 16 bytes or one element off.
using Bits = Guarded<std::uint16_t>;
inline Bits stored(const Guarded<float>& v, bool aligned = true) {
    Bits to(v.size(), aligned ? 0 : 1);
    std::transform(v.begin(), v.end(), to.begin(), simt::to_bf16);
    return to;
}
inline Guarded<float> floats(const Bits& v, bool aligned = true) {
    Guarded<float> to(v.size(), aligned ? 0 : 1);
    std::transform(v.begin(), v.end(), to.begin(), from_stored);
    return to;
}
inline BFloat16* elements(Bits& v) { return reinterpret_cast<BFloat16*>(v.data()); }
inline const BFloat16* elements(const Bits& v) { return reinterpret_cast<const BFloat16*>(v.data()); }

/// The nearest bf16 of each.
inline Guarded<float> rounded(Guarded<float> v) {
    std::transform(v.begin(), v.end(), v.begin(), to_bf16);
    return v;
}

/// `got` is a result of `roundings` roundings of floats and the one to 8 bits, of what `want` says.
inline void check_stored(const Bits& got, const std::vector<Bounded>& want, double roundings, const char* what) {
    INFO(std::string(what));
    CHECK(got.intact());
    REQUIRE(got.size() == want.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < want.size(); i++) {
        const Real sums = roundings * std::numeric_limits<float>::epsilon() * want[i].magnitude;
        wrong +=
            !(std::fabs(from_stored(got[i]) - want[i].value) <= sums + 0x1p-8L * (std::fabs(want[i].value) + sums));
    }
    CHECK(wrong == 0);
}

}  // namespace nascent::test
