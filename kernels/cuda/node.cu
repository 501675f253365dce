#include <algorithm>
#include <cmath>

#include "kernels/common/last_block.cuh"
#include "kernels/common/sums.cuh"
#include "kernels/node.h"

namespace nascent::kernels::gpu {
namespace {

constexpr int kTerms = 6;  // tensors of one kind that one launch reads: all of a node of NAS-Bench-201

/// N channels of one pixel.
struct Spot {
    int n, h, w, c;
};
template <int N>
__device__ unsigned spots(const Image& s) {
    return static_cast<unsigned>(s.n * s.h) * static_cast<unsigned>(s.w * (s.c / N));
}
template <int N>
__device__ Spot spot(const Image& s, unsigned item) {
    const unsigned groups = static_cast<unsigned>(s.c / N), w = static_cast<unsigned>(s.w),
                   h = static_cast<unsigned>(s.h), pixel = item / groups, row = pixel / w;
    return {static_cast<int>(row / h), static_cast<int>(row % h), static_cast<int>(pixel % w),
            static_cast<int>(item % groups) * N};
}
__device__ std::size_t offset(const Image& s, const Spot& p) {
    return ((static_cast<std::size_t>(p.n) * s.h + p.h) * s.w + p.w) * s.c + p.c;
}
/// 1 / how many of q - 1, q, q + 1 lie in [0, size).
template <class T>
__device__ T share(int q, int size) {
    const int count = 1 + (q > 0) + (q + 1 < size);
    return count == 3 ? T(1) / T(3) : count == 2 ? T(0.5) : T(1);
}

/// The 3x3 average pool at p, or with Gradient the pool's gradient there: each neighbour gave its share.
template <bool Gradient, int N, class S>
__device__ Pack<Compute<S>, N> pool_3x3(const Image& s, const Spot& p, const S* x) {
    using T = Compute<S>;
    Pack<T, N> sum = {};
#pragma unroll 1
    for (int h = max(p.h - 1, 0); h <= min(p.h + 1, s.h - 1); h++)
        for (int w = max(p.w - 1, 0); w <= min(p.w + 1, s.w - 1); w++) {
            const Pack<T, N> v = read<N>(x + offset(s, {p.n, h, w, p.c}));
            const T weight = Gradient ? share<T>(h, s.h) * share<T>(w, s.w) : T(1);
            for (int i = 0; i < N; i++) sum.v[i] = std::fma(v.v[i], weight, sum.v[i]);
        }
    const T scale = Gradient ? T(1) : share<T>(p.h, s.h) * share<T>(p.w, s.w);
    for (int i = 0; i < N; i++) sum.v[i] *= scale;
    return sum;
}

template <class S>
struct Terms {
    NormTerm<S> norms[kTerms];
    const S *pools[kTerms], *skips[kTerms];
    int norm_count, pool_count, skip_count;
};

template <int N, class S>
__global__ void __launch_bounds__(kThreads) combine_kernel(Image s, Terms<S> terms, S* y, bool add) {
    using T = Compute<S>;
    if (item() >= spots<N>(s)) return;
    const Spot p = spot<N>(s, item());
    const std::size_t at = offset(s, p);
    Pack<T, N> sum = {};
    if (add) sum = read<N>(y + at);
#pragma unroll 1
    for (int k = 0; k < terms.norm_count; k++) {
        const NormTerm<S>& t = terms.norms[k];
        const Pack<T, N> z = read<N>(t.z + at), a = load<N>(t.scale + p.c), b = load<N>(t.shift + p.c);
        for (int i = 0; i < N; i++) sum.v[i] += std::fma(z.v[i], a.v[i], b.v[i]);
    }
#pragma unroll 1
    for (int k = 0; k < terms.pool_count; k++) {
        const Pack<T, N> v = pool_3x3<false, N>(s, p, terms.pools[k]);
        for (int i = 0; i < N; i++) sum.v[i] += v.v[i];
    }
#pragma unroll 1
    for (int k = 0; k < terms.skip_count; k++) {
        const Pack<T, N> v = read<N>(terms.skips[k] + at);
        for (int i = 0; i < N; i++) sum.v[i] += v.v[i];
    }
    write(y + at, sum);
}

template <int N, class S>
__device__ Pack<Compute<S>, N> gradient_at(const Image& s, const Spot& p, const S* dy, bool skip, bool pool,
                                           const S* dx, bool accumulate) {
    using T = Compute<S>;
    const std::size_t at = offset(s, p);
    Pack<T, N> sum = {};
    if (accumulate) sum = read<N>(dx + at);
    if (skip) {
        const Pack<T, N> v = read<N>(dy + at);
        for (int i = 0; i < N; i++) sum.v[i] += v.v[i];
    }
    if (pool) {
        const Pack<T, N> v = pool_3x3<true, N>(s, p, dy);
        for (int i = 0; i < N; i++) sum.v[i] += v.v[i];
    }
    return sum;
}

template <int N, class S>
__global__ void __launch_bounds__(kThreads)
    gradient_kernel(Image s, const S* dy, bool skip, bool pool, S* dx, bool accumulate) {
    if (item() >= spots<N>(s)) return;
    const Spot p = spot<N>(s, item());
    write(dx + offset(s, p), gradient_at<N>(s, p, dy, skip, pool, dx, accumulate));
}

template <class S>
struct Inputs {
    NodeInput<S> of[8];
};
/// The blocks of an input have one y.
template <int N, class S>
__global__ void __launch_bounds__(kThreads)
    gradients_kernel(Image s, const S* dy, const Inputs<S> __grid_constant__ inputs) {
    const NodeInput<S>& input = inputs.of[blockIdx.y];
    if (item() >= spots<N>(s)) return;
    const Spot p = spot<N>(s, item());
    write(input.dx + offset(s, p), gradient_at<N>(s, p, dy, input.skip, input.pool, input.dx, input.accumulate));
}

/// s is that of y, half as high and wide as x.
template <int N, class S>
__global__ void __launch_bounds__(kThreads) pool_2x2_kernel(Image s, const S* x, S* y) {
    using T = Compute<S>;
    if (item() >= spots<N>(s)) return;
    const Spot p = spot<N>(s, item());
    const Image from{s.n, 2 * s.h, 2 * s.w, s.c};
    const S* first = x + offset(from, {p.n, 2 * p.h, 2 * p.w, p.c});
    const std::size_t row = static_cast<std::size_t>(from.w) * s.c;
    const Pack<T, N> a = read<N>(first), b = read<N>(first + s.c), c = read<N>(first + row),
                     d = read<N>(first + row + s.c);
    Pack<T, N> mean;
    for (int i = 0; i < N; i++) mean.v[i] = ((a.v[i] + b.v[i]) + (c.v[i] + d.v[i])) * T(0.25);
    write(y + offset(s, p), mean);
}

template <int N, class S>
__global__ void __launch_bounds__(kThreads) pool_2x2_gradient_kernel(Image s, const S* dy, S* dx, bool accumulate) {
    using T = Compute<S>;
    if (item() >= spots<N>(s)) return;
    const Spot p = spot<N>(s, item());
    const std::size_t at = offset(s, p);
    const Pack<T, N> g = read<N>(dy + offset({s.n, s.h / 2, s.w / 2, s.c}, {p.n, p.h / 2, p.w / 2, p.c}));
    Pack<T, N> sum = {};
    if (accumulate) sum = read<N>(dx + at);
    for (int i = 0; i < N; i++) sum.v[i] = std::fma(g.v[i], T(0.25), sum.v[i]);
    write(dx + at, sum);
}

template <class S>
struct Factors {
    const S* z[3];
    int count;
};

/// partials (chunks, rows, c): row 0 (if `plain`) the sums of x over the pixels of a chunk, and from `first` on those
/// of x * z. `across` threads of a block, a power of two, stand side by side on channels, the others on pixels. Runs of
/// 64 pixels are summed in Compute<S>, then double.
template <int N, class S>
__global__ void __launch_bounds__(kThreads)
    sums_kernel(std::size_t pixels, std::size_t chunk, int channels, unsigned across, const S* x, Factors<S> factors,
                bool plain, int first, int rows, double* partials,
                const PixelSumsEnd<Compute<S>> __grid_constant__ after) {
    using T = Compute<S>;
    SIMT_SHARED(double, part, [kThreads * N + 1]);
    const unsigned t = threadIdx.x, down = kThreads / across;
    const int c = static_cast<int>(blockIdx.x * across + t % across) * N;
    const std::size_t begin = blockIdx.y * chunk, end = min(pixels, begin + chunk);
    double total[4][N] = {};
    for (std::size_t start = begin + t / across; c < channels && start < end;
         start += 64 * static_cast<std::size_t>(down)) {
        T run[4][N] = {};
        for (std::size_t p = start; p < min(end, start + 64 * static_cast<std::size_t>(down)); p += down) {
            const std::size_t at = p * channels + c;
            const Pack<T, N> v = read<N>(x + at);
            for (int i = 0; i < N; i++) run[0][i] += v.v[i];
#pragma unroll
            for (int k = 0; k < 3; k++) {
                if (k >= factors.count) continue;
                const Pack<T, N> z = read<N>(factors.z[k] + at);
                for (int i = 0; i < N; i++) run[1 + k][i] = std::fma(v.v[i], z.v[i], run[1 + k][i]);
            }
        }
#pragma unroll
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < N; i++) total[k][i] += static_cast<double>(run[k][i]);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
        if (k > factors.count || (k == 0 && !plain)) continue;  // the same for every thread of the grid
        add_down<N>(across, part, total[k]);
        if (t < across && c < channels)
            for (int i = 0; i < N; i++)
                partials[(static_cast<std::size_t>(blockIdx.y) * rows + (k == 0 ? 0 : first + k - 1)) * channels + c +
                         i] = total[k][i];
    }
    const SumColumns columns{
        channels, 1 + factors.count,       first,
        rows,     blockIdx.x * across * N, min(across * N, static_cast<unsigned>(channels) - blockIdx.x * across * N)};
    after(columns, plain, blockIdx.y, blockIdx.x, partials, part);
}

}  // namespace

template <class S>
void node_combine(const Stream& stream, const Image& s, std::span<const NormTerm<S>> norms,
                  std::span<const S* const> pools, std::span<const S* const> skips, S* y) {
    bool is_wide = wide<S>(s.c, {y});
    for (const NormTerm<S>& t : norms) is_wide = is_wide && wide<S>(s.c, {t.z}) && wide_vectors({t.scale, t.shift});
    for (auto list : {pools, skips})
        for (const S* p : list) is_wide = is_wide && wide<S>(s.c, {p});
    bool add = false;
    do {  // usually once; the terms keep their order
        Terms<S> terms = {};
        auto take = [](auto& from, auto& to, int& count) {
            count = static_cast<int>(std::min<std::size_t>(from.size(), kTerms));
            std::copy_n(from.begin(), count, to);
            from = from.subspan(static_cast<std::size_t>(count));
        };
        take(norms, terms.norms, terms.norm_count);
        if (norms.empty()) take(pools, terms.pools, terms.pool_count);
        if (norms.empty() && pools.empty()) take(skips, terms.skips, terms.skip_count);
        with_width<S>(is_wide, [&](auto n) {
            simt::launch(combine_kernel<n, S>, items(stream, s.size() / n), s, terms, y, add);
        });
        add = true;
    } while (!norms.empty() || !pools.empty() || !skips.empty());
}

template <class S>
void node_input_gradient(const Stream& stream, const Image& s, const S* dy, bool skip, bool pool, S* dx,
                         bool accumulate) {
    with_width<S>(wide<S>(s.c, {dy, dx}), [&](auto n) {
        simt::launch(gradient_kernel<n, S>, items(stream, s.size() / n), s, dy, skip, pool, dx, accumulate);
    });
}

template <class S>
void node_input_gradients(const Stream& stream, const Image& s, const S* dy, std::span<const NodeInput<S>> inputs) {
    bool is_wide = wide<S>(s.c, {dy});
    for (const NodeInput<S>& i : inputs) is_wide = is_wide && wide<S>(s.c, {i.dx});
    while (!inputs.empty()) {
        Inputs<S> some = {};
        const std::size_t count = std::min(inputs.size(), std::size(some.of));
        std::copy_n(inputs.begin(), count, some.of);
        with_width<S>(is_wide, [&](auto n) {
            simt::Launch at = items(stream, s.size() / n);
            at.grid.y = static_cast<unsigned>(count);
            simt::launch(gradients_kernel<n, S>, at, s, dy, some);
        });
        inputs = inputs.subspan(count);
    }
}

template <class S>
void norm_backward_sums(const Stream& stream, const Image& s, const S* dy, std::span<const S* const> z, double* sums,
                        void* workspace) {
    using T = Compute<S>;
    const PixelChunks chunks(s.pixels());
    double* partials = static_cast<double*>(workspace);
    const int rows = 1 + static_cast<int>(z.size());
    bool is_wide = wide<S>(s.c, {dy});
    for (const S* p : z) is_wide = is_wide && wide<S>(s.c, {p});
    std::span<const NormFoldOf<T>> folds = take_folds<T>(sums);
    const FinishEnd<T> finish = take_finish<T>(sums);
    for (int first = 0; first == 0 || first < rows - 1; first += 3) {  // three products share a read of dy
        Factors<S> factors = {};
        factors.count = std::min(3, rows - 1 - first);
        std::copy_n(z.begin() + first, factors.count, factors.z);
        const auto here = folds.first(std::min<std::size_t>(folds.size(), 3));
        folds = folds.subspan(here.size());
        with_width<S>(is_wide, [&](auto n) {
            const unsigned groups = static_cast<unsigned>(s.c / n);
            const unsigned across = threads_across(groups), blocks = (groups + across - 1) / across;
            simt::launch(sums_kernel<n, S>,
                         {dim3(blocks, static_cast<unsigned>(chunks.count)), dim3(kThreads), 0,
                          static_cast<simt::stream_t>(stream.handle)},
                         s.pixels(), chunks.size, s.c, across, dy, factors, first == 0, 1 + first, rows, partials,
                         PixelSumsEnd<T>(chunks.count, blocks, finish, here));
        });
    }
}

template <class S>
void channel_sums(const Stream& stream, const Image& s, const S* x, double* sums, void* workspace) {
    gpu::norm_backward_sums<S>(stream, s, x, std::span<const S* const>(&x, 1), sums, workspace);
}

std::size_t norm_sums_workspace(const Stream&, const Image& s, int terms) {
    return RowGroups(PixelChunks(s.pixels()).count).stored() * static_cast<std::size_t>(1 + terms) *
           static_cast<std::size_t>(s.c) * sizeof(double);
}

template <class S>
void avg_pool_2x2(const Stream& stream, const Image& s, const S* x, S* y) {
    const Image half{s.n, s.h / 2, s.w / 2, s.c};
    with_width<S>(wide<S>(s.c, {x, y}),
                  [&](auto n) { simt::launch(pool_2x2_kernel<n, S>, items(stream, half.size() / n), half, x, y); });
}
template <class S>
void avg_pool_2x2_backward(const Stream& stream, const Image& s, const S* dy, S* dx, bool accumulate) {
    with_width<S>(wide<S>(s.c, {dy, dx}), [&](auto n) {
        simt::launch(pool_2x2_gradient_kernel<n, S>, items(stream, s.size() / n), s, dy, dx, accumulate);
    });
}

#define NASCENT_NODE(S)                                                                                              \
    template void node_combine(const Stream&, const Image&, std::span<const NormTerm<S>>, std::span<const S* const>, \
                               std::span<const S* const>, S*);                                                       \
    template void node_input_gradient(const Stream&, const Image&, const S*, bool, bool, S*, bool);                  \
    template void node_input_gradients(const Stream&, const Image&, const S*, std::span<const NodeInput<S>>);        \
    template void norm_backward_sums(const Stream&, const Image&, const S*, std::span<const S* const>, double*,      \
                                     void*);                                                                         \
    template void channel_sums(const Stream&, const Image&, const S*, double*, void*);                               \
    template void avg_pool_2x2(const Stream&, const Image&, const S*, S*);                                           \
    template void avg_pool_2x2_backward(const Stream&, const Image&, const S*, S*, bool);
NASCENT_NODE(float)
NASCENT_NODE(double)
NASCENT_NODE(BFloat16)
#undef NASCENT_NODE

}  // namespace nascent::kernels::gpu
