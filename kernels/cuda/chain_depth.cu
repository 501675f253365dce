// Depthwise links: a block makes 8 x 8 pixels of 64 bytes of channels, 16 bytes a thread, from a window in shared
// memory.
#include <algorithm>

#include "kernels/common/chain.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/sums.cuh"

namespace nascent::kernels::gpu {
namespace {

constexpr int kSide = 8;
constexpr unsigned kGroups = 4;  // of 16 bytes: kChunk
static_assert(kSide * kSide * kGroups == kThreads);

/// Tiles of an (n, h, w) lattice.
struct DepthTiles {
    int n, h, w, down, across;
    DepthTiles(int pictures, int height, int width)
        : n(pictures), h(height), w(width), down((height + kSide - 1) / kSide), across((width + kSide - 1) / kSide) {}
    unsigned count() const { return items(static_cast<std::size_t>(n) * down * across); }
};
struct TilePlace {
    int n, y, x;
};
__device__ TilePlace place(const DepthTiles& t, unsigned tile) {
    const unsigned line = tile / static_cast<unsigned>(t.across);
    return {static_cast<int>(line / static_cast<unsigned>(t.down)),
            static_cast<int>(line % static_cast<unsigned>(t.down)) * kSide,
            static_cast<int>(tile - line * static_cast<unsigned>(t.across)) * kSide};
}
unsigned channel_chunks(int c, int chunk) { return static_cast<unsigned>((c + chunk - 1) / chunk); }

/// Elements of shared memory.
template <class T>
int window_size(int side) {
    return side * side * kPitch<T>;
}
int input_side(const LinkShape& s) { return (kSide - 1) * s.stride + s.k; }
/// Outputs that meet kSide inputs.
int output_side(const LinkShape& s) { return (kSide + s.k - 2) / s.stride + 1; }

template <class T>
__device__ int groups_of(int c, int first) {
    return min(static_cast<int>(kGroups), (c - first + kWide<T> - 1) / kWide<T>);
}

/// The weights (k, k, channels from c on) in shared memory, (k * k, kChunk).
template <class T>
__device__ void load_taps(const T* w, int taps, int channels, int c, T* to) {
    for (int i = static_cast<int>(threadIdx.x); i < taps * kChunk<T>; i += static_cast<int>(kThreads)) {
        const int channel = c + i % kChunk<T>;
        to[i] = channel < channels ? w[static_cast<std::size_t>(i / kChunk<T>) * channels + channel] : T(0);
    }
}

/// Leaves a block's sums in partials (tiles, 2, c): `channel` is the first of a thread's, of which `count` are left.
template <class T>
__device__ void store_sums(unsigned tile, int c, int channel, int count, double* part, double (&plain)[kWide<T>],
                           double (&products)[kWide<T>], double* partials) {
    constexpr int V = kWide<T>;
    add_down<V>(kGroups, part, plain);
    add_down<V>(kGroups, part, products);
    if (threadIdx.x >= kGroups) return;
    double* to = partials + std::size_t{tile} * 2 * c + channel;
#pragma unroll
    for (int o = 0; o < V; o++)
        if (o < count) to[o] = plain[o], to[c + o] = products[o];
}

/// partials (tiles, 2, c); null: not wanted.
template <class T, class Source>
__global__ void __launch_bounds__(kThreads)
    depth_forward_kernel(DepthTiles tiles, LinkShape s, Source source, const T* w, bool is_wide, T* z, int window,
                         double* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    SIMT_SHARED(double, part, [kThreads * kWide<T>]);
    constexpr int V = kWide<T>;
    T* const in = reinterpret_cast<T*>(memory);
    T* const taps = in + window;
    const int c = static_cast<int>(blockIdx.y) * kChunk<T>, side = (kSide - 1) * s.stride + s.k;
    const TilePlace at = place(tiles, blockIdx.x);
    load_window(source, {at.n, at.y * s.stride - s.k / 2, at.x * s.stride - s.k / 2, 1, side, side, 1, s.n, s.h, s.w},
                c, groups_of<T>(s.c_in, c), kPitch<T>, in);
    load_taps(w, s.k * s.k, s.c_in, c, taps);
    __syncthreads();
    const int group = static_cast<int>(threadIdx.x % kGroups) * V, pixel = static_cast<int>(threadIdx.x / kGroups);
    const int row = pixel / kSide, column = pixel % kSide, y = at.y + row, x = at.x + column;
    Wide<T> sum = {};
    double plain[V] = {}, squares[V] = {};
    const int count = s.c_in - c - group;
    if (y < tiles.h && x < tiles.w && count > 0) {
        for (int i = 0; i < s.k; i++)
            for (int j = 0; j < s.k; j++) {
                const Wide<T> a =
                    load<V>(in + ((row * s.stride + i) * side + column * s.stride + j) * kPitch<T> + group);
                const Wide<T> b = load<V>(taps + (i * s.k + j) * kChunk<T> + group);
#pragma unroll
                for (int o = 0; o < V; o++) sum.v[o] = std::fma(a.v[o], b.v[o], sum.v[o]);
            }
        const std::size_t to = (static_cast<std::size_t>(at.n) * tiles.h + y) * tiles.w + x;
        store_channels(z + to * s.c_in + c + group, sum, count, is_wide);
#pragma unroll
        for (int o = 0; o < V; o++) {
            plain[o] = static_cast<double>(sum.v[o]);
            squares[o] = plain[o] * plain[o];
        }
    }
    if (partials) store_sums<T>(blockIdx.x, s.c_in, c + group, count, part, plain, squares, partials);
}

/// Tiles are of the input. With a sink that gives factors: partials (tiles, 2, c).
template <class T, class Source, class Sink>
__global__ void __launch_bounds__(kThreads)
    depth_gradient_kernel(DepthTiles tiles, LinkShape s, int out_h, int out_w, Source source, const T* w, Sink sink,
                          int side, double* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    constexpr int V = kWide<T>;
    T* const dz = reinterpret_cast<T*>(memory);
    T* const taps = dz + side * side * kPitch<T>;
    const int c = static_cast<int>(blockIdx.y) * kChunk<T>, pad = s.k / 2;
    const TilePlace at = place(tiles, blockIdx.x);
    const int half = s.stride - 1;  // strides are 1 and 2: shifts instead of divisions
    // The first output that meets the tile, which may lie outside.
    const int y0 = (at.y + pad - s.k + s.stride) >> half, x0 = (at.x + pad - s.k + s.stride) >> half;
    load_window(source, {at.n, y0, x0, 1, side, side, 1, s.n, out_h, out_w}, c, groups_of<T>(s.c_in, c), kPitch<T>, dz);
    load_taps(w, s.k * s.k, s.c_in, c, taps);
    __syncthreads();
    const int group = static_cast<int>(threadIdx.x % kGroups) * V, pixel = static_cast<int>(threadIdx.x / kGroups);
    const int y = at.y + pixel / kSide, x = at.x + pixel % kSide;
    const bool is_inside = y < s.h && x < s.w && c + group < s.c_in;
    if (!kGivesFactor<Sink> && !is_inside) return;
    Wide<T> sum = {};
#pragma unroll 1
    for (int i = 0; i < s.k; i++) {
        const int down = y + pad - i - y0 * s.stride;
        if (!is_inside || down & half) continue;
#pragma unroll 1
        for (int j = 0; j < s.k; j++) {
            const int right = x + pad - j - x0 * s.stride;
            if (right & half) continue;
            const Wide<T> a = load<V>(dz + ((down >> half) * side + (right >> half)) * kPitch<T> + group);
            const Wide<T> b = load<V>(taps + (i * s.k + j) * kChunk<T> + group);
#pragma unroll
            for (int o = 0; o < V; o++) sum.v[o] = std::fma(a.v[o], b.v[o], sum.v[o]);
        }
    }
    if constexpr (kGivesFactor<Sink>) {
        SIMT_SHARED(double, part, [kThreads * V]);
        double plain[V] = {}, products[V] = {};
        if (is_inside) {
            const Wide<T> factor = sink(at.n, y, x, c + group, sum);
#pragma unroll
            for (int o = 0; o < V; o++) {
                plain[o] = static_cast<double>(sum.v[o]);
                products[o] = plain[o] * static_cast<double>(factor.v[o]);
            }
        }
        store_sums<T>(blockIdx.x, s.c_in, c + group, s.c_in - c - group, part, plain, products, partials);
    } else {
        sink(at.n, y, x, c + group, sum);
    }
}

/// partials (blocks in x, k * k, c): a block goes through `each` tiles of outputs. A thread has a tap and 16 bytes of
/// channels of every `lanes`-th pixel.
template <class T, class Input, class Gradient>
__global__ void __launch_bounds__(kThreads)
    depth_weights_kernel(DepthTiles tiles, LinkShape s, Input input, Gradient gradient, unsigned count, unsigned each,
                         int window, T* partials) {
    SIMT_DYNAMIC_SHARED(double, memory);
    constexpr int V = kWide<T>;
    T* const in = reinterpret_cast<T*>(memory);
    T* const dz = in + window;
    const int c = static_cast<int>(blockIdx.y) * kChunk<T>, side = (kSide - 1) * s.stride + s.k;
    const int groups = groups_of<T>(s.c_in, c), taps = s.k * s.k, slots = taps * static_cast<int>(kGroups);
    const int lanes = static_cast<int>(kThreads) / slots, thread = static_cast<int>(threadIdx.x);
    const int lane = thread / slots, tap = thread % slots / static_cast<int>(kGroups),
              group = thread % static_cast<int>(kGroups) * V;
    Wide<T> sum = {};
    for (unsigned tile = blockIdx.x * each; tile < min(count, (blockIdx.x + 1) * each); tile++) {
        const TilePlace at = place(tiles, tile);
        if (tile > blockIdx.x * each) __syncthreads();
        load_window(input,
                    {at.n, at.y * s.stride - s.k / 2, at.x * s.stride - s.k / 2, 1, side, side, 1, s.n, s.h, s.w}, c,
                    groups, kPitch<T>, in);
        load_window(gradient, {at.n, at.y, at.x, 1, kSide, kSide, 1, s.n, tiles.h, tiles.w}, c, groups, kPitch<T>, dz);
        __syncthreads();
        if (lane >= lanes || c + group >= s.c_in) continue;
        // Pixels past the picture's end are left out, not multiplied by zero: the input may be infinite.
        const int height = min(kSide, tiles.h - at.y), width = min(kSide, tiles.w - at.x);
        for (int p = lane; p < height * width; p += lanes) {
            const int y = p / width, x = p - y * width;
            const Wide<T> a =
                load<V>(in + ((y * s.stride + tap / s.k) * side + x * s.stride + tap % s.k) * kPitch<T> + group);
            const Wide<T> g = load<V>(dz + (y * kSide + x) * kPitch<T> + group);
#pragma unroll
            for (int o = 0; o < V; o++) sum.v[o] = std::fma(a.v[o], g.v[o], sum.v[o]);
        }
    }
    __syncthreads();
    if (lane < lanes) store(in + thread * V, sum);
    __syncthreads();
    if (lane > 0 || c + group >= s.c_in) return;
    for (int l = 1; l < lanes; l++) {
        const Wide<T> v = load<V>(in + (thread + l * slots) * V);
#pragma unroll
        for (int o = 0; o < V; o++) sum.v[o] += v.v[o];
    }
    T* to = partials + (static_cast<std::size_t>(blockIdx.x) * taps + tap) * s.c_in + c + group;
#pragma unroll
    for (int o = 0; o < V; o++)
        if (c + group + o < s.c_in) to[o] = sum.v[o];
}

/// Tiles that a block of depth_weights_kernel goes through, so that there are about two blocks for each multiprocessor.
unsigned tiles_each(unsigned tiles, unsigned chunks) {
    const unsigned wanted = std::max(1u, 264 / chunks);
    return (tiles + wanted - 1) / wanted;
}

}  // namespace

template <class T>
void depth_link_forward(const Stream& stream, const LinkShape& s, const Normed<T>& input, const T* w, T* z,
                        double* sums, void* workspace) {
    const DepthTiles tiles(s.n, s.out_h(), s.out_w());
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const int window = window_size<T>(input_side(s));
    double* partials = sums ? static_cast<double*>(workspace) : nullptr;
    with_width<T>(wide_normed(s.c_in, input), [&](auto n) {
        using Source = NormedSource<T, (n > 1)>;
        const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(window + s.k * s.k * kChunk<T>);
        const auto kernel = depth_forward_kernel<T, Source>;
        simt::launch(kernel, {dim3(tiles.count(), channel_chunks(s.c_in, kChunk<T>)), dim3(kThreads), bytes, handle},
                     tiles, s, Source{input, s.h, s.w, s.c_in}, w, wide<T>(s.c_in, {z}), z, window, partials);
    });
    if (sums) add_partials(handle, partials, tiles.count(), 2 * static_cast<std::size_t>(s.c_in), sums, false);
}

template <class T>
void depth_link_backward(const Stream& stream, const LinkShape& s, const Normed<T>& input, const T* w,
                         const NormedGradient<T>& gradient, const NormFold<T>& fold, const LinkTarget<T>& target, T* dw,
                         bool accumulate_dw, void* workspace) {
    const auto handle = static_cast<simt::stream_t>(stream.handle);
    const int out_h = s.out_h(), out_w = s.out_w();
    const unsigned chunks = channel_chunks(s.c_in, kChunk<T>);
    const bool wide_dz = wide_gradient(s, gradient, fold);
    if (target.da.x) {
        const DepthTiles tiles(s.n, s.h, s.w);
        const int side = output_side(s);
        double* sums = target.sums ? static_cast<double*>(workspace) : nullptr;
        with_width<T>(wide_dz, [&](auto n) {
            using Source = LinkSource<T, (n > 1)>;
            const std::size_t bytes =
                sizeof(T) * static_cast<std::size_t>(window_size<T>(side) + s.k * s.k * kChunk<T>);
            auto launch = [&](const auto& sink) {
                simt::launch(depth_gradient_kernel<T, Source, std::decay_t<decltype(sink)>>,
                             {dim3(tiles.count(), chunks), dim3(kThreads), bytes, handle}, tiles, s, out_h, out_w,
                             Source{gradient, fold, out_h, out_w, s.c_out}, w, sink, side, sums);
            };
            if (sums)
                launch(summed_sink(s, input, target));
            else
                launch(link_sink(s, input, target));
        });
        if (sums) add_partials(handle, sums, tiles.count(), 2 * static_cast<std::size_t>(s.c_in), target.sums, false);
    }
    if (!dw) return;
    const DepthTiles tiles(s.n, out_h, out_w);
    const unsigned each = tiles_each(tiles.count(), chunks), parts = (tiles.count() + each - 1) / each;
    const int window = std::max(window_size<T>(input_side(s)), static_cast<int>(kThreads) * kWide<T>);
    T* partials = static_cast<T*>(workspace);
    with_width<T>(wide_dz && wide_normed(s.c_in, input), [&](auto n) {
        using Input = NormedSource<T, (n > 1)>;
        using Gradient = LinkSource<T, (n > 1)>;
        const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(window + window_size<T>(kSide));
        const auto kernel = depth_weights_kernel<T, Input, Gradient>;
        simt::launch(kernel, {dim3(parts, chunks), dim3(kThreads), bytes, handle}, tiles, s,
                     Input{input, s.h, s.w, s.c_in}, Gradient{gradient, fold, out_h, out_w, s.c_out}, tiles.count(),
                     each, window, partials);
    });
    add_partials(handle, partials, parts, static_cast<std::size_t>(s.k * s.k) * s.c_in, dw, accumulate_dw);
}

std::size_t depth_link_workspace(const LinkShape& s, bool backward, std::size_t element) {
    const unsigned tiles = DepthTiles(s.n, s.out_h(), s.out_w()).count();
    const std::size_t c = static_cast<std::size_t>(s.c_in);
    if (!backward) return std::size_t{tiles} * 2 * c * sizeof(double);
    const int chunk = element == sizeof(float) ? kChunk<float> : kChunk<double>;
    const unsigned each = tiles_each(tiles, channel_chunks(s.c_in, chunk));
    return std::max(std::size_t{DepthTiles(s.n, s.h, s.w).count()} * 2 * c * sizeof(double),
                    std::size_t{(tiles + each - 1) / each} * static_cast<std::size_t>(s.k * s.k) * c * element);
}

#define NASCENT_DEPTH(T)                                                                                               \
    template void depth_link_forward(const Stream&, const LinkShape&, const Normed<T>&, const T*, T*, double*, void*); \
    template void depth_link_backward(const Stream&, const LinkShape&, const Normed<T>&, const T*,                     \
                                      const NormedGradient<T>&, const NormFold<T>&, const LinkTarget<T>&, T*, bool,    \
                                      void*);
NASCENT_DEPTH(float)
NASCENT_DEPTH(double)
#undef NASCENT_DEPTH

}  // namespace nascent::kernels::gpu
