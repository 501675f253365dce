#include "kernels/cpu/plain.h"
#include "kernels/dirichlet_rows.h"

namespace nascent::kernels::cpu {

namespace {
DrawnRow drawn_row(const double* drawn, const double* kept, int rows, int columns, int row) {
    return {const_cast<double*>(drawn), kept, rows, columns, row};
}
}  // namespace

template <class T>
void dirichlet_draw(const Stream& stream, const DrawKey& key, int rows, int columns, const T* alphas, double* drawn) {
    for_each(stream, rows, [&](int row) {
        draw_row(key, row, columns, alphas + Size(row) * columns, {drawn, nullptr, rows, columns, row});
    });
}

template <class T>
void dirichlet_forward(const Stream& stream, int rows, int columns, const T* alphas, const double* drawn,
                       const double* kept, T* weights) {
    for_each(stream, rows, [&](int row) {
        weights_row(columns, alphas + Size(row) * columns, drawn_row(drawn, kept, rows, columns, row),
                    weights + Size(row) * columns);
    });
}

template <class T>
void dirichlet_backward(const Stream& stream, int rows, int columns, const T* alphas, const double* drawn,
                        const double* kept, const T* dweights, T* dalphas, bool accumulate) {
    for_each(stream, rows, [&](int row) {
        const Size at = Size(row) * columns;
        for (int i = 0; i < columns; i++)
            put(dalphas[at + i],
                weights_gradient(columns, i, alphas + at, drawn_row(drawn, kept, rows, columns, row), dweights + at),
                accumulate);
    });
}

template <class T>
void dirichlet_kl_forward(const Stream&, int rows, int columns, double scale, const T* alphas, T* y) {
    double sum = 0;
    for (int row = 0; row < rows; row++) sum += divergence(columns, alphas + Size(row) * columns);
    *y = static_cast<T>(scale * sum);
}

template <class T>
void dirichlet_kl_backward(const Stream&, int rows, int columns, double scale, const T* alphas, const T* dy, T* dalphas,
                           bool accumulate) {
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < columns; i++) {
            const Size at = Size(row) * columns;
            put(dalphas[at + i], scale * *dy * divergence_gradient(columns, i, alphas + at), accumulate);
        }
}

#define NASCENT_DIRICHLET(T)                                                                                        \
    template void dirichlet_draw(const Stream&, const DrawKey&, int, int, const T*, double*);                       \
    template void dirichlet_forward(const Stream&, int, int, const T*, const double*, const double*, T*);           \
    template void dirichlet_backward(const Stream&, int, int, const T*, const double*, const double*, const T*, T*, \
                                     bool);                                                                         \
    template void dirichlet_kl_forward(const Stream&, int, int, double, const T*, T*);                              \
    template void dirichlet_kl_backward(const Stream&, int, int, double, const T*, const T*, T*, bool);
NASCENT_DIRICHLET(float)
NASCENT_DIRICHLET(double)
#undef NASCENT_DIRICHLET

}  // namespace nascent::kernels::cpu
