// A thread per element of the result of a shuffle; weights of edges are a row of numbers: a thread per node.
#include <cmath>

#include "kernels/common/plain.cuh"
#include "kernels/partial.h"

namespace nascent::kernels::gpu {
namespace {

template <class S>
__global__ void channel_shuffle_kernel(unsigned size, unsigned c, unsigned groups, bool inverse, const S* x,
                                       int x_pixel, S* y, int y_pixel, bool accumulate) {
    if (item() >= size) return;
    const std::size_t pixel = item() / c;
    const unsigned to = item() % c, of = c / groups;
    const unsigned from = inverse ? to % of * groups + to / of : to % groups * of + to / groups;
    S& out = y[pixel * y_pixel + to];
    const S value = x[pixel * x_pixel + from];
    put_stored(out, value, accumulate);
}

/// A thread per element of x.
template <class S>
__global__ void channel_permute_kernel(unsigned size, ChannelOrder order, bool inverse, const S* x, int x_pixel, S* y,
                                       int y_pixel, bool accumulate) {
    if (item() >= size) return;
    const std::size_t pixel = item() / static_cast<unsigned>(order.c);
    const unsigned i = item() % static_cast<unsigned>(order.c), other = order.at[i];
    S& out = y[pixel * y_pixel + (inverse ? other : i)];
    const S value = x[pixel * x_pixel + (inverse ? i : other)];
    put_stored(out, value, accumulate);
}

template <class S>
__global__ void halve_kernel(unsigned size, Image x_shape, const S* x, int x_pixel, S* z, std::uint8_t* tap) {
    if (item() >= size) return;
    const Element o = element(item(), x_shape.h / 2, x_shape.w / 2, x_shape.c);
    const S* const first =
        x + (static_cast<std::size_t>(o.n * x_shape.h + 2 * o.h) * x_shape.w + 2 * o.w) * x_pixel + o.c;
    using T = Compute<S>;
    T largest = widen(*first);
    int at = 0;
    for (int i = 1; i < 4; i++) {
        const T v = widen(first[static_cast<std::size_t>(i / 2 * x_shape.w + i % 2) * x_pixel]);
        if (v > largest || v != v) largest = v, at = i;
    }
    z[item()] = narrow<S>(largest);
    tap[item()] = static_cast<std::uint8_t>(at);
}

/// A thread per element of dz writes its four of dx.
template <class S>
__global__ void halve_gradient_kernel(unsigned size, Image x_shape, const std::uint8_t* tap, const S* dz, S* dx,
                                      int dx_pixel) {
    if (item() >= size) return;
    const Element o = element(item(), x_shape.h / 2, x_shape.w / 2, x_shape.c);
    S* const first = dx + (static_cast<std::size_t>(o.n * x_shape.h + 2 * o.h) * x_shape.w + 2 * o.w) * dx_pixel + o.c;
    const S g = dz[item()];
    for (int i = 0; i < 4; i++)
        first[static_cast<std::size_t>(i / 2 * x_shape.w + i % 2) * dx_pixel] = tap[item()] == i ? g : S{};
}

struct NodeEdges {
    int first, last;
};
__device__ NodeEdges edges_of(int node, const EdgeRows& s) {
    const int first = node * s.first + node * (node - 1) / 2;
    return {first, first + s.first + node};
}

template <class T>
__global__ void edge_weights_kernel(EdgeRows s, const T* weights, const T* betas, T* share, T* y) {
    const int node = static_cast<int>(item());
    if (node >= s.nodes) return;
    const NodeEdges edges = edges_of(node, s);
    double largest = betas[edges.first], sum = 0;
    for (int e = edges.first; e < edges.last; e++)
        if (betas[e] > largest) largest = betas[e];
    for (int e = edges.first; e < edges.last; e++) sum += std::exp(betas[e] - largest);
    for (int e = edges.first; e < edges.last; e++) {
        share[e] = static_cast<T>(std::exp(betas[e] - largest) / sum);
        for (int o = 0; o < s.ops; o++) y[e * (s.ops + 1) + o] = weights[e * s.ops + o] * share[e];
        y[e * (s.ops + 1) + s.ops] = share[e];
    }
}

/// The gradient of an edge's share.
template <class T>
__device__ double share_gradient(int ops, const T* weights, const T* dy) {
    double sum = dy[ops];
    for (int o = 0; o < ops; o++) sum += static_cast<double>(dy[o]) * weights[o];
    return sum;
}

template <class T>
__global__ void edge_weights_gradient_kernel(EdgeRows s, const T* weights, const T* share, const T* dy, T* dweights,
                                             bool accumulate_dweights, T* dbetas, bool accumulate_dbetas) {
    const int node = static_cast<int>(item());
    if (node >= s.nodes) return;
    const NodeEdges edges = edges_of(node, s);
    double dot = 0;
    for (int e = edges.first; e < edges.last; e++) {
        const T* row = dy + e * (s.ops + 1);
        if (dbetas) dot += share_gradient(s.ops, weights + e * s.ops, row) * share[e];
        for (int o = 0; dweights && o < s.ops; o++)
            put(dweights[e * s.ops + o], static_cast<double>(row[o]) * share[e], accumulate_dweights);
    }
    for (int e = edges.first; dbetas && e < edges.last; e++)
        put(dbetas[e], share[e] * (share_gradient(s.ops, weights + e * s.ops, dy + e * (s.ops + 1)) - dot),
            accumulate_dbetas);
}

}  // namespace

template <class S>
void channel_shuffle(const Stream& stream, std::size_t pixels, int c, int groups, bool inverse, const S* x, int x_pixel,
                     S* y, int y_pixel, bool accumulate) {
    const std::size_t size = pixels * static_cast<std::size_t>(c);
    simt::launch(channel_shuffle_kernel<S>, items(stream, size), items(size), static_cast<unsigned>(c),
                 static_cast<unsigned>(groups), inverse, x, x_pixel, y, y_pixel, accumulate);
}

template <class S>
void channel_permute(const Stream& stream, std::size_t pixels, const ChannelOrder& order, bool inverse, const S* x,
                     int x_pixel, S* y, int y_pixel, bool accumulate) {
    const std::size_t size = pixels * static_cast<std::size_t>(order.c);
    simt::launch(channel_permute_kernel<S>, items(stream, size), items(size), order, inverse, x, x_pixel, y, y_pixel,
                 accumulate);
}

template <class S>
void halve_forward(const Stream& stream, const Image& s, const S* x, int x_pixel, S* z, std::uint8_t* tap) {
    const std::size_t size = s.size() / 4;
    simt::launch(halve_kernel<S>, items(stream, size), items(size), s, x, x_pixel, z, tap);
}
template <class S>
void halve_backward(const Stream& stream, const Image& s, const std::uint8_t* tap, const S* dz, S* dx, int dx_pixel) {
    const std::size_t size = s.size() / 4;
    simt::launch(halve_gradient_kernel<S>, items(stream, size), items(size), s, tap, dz, dx, dx_pixel);
}

template <class T>
void edge_weights_forward(const Stream& stream, const EdgeRows& s, const T* weights, const T* betas, T* share, T* y) {
    simt::launch(edge_weights_kernel<T>, items(stream, product({s.nodes})), s, weights, betas, share, y);
}
template <class T>
void edge_weights_backward(const Stream& stream, const EdgeRows& s, const T* weights, const T* share, const T* dy,
                           T* dweights, bool accumulate_dweights, T* dbetas, bool accumulate_dbetas) {
    simt::launch(edge_weights_gradient_kernel<T>, items(stream, product({s.nodes})), s, weights, share, dy, dweights,
                 accumulate_dweights, dbetas, accumulate_dbetas);
}

#define NASCENT_PARTIAL(S)                                                                                       \
    template void channel_permute(const Stream&, std::size_t, const ChannelOrder&, bool, const S*, int, S*, int, \
                                  bool);                                                                         \
    template void halve_forward(const Stream&, const Image&, const S*, int, S*, std::uint8_t*);                  \
    template void halve_backward(const Stream&, const Image&, const std::uint8_t*, const S*, S*, int);           \
    template void channel_shuffle(const Stream&, std::size_t, int, int, bool, const S*, int, S*, int, bool);
NASCENT_PARTIAL(float)
NASCENT_PARTIAL(double)
NASCENT_PARTIAL(BFloat16)
#undef NASCENT_PARTIAL
#define NASCENT_EDGE_WEIGHTS(T)                                                                                     \
    template void edge_weights_forward(const Stream&, const EdgeRows&, const T*, const T*, T*, T*);                 \
    template void edge_weights_backward(const Stream&, const EdgeRows&, const T*, const T*, const T*, T*, bool, T*, \
                                        bool);
NASCENT_EDGE_WEIGHTS(float)
NASCENT_EDGE_WEIGHTS(double)
#undef NASCENT_EDGE_WEIGHTS

}  // namespace nascent::kernels::gpu
