// Written to be read, and to check the fast kernels by: loops as in a textbook, sums in double.
#include "kernels/primitive.h"

#include <cmath>

#include "kernels/cpu/plain.h"
#include "kernels/norm_move.h"

namespace nascent::kernels::cpu {

template <class T>
void relu_forward(const Stream&, Size size, const T* x, T* y) {
    for (Size i = 0; i < size; i++) y[i] = x[i] <= 0 ? T(0) : x[i];
}
template <class T>
void relu_backward(const Stream&, Size size, const T* x, const T* dy, T* dx, bool accumulate) {
    for (Size i = 0; i < size; i++) {
        const T g = x[i] <= 0 ? T(0) : dy[i];
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

template <class T>
void relu6_forward(const Stream&, Size size, const T* x, T* y) {
    for (Size i = 0; i < size; i++) y[i] = x[i] <= 0 ? T(0) : x[i] >= 6 ? T(6) : x[i];
}
template <class T>
void relu6_backward(const Stream&, Size size, const T* x, const T* dy, T* dx, bool accumulate) {
    for (Size i = 0; i < size; i++) {
        const T g = x[i] <= 0 || x[i] >= 6 ? T(0) : dy[i];
        dx[i] = accumulate ? dx[i] + g : g;
    }
}

template <class T>
void add_forward(const Stream&, Size size, const T* a, const T* b, T* y) {
    for (Size i = 0; i < size; i++) y[i] = a[i] + b[i];
}
template <class T>
void copy_or_add(const Stream&, Size size, const T* dy, T* dx, bool accumulate) {
    for (Size i = 0; i < size; i++) dx[i] = accumulate ? dx[i] + dy[i] : dy[i];
}
template <class T>
void store_as(const Stream&, Size size, const Compute<T>* x, T* y) {
    for (Size i = 0; i < size; i++) y[i] = x[i];
}

template <class T>
void batch_norm_plain_forward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* beta,
                              double eps, T* y, T* mean, T* rstd) {
    for_each(stream, s.c, [&](int c) {
        const Size count = s.pixels();
        double sum = 0, squares = 0;
        for (Size p = 0; p < count; p++) sum += x[p * s.c + c];
        const double m = sum / static_cast<double>(count);
        for (Size p = 0; p < count; p++) squares += (x[p * s.c + c] - m) * (x[p * s.c + c] - m);
        const double r = 1 / std::sqrt(squares / static_cast<double>(count) + eps);
        mean[c] = static_cast<T>(m);
        rstd[c] = static_cast<T>(r);
        for (Size p = 0; p < count; p++)
            y[p * s.c + c] =
                static_cast<T>((x[p * s.c + c] - m) * r * (gamma ? gamma[c] : T(1)) + (beta ? beta[c] : T(0)));
    });
}

template <class T>
void batch_norm_plain_backward(const Stream& stream, const Image& s, const T* x, const T* gamma, const T* mean,
                               const T* rstd, bool constant, const T* dy, T* dx, bool accumulate_dx, T* dgamma,
                               bool accumulate_dgamma, T* dbeta, bool accumulate_dbeta) {
    for_each(stream, s.c, [&](int c) {
        const Size count = s.pixels();
        const double m = mean[c], r = rstd[c], g = gamma ? gamma[c] : T(1);
        double sum = 0, dot = 0;  // of dy, and of dy with the normalised x
        for (Size p = 0; p < count; p++) sum += dy[p * s.c + c], dot += dy[p * s.c + c] * ((x[p * s.c + c] - m) * r);
        if (dx)
            for (Size p = 0; p < count; p++) {
                const double hat = (x[p * s.c + c] - m) * r;
                const double d = dy[p * s.c + c] - (constant ? 0 : (sum + hat * dot) / static_cast<double>(count));
                put(dx[p * s.c + c], g * r * d, accumulate_dx);
            }
        if (dgamma) put(dgamma[c], dot, accumulate_dgamma);
        if (dbeta) put(dbeta[c], sum, accumulate_dbeta);
    });
}

template <class T>
void batch_norm_plain_running(const Stream&, const NormShape& s, const T* mean, const T* rstd, T* running_mean,
                              T* running_var) {
    for (int c = 0; c < s.channels; c++) {
        const double r = rstd[c], m = mean[c];
        // Rounding may leave a constant channel's variance a little below zero.
        const double raw = 1 / (r * r) - s.eps, variance = raw > 0 ? raw : 0.0;
        move_running(s, m, variance, running_mean[c], running_var[c]);
    }
}

#define NASCENT_PRIMITIVE(T)                                                                                           \
    template void relu_forward(const Stream&, Size, const T*, T*);                                                     \
    template void relu_backward(const Stream&, Size, const T*, const T*, T*, bool);                                    \
    template void relu6_forward(const Stream&, Size, const T*, T*);                                                    \
    template void relu6_backward(const Stream&, Size, const T*, const T*, T*, bool);                                   \
    template void add_forward(const Stream&, Size, const T*, const T*, T*);                                            \
    template void copy_or_add(const Stream&, Size, const T*, T*, bool);                                                \
    template void store_as(const Stream&, Size, const Compute<T>*, T*);                                                \
    template void batch_norm_plain_forward(const Stream&, const Image&, const T*, const T*, const T*, double, T*, T*,  \
                                           T*);                                                                        \
    template void batch_norm_plain_backward(const Stream&, const Image&, const T*, const T*, const T*, const T*, bool, \
                                            const T*, T*, bool, T*, bool, T*, bool);                                   \
    template void batch_norm_plain_running(const Stream&, const NormShape&, const T*, const T*, T*, T*);
NASCENT_PRIMITIVE(float)
NASCENT_PRIMITIVE(double)
#undef NASCENT_PRIMITIVE

}  // namespace nascent::kernels::cpu
