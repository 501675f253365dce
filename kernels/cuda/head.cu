#include <cmath>

#include "kernels/common/dense_linear.cuh"
#include "kernels/common/last_block.cuh"
#include "kernels/common/sums.cuh"
#include "kernels/head.h"

namespace nascent::kernels::gpu {
namespace {

std::size_t product(int a, int b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }
unsigned groups_of(int channels, int n) { return static_cast<unsigned>(channels / n); }
unsigned blocks_across(unsigned groups, unsigned across) { return (groups + across - 1) / across; }

/// v where y > 0, else 0; not-a-number in y lets v pass.
template <class T>
__device__ T where_positive(T y, T v) {
    return y <= T(0) ? T(0) : v;
}

/// A block per picture and `across` groups of channels; the other threads of a group share out the pixels.
template <int N, class S, class T = Compute<S>>
__global__ void __launch_bounds__(kThreads)
    pool_kernel(Image s, unsigned across, const S* x, const T* scale, const T* shift, T* pooled) {
    SIMT_SHARED(double, part, [kThreads * N]);
    const unsigned t = threadIdx.x, down = kThreads / across, pixels = static_cast<unsigned>(s.h * s.w);
    const int c = static_cast<int>(blockIdx.y * across + t % across) * N;
    double sum[N] = {};
    if (c < s.c) {
        const Pack<T, N> a = load<N>(scale + c), b = load<N>(shift + c);
        const S* picture = x + static_cast<std::size_t>(blockIdx.x) * pixels * s.c + c;
        for (unsigned p = t / across; p < pixels; p += down) {
            const Pack<T, N> v = read<N>(picture + static_cast<std::size_t>(p) * s.c);
            for (int i = 0; i < N; i++) {
                const T y = std::fma(v.v[i], a.v[i], b.v[i]);
                sum[i] += static_cast<double>(where_positive(y, y));
            }
        }
    }
    add_down<N>(across, part, sum);
    if (t >= across || c >= s.c) return;
    Pack<T, N> mean;
    for (int i = 0; i < N; i++) mean.v[i] = static_cast<T>(sum[i] / pixels);
    store(pooled + static_cast<std::size_t>(blockIdx.x) * s.c + c, mean);
}

/// partials (chunks, 2, channels): of the pixels of a chunk, g and g * x. `area`: pixels of a picture.
template <int N, class S, class T = Compute<S>>
__global__ void __launch_bounds__(kThreads, N > 4 ? 3 : 4)  // as registers allow
    pool_sums_kernel(unsigned pixels, unsigned area, unsigned chunk, int channels, unsigned across, const S* x,
                     const T* scale, const T* shift, const T* dpooled, double* partials,
                     const PixelSumsEnd<T> __grid_constant__ after) {
    SIMT_SHARED(double, part, [kThreads * N + 1]);
    const unsigned t = threadIdx.x, down = kThreads / across;
    const int c = static_cast<int>(blockIdx.y * across + t % across) * N;
    const unsigned begin = blockIdx.x * chunk, end = begin + min(chunk, pixels - begin);
    double sums[2][N] = {};
    if (c < channels) {
        const Pack<T, N> a = load<N>(scale + c), b = load<N>(shift + c);
        for (unsigned p = begin + t / across; p < end; p += down) {
            const Pack<T, N> v = read<N>(x + static_cast<std::size_t>(p) * channels + c);
            const Pack<T, N> d = load<N>(dpooled + static_cast<std::size_t>(p / area) * channels + c);
            for (int i = 0; i < N; i++) {
                const double g = where_positive(std::fma(v.v[i], a.v[i], b.v[i]), d.v[i]);
                sums[0][i] += g;
                sums[1][i] = std::fma(g, static_cast<double>(v.v[i]), sums[1][i]);
            }
        }
    }
#pragma unroll
    for (int k = 0; k < 2; k++) {
        add_down<N>(across, part, sums[k]);
        if (t < across && c < channels)
            for (int i = 0; i < N; i++)
                partials[(static_cast<std::size_t>(blockIdx.x) * 2 + k) * channels + c + i] = sums[k][i] / area;
    }
    const unsigned first = blockIdx.y * across * N;
    after({channels, 2, 1, 2, first, min(across * N, static_cast<unsigned>(channels) - first)}, true, blockIdx.x,
          blockIdx.y, partials, part);
}

template <int N, class S, class T = Compute<S>>
__global__ void __launch_bounds__(kThreads)
    pool_gradient_kernel(Image s, const S* x, const T* scale, const T* shift, const T* dpooled, const T* a, const T* b,
                         const T* c, S* dx, bool accumulate) {
    const unsigned groups = static_cast<unsigned>(s.c / N), area = static_cast<unsigned>(s.h * s.w);
    const unsigned pixel = item() / groups, k = item() % groups * N;
    if (pixel >= static_cast<unsigned>(s.n) * area) return;
    const std::size_t at = static_cast<std::size_t>(pixel) * s.c + k;
    const Pack<T, N> v = read<N>(x + at), d = load<N>(dpooled + static_cast<std::size_t>(pixel / area) * s.c + k);
    const Pack<T, N> s1 = load<N>(scale + k), s0 = load<N>(shift + k);
    const Pack<T, N> a1 = load<N>(a + k), b1 = load<N>(b + k), c1 = load<N>(c + k);
    Pack<T, N> sum = {};
    if (accumulate) sum = read<N>(dx + at);
    for (int i = 0; i < N; i++) {
        const T g = d.v[i] / static_cast<T>(area) * a1.v[i];
        sum.v[i] += std::fma(v.v[i], b1.v[i], c1.v[i]) + where_positive(std::fma(v.v[i], s1.v[i], s0.v[i]), g);
    }
    write(dx + at, sum);
}

/// `across` lanes of a warp, a power of two, share an output.
template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    linear_kernel(unsigned outputs, int in, int out, unsigned across, const T* x, const T* w, const T* bias, T* y) {
    const unsigned at = item() / across, lane = item() % across, o = at % static_cast<unsigned>(out);
    T sum = 0;
    if (at < outputs) {
        const T* row = x + static_cast<std::size_t>(at / static_cast<unsigned>(out)) * in;
        const T* weights = w + static_cast<std::size_t>(o) * in;
        for (int i = static_cast<int>(lane) * N; i < in; i += static_cast<int>(across) * N) {
            const Pack<T, N> a = load<N>(row + i), b = load<N>(weights + i);
            for (int k = 0; k < N; k++) sum = std::fma(a.v[k], b.v[k], sum);
        }
    }
    for (unsigned half = across / 2; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, static_cast<int>(half));
    if (at < outputs && lane == 0) y[at] = bias ? sum + bias[o] : sum;
}

/// A thread per row and N inputs.
template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    linear_dx_kernel(int n, int in, int out, const T* w, const T* dy, T* dx, bool accumulate) {
    const unsigned groups = static_cast<unsigned>(in / N), r = item() / groups, i = item() % groups * N;
    if (r >= static_cast<unsigned>(n)) return;
    Pack<T, N> sum = {};
    for (int o = 0; o < out; o++) {
        const T g = dy[static_cast<std::size_t>(r) * out + o];
        const Pack<T, N> v = load<N>(w + static_cast<std::size_t>(o) * in + i);
        for (int k = 0; k < N; k++) sum.v[k] = std::fma(g, v.v[k], sum.v[k]);
    }
    T* to = dx + static_cast<std::size_t>(r) * in + i;
    if (accumulate) {
        const Pack<T, N> before = load<N>(to);
        for (int k = 0; k < N; k++) sum.v[k] = before.v[k] + sum.v[k];
    }
    store(to, sum);
}

/// A block per output and `across` groups of inputs; the other threads of a group share out the rows. The blocks of the
/// first groups sum the bias's gradient too.
template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    linear_dw_kernel(int n, int in, int out, unsigned across, const T* x, const T* dy, T* dw, bool accumulate_dw,
                     T* dbias, bool accumulate_dbias) {
    SIMT_SHARED(double, part, [kThreads * N]);
    const unsigned t = threadIdx.x;
    const int o = static_cast<int>(blockIdx.x), i = static_cast<int>(blockIdx.y * across + t % across) * N;
    double sum[N] = {}, bias[1] = {};
    for (int r = static_cast<int>(t / across); r < n; r += static_cast<int>(kThreads / across)) {
        const double g = dy[static_cast<std::size_t>(r) * out + o];
        bias[0] += g;
        if (!dw || i >= in) continue;
        const Pack<T, N> v = load<N>(x + static_cast<std::size_t>(r) * in + i);
        for (int k = 0; k < N; k++) sum[k] = std::fma(g, static_cast<double>(v.v[k]), sum[k]);
    }
    if (dw) {
        add_down<N>(across, part, sum);
        if (t < across && i < in) {
            T* to = dw + static_cast<std::size_t>(o) * in + i;
            Pack<T, N> result;
            for (int k = 0; k < N; k++) result.v[k] = static_cast<T>(sum[k]);
            if (accumulate_dw) {
                const Pack<T, N> before = load<N>(to);
                for (int k = 0; k < N; k++) result.v[k] = before.v[k] + result.v[k];
            }
            store(to, result);
        }
    }
    if (!dbias || blockIdx.y > 0) return;  // the same for every thread of the block
    add_down<1>(across, part, bias);
    if (t == 0) dbias[o] = accumulate_dbias ? dbias[o] + static_cast<T>(bias[0]) : static_cast<T>(bias[0]);
}

/// `across` lanes of a warp, a power of two, share a row; losses (n).
template <class T>
__global__ void __launch_bounds__(kThreads)
    cross_entropy_kernel(unsigned n, int classes, unsigned across, const T* logits, const int* labels, T smoothing,
                         double* losses, T* probabilities) {
    const unsigned row = item() / across;
    const int lane = static_cast<int>(item() % across), step = static_cast<int>(across);
    const int count = row < n ? classes : 0;  // lanes past the end go along with the shuffles
    const std::size_t first = static_cast<std::size_t>(row) * classes;
    double top = -INFINITY;
    for (int k = lane; k < count; k += step) {
        const double x = logits[first + k];
        top = x > top ? x : top;
    }
    for (int with = step / 2; with > 0; with /= 2) {
        const double x = __shfl_xor_sync(~0u, top, with);
        top = x > top ? x : top;
    }
    const int label = count > 0 ? labels[row] : 0;
    const bool is_label = label >= 0 && label < classes;
    if (!is_label) top = NAN;
    double sum = 0, plain = 0;
    for (int k = lane; k < count; k += step) {
        const double shifted = logits[first + k] - top, e = std::exp(shifted);
        probabilities[first + k] = static_cast<T>(e);
        sum += e;
        plain += shifted;
    }
    for (int with = step / 2; with > 0; with /= 2) {
        sum += __shfl_xor_sync(~0u, sum, with);
        plain += __shfl_xor_sync(~0u, plain, with);
    }
    for (int k = lane; k < count; k += step) probabilities[first + k] = static_cast<T>(probabilities[first + k] / sum);
    if (count == 0 || lane > 0) return;
    const double log_sum = std::log(sum);
    const double hit = is_label ? logits[first + label] - top - log_sum : NAN;
    const double s = smoothing, even = s / classes;
    losses[row] = -((1 - s) * hit + even * (plain - classes * log_sum));
}

template <class T>
__global__ void __launch_bounds__(kThreads) mean_kernel(unsigned n, const double* losses, T* loss) {
    SIMT_SHARED(double, part, [kThreads]);
    double sum[1] = {};
    for (unsigned i = threadIdx.x; i < n; i += kThreads) sum[0] += losses[i];
    add_down<1>(1, part, sum);
    if (threadIdx.x == 0) loss[0] = static_cast<T>(sum[0] / n);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    cross_entropy_gradient_kernel(unsigned n, unsigned classes, const T* probabilities, const int* labels, T smoothing,
                                  const T* dloss, T* dlogits, bool accumulate) {
    const unsigned row = item() / classes, k = item() % classes;
    if (row >= n) return;
    const double s = smoothing, scale = static_cast<double>(dloss[0]) / n;
    const double target = s / classes + (static_cast<int>(k) == labels[row] ? 1 - s : 0.0);
    const T g = static_cast<T>(scale * (probabilities[item()] - target));
    dlogits[item()] = accumulate ? dlogits[item()] + g : g;
}

}  // namespace

template <class S>
void norm_relu_pool(const Stream& stream, const Image& s, const S* x, const Compute<S>* scale, const Compute<S>* shift,
                    Compute<S>* pooled) {
    const bool is_wide = wide<S>(s.c, {x}) && wide_vectors<Compute<S>>({scale, shift, pooled});
    with_width<S>(is_wide, [&](auto n) {
        const unsigned groups = groups_of(s.c, n), across = threads_across(groups);
        simt::launch(pool_kernel<n, S>, blocks(stream, dim3(static_cast<unsigned>(s.n), blocks_across(groups, across))),
                     s, across, x, scale, shift, pooled);
    });
}

template <class S>
void norm_relu_pool_backward_sums(const Stream& stream, const Image& s, const S* x, const Compute<S>* scale,
                                  const Compute<S>* shift, const Compute<S>* dpooled, double* sums, void* workspace) {
    using T = Compute<S>;
    const PixelChunks chunks(s.pixels());
    double* partials = static_cast<double*>(workspace);
    with_width<S>(wide<S>(s.c, {x}) && wide_vectors({scale, shift, dpooled}), [&](auto n) {
        const unsigned groups = groups_of(s.c, n), across = threads_across(groups),
                       down = blocks_across(groups, across);
        simt::launch(pool_sums_kernel<n, S>, blocks(stream, dim3(static_cast<unsigned>(chunks.count), down)),
                     items(s.pixels()), static_cast<unsigned>(s.h * s.w), static_cast<unsigned>(chunks.size), s.c,
                     across, x, scale, shift, dpooled, partials,
                     PixelSumsEnd<T>(chunks.count, down, {sums, {}}, take_folds<T>(sums)));
    });
}

template <class S>
void norm_relu_pool_backward(const Stream& stream, const Image& s, const S* x, const Compute<S>* scale,
                             const Compute<S>* shift, const Compute<S>* dpooled, const Compute<S>* a,
                             const Compute<S>* b, const Compute<S>* c, S* dx, bool accumulate) {
    const bool is_wide = wide<S>(s.c, {x, dx}) && wide_vectors({scale, shift, dpooled, a, b, c});
    with_width<S>(is_wide, [&](auto n) {
        simt::launch(pool_gradient_kernel<n, S>, items(stream, s.size() / n), s, x, scale, shift, dpooled, a, b, c, dx,
                     accumulate);
    });
}

template <class T>
void linear_forward(const Stream& stream, int n, int in, int out, const T* x, const T* w, const T* bias, T* y) {
    if constexpr (std::is_same_v<T, float>)
        if (dense_linear_forward(stream, n, in, out, x, w, bias, y)) return;
    with_width<T>(wide<T>(in, {x, w}), [&](auto width) {
        const unsigned across = threads_across(groups_of(in, width));
        simt::launch(linear_kernel<width, T>, items(stream, product(n, out) * across), items(product(n, out)), in, out,
                     across, x, w, bias, y);
    });
}

template <class T>
void linear_backward(const Stream& stream, int n, int in, int out, const T* x, const T* w, const T* dy, T* dx,
                     bool accumulate_dx, T* dw, bool accumulate_dw, T* dbias, bool accumulate_dbias) {
    if constexpr (std::is_same_v<T, float>) {
        if (dx && dense_linear_dx(stream, n, in, out, w, dy, dx, accumulate_dx)) dx = nullptr;
        if (dw && dense_linear_dw(stream, n, in, out, x, dy, dw, accumulate_dw)) dw = nullptr;
    }
    if (dx)
        with_width<T>(wide<T>(in, {w, dx}), [&](auto width) {
            simt::launch(linear_dx_kernel<width, T>, items(stream, product(n, in) / width), n, in, out, w, dy, dx,
                         accumulate_dx);
        });
    if (!dw && !dbias) return;
    with_width<T>(wide<T>(in, {x, dw}), [&](auto width) {
        const unsigned groups = groups_of(in, width), across = threads_across(groups);
        const dim3 grid(static_cast<unsigned>(out), dw ? blocks_across(groups, across) : 1);
        simt::launch(linear_dw_kernel<width, T>, blocks(stream, grid), n, in, out, across, x, dy, dw, accumulate_dw,
                     dbias, accumulate_dbias);
    });
}

template <class T>
void cross_entropy_forward(const Stream& stream, int n, int classes, const T* logits, const int* labels, T smoothing,
                           T* loss, T* probabilities, void* workspace) {
    const unsigned rows = static_cast<unsigned>(n), across = threads_across(static_cast<unsigned>(classes));
    double* losses = static_cast<double*>(workspace);
    simt::launch(cross_entropy_kernel<T>, items(stream, static_cast<std::size_t>(rows) * across), rows, classes, across,
                 logits, labels, smoothing, losses, probabilities);
    simt::launch(mean_kernel<T>, blocks(stream, dim3(1)), rows, losses, loss);
}
std::size_t cross_entropy_workspace(const Stream&, int n) { return static_cast<std::size_t>(n) * sizeof(double); }

template <class T>
void cross_entropy_backward(const Stream& stream, int n, int classes, const T* probabilities, const int* labels,
                            T smoothing, const T* dloss, T* dlogits, bool accumulate) {
    simt::launch(cross_entropy_gradient_kernel<T>, items(stream, product(n, classes)), static_cast<unsigned>(n),
                 static_cast<unsigned>(classes), probabilities, labels, smoothing, dloss, dlogits, accumulate);
}

#define NASCENT_HEAD_OF(S)                                                                                             \
    template void norm_relu_pool(const Stream&, const Image&, const S*, const Compute<S>*, const Compute<S>*,          \
                                 Compute<S>*);                                                                         \
    template void norm_relu_pool_backward_sums(const Stream&, const Image&, const S*, const Compute<S>*,               \
                                               const Compute<S>*, const Compute<S>*, double*, void*);                  \
    template void norm_relu_pool_backward(const Stream&, const Image&, const S*, const Compute<S>*, const Compute<S>*, \
                                          const Compute<S>*, const Compute<S>*, const Compute<S>*, const Compute<S>*,  \
                                          S*, bool);
NASCENT_HEAD_OF(float)
NASCENT_HEAD_OF(double)
NASCENT_HEAD_OF(BFloat16)
#undef NASCENT_HEAD_OF

#define NASCENT_HEAD(T)                                                                                               \
    template void linear_forward(const Stream&, int, int, int, const T*, const T*, const T*, T*);                     \
    template void linear_backward(const Stream&, int, int, int, const T*, const T*, const T*, T*, bool, T*, bool, T*, \
                                  bool);                                                                              \
    template void cross_entropy_forward(const Stream&, int, int, const T*, const int*, T, T*, T*, void*);             \
    template void cross_entropy_backward(const Stream&, int, int, const T*, const int*, T, const T*, T*, bool);
NASCENT_HEAD(float)
NASCENT_HEAD(double)
#undef NASCENT_HEAD

}  // namespace nascent::kernels::gpu
