// Linear combinations of parameters, gradients and momenta, range by range.
#pragma once
#include <array>
#include <functional>
#include <span>

#include "engine/memory/parameter_store.h"

namespace nascent {

/// A factor, and where its term lies for a range (laid out as the range's weights are; null only with factor 0).
struct CombineTerm {
    double factor = 0;
    std::function<const void*(int range)> of = {};
};

/// to(range) = the sum of the terms, in their order, for each of the ranges, computed in double; it may be a term. With
/// `at` the three factors lie in the device's memory, and those terms are read that have `of`.
void combine(const ParameterStore& store, std::span<const int> ranges, const std::function<void*(int range)>& to,
             const std::array<CombineTerm, 3>& terms, const double* at = nullptr);

/// kernels::quotient_factors on a store's device.
void quotient_factors(const ParameterStore& store, const double* squares, const double* lr, bool twin, double* factors);

}  // namespace nascent
