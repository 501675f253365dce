// Nodes of a mixed cell: one launch for the sums of all, and one for what their gradients are to every term.
#include "kernels/common/mixed.cuh"

namespace nascent::kernels::gpu {
namespace {

constexpr int kTerms = 64, kNodes = 16;   // of a launch
constexpr int kShared = 6, kGroups = 32;  // terms that share a read of g; such groups of a launch

template <class S>
struct NodeItem {
    S* y;
    int pixel, first, count;
    bool add;  // to what an earlier launch left
};
template <class S>
struct NodeList {
    MixedTerm<S> terms[kTerms];
    NodeItem<S> nodes[kNodes];
    int count;
};

/// The product with a term's weight, or the term itself.
template <class T>
__device__ T weight_of(const T* weight) {
    return weight ? *weight : T(1);
}

template <int N, class S>
__global__ void __launch_bounds__(kThreads, 3)
    nodes_kernel(unsigned size, unsigned groups, const NodeList<S> __grid_constant__ list) {
    using T = Compute<S>;
    if (item() >= size) return;
    const NodeItem<S>& node = list.nodes[blockIdx.y];
    const std::size_t p = item() / groups;
    const unsigned c = item() % groups * N;
    S* const to = node.y + p * node.pixel + c;
    Pack<T, N> sum = {};
    if (node.add) sum = read<N>(to);
#pragma unroll 4
    for (int k = 0; k < node.count; k++) {
        const MixedTerm<S>& t = list.terms[node.first + k];
        Pack<T, N> z = {};
        if (t.z) z = read<N>(t.z + p * t.pixel + c);
        if (t.scale) {
            const Pack<T, N> a = load<N>(t.scale + c), b = load<N>(t.shift + c);
            for (int i = 0; i < N; i++) z.v[i] = std::fma(z.v[i], a.v[i], b.v[i]);
        }
        if (t.affine.gamma) {
            const Pack<T, N> a = load<N>(t.affine.gamma + c), b = load<N>(t.affine.beta + c);
            for (int i = 0; i < N; i++) z.v[i] = std::fma(z.v[i], a.v[i], b.v[i]);
        }
        const T w = weight_of(t.weight);
        for (int i = 0; i < N; i++) sum.v[i] = std::fma(w, z.v[i], sum.v[i]);
    }
    write(to, sum);
}

/// Some terms of a node. `sums`: bit k for those that need the sum of g * z.
template <class S>
struct TermGroup {
    const S* g;
    int pixel, count;
    unsigned sums;
    MixedTermGradient<S> terms[kShared];
};
template <class S>
struct GroupList {
    TermGroup<S> groups[kGroups];
    int count;
    unsigned arrival;
};

/// partials (groups, chunks, 1 + kShared, c): the sums of g and of g * z of a group's terms over the pixels of a chunk.
/// `across` threads of a block stand side by side on channels, the others on pixels; runs of 64 pixels are summed in
/// Compute<S>, then double. The last block of a group makes maps and weights of them.
template <int N, class S>
__global__ void __launch_bounds__(kThreads, 2)
    nodes_gradient_kernel(std::size_t pixels, std::size_t chunk, int channels, unsigned across,
                          const GroupList<S> __grid_constant__ list, double* partials) {
    using T = Compute<S>;
    SIMT_SHARED(double, part, [kThreads * (1 + kShared)]);
    SIMT_SHARED(bool, last, [1]);
    const TermGroup<S>& group = list.groups[blockIdx.z];
    const unsigned t = threadIdx.x, down = kThreads / across;
    if (blockIdx.x == 0 && blockIdx.y == 0)  // evaluation: g * weight * scale
        for (int k = 0; k < group.count; k++) {
            const MixedTermGradient<S>& term = group.terms[k];
            if (!term.map.scale || term.mean) continue;
            const T w = weight_of(term.term.weight);
            for (unsigned c = t; c < static_cast<unsigned>(channels); c += kThreads) {
                const T by = term.term.affine.gamma ? w * term.term.affine.gamma[c] : w;
                term.map.scale[c] = term.term.scale ? by * term.term.scale[c] : by;
                term.map.slope[c] = term.map.shift[c] = T(0);
            }
        }
    if (group.sums == 0) return;

    const std::size_t row = static_cast<std::size_t>(1 + kShared) * static_cast<std::size_t>(channels);
    double* const own = partials + blockIdx.z * gridDim.y * row;
    const int c = static_cast<int>(blockIdx.x * across + t % across) * N;
    const std::size_t begin = blockIdx.y * chunk, end = min(pixels, begin + chunk), step = 64 * std::size_t{down};
    double total[1 + kShared][N] = {};
    for (std::size_t start = begin + t / across; c < channels && start < end; start += step) {
        T run[1 + kShared][N] = {};
        for (std::size_t p = start; p < min(end, start + step); p += down) {
            const Pack<T, N> g = read<N>(group.g + p * group.pixel + c);
            for (int i = 0; i < N; i++) run[0][i] += g.v[i];
#pragma unroll
            for (int k = 0; k < kShared; k++) {
                const MixedTerm<S>& term = group.terms[k].term;
                if (!(group.sums >> k & 1) || !term.z) continue;
                const Pack<T, N> z = read<N>(term.z + p * term.pixel + c);
                for (int i = 0; i < N; i++) run[1 + k][i] = std::fma(g.v[i], z.v[i], run[1 + k][i]);
            }
        }
#pragma unroll
        for (int k = 0; k <= kShared; k++)
            for (int i = 0; i < N; i++) total[k][i] += static_cast<double>(run[k][i]);
    }
#pragma unroll
    for (int k = 0; k <= kShared; k++) {
        if (k > group.count) continue;  // the same for every thread of the block
        add_down<N>(across, part, total[k]);
        if (t < across && c < channels)
            for (int i = 0; i < N; i++)
                own[blockIdx.y * row + k * static_cast<std::size_t>(channels) + c + i] = total[k][i];
    }

    arrive(list.arrival + blockIdx.z, 1, gridDim.x * gridDim.y, last);
    if (!last[0]) return;
    double dots[kShared] = {};
    add_rows<1 + kShared>(own, gridDim.y, row, static_cast<std::size_t>(channels), static_cast<unsigned>(channels),
                          part, [&](unsigned at, const double(&sum)[1 + kShared]) {
#pragma unroll
                              for (int k = 0; k < kShared; k++) {
                                  if (!(group.sums >> k & 1)) continue;
                                  const MixedTermGradient<S>& term = group.terms[k];
                                  const double a = term.term.scale ? static_cast<double>(term.term.scale[at]) : 1.0,
                                               b = term.term.scale ? static_cast<double>(term.term.shift[at]) : 0.0;
                                  const GammaBeta<T>& affine = term.term.affine;
                                  const double gamma = affine.gamma ? static_cast<double>(affine.gamma[at]) : 1.0,
                                               beta = affine.gamma ? static_cast<double>(affine.beta[at]) : 0.0,
                                               weight = static_cast<double>(weight_of(term.term.weight));
                                  dots[k] += std::fma(std::fma(sum[1 + k], a, sum[0] * b), gamma, sum[0] * beta);
                                  const int channel = static_cast<int>(at);
                                  if (term.map.scale && term.mean) {
                                      const bool made = !term.term.scale;  // z is what the norm made
                                      const double rstd = term.rstd[at], by = weight * gamma;
                                      fold(term.map, channel, made ? by * rstd : by, made ? 0.0 : term.mean[at],
                                           made ? 1.0 : rstd, static_cast<double>(pixels), sum[0], sum[1 + k]);
                                  }
                                  if (term.affine.gamma || term.affine.beta)
                                      put_affine(term.affine, channel, weight * sum[0],
                                                 weight * normed_sum(term.mean, term.rstd, term.term.scale,
                                                                     term.term.shift, channel, sum[0], sum[1 + k]));
                              }
                          });
    add_down<kShared>(1, part, dots);
    if (t == 0)
#pragma unroll
        for (int k = 0; k < kShared; k++)
            if (k < group.count && group.terms[k].dweight) *group.terms[k].dweight = static_cast<T>(dots[k]);
}

template <class S>
bool wanted(const MixedTermGradient<S>& t) {
    return t.map.scale || t.dweight || t.affine.wanted();
}
/// N elements at a time.
template <int N, class S>
bool aligned(const MixedTerm<S>& t) {
    return wide_vectors({t.scale, t.shift, t.affine.gamma, t.affine.beta}) && wide<S, N>(t.pixel, {t.z});
}

/// f(list, the partial sums of earlier launches) for each launch, usually one; returns the partial sums of all.
template <class S, class F>
std::size_t for_groups(std::size_t pixels, int c, std::span<const MixedNodeGradient<S>> nodes, F&& f) {
    const std::size_t each =
        PixelChunks(pixels).count * static_cast<std::size_t>(1 + kShared) * static_cast<std::size_t>(c);
    GroupList<S> list = {};
    std::size_t before = 0;
    auto flush = [&] {
        if (list.count > 0) f(list, before);
        before += static_cast<std::size_t>(list.count) * each;
        list = {};
    };
    for (const MixedNodeGradient<S>& node : nodes) {
        TermGroup<S>* group = nullptr;
        for (const MixedTermGradient<S>& term : node.terms) {
            if (!wanted(term)) continue;
            if (!group || group->count == kShared) {
                if (list.count == kGroups) flush();
                group = &list.groups[list.count++];
                group->g = node.g;
                group->pixel = node.pixel;
            }
            if (term.dweight || term.affine.wanted() || term.mean) group->sums |= 1u << group->count;
            group->terms[group->count++] = term;
        }
    }
    flush();
    return before;
}

}  // namespace

template <class S>
void nodes_forward(const Stream& stream, std::size_t pixels, int c, std::span<const MixedNode<S>> nodes) {
    constexpr int kOnce = kWide<S>;
    bool is_wide = c % kOnce == 0;
    for (const MixedNode<S>& node : nodes) {
        is_wide = is_wide && wide<S, kOnce>(node.pixel, {node.y});
        for (const MixedTerm<S>& t : node.terms) is_wide = is_wide && aligned<kOnce>(t);
    }
    NodeList<S> list = {};
    int terms = 0;
    auto flush = [&] {
        with_width<S>(is_wide, [&](auto n) {
            const unsigned groups = static_cast<unsigned>(c / n);
            simt::Launch at = items(stream, pixels * groups);
            at.grid.y = static_cast<unsigned>(list.count);
            if (list.count > 0) simt::launch(nodes_kernel<n, S>, at, items(pixels * groups), groups, list);
        });
        list = {};
        terms = 0;
    };
    for (const MixedNode<S>& node : nodes) {
        std::span<const MixedTerm<S>> left = node.terms;
        do {
            if (list.count == kNodes || terms + static_cast<int>(std::min<std::size_t>(left.size(), kTerms)) > kTerms)
                flush();
            const int here = static_cast<int>(std::min<std::size_t>(left.size(), kTerms));
            list.nodes[list.count++] = {node.y, node.pixel, terms, here, left.size() < node.terms.size()};
            std::copy_n(left.begin(), here, list.terms + terms);
            terms += here;
            left = left.subspan(static_cast<std::size_t>(here));
        } while (!left.empty());
    }
    flush();
}

template <class S>
void nodes_backward(const Stream& stream, std::size_t pixels, int c, std::span<const MixedNodeGradient<S>> nodes,
                    void* workspace) {
    constexpr int kOnce = kGroup<S>;  // of which a thread keeps sums
    bool is_wide = c % kOnce == 0;
    for (const MixedNodeGradient<S>& node : nodes) {
        is_wide = is_wide && wide<S, kOnce>(node.pixel, {node.g});
        for (const MixedTermGradient<S>& t : node.terms) is_wide = is_wide && (!wanted(t) || aligned<kOnce>(t.term));
    }
    const PixelChunks chunks(pixels);
    for_groups(pixels, c, nodes, [&](GroupList<S>& list, std::size_t before) {
        list.arrival = take_arrivals(static_cast<std::size_t>(list.count));
        with_width<Compute<S>>(is_wide, [&](auto n) {
            const unsigned groups = static_cast<unsigned>(c / n), across = threads_across(groups);
            simt::launch(nodes_gradient_kernel<n, S>,
                         blocks(stream, dim3((groups + across - 1) / across, static_cast<unsigned>(chunks.count),
                                             static_cast<unsigned>(list.count))),
                         pixels, chunks.size, c, across, list, static_cast<double*>(workspace) + before);
        });
    });
}
template <class S>
std::size_t nodes_backward_workspace(const Stream&, std::size_t pixels, int c,
                                     std::span<const MixedNodeGradient<S>> nodes) {
    return sizeof(double) * for_groups(pixels, c, nodes, [](auto&&...) {});
}

#define NASCENT_MIXED_NODES(S)                                                                                   \
    template void nodes_forward(const Stream&, std::size_t, int, std::span<const MixedNode<S>>);                 \
    template void nodes_backward(const Stream&, std::size_t, int, std::span<const MixedNodeGradient<S>>, void*); \
    template std::size_t nodes_backward_workspace(const Stream&, std::size_t, int,                               \
                                                  std::span<const MixedNodeGradient<S>>);
NASCENT_MIXED_NODES(float)
NASCENT_MIXED_NODES(double)
NASCENT_MIXED_NODES(BFloat16)
#undef NASCENT_MIXED_NODES

}  // namespace nascent::kernels::gpu
