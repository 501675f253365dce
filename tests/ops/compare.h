// How far results of op cases are apart, and how far they may be.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "tests/ops/case_runner.h"

namespace nascent::testing {

inline double largest(const Numbers& x) {
    double m = 0;
    for (double v : x) m = std::max(m, std::abs(v));
    return m;
}

/// The largest |a - b|; NaN where there is one.
inline double distance(const Numbers& a, const Numbers& b) {
    if (a.size() != b.size()) return NAN;
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); i++) {
        const double d = std::abs(a[i] - b[i]);
        if (!(d <= worst)) worst = d;
        if (std::isnan(worst)) return worst;
    }
    return worst;
}

/// How far two orders of summation may differ: no sum in a case is longer than the elements of all its inputs, and a
/// few sums follow each other (batch-norm's within convolution's), so 8 of them.
inline double bound(const Case& c, DType dtype, double scale) {
    std::size_t elements = 0;
    for (const Shape& s : c.inputs) elements += s.size();
    return 8 * (dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON) * static_cast<double>(elements) * std::max(1.0, scale);
}

}  // namespace nascent::testing
