// A thread per row that is drawn or per element of a gradient.
#include "kernels/common/plain.cuh"
#include "kernels/dirichlet_rows.h"

namespace nascent::kernels::gpu {
namespace {

__device__ DrawnRow drawn_row(const double* drawn, const double* kept, int rows, int columns, int row) {
    return {const_cast<double*>(drawn), kept, rows, columns, row};
}

template <class T>
__global__ void draw_kernel(unsigned rows, int columns, DrawKey key, const T* alphas, double* drawn) {
    if (item() >= rows) return;
    const int row = static_cast<int>(item());
    draw_row(key, row, columns, alphas + item() * static_cast<std::size_t>(columns),
             {drawn, nullptr, static_cast<int>(rows), columns, row});
}

template <class T>
__global__ void weights_kernel(unsigned rows, int columns, const T* alphas, const double* drawn, const double* kept,
                               T* weights) {
    if (item() >= rows) return;
    const std::size_t at = item() * static_cast<std::size_t>(columns);
    weights_row(columns, alphas + at, drawn_row(drawn, kept, static_cast<int>(rows), columns, static_cast<int>(item())),
                weights + at);
}

template <class T>
__global__ void weights_gradient_kernel(unsigned size, int rows, int columns, const T* alphas, const double* drawn,
                                        const double* kept, const T* dweights, T* dalphas, bool accumulate) {
    if (item() >= size) return;
    const int row = static_cast<int>(item()) / columns, i = static_cast<int>(item()) % columns;
    put(dalphas[item()],
        weights_gradient(columns, i, alphas + static_cast<std::size_t>(row) * columns,
                         drawn_row(drawn, kept, rows, columns, row),
                         dweights + static_cast<std::size_t>(row) * columns),
        accumulate);
}

/// One block.
template <class T>
__global__ void __launch_bounds__(kThreads)
    divergence_kernel(int rows, int columns, double scale, const T* alphas, T* y) {
    SIMT_SHARED(double, shared, [kThreads]);
    double own = 0;
    for (int row = static_cast<int>(threadIdx.x); row < rows; row += static_cast<int>(kThreads))
        own += divergence(columns, alphas + static_cast<std::size_t>(row) * columns);
    const double sum = block_sum(own, shared);
    if (threadIdx.x == 0) *y = static_cast<T>(scale * sum);
}

template <class T>
__global__ void divergence_gradient_kernel(unsigned size, int columns, double scale, const T* alphas, const T* dy,
                                           T* dalphas, bool accumulate) {
    if (item() >= size) return;
    const unsigned i = item() % static_cast<unsigned>(columns);
    put(dalphas[item()], scale * *dy * divergence_gradient(columns, static_cast<int>(i), alphas + (item() - i)),
        accumulate);
}

}  // namespace

template <class T>
void dirichlet_draw(const Stream& stream, const DrawKey& key, int rows, int columns, const T* alphas, double* drawn) {
    const std::size_t size = product({rows});
    simt::launch(draw_kernel<T>, items(stream, size), items(size), columns, key, alphas, drawn);
}
template <class T>
void dirichlet_forward(const Stream& stream, int rows, int columns, const T* alphas, const double* drawn,
                       const double* kept, T* weights) {
    const std::size_t size = product({rows});
    simt::launch(weights_kernel<T>, items(stream, size), items(size), columns, alphas, drawn, kept, weights);
}
template <class T>
void dirichlet_backward(const Stream& stream, int rows, int columns, const T* alphas, const double* drawn,
                        const double* kept, const T* dweights, T* dalphas, bool accumulate) {
    const std::size_t size = product({rows, columns});
    simt::launch(weights_gradient_kernel<T>, items(stream, size), items(size), rows, columns, alphas, drawn, kept,
                 dweights, dalphas, accumulate);
}
template <class T>
void dirichlet_kl_forward(const Stream& stream, int rows, int columns, double scale, const T* alphas, T* y) {
    simt::launch(divergence_kernel<T>, blocks(stream, dim3(1)), rows, columns, scale, alphas, y);
}
template <class T>
void dirichlet_kl_backward(const Stream& stream, int rows, int columns, double scale, const T* alphas, const T* dy,
                           T* dalphas, bool accumulate) {
    const std::size_t size = product({rows, columns});
    simt::launch(divergence_gradient_kernel<T>, items(stream, size), items(size), columns, scale, alphas, dy, dalphas,
                 accumulate);
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

}  // namespace nascent::kernels::gpu
