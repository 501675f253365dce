// Which instruction set the CPU kernels run on. The best one the machine has is taken unless NASCENT_CPU_TARGET names
// another: avx512, avx2 or fallback (plain scalar code, no fused multiply-add). Results differ between targets by
// rounding; on one target they depend on nothing but the inputs.
#pragma once
#include <string_view>
#include <vector>

namespace nascent::kernels {

/// The targets that are compiled in and that this machine has, best first.
std::vector<std::string_view> cpu_targets();

/// The target in use: avx512, avx2 or fallback. Throws std::invalid_argument if NASCENT_CPU_TARGET names a target that
/// is unknown or that the machine lacks (kernels throw it too, on their first call).
std::string_view cpu_target();

/// Takes the named target from now on, for tests; not to be called while kernels run. Throws std::invalid_argument for
/// a name that is unknown or that the machine lacks.
void force_cpu_target(std::string_view name);

}  // namespace nascent::kernels
