// What tensors hold, and what is computed with: templates over S take what is stored, Compute<S> is what vectors,
// weights and arithmetic are.
#pragma once
#include <cstdint>

namespace nascent::kernels {

/// The upper half of a float, rounded to nearest even: stored by the gpu's kernels, computed with by none.
struct BFloat16 {
    std::uint16_t bits;
};

namespace detail {
template <class S>
struct ComputeOf {
    using type = S;
};
template <>
struct ComputeOf<BFloat16> {
    using type = float;
};
}  // namespace detail

/// float of BFloat16, otherwise S itself.
template <class S>
using Compute = typename detail::ComputeOf<S>::type;

}  // namespace nascent::kernels
