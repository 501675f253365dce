// One row, or one element, of the kernels of kernels/dirichlet.h: what a thread does.
#pragma once
#include "kernels/dirichlet_math.h"

namespace nascent::kernels {

/// The pointers of one row's draw.
struct DrawnRow {
    double *x, *y, *concentration;
    NASCENT_EVERYWHERE DrawnRow(double* drawn, int rows, int columns, int row)
        : x(drawn + static_cast<std::size_t>(row) * columns),
          y(x + static_cast<std::size_t>(rows) * columns),
          concentration(y + static_cast<std::size_t>(rows) * columns) {}
};

template <class T>
NASCENT_EVERYWHERE void draw_row(const DrawKey& key, int row, int columns, const T* alphas, const DrawnRow& to) {
    double largest = -DBL_MAX;
    for (int i = 0; i < columns; i++) {
        to.concentration[i] = concentration(alphas[i]);
        to.x[i] =
            log_gamma_variable(to.concentration[i], key, key.first + static_cast<std::uint32_t>(row * columns + i));
        if (to.x[i] > largest) largest = to.x[i];
    }
    double sum = 0;
    for (int i = 0; i < columns; i++) sum += to.x[i] = std::exp(to.x[i] - largest);
    for (int i = 0; i < columns; i++) {
        double others = 0;
        for (int k = 0; k < columns; k++)
            if (k != i) others += to.x[k];
        to.y[i] = others / sum > DBL_MIN ? others / sum : DBL_MIN;
    }
    for (int i = 0; i < columns; i++) to.x[i] = to.x[i] / sum > DBL_MIN ? to.x[i] / sum : DBL_MIN;
}

/// Component i's speed in its row.
NASCENT_EVERYWHERE inline double speed(const DrawnRow& row, int columns, int i) {
    double others = 0;
    for (int k = 0; k < columns; k++)
        if (k != i) others += row.concentration[k];
    return columns > 1 ? dirichlet_speed(row.concentration[i], others, row.x[i], row.y[i]) : 0;
}

template <class T>
NASCENT_EVERYWHERE void weights_row(int columns, const T* alphas, const DrawnRow& row, T* weights) {
    // What all components lose by each one's move; 0, and no series is summed, where the alphas are those of the draw.
    double lost = 0;
    for (int j = 0; j < columns; j++) {
        const double moved = concentration(alphas[j]) - row.concentration[j];
        if (moved != 0) lost += speed(row, columns, j) * moved;
    }
    for (int i = 0; i < columns; i++) {
        const double moved = concentration(alphas[i]) - row.concentration[i];
        double w = row.x[i] - row.x[i] * lost;
        if (moved != 0)
            w += speed(row, columns, i) * moved;
        else if (lost == 0) {  // rounded to T, a drawn component stays one
            constexpr bool single = sizeof(T) == sizeof(float);
            constexpr T least = T(single ? FLT_MIN : DBL_MIN), most = T(1 - (single ? FLT_EPSILON : DBL_EPSILON) / 2);
            const T rounded = static_cast<T>(w);
            weights[i] = rounded < least ? least : rounded > most && columns > 1 ? most : rounded;
            continue;
        }
        weights[i] = static_cast<T>(w);
    }
}

/// The gradient by alpha i of its row.
template <class T>
NASCENT_EVERYWHERE double weights_gradient(int columns, int i, T alpha, const DrawnRow& row, const T* dweights) {
    double mean = 0;
    for (int k = 0; k < columns; k++) mean += row.x[k] * static_cast<double>(dweights[k]);
    return concentration_slope(alpha) * speed(row, columns, i) * (static_cast<double>(dweights[i]) - mean);
}

/// KL(Dir(c) || Dir(1, .., 1)) = ln G(c0) - sum ln G(c) - ln G(K) + sum (c - 1) (psi(c) - psi(c0)), c0 = sum c.
template <class T>
NASCENT_EVERYWHERE double divergence(int columns, const T* alphas) {
    double total = 0, sum = 0;
    for (int i = 0; i < columns; i++) total += concentration(alphas[i]);
    const double psi = digamma(total);
    for (int i = 0; i < columns; i++) {
        const double c = concentration(alphas[i]);
        sum += (c - 1) * (digamma(c) - psi) - log_gamma(c);
    }
    return log_gamma(total) - log_gamma(static_cast<double>(columns)) + sum;
}
template <class T>
NASCENT_EVERYWHERE double divergence_gradient(int columns, int i, const T* alphas) {
    double total = 0;
    for (int k = 0; k < columns; k++) total += concentration(alphas[k]);
    const double c = concentration(alphas[i]);
    return concentration_slope(alphas[i]) * ((c - 1) * trigamma(c) - (total - columns) * trigamma(total));
}

}  // namespace nascent::kernels
