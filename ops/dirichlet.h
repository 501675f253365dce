// Mixed ops' weights drawn from Dirichlet distributions (DrNAS, Chen, Wang, Cheng, Tang and Hsieh, ICLR 2021). A row of
// alphas (rows, columns) has the concentrations elu(alpha) + 1.
#pragma once
#include <cstdint>

#include "engine/tensor/tensor.h"

namespace nascent {

/// Where the gradients of draws were measured: each concentration, up to eight in a row. Relative errors are below
/// 1e-13 between 0.05 and 12, and below 1e-10 at the ends.
inline constexpr double kLeastConcentration = 1e-3, kLargestConcentration = 100;

double concentration(double alpha);
/// What the kernels compute, on the host: the derivatives of log Gamma, and g of a component
/// (kernels/dirichlet_math.h).
double digamma(double x);
double trigamma(double x);
double dirichlet_speed(double a, double b, double x, double y);

/// What a draw is a function of besides the alphas: the parts of engine/base/rng.h's counters. Elements are numbered
/// from `first` on, all below 2^24.
struct DrawKey {
    std::uint64_t seed = 0, step = 0;
    std::uint32_t stream = 0, first = 0;
    const std::uint64_t* step_at = nullptr;  // in the device's memory, read instead of `step`: for captured work
};

/// A draw of every row's distribution, a constant: what dirichlet() takes. float64 (3, rows, columns). A function of
/// the key and the alphas alone.
Tensor dirichlet_draw(const Tensor& alphas, const DrawKey& key);

/// The drawn rows, of the alphas' type, with the exact pathwise gradient of the draw by the alphas: dL/dalpha_j =
/// (alpha_j > 0 ? 1 : exp(alpha_j)) g_j (v_j - sum_i x_i v_i), g by kernels/dirichlet_math.h's series in double. For
/// other alphas than those of the draw the value follows that gradient's tangent.
/// `kept`, of the alphas' shape in float64 (undefined: all), is 1 for components that are kept and 0 for the others,
/// which become 0; the kept ones are divided by their sum. So DrNAS's pruned operators are left out: by their alphas
/// the gradient is 0, and the kept rows are Dirichlet variables of the kept concentrations.
Tensor dirichlet(const Tensor& alphas, const Tensor& drawn, const Tensor& kept = {});

/// scale * the sum over rows of KL(Dir(concentrations) || Dir(1, .., 1)), of shape (1).
Tensor dirichlet_kl(const Tensor& alphas, double scale);

}  // namespace nascent
