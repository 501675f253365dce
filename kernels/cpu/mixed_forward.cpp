#include <algorithm>
#include <cmath>

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/mixed_plan.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mixed_forward.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/avg_pool-inl.h"
#include "kernels/cpu/conv_tiles-inl.h"
#include "kernels/cpu/depthwise-inl.h"
#include "kernels/cpu/mixed_fill-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Rows of the 1x1 convolutions' outputs that are computed together: enough pixels for whole tiles, few enough for the
/// first cache.
inline int rows_together(int width) { return std::max(1, 64 / width); }

/// A branch's packed weights and where its results go.
template <class T>
struct PackedBranch {
    const Branch<T>* branch;
    BranchSize<T> size;
    const T* depth;
    const T* point;
    double* partials;  // (chunks, 2, outputs * half_padded)
};

template <class T>
void pack_point(const T* w, int rows, int columns, int padded, T* to) {
    for (int r = 0; r < rows; r++, to += padded) {
        std::copy_n(w + static_cast<std::size_t>(r) * columns, columns, to);
        std::fill(to + columns, to + padded, T(0));
    }
}

/// The 1x1 convolutions of some pixels, `entering` at blocks of `block_size`, to z; their sums are added to `partial`.
template <class T>
void point_rows(const PackedBranch<T>& p, int channels, const T* entering, std::size_t block_size,
                std::size_t half_stride, int width, T* z, T* sums, double* partial) {
    for (int half = 0; half < p.size.outputs; half++) {
        Taps<T> taps;
        taps.count = 1;
        taps.channels = channels;
        taps.block_size = block_size;
        taps.stride = static_cast<std::size_t>(p.size.half_padded);
        taps.w[0] = p.point + static_cast<std::size_t>(half) * channels * p.size.half_padded;
        if (p.size.fold > 1) {  // both halves' outputs lie together
            taps.count = p.size.halves, taps.channels = p.size.channels, taps.group = p.size.fold;
            taps.offset[1] = half_stride;
            taps.w[1] = p.point + static_cast<std::size_t>(p.size.channels) * p.size.half_padded;
        }
        T* half_sums = partial ? sums + half * 2 * p.size.half_padded : nullptr;
        if (half_sums) std::fill_n(half_sums, 2 * p.size.half_padded, T(0));
        gemm_taps(taps, entering + half * half_stride, width,
                  StoreZ<T>{z + half * p.size.half_out, p.branch->c_out, p.size.half_out, half_sums,
                            static_cast<std::size_t>(p.size.half_padded)});
        if (!partial) continue;
        const int all = p.size.outputs * p.size.half_padded;
        for (int c = 0; c < p.size.half_padded; c++) {
            partial[half * p.size.half_padded + c] += static_cast<double>(half_sums[c]);
            partial[all + half * p.size.half_padded + c] += static_cast<double>(half_sums[p.size.half_padded + c]);
        }
    }
}

template <class T>
void separable_image(const PackedBranch<T>& p, int channels, const Plane& plane, const T* in, T* entering, T* sums,
                     T* z, double* partial) {
    constexpr int B = kBlock<T>;
    const Branch<T>& b = *p.branch;
    const int group = std::min(p.size.oh, rows_together(p.size.ow));
    const std::size_t block_size = static_cast<std::size_t>(group) * p.size.ow * B;
    const int shift = plane.pad - p.size.pad;  // the plane may be padded for larger windows
    for (int y = 0; y < p.size.oh; y += group) {
        const int rows = std::min(group, p.size.oh - y);
        for_each_vector<T>(channels, [&](int block, int lane) HWY_ATTR {
            for (int r = 0; r < rows; r++)
                window_row<T>(
                    {in + block * plane.block_size + plane.at((y + r) * b.stride + shift, shift) + lane,
                     plane.row * b.dilation, b.k, p.depth + static_cast<std::size_t>(block) * b.k * b.k * B + lane,
                     entering + block * block_size + static_cast<std::size_t>(r) * p.size.ow * B + lane, B, false},
                    b.k, b.stride, b.dilation, p.size.ow);
        });
        point_rows(p, channels, entering, block_size, 0, rows * p.size.ow,
                   z + static_cast<std::size_t>(y) * p.size.ow * b.c_out, sums, partial);
    }
}

/// Sums of z (pixels, c) and its squares, added to `partial`.
template <class T>
void sums_of_image(const T* z, int pixels, int channels, int padded, double* partial) {
    for (int c = 0; c < channels; c += kLanes<T>) {
        const int count = channels - c;
        for (int first = 0; first < pixels; first += 64) {
            Vector<T> sum = zero<T>(), squares = zero<T>();
            for (int p = first; p < std::min(pixels, first + 64); p++) {
                const Vector<T> v = load_first(z + static_cast<std::size_t>(p) * channels + c, count);
                sum = hn::Add(sum, v);
                squares = hn::MulAdd(v, v, squares);
            }
            add_to_double<T>(sum, partial + c, count);
            add_to_double<T>(squares, partial + padded + c, count);
        }
    }
}

template <bool Max, class T>
void pool_image(const Source<T>& s, const T* image, const BranchSize<T>& size, int stride, T* z, std::uint8_t* tap) {
    for (int y = 0; y < size.oh; y++)
        for (int x = 0; x < size.ow; x++) {
            const int y0 = y * stride - 1, x0 = x * stride - 1;
            const int top = std::max(y0, 0), bottom = std::min(y0 + 3, s.h);
            const int left = std::max(x0, 0), right = std::min(x0 + 3, s.w);
            const T part = T(1) / static_cast<T>((bottom - top) * (right - left));
            const std::size_t at = (static_cast<std::size_t>(y) * size.ow + x) * s.c;
            for (int c = 0; c < s.c; c += kLanes<T>) {
                const int count = s.c - c;
                Vector<T> value = zero<T>(), place = zero<T>();
                bool first = true;
                for (int i = top; i < bottom; i++)
                    for (int j = left; j < right; j++) {
                        const Vector<T> v =
                            load_first(image + (static_cast<std::size_t>(i) * s.w + j) * s.pixel + c, count);
                        if constexpr (Max) {
                            const Vector<T> here = set(static_cast<T>((i - y0) * 3 + j - x0));
                            const auto larger = hn::Or(hn::Gt(v, value), hn::IsNaN(v));
                            place = first ? here : hn::IfThenElse(larger, here, place);
                            value = first ? v : hn::IfThenElse(larger, v, value);
                        } else {
                            value = hn::Add(value, v);
                        }
                        first = false;
                    }
                if constexpr (!Max) value = hn::Mul(value, set(part));
                store_first<T>(value, z + at + c, count);
                if constexpr (Max) {
                    alignas(64) T places[kLanes<T>];
                    hn::Store(place, Tag<T>(), places);
                    for (int l = 0; l < std::min(count, kLanes<T>); l++)
                        tap[at + c + l] = static_cast<std::uint8_t>(places[l]);
                }
            }
        }
}

template <class T>
void finish(const PackedBranch<T>& p, int n, int chunks, double eps) {
    const Branch<T>& b = *p.branch;
    const int all = p.size.outputs * p.size.half_padded, fold = p.size.fold, of = b.c_out / fold;
    const double count = static_cast<double>(n) * fold * p.size.pixels;
    for (int c = 0; c < of; c++) {
        double sum = 0, squares = 0;
        for (int chunk = 0; chunk < chunks; chunk++)
            for (int i = c * fold; i < (c + 1) * fold; i++) {
                const int at = i / p.size.half_out * p.size.half_padded + i % p.size.half_out;
                sum += p.partials[static_cast<std::size_t>(chunk) * 2 * all + at];
                squares += p.partials[static_cast<std::size_t>(chunk) * 2 * all + all + at];
            }
        const double mean = sum / count;
        // Rounding may leave a constant channel's variance a little below zero.
        const double rstd = 1 / std::sqrt(std::max(0.0, squares / count - mean * mean) + eps);
        for (int i = c * fold; i < (c + 1) * fold; i++) {
            b.mean[i] = mean;
            b.rstd[i] = rstd;
            b.scale[i] = static_cast<T>(rstd);
            b.shift[i] = static_cast<T>(-mean * rstd);
        }
    }
}

template <class T>
void forward(const Stream& stream, int n, double eps, std::span<const Source<T>> sources,
             std::span<const Branch<T>> branches, void* workspace) {
    const BranchesForwardLayout<T> layout(stream, n, sources, branches);
    const Chunks images(n);
    std::vector<PackedBranch<T>> packed;
    for (std::size_t i = 0; i < branches.size(); i++) {
        const Branch<T>& b = branches[i];
        const Source<T>& s = sources[static_cast<std::size_t>(b.source)];
        T *depth = at_bytes<T>(workspace, layout.of[i].depth), *point = at_bytes<T>(workspace, layout.of[i].point);
        packed.push_back({&b, BranchSize<T>(b, s), depth, point,
                          b.mean ? at_bytes<double>(workspace, layout.of[i].partials) : nullptr});
        const BranchSize<T>& size = packed.back().size;
        if (b.kind == BranchKind::separable) pack_depth(b.depth, size.taps, s.c, size.fold, depth);
        if (is_pool(b.kind)) continue;
        for (int half = 0; half < size.halves; half++) {
            const T* const w = half == 0 ? b.point : b.point_odd;
            if (size.fold > 1) {  // (halves, channels, half_padded), zero where the other half computes
                const int of = size.half_channels(), first = half * of * size.fold;
                for (int c = 0; c < size.channels; c++) {
                    T* row = point + static_cast<std::size_t>(half * size.channels + c) * size.half_padded;
                    std::fill_n(row, first, T(0));
                    fold_row(w + c * of, 1, of, size.fold, size.half_padded - first, row + first);
                }
            } else {
                pack_point(w, s.c, size.half_out, size.half_padded,
                           point + static_cast<std::size_t>(half) * s.c * size.half_padded);
            }
        }
    }
    auto get = [&](std::size_t i) -> const Branch<T>& { return branches[i]; };
    const auto ranges = branches_of_sources<T>(sources.size(), branches.size(), get);
    parallel(stream, images.count * static_cast<int>(sources.size()), [&](int task, int worker) HWY_ATTR {
        const auto index = static_cast<std::size_t>(task / images.count);
        const int chunk = task % images.count;
        const Source<T>& s = sources[index];
        T* plane = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        T *entering = at_bytes<T>(plane, layout.entering), *sums = at_bytes<T>(plane, layout.sums);
        const int pad = plane_padding(ranges[index], s, get);
        const Plane place(s.h, s.w, s.c, std::max(pad, 0), 1, kBlock<T>);
        if (pad >= 0) clear_border(place, plane);
        for (int i = ranges[index].first; i < ranges[index].second; i++) {
            const PackedBranch<T>& p = packed[static_cast<std::size_t>(i)];
            const int all = 2 * p.size.outputs * p.size.half_padded;
            if (p.partials) std::fill_n(p.partials + static_cast<std::size_t>(chunk) * all, all, 0.0);
        }
        for (int image = images.begin(chunk); image < images.end(chunk); image++) {
            const T* x = s.x + static_cast<std::size_t>(image) * s.h * s.w * s.pixel;
            if (pad >= 0) fill_source(s, x, place, plane);
            for (int i = ranges[index].first; i < ranges[index].second; i++) {
                const PackedBranch<T>& p = packed[static_cast<std::size_t>(i)];
                const Branch<T>& b = *p.branch;
                const std::size_t at = static_cast<std::size_t>(image) * p.size.pixels * b.c_out;
                double* partial =
                    p.partials ? p.partials + static_cast<std::size_t>(chunk) * 2 * p.size.outputs * p.size.half_padded
                               : nullptr;
                if (b.kind == BranchKind::separable) {
                    separable_image(p, s.c, place, plane, entering, sums, b.z + at, partial);
                } else if (!is_pool(b.kind)) {
                    const std::size_t block = static_cast<std::size_t>(p.size.pixels) * kBlock<T>;
                    gather_pixels(s, x, p.size, entering);
                    for (int first = 0; first < p.size.pixels; first += 64)
                        point_rows(p, s.c, entering + static_cast<std::size_t>(first) * kBlock<T>, block,
                                   block * p.size.blocks_in, std::min(64, p.size.pixels - first),
                                   b.z + at + static_cast<std::size_t>(first) * b.c_out, sums, partial);
                } else {
                    if (b.kind == BranchKind::max_pool)
                        pool_image<true>(s, x, p.size, b.stride, b.z + at, b.tap + at);
                    else if (b.stride == 1)
                        avg_pool_image(x, s.h, s.w, s.c, static_cast<std::size_t>(s.pixel), b.z + at);
                    else
                        pool_image<false>(s, x, p.size, b.stride, b.z + at, nullptr);
                    if (partial) sums_of_image(b.z + at, p.size.pixels, b.c_out, p.size.half_padded, partial);
                }
            }
        }
    });
    for (const PackedBranch<T>& p : packed)
        if (p.partials) finish(p, n, images.count, eps);
}

void branches_forward_f32(const Stream& s, int n, double eps, std::span<const Source<float>> sources,
                          std::span<const Branch<float>> branches, void* workspace) {
    forward(s, n, eps, sources, branches, workspace);
}
void branches_forward_f64(const Stream& s, int n, double eps, std::span<const Source<double>> sources,
                          std::span<const Branch<double>> branches, void* workspace) {
    forward(s, n, eps, sources, branches, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(branches_forward_f32);
HWY_EXPORT(branches_forward_f64);

template <class T>
void branches_forward(const Stream& stream, int n, double eps, std::span<const Source<T>> sources,
                      std::span<const Branch<T>> branches, void* workspace) {
    NASCENT_DISPATCH(branches_forward, stream, n, eps, sources, branches, workspace)
}
template <class T>
std::size_t branches_forward_workspace(const Stream& stream, int n, std::span<const Source<T>> sources,
                                       std::span<const Branch<T>> branches) {
    return BranchesForwardLayout<T>(stream, n, sources, branches).used;
}

#define NASCENT_MIXED(T)                                                                                               \
    template void branches_forward(const Stream&, int, double, std::span<const Source<T>>, std::span<const Branch<T>>, \
                                   void*);                                                                             \
    template std::size_t branches_forward_workspace(const Stream&, int, std::span<const Source<T>>,                    \
                                                    std::span<const Branch<T>>);
NASCENT_MIXED(float)
NASCENT_MIXED(double)
#undef NASCENT_MIXED

}  // namespace nascent::kernels::cpu
#endif
