// What an image's branches give back, compiled once per target: gradients of the source and of the weights.
#if defined(NASCENT_KERNELS_CPU_MIXED_GRADIENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NASCENT_KERNELS_CPU_MIXED_GRADIENTS_INL_H_
#undef NASCENT_KERNELS_CPU_MIXED_GRADIENTS_INL_H_
#else
#define NASCENT_KERNELS_CPU_MIXED_GRADIENTS_INL_H_
#endif

#include "kernels/cpu/avg_pool-inl.h"
#include "kernels/cpu/conv_tiles-inl.h"
#include "kernels/cpu/depthwise-inl.h"
#include "kernels/cpu/folded.h"
#include "kernels/cpu/mixed_fill-inl.h"
#include "kernels/cpu/weight_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// The taps that meet output pixels p, p + stride, ... of a data gradient along one axis, which read the gradient's
/// pixels first, first + step, ... for output p.
struct Phase {
    int count = 0, first = 0, step = 1;
    int taps[7] = {};  // in ascending order of the pixels they read

    Phase(int p, int k, int dilation, int stride, int pad) {
        for (int t = k - 1; t >= 0; t--) {
            const int distance = p + pad - t * dilation;
            if (distance % stride != 0) continue;
            if (count == 0) first = distance / stride;
            taps[count++] = t;
        }
        step = stride == 1 ? dilation : 1;
    }
};

/// Rows of a 1x1's weight gradient that are computed together, where pictures are folded.
inline constexpr int kGroupRows = 24;

template <class T>
struct BackwardBranch {
    const BranchBackward<T>* backward;
    BranchSize<T> size;
    T *depth, *flipped, *point, *partials;
    std::size_t partial_size;
    bool weights() const { return backward->ddepth || backward->dpoint || backward->dpoint_odd; }
};

/// The depthwise weights of all phases one after the other, each (blocks, rows, taps, kBlock).
template <class T>
void pack_phases(const Branch<T>& b, const BranchSize<T>& size, int channels, T* to) {
    constexpr int B = kBlock<T>;
    for (int py = 0; py < b.stride; py++)
        for (int px = 0; px < b.stride; px++) {
            const Phase v(py, b.k, b.dilation, b.stride, size.pad), h(px, b.k, b.dilation, b.stride, size.pad);
            const int taps = v.count * h.count;
            std::fill_n(to, static_cast<std::size_t>(size.blocks_in) * taps * B, T(0));
            for (int i = 0; i < v.count; i++)
                for (int j = 0; j < h.count; j++)
                    for (int c = 0; c < channels; c++)
                        to[(static_cast<std::size_t>(c / B) * taps + i * h.count + j) * B + c % B] =
                            b.depth[(static_cast<std::size_t>(v.taps[i]) * b.k + h.taps[j]) * size.channels +
                                    c / size.fold];
            to += static_cast<std::size_t>(size.blocks_in) * taps * B;
        }
}

/// A row of tiles into blocks.
template <class T>
struct StoreBlocks {
    T* to;
    std::size_t block_size;
    int count;  // channels

    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int x, int vector) const {
        constexpr int L = kLanes<T>, B = kBlock<T>;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int c = (vector + v) * L;
            T* q = to + c / B * block_size + c % B + static_cast<std::ptrdiff_t>(x) * B;
#pragma GCC unroll 32
            for (int p = 0; p < P; p++) store<T>(acc[p][v], q + static_cast<std::ptrdiff_t>(p) * B);
        }
    }
};

/// One worker's scratch.
template <class T>
struct Scratch {
    T *plane, *gradient, *entering, *leaving, *padded, *through, *pooled;
};

/// dpoint (channels, padded) += sum over the pixels of entering times leaving, whose blocks lie `block` elements apart.
template <class T>
void point_gradient(const BackwardBranch<T>& p, const T* entering, const T* leaving, std::size_t block, int pixels,
                    int channels, int out, T* dpoint, int padded) {
    constexpr int B = kBlock<T>;
    if (p.size.fold > 1) {
        for (int i = 0; i < p.size.channels; i += kGroupRows) {
            GroupRow rows[kGroupRows];
            const int count = std::min(kGroupRows, p.size.channels - i);
            for (int r = 0; r < count; r++) {
                const int lane = (i + r) * p.size.fold;
                rows[r] = {static_cast<std::ptrdiff_t>(lane / B * block) + lane % B, std::ptrdiff_t{i + r} * padded};
            }
            group_weight_gradient(Window<T>{entering, 0, leaving, 0, block, 1, pixels}, p.size.fold,
                                  std::span<const GroupRow>(rows, static_cast<std::size_t>(count)),
                                  ceil_div(out, kLanes<T>), dpoint);
        }
        return;
    }
    for (int b = 0; b * B < channels; b++)
        weight_gradient(Window<T>{entering + b * block, 0, leaving, 0, block, 1, pixels}, std::min(B, channels - b * B),
                        ceil_div(out, kLanes<T>), dpoint + static_cast<std::size_t>(b) * B * padded,
                        static_cast<std::size_t>(padded));
}

template <class T>
Taps<T> one_tap(int channels, std::size_t block_size, std::size_t stride, const T* w, int group = 1) {
    Taps<T> taps;
    taps.group = group;
    taps.count = 1;
    taps.channels = channels;
    taps.block_size = block_size;
    taps.stride = stride;
    taps.w[0] = w;
    return taps;
}

/// dz of `pixels` pixels of an image, from `first` on, into blocks `block` elements apart: (halves, blocks, pixels,
/// kBlock).
template <class T>
void fill_leaving(const BackwardBranch<T>& p, int image, int first, int pixels, std::size_t block, T* to) {
    const Branch<T>& b = p.backward->branch;
    const std::size_t at = static_cast<std::size_t>(image) * p.size.pixels + static_cast<std::size_t>(first);
    for (int half = 0; half < p.size.outputs; half++) {
        const int c = half * p.size.half_out;
        BranchGradient<T> from = p.backward->gradients[0];
        from.g += c, from.map.scale += c, from.map.slope += c, from.map.shift += c;
        fill_row(ReadGradient<T>{from, b.z + c, static_cast<std::size_t>(b.c_out)}, at, 1, pixels, p.size.half_out,
                 block, to + half * block * (p.size.half_padded / kBlock<T>));
    }
}

/// s.gradient from what the 1x1 of a separable branch was given, in s.padded.
template <class T>
void depthwise_gradient(const BackwardBranch<T>& p, const Source<T>& source, const Plane& through, const Scratch<T>& s,
                        bool add) {
    constexpr int B = kBlock<T>;
    const Branch<T>& b = p.backward->branch;
    const BranchSize<T>& size = p.size;
    const Plane sum(source.h, source.w, source.c, 0, 1, B);
    const T* w = p.flipped;
    for (int py = 0; py < b.stride; py++)
        for (int px = 0; px < b.stride; px++) {
            const Phase v(py, b.k, b.dilation, b.stride, size.pad), h(px, b.k, b.dilation, b.stride, size.pad);
            const int width = ceil_div(source.w - px, b.stride);
            const std::size_t taps_size = static_cast<std::size_t>(v.count) * h.count * B;
            for_each_vector<T>(source.c, [&](int at, int lane) HWY_ATTR {
                for (int y = py, i = 0; y < source.h; y += b.stride, i++) {
                    T* out = s.gradient + at * sum.block_size + sum.at(y, px) + lane;
                    if (taps_size > 0) {
                        window_row<T>({s.padded + at * through.block_size +
                                           through.at(v.first + i + size.pad, h.first + size.pad) + lane,
                                       through.row * v.step, v.count, w + at * taps_size + lane, out,
                                       static_cast<std::size_t>(b.stride) * B, add},
                                      h.count, 1, h.step, width);
                    } else if (!add) {  // no tap meets these pixels
                        for (int x = 0; x < width; x++, out += b.stride * B) store<T>(zero<T>(), out);
                    }
                }
            });
            w += taps_size * size.blocks_in;
        }
}

/// One image of a separable branch: adds to s.gradient (wanted: `add` says whether it has anything yet) and to the
/// chunk's partial. Some rows at a time, so that dz and what enters the 1x1 stay in the first cache.
template <class T>
void separable_image(const BackwardBranch<T>& p, const Source<T>& source, int image, const Plane& plane,
                     const Scratch<T>& s, bool wanted, bool add, T* partial) {
    constexpr int B = kBlock<T>;
    const Branch<T>& b = p.backward->branch;
    const BranchSize<T>& size = p.size;
    const int group = std::min(size.oh, std::max(1, 64 / size.ow));
    const std::size_t block = static_cast<std::size_t>(group) * size.ow * B;
    const int shift = plane.pad - size.pad;
    const bool through_point = wanted || p.backward->ddepth;
    const Plane through(size.oh, size.ow, source.c, size.pad, 1, B);  // of what the 1x1 was given, padded with zeros
    if (through_point) clear_border(through, s.padded);
    const Taps<T> taps = one_tap(b.c_out / size.fold, block, static_cast<std::size_t>(size.in_padded),
                                 static_cast<const T*>(p.point), size.fold);
    for (int y = 0; y < size.oh; y += group) {
        const int rows = std::min(group, size.oh - y), pixels = rows * size.ow;
        fill_leaving(p, image, y * size.ow, pixels, block, s.leaving);
        if (p.backward->dpoint) {  // what entered the 1x1 is computed again
            for_each_vector<T>(source.c, [&](int at, int lane) HWY_ATTR {
                for (int r = 0; r < rows; r++)
                    window_row<T>(
                        {s.plane + at * plane.block_size + plane.at((y + r) * b.stride + shift, shift) + lane,
                         plane.row * b.dilation, b.k, p.depth + static_cast<std::size_t>(at) * b.k * b.k * B + lane,
                         s.entering + at * block + static_cast<std::size_t>(r) * size.ow * B + lane, B, false},
                        b.k, b.stride, b.dilation, size.ow);
            });
            point_gradient(p, s.entering, s.leaving, block, pixels, source.c, b.c_out, partial, size.half_padded);
        }
        if (!through_point) continue;
        for (int r = 0; r < rows; r++) {
            const T* leaving = s.leaving + static_cast<std::size_t>(r) * size.ow * B;
            const StoreBlocks<T> out{s.padded + through.at(y + r + size.pad, size.pad), through.block_size, source.c};
            gemm_taps(taps, leaving, size.ow, out);
        }
    }
    if (p.backward->ddepth) {
        T* ddepth = partial + size.point();
        for_each_vector<T>(source.c, [&](int at, int lane) HWY_ATTR {
            window_gradient<T>({s.plane + at * plane.block_size + plane.at(shift, shift) + lane, plane.row,
                                s.padded + at * through.block_size + through.at(size.pad, size.pad) + lane, through.row,
                                size.oh, size.ow, ddepth + static_cast<std::size_t>(at) * size.taps * B + lane},
                               b.k, b.stride, b.dilation);
        });
    }
    if (wanted) depthwise_gradient(p, source, through, s, add);
}

/// One image of a pointwise or reduce branch, as separable_image.
template <class T>
void pointwise_image(const BackwardBranch<T>& p, const Source<T>& source, int image, const T* x, const Scratch<T>& s,
                     bool wanted, bool add, T* partial) {
    constexpr int B = kBlock<T>;
    const BranchSize<T>& size = p.size;
    const std::size_t block = static_cast<std::size_t>(size.pixels) * B;
    const Plane sum(source.h, source.w, source.c, 0, 1, B);
    fill_leaving(p, image, 0, size.pixels, block, s.leaving);
    if (p.weights()) gather_pixels(source, x, size, s.entering);
    if (wanted && !add) std::fill_n(s.gradient, sum.size(), T(0));
    for (int half = 0; half < size.halves; half++) {
        const T* leaving = s.leaving + (size.fold > 1 ? 0 : half * block * (size.half_padded / B));
        if (half == 0 ? p.backward->dpoint : p.backward->dpoint_odd)
            for (int first = 0; first < size.pixels; first += 64)
                point_gradient(p, s.entering + half * block * size.blocks_in + static_cast<std::size_t>(first) * B,
                               leaving + static_cast<std::size_t>(first) * B, block, std::min(64, size.pixels - first),
                               source.c, size.half_out,
                               partial + static_cast<std::size_t>(half) * size.in_padded * size.half_padded,
                               size.half_padded);
        if (!wanted) continue;
        const int rows = size.half_out / size.fold;
        const Taps<T> taps = one_tap(rows, block, static_cast<std::size_t>(size.in_padded),
                                     p.point + static_cast<std::size_t>(half) * rows * size.in_padded, size.fold);
        gemm_taps(taps, leaving, size.pixels, StoreBlocks<T>{s.through, block, source.c});
        for_each_vector<T>(source.c, [&](int at, int lane) HWY_ATTR {
            const T* from = s.through + at * block + lane;
            for (int y = 0; y < size.oh; y++)
                for (int i = 0; i < size.ow; i++, from += B) {
                    T* to = s.gradient + at * sum.block_size + sum.at(y * size.halves + half, i * size.halves + half) +
                            lane;
                    store<T>(hn::Add(load(to), load(from)), to);
                }
        });
    }
}

/// What a pool gives back of one image, added to `pooled` (h, w, channels). dz is linear in the gradients that reach
/// it: their slopes and shifts are summed before the pixels.
template <class T>
void pool_image(const BackwardBranch<T>& p, const Source<T>& s, int image, const Scratch<T>& scratch) {
    constexpr int kHeld = 6;  // gradients whose scales stay in registers
    const Branch<T>& b = p.backward->branch;
    const std::span<const BranchGradient<T>> from = p.backward->gradients;
    const std::size_t first = static_cast<std::size_t>(image) * p.size.pixels;
    for (int c = 0; c < s.c; c += kLanes<T>) {
        const int count = std::min(s.c - c, kLanes<T>);
        Vector<T> slope = zero<T>(), shift = zero<T>(), scale[kHeld];
        for (std::size_t e = 0; e < from.size(); e++) {
            slope = hn::Add(slope, load_first(from[e].map.slope + c, count));
            shift = hn::Add(shift, load_first(from[e].map.shift + c, count));
            if (e < kHeld) scale[e] = load_first(from[e].map.scale + c, count);
        }
        const bool normed = !hn::AllTrue(Tag<T>(), hn::Eq(slope, zero<T>()));  // else z is not asked for
        auto dz_of = [&](std::size_t at) HWY_ATTR {
            Vector<T> dz = normed ? hn::MulAdd(load_first(b.z + at * s.c + c, count), slope, shift) : shift;
            for (std::size_t e = 0; e < from.size(); e++) {
                const T* g = from[e].g + at * static_cast<std::size_t>(from[e].pixel) + c;
                const Vector<T> by = e < kHeld ? scale[e] : load_first(from[e].map.scale + c, count);
                dz = hn::MulAdd(load_first(g, count), by, dz);
            }
            return dz;
        };
        if (b.kind == BranchKind::avg_pool && b.stride == 1) {
            avg_pool_gradient<T>(s.h, s.w, count, scratch.pooled + c, static_cast<std::size_t>(s.c),
                                 [&](std::size_t pixel) HWY_ATTR { return dz_of(first + pixel); });
            continue;
        }
        for (int y = 0; y < p.size.oh; y++)
            for (int x = 0; x < p.size.ow; x++) {
                const std::size_t at = first + static_cast<std::size_t>(y) * p.size.ow + x;
                const int y0 = y * b.stride - 1, x0 = x * b.stride - 1;
                const int top = std::max(y0, 0), bottom = std::min(y0 + 3, s.h);
                const int left = std::max(x0, 0), right = std::min(x0 + 3, s.w);
                Vector<T> dz = dz_of(at);
                alignas(64) T taps[kLanes<T>];
                Vector<T> place = zero<T>();
                if (b.kind == BranchKind::max_pool) {
                    const std::uint8_t* tap = b.tap + at * s.c + c;
                    for (int l = 0; l < count; l++) taps[l] = static_cast<T>(tap[l]);
                    place = load_first(taps, count);
                } else {
                    dz = hn::Mul(dz, set(T(1) / static_cast<T>((bottom - top) * (right - left))));
                }
                for (int i = top; i < bottom; i++)
                    for (int j = left; j < right; j++) {
                        T* to = scratch.pooled + (static_cast<std::size_t>(i) * s.w + j) * s.c + c;
                        Vector<T> v = dz;
                        if (b.kind == BranchKind::max_pool)
                            v = hn::IfThenElseZero(hn::Eq(place, set(static_cast<T>((i - y0) * 3 + j - x0))), dz);
                        store_first<T>(hn::Add(load_first(to, count), v), to, count);
                    }
            }
    }
}

/// All packed weights of a branch that its gradients need.
template <class T>
void pack(const BackwardBranch<T>& p, const Source<T>& s, bool wanted) {
    const Branch<T>& b = p.backward->branch;
    if (b.kind == BranchKind::separable) {
        if (p.backward->dpoint) pack_depth(b.depth, p.size.taps, s.c, p.size.fold, p.depth);
        if (wanted) pack_phases(b, p.size, s.c, p.flipped);
    }
    if (is_pool(b.kind)) return;
    if (p.size.fold > 1) {  // (halves, channels out, in_padded), zero where the other half computes
        const int of = p.size.half_channels();
        std::fill_n(p.point, static_cast<std::size_t>(p.size.halves) * p.size.channels * p.size.in_padded, T(0));
        for (int half = 0; half < p.size.halves; half++)
            for (int o = 0; o < of; o++)
                fold_row((half == 0 ? b.point : b.point_odd) + o, of, p.size.channels, p.size.fold, p.size.in_padded,
                         p.point + static_cast<std::size_t>(half * p.size.channels + half * of + o) * p.size.in_padded);
        return;
    }
    for (int o = 0; o < b.c_out; o++) {  // (c_out, in_padded)
        T* to = p.point + static_cast<std::size_t>(o) * p.size.in_padded;
        const T* from = o < p.size.half_out ? b.point + o : b.point_odd + (o - p.size.half_out);
        for (int i = 0; i < s.c; i++) to[i] = from[static_cast<std::size_t>(i) * p.size.half_out];
        std::fill(to + s.c, to + p.size.in_padded, T(0));
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#endif
