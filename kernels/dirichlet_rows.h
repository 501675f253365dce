// One row, or one element, of the kernels of kernels/dirichlet.h: what a thread does.
#pragma once
#include "kernels/dirichlet_math.h"

namespace nascent::kernels {

/// The pointers of one row's draw.
struct DrawnRow {
    double *x, *y, *concentration;
    const double* kept;  // null: all
    NASCENT_EVERYWHERE DrawnRow(double* drawn, const double* kept_rows, int rows, int columns, int row)
        : x(drawn + static_cast<std::size_t>(row) * columns),
          y(x + static_cast<std::size_t>(rows) * columns),
          concentration(y + static_cast<std::size_t>(rows) * columns),
          kept(kept_rows ? kept_rows + static_cast<std::size_t>(row) * columns : nullptr) {}
    NASCENT_EVERYWHERE bool keeps(int i) const { return !kept || kept[i] != 0; }
};

template <class T>
NASCENT_EVERYWHERE void draw_row(DrawKey key, int row, int columns, const T* alphas, const DrawnRow& to) {
    if (key.step_at) key.step = *key.step_at;
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

/// How far concentration i is from the draw's.
template <class T>
NASCENT_EVERYWHERE double moved(const T* alphas, const DrawnRow& row, int i) {
    return concentration(alphas[i]) - row.concentration[i];
}
/// What all components lose by each one's move; 0, and no series is summed, where the alphas are those of the draw.
template <class T>
NASCENT_EVERYWHERE double lost(int columns, const T* alphas, const DrawnRow& row) {
    double sum = 0;
    for (int j = 0; j < columns; j++)
        if (moved(alphas, row, j) != 0) sum += speed(row, columns, j) * moved(alphas, row, j);
    return sum;
}
/// Component i on the draw's tangent.
template <class T>
NASCENT_EVERYWHERE double component(int columns, const T* alphas, const DrawnRow& row, int i, double lost) {
    const double by = moved(alphas, row, i), x = row.x[i] - row.x[i] * lost;
    return by != 0 ? x + speed(row, columns, i) * by : x;
}
template <class T>
NASCENT_EVERYWHERE double kept_sum(int columns, const T* alphas, const DrawnRow& row, double lost) {
    if (!row.kept) return 1;
    double sum = 0;
    for (int i = 0; i < columns; i++)
        if (row.keeps(i)) sum += component(columns, alphas, row, i, lost);
    return sum;
}

template <class T>
NASCENT_EVERYWHERE void weights_row(int columns, const T* alphas, const DrawnRow& row, T* weights) {
    const double gone = lost(columns, alphas, row), all = kept_sum(columns, alphas, row, gone);
    for (int i = 0; i < columns; i++) {
        const double x = component(columns, alphas, row, i, gone), w = row.kept ? x / all : x;
        weights[i] = row.keeps(i) ? static_cast<T>(w) : T(0);
        if (moved(alphas, row, i) != 0 || gone != 0 || !row.keeps(i)) continue;
        // Rounded to T, a drawn component stays one.
        constexpr bool single = sizeof(T) == sizeof(float);
        constexpr T least = T(single ? FLT_MIN : DBL_MIN), most = T(1 - (single ? FLT_EPSILON : DBL_EPSILON) / 2);
        if (weights[i] < least) weights[i] = least;
        if (weights[i] > most && columns > 1 && !row.kept) weights[i] = most;
    }
}

/// The gradient by alpha i of its row.
template <class T>
NASCENT_EVERYWHERE double weights_gradient(int columns, int i, const T* alphas, const DrawnRow& row,
                                           const T* dweights) {
    const double slope = concentration_slope(static_cast<double>(alphas[i]));
    double mean = 0;
    if (!row.kept) {
        for (int k = 0; k < columns; k++) mean += row.x[k] * static_cast<double>(dweights[k]);
        return slope * speed(row, columns, i) * (static_cast<double>(dweights[i]) - mean);
    }
    // Kept components w = x / all: by x the gradient is (dw - w . dw) / all, and x . of it is 0 on the draw. `all` may
    // be as small as x, and is divided into what is no larger than it.
    const double gone = lost(columns, alphas, row), all = kept_sum(columns, alphas, row, gone);
    for (int k = 0; k < columns; k++)
        if (row.keeps(k)) mean += component(columns, alphas, row, k, gone) / all * static_cast<double>(dweights[k]);
    bool on_draw = true;
    for (int k = 0; k < columns; k++) on_draw = on_draw && moved(alphas, row, k) == 0;
    double dot = 0;
    for (int k = 0; !on_draw && k < columns; k++)
        if (row.keeps(k)) dot += row.x[k] / all * (static_cast<double>(dweights[k]) - mean);
    const double own = row.keeps(i) ? static_cast<double>(dweights[i]) - mean : 0;
    if (own == 0 && dot == 0) return 0;
    const double by_i = speed(row, columns, i);
    return slope * ((row.keeps(i) ? by_i / all * own : 0) - by_i * dot);
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
