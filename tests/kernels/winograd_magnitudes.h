// Winograd's algorithm with all its matrices and inputs replaced by their magnitudes: what rounding errors are bounded
// by.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "kernels/conv.h"
#include "kernels/cpu/winograd_plan.h"
#include "tests/kernels/check.h"

namespace nascent::test {

using kernels::ConvShape;
using kernels::kPoints;
using kernels::kTile;

using Matrix = std::vector<std::vector<Real>>;

/// Coefficients, lowest first, of the product of (x - p) over the points but one.
inline std::vector<Real> polynomial(const std::vector<Real>& points, std::size_t except) {
    std::vector<Real> c{1};
    for (std::size_t i = 0; i < points.size(); i++) {
        if (i == except) continue;
        c.push_back(0);
        for (std::size_t k = c.size() - 1; k > 0; k--) c[k] = c[k - 1] - points[i] * c[k];
        c[0] *= -points[i];
    }
    return c;
}

/// Magnitudes of the three transforms: input (6, 6), weights (6, 3), output (4, 6).
struct Magnitudes {
    Matrix input = Matrix(kPoints, std::vector<Real>(kPoints)), weight = Matrix(kPoints, std::vector<Real>(3)),
           output = Matrix(kTile, std::vector<Real>(kPoints));
    Magnitudes() {
        const Real a = kernels::kPointA, b = kernels::kPointB;
        const std::vector<Real> points{0, a, -a, b, -b};
        for (std::size_t i = 0; i < 5; i++) {
            Real others = 1;
            for (std::size_t k = 0; k < 5; k++) others *= k == i ? 1 : points[i] - points[k];
            const std::vector<Real> c = polynomial(points, i);
            for (std::size_t k = 0; k < c.size(); k++) input[i][k] = std::fabs(c[k]);
            for (int k = 0; k < 3; k++) weight[i][k] = std::fabs(std::pow(points[i], Real(k)) / others);
            for (int k = 0; k < kTile; k++) output[k][i] = std::fabs(std::pow(points[i], Real(k)));
        }
        const std::vector<Real> c = polynomial(points, points.size());
        for (std::size_t k = 0; k < c.size(); k++) input[5][k] = std::fabs(c[k]);
        weight[5][2] = output[kTile - 1][5] = 1;
    }
};

/// m x m^T.
template <class At>
Matrix both(const Matrix& m, const At& x) {
    const std::size_t to = m.size(), from = m[0].size();
    Matrix half(to, std::vector<Real>(from)), out(to, std::vector<Real>(to));
    for (std::size_t i = 0; i < to; i++)
        for (std::size_t k = 0; k < from; k++)
            for (std::size_t j = 0; j < from; j++) half[i][j] += m[i][k] * x(k, j);
    for (std::size_t i = 0; i < to; i++)
        for (std::size_t j = 0; j < to; j++)
            for (std::size_t k = 0; k < from; k++) out[i][j] += half[i][k] * m[j][k];
    return out;
}
inline Matrix transposed(const Matrix& m) {
    Matrix t(m[0].size(), std::vector<Real>(m.size()));
    for (std::size_t i = 0; i < m.size(); i++)
        for (std::size_t k = 0; k < t.size(); k++) t[k][i] = m[i][k];
    return t;
}

/// Magnitudes of pixels in memory (n, h, w, channels), zero outside a picture.
struct Picture {
    const ConvShape& s;
    int channels;
    std::vector<Real> values;
    Real at(int n, int y, int x, int c) const {
        if (y < 0 || y >= s.h || x < 0 || x >= s.w) return 0;
        return values[((static_cast<std::size_t>(n) * s.h + y) * s.w + x) * channels + c];
    }
};

template <class F>
void for_each_tile(const ConvShape& s, F&& f) {
    for (int n = 0; n < s.n; n++)
        for (int y = 0; y < s.h; y += kTile)
            for (int x = 0; x < s.w; x += kTile) f(n, y, x);
}

/// w(tap, in, out) is a magnitude.
inline std::vector<Real> output_magnitudes(const ConvShape& s, const Picture& in, int out,
                                           const std::function<Real(std::size_t, int, int)>& w) {
    const Magnitudes m;
    std::vector<Real> result(static_cast<std::size_t>(s.n) * s.h * s.w * out);
    std::vector<Matrix> u;
    for (int i = 0; i < in.channels; i++)
        for (int o = 0; o < out; o++)
            u.push_back(both(m.weight, [&](std::size_t y, std::size_t x) { return w(y * 3 + x, i, o); }));
    for_each_tile(s, [&](int n, int y0, int x0) {
        std::vector<Matrix> products(static_cast<std::size_t>(out), Matrix(kPoints, std::vector<Real>(kPoints)));
        for (int i = 0; i < in.channels; i++) {
            const Matrix v = both(m.input, [&](std::size_t y, std::size_t x) {
                return in.at(n, y0 + static_cast<int>(y) - 1, x0 + static_cast<int>(x) - 1, i);
            });
            for (int o = 0; o < out; o++)
                for (int y = 0; y < kPoints; y++)
                    for (int x = 0; x < kPoints; x++)
                        products[o][y][x] += v[y][x] * u[static_cast<std::size_t>(i) * out + o][y][x];
        }
        for (int o = 0; o < out; o++) {
            const Matrix z = both(m.output, [&](std::size_t y, std::size_t x) { return products[o][y][x]; });
            for (int y = 0; y < std::min(kTile, s.h - y0); y++)
                for (int x = 0; x < std::min(kTile, s.w - x0); x++)
                    result[((static_cast<std::size_t>(n) * s.h + y0 + y) * s.w + x0 + x) * out + o] = z[y][x];
        }
    });
    return result;
}

/// (tap, in, out).
inline std::vector<Real> weight_magnitudes(const ConvShape& s, const Picture& a, const Picture& dz) {
    const Magnitudes m;
    const Matrix gradient = transposed(m.output), back = transposed(m.weight);
    std::vector<Matrix> sums(static_cast<std::size_t>(s.c_in) * s.c_out, Matrix(kPoints, std::vector<Real>(kPoints)));
    for_each_tile(s, [&](int n, int y0, int x0) {
        std::vector<Matrix> v, d;
        for (int i = 0; i < s.c_in; i++)
            v.push_back(both(m.input, [&](std::size_t y, std::size_t x) {
                return a.at(n, y0 + static_cast<int>(y) - 1, x0 + static_cast<int>(x) - 1, i);
            }));
        for (int o = 0; o < s.c_out; o++)
            d.push_back(both(gradient, [&](std::size_t y, std::size_t x) {
                return dz.at(n, y0 + static_cast<int>(y), x0 + static_cast<int>(x), o);
            }));
        for (int i = 0; i < s.c_in; i++)
            for (int o = 0; o < s.c_out; o++)
                for (int y = 0; y < kPoints; y++)
                    for (int x = 0; x < kPoints; x++)
                        sums[static_cast<std::size_t>(i) * s.c_out + o][y][x] += v[i][y][x] * d[o][y][x];
    });
    std::vector<Real> result(sums.size() * 9);
    for (std::size_t i = 0; i < sums.size(); i++) {
        const Matrix g = both(back, [&](std::size_t y, std::size_t x) { return sums[i][y][x]; });
        for (std::size_t t = 0; t < 9; t++) result[t * sums.size() + i] = g[t / 3][t % 3];
    }
    return result;
}

}  // namespace nascent::test
