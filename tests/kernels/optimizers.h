// What the optimizers' kernels must give, by their formulas, with bounds for rounding; constants are rounded to T, as
// the kernels' are.
#pragma once
#include <algorithm>
#include <array>
#include <limits>

#include "kernels/adam.h"
#include "kernels/sgd.h"
#include "tests/kernels/check.h"

namespace nascent::test {

template <class T>
Real rounded(double x) {
    return static_cast<Real>(static_cast<T>(x));
}
inline double clip_factor_of(const kernels::Clip& c) {
    return c.squares ? std::min(1.0, c.norm / (std::sqrt(*c.squares) + 1e-6)) : 1.0;
}

/// Roundings, at most three each (two where multiply-adds are fused) in the gap, d, v, the Nesterov term and w.
inline constexpr double kSgdWeightRoundings = 12, kSgdMomentumRoundings = 9;

/// w and v after kernels::sgd.
template <class T>
std::array<std::vector<Bounded>, 2> sgd_expected(const kernels::SgdStep& step, const kernels::SgdRange<T>& r) {
    const Real scale = rounded<T>(clip_factor_of(step.clip)), decay = rounded<T>(step.decay),
               momentum = rounded<T>(step.momentum), lr = rounded<T>(step.lr);
    const Real largest = step.clip_value > 0 ? rounded<T>(step.clip_value) : std::numeric_limits<Real>::infinity();
    std::array<std::vector<Bounded>, 2> want;
    for (std::size_t i = 0; i < r.count; i++) {
        Bounded w, v;
        w.add(rounded<T>(r.gap[0]) * r.w[i]), w.add(rounded<T>(r.gap[1]) * r.v[i]);
        v.add(rounded<T>(r.gap[2]) * r.w[i]), v.add(rounded<T>(r.gap[3]) * r.v[i]);
        if (r.g) {
            Bounded d, next;
            d.add(scale * std::clamp(static_cast<Real>(r.g[i]), -largest, largest));
            if (r.decays) d.add_product(w, decay);
            next.add_product(v, momentum);
            next.add_product(d, 1);
            v = next;
            if (step.nesterov) {
                w.add_product(d, -lr);
                w.add_product(v, -lr * momentum);
            } else {
                w.add_product(v, -lr);
            }
        }
        want[0].push_back(w), want[1].push_back(v);
    }
    return want;
}

/// Roundings in units of the magnitudes below, multiply-adds not fused: d 3; m 3 + 3; v, through d^2, 2 * 3 + 4; the
/// denominator 10 + 3; m over it 6 + 13 + 1; w 20 + 2.
inline constexpr double kAdamWeightRoundings = 22, kAdamFirstRoundings = 6, kAdamSecondRoundings = 10;

/// w, m and v after kernels::adam. Second moments must not be tiny: the root is bounded by its slope.
template <class T>
std::array<std::vector<Bounded>, 3> adam_expected(const kernels::AdamStep& step, const kernels::AdamRange<T>& r) {
    const Real scale = rounded<T>(clip_factor_of(step.clip)), decay = rounded<T>(step.decay),
               beta1 = rounded<T>(step.beta1), rest1 = rounded<T>(1 - step.beta1), beta2 = rounded<T>(step.beta2),
               rest2 = rounded<T>(1 - step.beta2), eps = rounded<T>(step.eps);
    const double t = static_cast<double>(r.step);
    const Real rate = rounded<T>(step.lr / (1 - std::pow(step.beta1, t))),
               root = rounded<T>(std::sqrt(1 - std::pow(step.beta2, t)));
    std::array<std::vector<Bounded>, 3> want;
    for (std::size_t i = 0; i < r.count; i++) {
        Bounded d, m, v, w;
        d.add(scale * r.g[i]);
        d.add(decay * r.w[i]);
        m.add(beta1 * r.m[i]);
        m.add_product(d, rest1);
        v.value = beta2 * r.v[i] + rest2 * d.value * d.value;
        v.magnitude = beta2 * r.v[i] + rest2 * d.magnitude * d.magnitude;
        const Real denominator = std::sqrt(v.value) / root + eps;
        const Real magnitude = v.magnitude / (std::sqrt(v.value) * root) + eps;
        w.add(r.w[i]);
        w.value -= rate * m.value / denominator;
        w.magnitude += rate * (m.magnitude + std::fabs(m.value) * magnitude / denominator) / denominator;
        want[0].push_back(w), want[1].push_back(m), want[2].push_back(v);
    }
    return want;
}

}  // namespace nascent::test
