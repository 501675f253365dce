// How networks start.
#pragma once
#include <cstdint>
#include <functional>

#include "engine/base/rng.h"
#include "engine/memory/parameter_store.h"

namespace nascent {

/// Batch-norm's scale at the start: 1 since PyTorch 1.2, uniform in [0, 1) before.
enum class GammaStart { ones, uniform };

/// PyTorch's defaults by name and shape: convolutions, linear weights and their biases uniform in +-1/sqrt(fan_in);
/// batch-norm's scale as said, its shift 0; architecture parameters (alphas*, arch_parameters) normal with deviation
/// 1e-3. Buffers stay. A pure function of the seed and the parameters' places, drawn in double and rounded.
void initialise(ParameterStore& store, std::uint64_t seed, GammaStart gamma = GammaStart::ones);

/// What is drawn for each element of a parameter: one number for all, +-scale, [0, scale) or normal with deviation
/// scale.
struct Start {
    enum Kind { constant, around_zero, positive, normal } kind = constant;
    double scale = 0;
    double draw(const Random& r) const;
};
/// As above, with another rule for each parameter.
void initialise(ParameterStore& store, std::uint64_t seed, const std::function<Start(const Parameter&)>& start_of);

}  // namespace nascent
