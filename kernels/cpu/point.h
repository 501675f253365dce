// The algebra of a 1x1 convolution behind a ReLU whose result is not stored: z = a . w, a = ReLU(x). All that is a sum
// over pixels follows from sums of products of a's channels, in double; c x c numbers each.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/cpu/mixed_norm.h"

namespace nascent::kernels {

/// Sums of z and of z^2 (2 * c) from `moments` (c + 1, c): sums of a_i a_j, then of a_i.
template <class T>
void point_sums(int c, const double* moments, const T* w, double* sums) {
    for (int o = 0; o < c; o++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < c; i++) {
            double row = 0;
            for (int k = 0; k < c; k++) row += moments[i * c + k] * static_cast<double>(w[k * c + o]);
            squares += row * static_cast<double>(w[i * c + o]);
            sum += moments[c * c + i] * static_cast<double>(w[i * c + o]);
        }
        sums[o] = sum, sums[c + o] = squares;
    }
}

/// The gradient of w: the sum of a dz with dz = g * scale + z * slope + shift, from sums of a_i g in `products` (c,
/// width), whose columns o * fold are what they are of all pictures. Without a slope `moments` are not read.
template <class T>
void point_gradient(int c, int fold, const double* moments, const T* w, const double* products,
                    const NormMap<double>& map, T* dw, bool accumulate) {
    for (int i = 0; i < c; i++)
        for (int o = 0; o < c; o++) {
            const int lane = o * fold;
            double sum = map.scale[lane] * products[i * c * fold + lane];
            if (moments) {
                double z = 0;  // sum of a_i z
                for (int k = 0; k < c; k++) z += moments[i * c + k] * static_cast<double>(w[k * c + o]);
                sum += map.slope[lane] * z + map.shift[lane] * moments[c * c + i];
            }
            T& to = dw[i * c + o];
            to = static_cast<T>(accumulate ? static_cast<double>(to) + sum : sum);
        }
}

/// sz (channels), the sums of g * z, from `products` (c, channels) of ReLU(x) and g: z = ReLU(x) . w.
template <class T>
void sum_point(int channels, int fold, const T* w, const double* products, double* sz) {
    const int of = channels / fold;
    for (int c = 0; c < channels; c++) {
        sz[c] = 0;
        for (int i = 0; i < of; i++) sz[c] += static_cast<double>(w[i * of + c / fold]) * products[i * channels + c];
    }
}

/// The map and the weights' gradient of a point from the sums of all pixels and pictures.
template <class T>
void finish_point(int channels, double count, int fold, const MixedPointGradient<T>& g, const double* s,
                  const double* sz, const double* products) {
    const auto c_count = static_cast<std::size_t>(channels);
    std::vector<double> map(3 * c_count);
    const NormMap<double> exact{map.data(), map.data() + c_count, map.data() + 2 * c_count};
    const NormParts<T> norm{g.mean, g.rstd, g.point.scale, g.point.shift, {}};
    norm_map(channels, count, g.point.weight ? static_cast<double>(g.point.weight[0]) : 1.0, s, sz, norm, exact);
    std::copy_n(exact.scale, c_count, g.map.scale);
    std::copy_n(exact.slope, c_count, g.map.slope);
    std::copy_n(exact.shift, c_count, g.map.shift);
    if (g.dw)
        point_gradient(channels / fold, fold, g.mean ? g.moments : nullptr, g.point.w, products, exact, g.dw,
                       g.accumulate_dw);
}

/// What such a convolution gives back to a (masked by the ReLU later on): g . by_gradient + a . by_input + shift.
struct PointBack {
    int c;
    std::vector<double> by_input, shift;  // (c, c), (c), of some convolutions together
    explicit PointBack(int channels)
        : c(channels),
          by_input(static_cast<std::size_t>(c) * static_cast<std::size_t>(c), 0.0),
          shift(static_cast<std::size_t>(c), 0.0) {}

    /// Adds one with its map (of c * fold channels); by_gradient (c, c) is its own.
    template <class T>
    void add(const T* w, int fold, const T* scale, const T* slope, const T* shifts, T* by_gradient) {
        for (int i = 0; i < c; i++)
            for (int o = 0; o < c; o++) {
                const int lane = o * fold;
                const auto weight = static_cast<double>(w[i * c + o]);
                by_gradient[o * c + i] = static_cast<T>(weight * static_cast<double>(scale[lane]));
                shift[static_cast<std::size_t>(i)] += weight * static_cast<double>(shifts[lane]);
                const double sloped = weight * static_cast<double>(slope[lane]);
                for (int k = 0; k < c; k++)
                    by_input[static_cast<std::size_t>(k * c + i)] += sloped * static_cast<double>(w[k * c + o]);
            }
    }
};

}  // namespace nascent::kernels
