#include <algorithm>

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/mixed_norm.h"
#include "kernels/cpu/mixed_plan.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mixed_backward.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/mixed_gradients-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

template <class T>
bool has_sums(const SourceBackward<T>& s) {
    return s.map.scale && (s.mean || s.affine.wanted());
}

/// An image of da from what its branches left: written once, with the sums of da and da * x in `sums` (2, padded).
template <class T>
void finish_image(const SourceBackward<T>& p, int image, const T* gradient, const T* pooled, double* sums) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const Source<T>& s = p.source;
    const Plane sum(s.h, s.w, s.c, 0, 1, B);
    const int pixels = s.h * s.w, padded = sum.blocks * B;
    const std::size_t first = static_cast<std::size_t>(image) * pixels;
    for (int run = 0; run < pixels; run += 64)
        for (int c = 0; c < s.c; c += L) {
            const int count = s.c - c;
            const SourceConstants<T> by(s, c, count);
            const T* from = gradient ? gradient + c / B * sum.block_size + c % B : nullptr;
            Vector<T> plain = zero<T>(), products = zero<T>();
            for (int i = run; i < std::min(pixels, run + 64); i++) {
                const std::size_t at = first + static_cast<std::size_t>(i);
                const Vector<T> x = load_first(s.x + at * static_cast<std::size_t>(s.pixel) + c, count);
                for (const Skip<T>& skip : p.skips)
                    hwy::Prefetch(skip.g + (at + kAhead) * static_cast<std::size_t>(skip.pixel) + c);
                Vector<T> v = zero<T>();
                if (from)
                    v = where_positive<T>(hn::MulAdd(x, by.scale, by.shift),
                                          load(from + static_cast<std::size_t>(i) * B));
                if (pooled) v = hn::Add(v, load_first(pooled + static_cast<std::size_t>(i) * s.c + c, count));
                for (const Skip<T>& skip : p.skips) {
                    const Vector<T> g = load_first(skip.g + at * static_cast<std::size_t>(skip.pixel) + c, count);
                    v = skip.weight ? hn::MulAdd(g, set(skip.weight[0]), v) : hn::Add(g, v);
                }
                store_first<T>(v, p.da + at * static_cast<std::size_t>(p.pixel) + c, count);
                plain = hn::Add(plain, v);
                products = hn::MulAdd(v, x, products);
            }
            if (!sums) continue;
            add_to_double<T>(plain, sums + c, count);
            add_to_double<T>(products, sums + padded + c, count);
        }
}

/// Chunks are added in order, whoever ran them: a matrix (rows, columns) of partials `padded` wide.
template <class T>
void add_partials(const T* partials, std::size_t partial_size, int chunks, int rows, int columns, int padded, T* to,
                  bool accumulate) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c += kLanes<T>) {
            T* q = to + static_cast<std::size_t>(r) * columns + c;
            const T* from = partials + static_cast<std::size_t>(r) * padded + c;
            Vector<T> sum = accumulate ? load_first(q, columns - c) : zero<T>();
            for (int chunk = 0; chunk < chunks; chunk++, from += partial_size)
                sum = hn::Add(sum, load_first(from, columns - c));
            store_first<T>(sum, q, columns - c);
        }
}

template <class T>
void add_weight_partials(const BackwardBranch<T>& p, int chunks, int channels) {
    const BranchBackward<T>& b = *p.backward;
    const BranchSize<T>& size = p.size;
    const std::size_t half = static_cast<std::size_t>(size.in_padded) * size.half_padded;
    if (size.fold > 1) {
        const int of = size.half_channels();
        const auto padded = static_cast<std::size_t>(size.half_padded);
        if (b.dpoint)
            add_folded(p.partials, p.partial_size, chunks, size.channels, of, size.fold, padded, b.dpoint,
                       b.accumulate_point);
        if (b.dpoint_odd)
            add_folded(p.partials + half + of * size.fold, p.partial_size, chunks, size.channels, of, size.fold, padded,
                       b.dpoint_odd, b.accumulate_point_odd);
        for (int t = 0; b.ddepth && t < size.taps; t++)
            for (int c = 0; c < size.channels; c++) {
                const int lane = c * size.fold;
                const T* from = p.partials + size.point() +
                                (static_cast<std::size_t>(lane / kBlock<T>) * size.taps + t) * kBlock<T> +
                                lane % kBlock<T>;
                add_folded(from, p.partial_size, chunks, 1, 1, size.fold, 0, b.ddepth + t * size.channels + c,
                           b.accumulate_depth);
            }
        return;
    }
    if (b.dpoint)
        add_partials(p.partials, p.partial_size, chunks, channels, size.half_out, size.half_padded, b.dpoint,
                     b.accumulate_point);
    if (b.dpoint_odd)
        add_partials(p.partials + half, p.partial_size, chunks, channels, size.half_out, size.half_padded, b.dpoint_odd,
                     b.accumulate_point_odd);
    if (!b.ddepth) return;
    for (int c = 0; c < channels; c++)
        for (int t = 0; t < size.taps; t++) {
            const T* from = p.partials + size.point() +
                            (static_cast<std::size_t>(c / kBlock<T>) * size.taps + t) * kBlock<T> + c % kBlock<T>;
            T& to = b.ddepth[static_cast<std::size_t>(t) * channels + c];
            T sum = b.accumulate_depth ? to : T(0);
            for (int chunk = 0; chunk < chunks; chunk++, from += p.partial_size) sum += *from;
            to = sum;
        }
}

template <class T>
void backward(const Stream& stream, int n, std::span<const SourceBackward<T>> sources,
              std::span<const BranchBackward<T>> branches, void* workspace) {
    const BranchesBackwardLayout<T> layout(stream, n, sources, branches);
    const Chunks images(n);
    std::vector<BackwardBranch<T>> packed;
    for (std::size_t i = 0; i < branches.size(); i++) {
        const Branch<T>& b = branches[i].branch;
        const SourceBackward<T>& s = sources[static_cast<std::size_t>(b.source)];
        const auto& of = layout.of[i];
        packed.push_back({&branches[i], BranchSize<T>(b, s.source), at_bytes<T>(workspace, of.depth),
                          at_bytes<T>(workspace, of.flipped), at_bytes<T>(workspace, of.point),
                          at_bytes<T>(workspace, of.partials), of.partial_size});
        pack(packed.back(), s.source, s.da != nullptr);
    }
    auto get = [&](std::size_t i) -> const Branch<T>& { return branches[i].branch; };
    const auto ranges = branches_of_sources<T>(sources.size(), branches.size(), get);
    parallel(stream, images.count * static_cast<int>(sources.size()), [&](int task, int worker) HWY_ATTR {
        // Sources of one image one after another: those of a node read the same gradient.
        const auto index = static_cast<std::size_t>(task) % sources.size();
        const int chunk = task / static_cast<int>(sources.size());
        const SourceBackward<T>& to = sources[index];
        const Source<T>& s = to.source;
        T* base = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        const Scratch<T> scratch{base,
                                 at_bytes<T>(base, layout.gradient),
                                 at_bytes<T>(base, layout.entering),
                                 at_bytes<T>(base, layout.leaving),
                                 at_bytes<T>(base, layout.padded),
                                 at_bytes<T>(base, layout.through),
                                 at_bytes<T>(base, layout.pooled)};
        const Plane place(s.h, s.w, s.c, std::max(plane_padding(ranges[index], s, get), 0), 1, kBlock<T>);
        const Plane bare(s.h, s.w, s.c, 0, 1, kBlock<T>);
        bool weights = false, pools = false;
        for (int i = ranges[index].first; i < ranges[index].second; i++) {
            const BackwardBranch<T>& p = packed[static_cast<std::size_t>(i)];
            std::fill_n(p.partials + p.partial_size * static_cast<std::size_t>(chunk), p.weights() ? p.partial_size : 0,
                        T(0));
            weights = weights || (p.weights() && p.backward->branch.kind == BranchKind::separable);
            pools = pools || is_pool(p.backward->branch.kind);
        }
        if (weights) clear_border(place, scratch.plane);
        double* sums = nullptr;
        if (has_sums(to)) {
            const std::size_t count = static_cast<std::size_t>(2) * bare.blocks * kBlock<T>;
            sums = at_bytes<double>(workspace, layout.source_sums[index]) + count * static_cast<std::size_t>(chunk);
            std::fill_n(sums, count, 0.0);
        }
        for (int image = images.begin(chunk); image < images.end(chunk); image++) {
            const T* x = s.x + static_cast<std::size_t>(image) * s.h * s.w * s.pixel;
            if (weights) fill_source(s, x, place, scratch.plane);
            if (to.da && pools) std::fill_n(scratch.pooled, static_cast<std::size_t>(s.h) * s.w * s.c, T(0));
            bool any = false;
            for (int i = ranges[index].first; i < ranges[index].second; i++) {
                const BackwardBranch<T>& p = packed[static_cast<std::size_t>(i)];
                const bool wanted = to.da != nullptr;
                if (!wanted && !p.weights()) continue;
                if (is_pool(p.backward->branch.kind)) {
                    pool_image(p, s, image, scratch);
                    continue;
                }
                T* partial = p.partials + p.partial_size * static_cast<std::size_t>(chunk);
                if (p.backward->branch.kind == BranchKind::separable)
                    separable_image(p, s, image, place, scratch, wanted, any, partial);
                else
                    pointwise_image(p, s, image, x, scratch, wanted, any, partial);
                any = true;
            }
            if (to.da)
                finish_image(to, image, any ? scratch.gradient : nullptr, pools ? scratch.pooled : nullptr, sums);
        }
    });
    parallel(stream, static_cast<int>(branches.size()), [&](int i, int) HWY_ATTR {
        const BackwardBranch<T>& p = packed[static_cast<std::size_t>(i)];
        if (p.weights())
            add_weight_partials(p, images.count, sources[static_cast<std::size_t>(p.backward->branch.source)].source.c);
    });
    for (std::size_t i = 0; i < sources.size(); i++) {
        const SourceBackward<T>& to = sources[i];
        if (!to.map.scale || !to.da) continue;
        const int c = to.source.c, padded = ceil_div(c, kBlock<T>) * kBlock<T>;
        std::vector<double> s(static_cast<std::size_t>(2 * padded), 0.0);
        const double* partial = at_bytes<double>(workspace, layout.source_sums[i]);
        for (int chunk = 0; has_sums(to) && chunk < images.count; chunk++)
            for (int k = 0; k < 2 * padded; k++) s[static_cast<std::size_t>(k)] += *partial++;
        const int fold = to.source.fold;
        sum_folded(s.data(), c, fold), sum_folded(s.data() + padded, c, fold);
        const NormParts<T> norm{to.mean, to.rstd, to.source.scale, to.source.shift, to.source.affine};
        norm_map(c, static_cast<double>(n) * fold * to.source.h * to.source.w, 1.0, s.data(), s.data() + padded, norm,
                 to.map);
        affine_gradient(c, 1.0, s.data(), s.data() + padded, norm, to.affine);
    }
}

void branches_backward_f32(const Stream& s, int n, std::span<const SourceBackward<float>> sources,
                           std::span<const BranchBackward<float>> branches, void* workspace) {
    backward(s, n, sources, branches, workspace);
}
void branches_backward_f64(const Stream& s, int n, std::span<const SourceBackward<double>> sources,
                           std::span<const BranchBackward<double>> branches, void* workspace) {
    backward(s, n, sources, branches, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(branches_backward_f32);
HWY_EXPORT(branches_backward_f64);

template <class T>
void branches_backward(const Stream& stream, int n, std::span<const SourceBackward<T>> sources,
                       std::span<const BranchBackward<T>> branches, void* workspace) {
    NASCENT_DISPATCH(branches_backward, stream, n, sources, branches, workspace)
}
template <class T>
std::size_t branches_backward_workspace(const Stream& stream, int n, std::span<const SourceBackward<T>> sources,
                                        std::span<const BranchBackward<T>> branches) {
    return BranchesBackwardLayout<T>(stream, n, sources, branches).used;
}

#define NASCENT_MIXED(T)                                                                                     \
    template void branches_backward(const Stream&, int, std::span<const SourceBackward<T>>,                  \
                                    std::span<const BranchBackward<T>>, void*);                              \
    template std::size_t branches_backward_workspace(const Stream&, int, std::span<const SourceBackward<T>>, \
                                                     std::span<const BranchBackward<T>>);
NASCENT_MIXED(float)
NASCENT_MIXED(double)
#undef NASCENT_MIXED

}  // namespace nascent::kernels::cpu
#endif
