// The transforms of Winograd's F(4x4, 3x3) and their adjoints, compiled once per target.
//
// A row of four outputs of a filter with three taps is a product of polynomials, taken at the points 0, +-a, +-b and
// infinity: with M(x) = x (x^2 - a^2) (x^2 - b^2), six inputs d meet the coefficients of M(x) / (x - p) (and of M(x) at
// infinity), the filter g is g(p) / M'(p), and output k gathers p^k (Lavin and Gray 2015, "Fast Algorithms for
// Convolutional Neural Networks", with other points). Two dimensions are the rows of the columns.
#if defined(NASCENT_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_
#undef NASCENT_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_
#else
#define NASCENT_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_
#endif

#include "kernels/cpu/simd-inl.h"
#include "kernels/cpu/winograd_plan.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

inline constexpr double kA = kPointA, kB = kPointB, kA2 = kA * kA, kB2 = kB * kB;
inline constexpr double kAtZero = 1 / (kA2 * kB2), kAtA = 1 / (2 * kA2 * (kA2 - kB2)),
                        kAtB = 1 / (2 * kB2 * (kB2 - kA2));

/// factor * v + plus.
template <class T>
HWY_INLINE Vector<T> add_times(Vector<T> plus, double factor, Vector<T> v) {
    return hn::MulAdd(set(static_cast<T>(factor)), v, plus);
}
template <class T>
HWY_INLINE Vector<T> times(double factor, Vector<T> v) {
    return hn::Mul(set(static_cast<T>(factor)), v);
}

/// Six inputs to six points.
template <class T>
struct InputTransform {
    static constexpr int kFrom = kPoints, kTo = kPoints;
    static HWY_INLINE void run(const Vector<T> (&d)[kFrom], Vector<T> (&v)[kTo]) {
        v[0] = add_times<T>(add_times<T>(d[4], -(kA2 + kB2), d[2]), kA2 * kB2, d[0]);
        const Vector<T> even_a = add_times<T>(d[4], -kB2, d[2]), odd_a = add_times<T>(d[3], -kB2, d[1]);
        v[1] = add_times<T>(even_a, kA, odd_a);
        v[2] = add_times<T>(even_a, -kA, odd_a);
        const Vector<T> even_b = add_times<T>(d[4], -kA2, d[2]), odd_b = add_times<T>(d[3], -kA2, d[1]);
        v[3] = add_times<T>(even_b, kB, odd_b);
        v[4] = add_times<T>(even_b, -kB, odd_b);
        v[5] = add_times<T>(add_times<T>(d[5], -(kA2 + kB2), d[3]), kA2 * kB2, d[1]);
    }
};

/// Three taps to six points.
template <class T>
struct WeightTransform {
    static constexpr int kFrom = 3, kTo = kPoints;
    static HWY_INLINE void run(const Vector<T> (&g)[kFrom], Vector<T> (&u)[kTo]) {
        u[0] = times<T>(kAtZero, g[0]);
        const Vector<T> even_a = times<T>(kAtA, add_times<T>(g[0], kA2, g[2])), odd_a = times<T>(kAtA * kA, g[1]);
        u[1] = hn::Add(even_a, odd_a);
        u[2] = hn::Sub(even_a, odd_a);
        const Vector<T> even_b = times<T>(kAtB, add_times<T>(g[0], kB2, g[2])), odd_b = times<T>(kAtB * kB, g[1]);
        u[3] = hn::Add(even_b, odd_b);
        u[4] = hn::Sub(even_b, odd_b);
        u[5] = g[2];
    }
};

/// Six points to four outputs.
template <class T>
struct OutputTransform {
    static constexpr int kFrom = kPoints, kTo = kTile;
    static HWY_INLINE void run(const Vector<T> (&m)[kFrom], Vector<T> (&y)[kTo]) {
        const Vector<T> even_a = hn::Add(m[1], m[2]), odd_a = hn::Sub(m[1], m[2]);
        const Vector<T> even_b = hn::Add(m[3], m[4]), odd_b = hn::Sub(m[3], m[4]);
        y[0] = hn::Add(m[0], hn::Add(even_a, even_b));
        y[1] = add_times<T>(times<T>(kB, odd_b), kA, odd_a);
        y[2] = add_times<T>(times<T>(kB2, even_b), kA2, even_a);
        y[3] = add_times<T>(add_times<T>(m[5], kB2 * kB, odd_b), kA2 * kA, odd_a);
    }
};

/// The adjoint of OutputTransform: gradients of four outputs to six points.
template <class T>
struct GradientTransform {
    static constexpr int kFrom = kTile, kTo = kPoints;
    static HWY_INLINE void run(const Vector<T> (&y)[kFrom], Vector<T> (&m)[kTo]) {
        m[0] = y[0];
        const Vector<T> even_a = add_times<T>(y[0], kA2, y[2]), odd_a = add_times<T>(y[1], kA2, y[3]);
        m[1] = add_times<T>(even_a, kA, odd_a);
        m[2] = add_times<T>(even_a, -kA, odd_a);
        const Vector<T> even_b = add_times<T>(y[0], kB2, y[2]), odd_b = add_times<T>(y[1], kB2, y[3]);
        m[3] = add_times<T>(even_b, kB, odd_b);
        m[4] = add_times<T>(even_b, -kB, odd_b);
        m[5] = y[3];
    }
};

/// The adjoint of WeightTransform: gradients at six points to those of three taps.
template <class T>
struct WeightGradientTransform {
    static constexpr int kFrom = kPoints, kTo = 3;
    static HWY_INLINE void run(const Vector<T> (&u)[kFrom], Vector<T> (&g)[kTo]) {
        const Vector<T> even_a = times<T>(kAtA, hn::Add(u[1], u[2])), odd_a = times<T>(kAtA, hn::Sub(u[1], u[2]));
        const Vector<T> even_b = times<T>(kAtB, hn::Add(u[3], u[4])), odd_b = times<T>(kAtB, hn::Sub(u[3], u[4]));
        g[0] = add_times<T>(hn::Add(even_a, even_b), kAtZero, u[0]);
        g[1] = add_times<T>(times<T>(kB, odd_b), kA, odd_a);
        g[2] = add_times<T>(add_times<T>(u[5], kB2, even_b), kA2, even_a);
    }
};

/// Both dimensions: load(y, x) gives element (y, x) of kFrom x kFrom, store(y, x, v) takes (y, x) of kTo x kTo.
template <class Transform, class T, class Load, class Store>
HWY_INLINE void transform(const Load& load_at, const Store& store_at) {
    constexpr int kFrom = Transform::kFrom, kTo = Transform::kTo;
    Vector<T> half[kFrom][kTo];  // by column, its points
#pragma GCC unroll 8
    for (int x = 0; x < kFrom; x++) {
        Vector<T> column[kFrom];
#pragma GCC unroll 8
        for (int y = 0; y < kFrom; y++) column[y] = load_at(y, x);
        Transform::run(column, half[x]);
    }
#pragma GCC unroll 8
    for (int y = 0; y < kTo; y++) {
        Vector<T> row[kFrom], out[kTo];
#pragma GCC unroll 8
        for (int x = 0; x < kFrom; x++) row[x] = half[x][y];
        Transform::run(row, out);
#pragma GCC unroll 8
        for (int x = 0; x < kTo; x++) store_at(y, x, out[x]);
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
