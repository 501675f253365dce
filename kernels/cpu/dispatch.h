// What every file with Highway code includes first: which targets are compiled, and how the public functions reach
// them.
#pragma once
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SSE4 | HWY_SSSE3)

#include <type_traits>

namespace nascent::kernels {

/// Chooses the target on first use; every public function passes through here.
void ensure_cpu_target();

}  // namespace nascent::kernels

/// Calls NAME_f32 or NAME_f64 of the chosen target; inside a template over T.
#define NASCENT_DISPATCH(NAME, ...)                           \
    ensure_cpu_target();                                      \
    if constexpr (std::is_same_v<T, float>) {                 \
        return HWY_DYNAMIC_DISPATCH(NAME##_f32)(__VA_ARGS__); \
    } else {                                                  \
        return HWY_DYNAMIC_DISPATCH(NAME##_f64)(__VA_ARGS__); \
    }
