// Gamma and Dirichlet variables, in double: special functions, draws, and the exact gradient of a draw by its
// concentrations. For the CPU's and the GPU's kernels alike; the numbers are few.
#pragma once
#include <Random123/philox.h>

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "kernels/dirichlet.h"

#ifdef __CUDACC__
#define NASCENT_EVERYWHERE __host__ __device__
#else
#define NASCENT_EVERYWHERE
#endif

namespace nascent::kernels {

/// elu(alpha) + 1, which for alpha <= 0 is exp(alpha): expm1(alpha) + 1 would be 0 already at -37.
NASCENT_EVERYWHERE inline double concentration(double alpha) { return alpha > 0 ? alpha + 1 : std::exp(alpha); }
NASCENT_EVERYWHERE inline double concentration_slope(double alpha) { return alpha > 0 ? 1 : std::exp(alpha); }

/// The derivative of log Gamma, x > 0: shifted up to 10, then the asymptotic series (DLMF 5.5.2, 5.11.2).
NASCENT_EVERYWHERE inline double digamma(double x) {
    double sum = 0;
    for (; x < 10; x += 1) sum -= 1 / x;
    const double s = 1 / (x * x);
    const double series =
        s *
        (1.0 / 12 -
         s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s * (1.0 / 132 - s * (691.0 / 32760 - s * (1.0 / 12)))))));
    return sum + (std::log(x) - 1 / (2 * x) - series);
}
/// Its derivative.
NASCENT_EVERYWHERE inline double trigamma(double x) {
    double sum = 0;
    for (; x < 10; x += 1) sum += 1 / (x * x);
    const double s = 1 / (x * x);
    const double series =
        s * (1.0 / 6 -
             s * (1.0 / 30 - s * (1.0 / 42 - s * (1.0 / 30 - s * (5.0 / 66 - s * (691.0 / 2730 - s * (7.0 / 6)))))));
    return sum + (1 + 1 / (2 * x) + series) / x;
}

/// ln G(x). C's lgamma also writes a global, which threads of a host may not.
NASCENT_EVERYWHERE inline double log_gamma(double x) {
#if defined(__CUDA_ARCH__)
    return lgamma(x);
#else
    int sign;
    return lgamma_r(x, &sign);
#endif
}

/// How fast component x of a Dirichlet variable moves with its own concentration a, b the sum of the others', y = 1 -
/// x: dx/da = g (1 - x) at a fixed quantile of x, and the other components shrink in proportion: dx_i/da = -g x_i
/// (Jankowiak and Obermeyer, arXiv 1806.01851). g is minus the derivative of the regularised incomplete beta function
/// by a, b held, over its density times y. Of the two hypergeometric series for it (about x = 0 and about y = 0) at
/// least one has positive terms only, because the two leading factors add up to 1 / a: nothing cancels. In the range of
/// ops/dirichlet.h no term overflows. Not-a-number where an argument is, or infinite.
NASCENT_EVERYWHERE inline double dirichlet_speed(double a, double b, double x, double y) {
    constexpr double kTerms = 1e6;  // far more than any argument in range takes
    const double log_x = x > 0.5 ? std::log1p(-y) : std::log(x);
    const double above = digamma(a + 1), all = digamma(a + b);
    const double from_0 = above - all - log_x, from_1 = all - (above - 1 / a) + log_x;
    double term = 1, sum, factor;
    if (from_0 > 0 && (x <= 0.5 || from_1 <= 0)) {
        sum = factor = from_0;
        for (double n = 0; n < kTerms; n++) {
            const double ratio = x * (a + b + n) / (a + 1 + n);
            factor += (b - 1) / ((a + 1 + n) * (a + b + n));
            term *= ratio;
            sum += term * factor;
            if (ratio < 1 && term * factor <= 0.25 * DBL_EPSILON * (1 - ratio) * sum) return x / a * sum;
        }
    }
    sum = factor = from_1;
    for (double n = 0; n < kTerms; n++) {
        const double ratio = y * (a + b + n) / (b + 1 + n);
        factor += 1 / (a + b + n);
        term *= ratio;
        sum += term * factor;
        if (ratio < 1 && term * factor <= 0.25 * DBL_EPSILON * (1 - ratio) * sum) return x / b * sum;
    }
    return NAN;
}

/// Two uniforms in [0, 1) with 53 bits, of an element: as engine/base/rng.h's Random.
struct UniformPair {
    double first, second;
};
NASCENT_EVERYWHERE inline UniformPair uniforms(const DrawKey& key, std::uint32_t element) {
    r123::Philox4x32::ctr_type counter = {
        {element, key.stream, static_cast<std::uint32_t>(key.step), static_cast<std::uint32_t>(key.step >> 32)}};
    r123::Philox4x32::key_type of = {
        {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)}};
    const r123::Philox4x32::ctr_type words = r123::Philox4x32()(counter, of);
    const std::uint64_t first = (static_cast<std::uint64_t>(words[0]) << 32) | words[1],
                        second = (static_cast<std::uint64_t>(words[2]) << 32) | words[3];
    return {static_cast<double>(first >> 11) * 0x1.0p-53, static_cast<double>(second >> 11) * 0x1.0p-53};
}

/// The logarithm of a Gamma(a, 1) variable (Marsaglia and Tsang 2000), which does not underflow where a is small. It
/// takes the blocks [256 element, 256 element + 255) of the key: one for a < 1, two per attempt.
NASCENT_EVERYWHERE inline double log_gamma_variable(double a, const DrawKey& key, std::uint32_t element) {
    constexpr double two_pi = 6.283185307179586;
    const std::uint32_t block = element * 256;
    const double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    double log_z = std::log(d);  // an attempt fails in less than one of twenty cases: 127 of them never do
    for (std::uint32_t attempt = 0; attempt < 127; attempt++) {
        const UniformPair n = uniforms(key, block + 1 + 2 * attempt);
        const double normal = std::sqrt(-2 * std::log(1 - n.first)) * std::cos(two_pi * n.second);
        const double u = 1 - uniforms(key, block + 2 + 2 * attempt).first, root = 1 + c * normal;
        if (root <= 0) continue;
        const double v = root * root * root, log_v = 3 * std::log(root);
        if (std::log(u) >= 0.5 * normal * normal + d * (1 - v + log_v)) continue;
        log_z += log_v;
        break;
    }
    return a < 1 ? log_z + std::log(1 - uniforms(key, block).first) / a : log_z;
}

}  // namespace nascent::kernels
