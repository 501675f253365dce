#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/chain_backward.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/chain_depth-inl.h"
#include "kernels/cpu/chain_products-inl.h"
#include "kernels/cpu/chain_rows-inl.h"
#include "kernels/cpu/weight_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// What link_backward is given.
template <class T>
struct LinkCall {
    const LinkShape& s;
    const Normed<T>& input;
    const T* w;
    const NormedGradient<T>& gradient;
    const NormFold<T>& fold;
    const CpuTarget<T> target;
    T* dw;
    bool accumulate_dw;
};

/// How often add_weights asks for lines.
inline int weight_tiles(int channels, int vectors) { return ceil_div(channels, kRows2) * ceil_div(vectors, 2); }

/// partial (in_padded, out_padded) += what `width` pixels of a and dz, blocks run_block apart, give.
template <class T>
void add_weights(const T* a, const T* dz, const PointLayout<T>& layout, int width, int channels, int vectors,
                 Ahead& ahead, int lines, T* partial) {
    constexpr int L = kLanes<T>, B = kBlock<T>, R1 = std::min(kRows1, B), R2 = std::min(kRows2, B);
    const std::size_t stride = static_cast<std::size_t>(layout.out_padded);
    for (int c = 0; c < channels; c += B) {
        const Window<T> window{
            a + static_cast<std::size_t>(c / B) * layout.run_block, 0, dz, 0, layout.run_block, 1, width};
        T* dw = partial + static_cast<std::size_t>(c) * stride;
        const int count = std::min(B, channels - c);
        int v = 0;
        for (; v + 2 <= vectors; v += 2)
            for (int i = 0; i < count; i += R2) {
                ahead.step(lines);
                weight_tile<R2, 2>(window, i, v, dw + i * stride + v * L, stride);
            }
        if (v < vectors)
            for (int i = 0; i < count; i += R1) {
                ahead.step(2 * lines);
                if (count - i <= 4)
                    weight_tile<4, 1>(window, i, v, dw + i * stride + v * L, stride);
                else
                    weight_tile<R1, 1>(window, i, v, dw + i * stride + v * L, stride);
            }
    }
}

template <class T>
void point_link_backward(const Stream& stream, const LinkCall<T>& call, void* workspace) {
    const LinkShape& s = call.s;
    const PointLayout<T> layout(stream, s, true);
    constexpr int B = kBlock<T>, W = kPanel<T>;
    T* packed = at_bytes<T>(workspace, layout.weights);  // (panels of c_in, c_out, W)
    if (call.target.da.x) pack_panels(call.w, s.c_out, s.c_in, true, packed);
    T* partials = at_bytes<T>(workspace, layout.partials);
    const int padded = layout.summed_padded(s.c_in), vectors = ceil_div(s.c_out, kLanes<T>);
    parallel(stream, static_cast<int>(layout.cut.count), [&](int chunk, int worker) HWY_ATTR {
        T* a = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        T *dz = at_bytes<T>(a, layout.leaving), *panel = at_bytes<T>(a, layout.panel);
        T* run_sums = at_bytes<T>(a, layout.run_sums);
        T* partial = partials + layout.partial_size * static_cast<std::size_t>(chunk);
        double* sums = at_bytes<double>(workspace, layout.sums) + static_cast<std::size_t>(2 * padded) * chunk;
        if (call.dw) std::fill_n(partial, layout.partial_size, T(0));
        if (call.target.sums) std::fill_n(sums, 2 * padded, 0.0);
        for (std::size_t first = layout.cut.begin(chunk); first < layout.cut.end(chunk); first += layout.run) {
            const int width = static_cast<int>(std::min<std::size_t>(layout.run, layout.cut.end(chunk) - first));
            fill_gradient(call.gradient, call.fold, s.c_out, first, width, 0, s.c_out, layout.run_block, dz);
            Ahead ahead;
            const std::size_t next = first + static_cast<std::size_t>(width);
            const std::size_t after = std::min<std::size_t>(layout.run, layout.cut.pixels - next);
            if (call.dw || call.target.sums) ahead.add(call.input.x, next, after, 0, s.c_in);
            ahead.add(call.gradient.g, next, after, 0, s.c_out);
            ahead.add(Channels<const T>{call.gradient.z, s.c_out, 1}, next, after, 0, s.c_out);
            const int tiles =
                (call.dw ? weight_tiles(s.c_in, vectors) : 0) +
                (call.target.da.x ? ceil_div(width, kPanelPixels) * ceil_div(s.c_in, W) * layout.out_blocks : 0);
            const int lines = ceil_div(static_cast<int>(ahead.lines()), tiles);
            if (call.dw) {
                fill_pixels(call.input, first, width, 0, s.c_in, layout.run_block, a);
                add_weights(a, dz, layout, width, s.c_in, vectors, ahead, lines, partial);
            }
            if (!call.target.da.x) continue;
            if (call.target.sums) std::fill_n(run_sums, 2 * padded, T(0));
            const T* weights = packed;
            for (int c = 0; c < s.c_in; c += W, weights += static_cast<std::size_t>(s.c_out) * W) {
                const int count = std::min(W, s.c_in - c);
                const PanelInput<T> in{dz, layout.run_block, s.c_out, weights, &ahead, lines};
                if (call.target.sums) {
                    const Normed<T>& x = call.input;
                    const std::size_t x_at = first * static_cast<std::size_t>(x.x.pixel) + c,
                                      da_at = first * static_cast<std::size_t>(call.target.da.pixel) + c;
                    with_form(x.activation, 1, [&]<Activation A, int>() HWY_ATTR {
                        panel_product(in, width, count, 0,
                                      FinishPanel<A, T>{{x.x.x + x_at, x.x.pixel, 1},
                                                        {call.target.da.x + da_at, call.target.da.pixel, 1},
                                                        x.scale ? x.scale + c : nullptr,
                                                        x.shift ? x.shift + c : nullptr,
                                                        count,
                                                        run_sums + c,
                                                        padded,
                                                        call.target.stream});
                    });
                    continue;
                }
                panel_product(in, width, count, 0, StorePanel<T>{panel});
                finish_pixels(call.target, call.input, MadeGradient<T>{first, width, c, count, panel, W, B}, run_sums,
                              padded);
            }
            if (call.target.sums) flush_sums(run_sums, padded, s.c_in, sums, padded);
        }
        if (call.target.stream) hwy::FlushStream();
    });
    if (call.target.da.x && call.target.sums)
        add_link_sums(at_bytes<double>(workspace, layout.sums), static_cast<int>(layout.cut.count), padded, s.c_in,
                      call.target.sums);
    if (!call.dw) return;
    parallel(stream, ceil_div(s.c_in, B), [&](int block, int) HWY_ATTR {  // chunks are added in order, whoever ran them
        for (int i = block * B; i < std::min(s.c_in, block * B + B); i++)
            for (int o = 0; o < s.c_out; o += kLanes<T>) {
                T* to = call.dw + static_cast<std::size_t>(i) * s.c_out + o;
                const T* from = partials + static_cast<std::size_t>(i) * layout.out_padded + o;
                Vector<T> sum = call.accumulate_dw ? load_first(to, s.c_out - o) : zero<T>();
                for (std::size_t chunk = 0; chunk < layout.cut.count; chunk++, from += layout.partial_size)
                    sum = hn::Add(sum, load(from));
                store_first<T>(sum, to, s.c_out - o);
            }
    });
}

/// One picture's channels [c, c + count), a group of blocks.
template <class T>
struct DepthBlocks {
    int n, c, count;
    Strip<T> in, dz;  // scratch
    T* row;           // scratch, blocks row_block apart
    T* dw;            // (blocks, taps, kBlock), added to
    double* sums;     // (2, padded), added to
};

/// The rows of the target that outputs [y0, y1) stand for, from the strip of dz.
template <class T>
void depth_gradient_rows(const LinkCall<T>& call, const DepthLayout<T>& layout, const T* packed,
                         const DepthBlocks<T>& b, int y0, int y1, Ahead& ahead, int lines) {
    constexpr int B = kBlock<T>, L = kLanes<T>;
    const LinkShape& s = call.s;
    const int end = y1 == s.out_h() ? s.h : y1 * s.stride;
    alignas(64) T run[2 * kGroup * B] = {};
    int summed = 0;
    for (int y = y0 * s.stride; y < end; y++) {
        const int py = y % s.stride;
        const TapPhase v(py, s.k, s.stride);
        std::size_t before = 0;  // weights of earlier phases
        for (int q = 0; q < py; q++)
            before += static_cast<std::size_t>(TapPhase(q, s.k, s.stride).count) * s.k * layout.padded;
        for (int px = 0; px < s.stride && px < s.w; px++) {
            const TapPhase h(px, s.k, s.stride);
            const std::size_t taps = static_cast<std::size_t>(v.count) * h.count;
            const T* w = packed + before + taps * static_cast<std::size_t>(b.c);
            const T* in = b.dz.at +
                          static_cast<std::ptrdiff_t>(y / s.stride + v.first - y0 + layout.halo) * layout.dz_row +
                          (h.first + layout.halo) * B;
            for (int lane = 0; lane < b.count; lane += L) {
                const std::size_t block = static_cast<std::size_t>(lane / B);
                link_row<T>({in + block * b.dz.block + lane % B, static_cast<std::size_t>(layout.dz_row), v.count,
                             w + block * taps * B + lane % B, b.row + block * layout.row_block + px * B + lane % B,
                             static_cast<std::size_t>(s.stride) * B, false},
                            h.count, 1, ceil_div(s.w - px, s.stride), ahead, lines);
            }
            before += taps * static_cast<std::size_t>(layout.padded);
        }
        finish_pixels(call.target, call.input,
                      MadeGradient<T>{(static_cast<std::size_t>(b.n) * s.h + y) * s.w, s.w, b.c, b.count, b.row, B,
                                      layout.row_block},
                      run, kGroup * B);
        if (summed += s.w; call.target.sums && (summed >= kRun || y + 1 == end)) {
            flush_sums(run, kGroup * B, b.count, b.sums + b.c, layout.padded);
            summed = 0;
        }
    }
}

template <class T>
void depth_blocks_backward(const LinkCall<T>& call, const DepthLayout<T>& layout, const T* packed,
                           const DepthBlocks<T>& b) {
    constexpr int B = kBlock<T>, L = kLanes<T>;
    const LinkShape& s = call.s;
    const int oh = s.out_h(), ow = s.out_w(), blocks = ceil_div(b.count, B);
    for (int y0 = 0; y0 < oh; y0 += layout.rows) {
        const int y1 = std::min(oh, y0 + layout.rows);
        fill_strip(b.dz, blocks, y0 - layout.halo, y1 + layout.halo, oh, ow, y0 > 0 ? 2 * layout.halo : 0, layout.rows,
                   [&](int y, T* to) HWY_ATTR {
                       fill_gradient(call.gradient, call.fold, s.c_out, (static_cast<std::size_t>(b.n) * oh + y) * ow,
                                     ow, b.c, b.count, b.dz.block, to, layout.ahead);
                   });
        Ahead ahead;
        const NextStrip next(layout, s, layout.group * B, b.n, b.c, y0);
        const int next_count = std::min(layout.group * B, s.c_in - next.c), from = next.y0 - layout.halo,
                  to = next.y1 + layout.halo;
        if (layout.ahead == 0) {
            next.add(ahead, call.input.x, next.y0 * s.stride - layout.pad, (next.y1 - 1) * s.stride + s.k - layout.pad,
                     s.k - s.stride, s.h, s.w, next_count);
            next.add(ahead, call.gradient.g, from, to, 2 * layout.halo, oh, ow, next_count);
            next.add(ahead, Channels<const T>{call.gradient.z, s.c_out, 1}, from, to, 2 * layout.halo, oh, ow,
                     next_count);
        }
        const int vectors = ceil_div(b.count, L),
                  height = layout.ahead == 0 ? ceil_div(56, ow) : y1 - y0;  // of dw between asking for lines
        const int sevens = vectors * ((call.dw ? (y1 - y0) * ceil_div(ow, 7) : 0) +
                                      (call.target.da.x ? (y1 - y0) * s.stride * ceil_div(s.w, 7) : 0));
        const int lines = ceil_div(static_cast<int>(ahead.lines()), sevens);
        if (call.dw) {
            fill_strip(b.in, blocks, y0 * s.stride - layout.pad, (y1 - 1) * s.stride + s.k - layout.pad, s.h, s.w,
                       y0 > 0 ? s.k - s.stride : 0, layout.rows * s.stride, [&](int y, T* in) HWY_ATTR {
                           fill_pixels(call.input, (static_cast<std::size_t>(b.n) * s.h + y) * s.w, s.w, b.c, b.count,
                                       b.in.block, in, layout.ahead);
                       });
            for (int lane = 0; lane < b.count; lane += L) {
                const std::size_t block = static_cast<std::size_t>(lane / B);
                const T* in = b.in.at + block * b.in.block + lane % B;
                const T* dz = b.dz.at + block * b.dz.block + layout.halo * (layout.dz_row + B) + lane % B;
                for (int y = 0; y < y1 - y0; y += height) {
                    const int rows = std::min(height, y1 - y0 - y);
                    ahead.step(lines * rows * ceil_div(ow, 7));
                    window_gradient<T>(
                        {in + static_cast<std::ptrdiff_t>(y) * s.stride * layout.in_row,
                         static_cast<std::size_t>(layout.in_row), dz + static_cast<std::ptrdiff_t>(y) * layout.dz_row,
                         static_cast<std::size_t>(layout.dz_row), rows, ow, b.dw + block * B * layout.taps + lane % B},
                        s.k, s.stride, 1);
                }
            }
        }
        if (call.target.da.x) depth_gradient_rows(call, layout, packed, b, y0, y1, ahead, lines);
    }
}

template <class T>
void depth_link_backward(const Stream& stream, const LinkCall<T>& call, void* workspace) {
    constexpr int B = kBlock<T>;
    const LinkShape& s = call.s;
    const DepthLayout<T> layout(stream, s, true);
    T* packed = at_bytes<T>(workspace, layout.weights);
    if (call.target.da.x) pack_flipped(call.w, s.k, s.stride, s.c_in, packed);
    T* partials = at_bytes<T>(workspace, layout.partials);
    parallel(stream, layout.images.count, [&](int chunk, int worker) HWY_ATTR {
        T* scratch = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        const Strip<T> in{scratch, layout.in_rows, layout.in_row, layout.pad, layout.in_block},
            dz{at_bytes<T>(scratch, layout.dz), layout.dz_rows, layout.dz_row, layout.halo, layout.dz_block};
        T* row = at_bytes<T>(scratch, layout.row);
        T* partial = partials + layout.partial_size * static_cast<std::size_t>(chunk);
        double* sums = at_bytes<double>(workspace, layout.sums) + static_cast<std::size_t>(2 * layout.padded) * chunk;
        if (call.dw) std::fill_n(partial, layout.partial_size, T(0));
        if (call.target.sums) std::fill_n(sums, 2 * layout.padded, 0.0);
        clear_sides(in, layout.group);
        clear_sides(dz, layout.group);
        const int wide = layout.group * B;
        for (int n = layout.images.begin(chunk); n < layout.images.end(chunk); n++)
            for (int c = 0; c < s.c_in; c += wide)
                depth_blocks_backward(call, layout, packed,
                                      DepthBlocks<T>{n, c, std::min(wide, s.c_in - c), in, dz, row,
                                                     partial + static_cast<std::size_t>(c) * layout.taps, sums});
        if (call.target.stream) hwy::FlushStream();
    });
    if (call.target.da.x && call.target.sums)
        add_link_sums(at_bytes<double>(workspace, layout.sums), layout.images.count, layout.padded, s.c_in,
                      call.target.sums);
    if (!call.dw) return;
    for (int c = 0; c < s.c_in; c++)
        for (int t = 0; t < layout.taps; t++) {
            const T* from = partials + (static_cast<std::size_t>(c / B) * layout.taps + t) * B + c % B;
            T& to = call.dw[static_cast<std::size_t>(t) * s.c_in + c];
            T sum = call.accumulate_dw ? to : T(0);
            for (int chunk = 0; chunk < layout.images.count; chunk++, from += layout.partial_size) sum += *from;
            to = sum;
        }
}

template <class T>
void any_link_backward(const Stream& stream, const LinkCall<T>& call, void* workspace) {
    if (!call.target.da.x && !call.dw) return;
    if (call.s.depthwise) return depth_link_backward(stream, call, workspace);
    point_link_backward(stream, call, workspace);
}

void link_backward_f32(const Stream& stream, const LinkShape& s, const Normed<float>& input, const float* w,
                       const NormedGradient<float>& gradient, const NormFold<float>& fold,
                       const LinkTarget<float>& target, float* dw, bool accumulate_dw, void* workspace) {
    any_link_backward(stream, LinkCall<float>{s, input, w, gradient, fold, {target, s}, dw, accumulate_dw}, workspace);
}
void link_backward_f64(const Stream& stream, const LinkShape& s, const Normed<double>& input, const double* w,
                       const NormedGradient<double>& gradient, const NormFold<double>& fold,
                       const LinkTarget<double>& target, double* dw, bool accumulate_dw, void* workspace) {
    any_link_backward(stream, LinkCall<double>{s, input, w, gradient, fold, {target, s}, dw, accumulate_dw}, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(link_backward_f32);
HWY_EXPORT(link_backward_f64);

template <class T>
void link_backward(const Stream& stream, const LinkShape& shape, const Normed<T>& input, const T* w,
                   const NormedGradient<T>& gradient, const NormFold<T>& fold, const LinkTarget<T>& target, T* dw,
                   bool accumulate_dw, void* workspace){
    NASCENT_DISPATCH(link_backward, stream, shape, input, w, gradient, fold, target, dw, accumulate_dw, workspace)}
#define NASCENT_LINK(T)                                                                                                \
    template void link_backward(const Stream&, const LinkShape&, const Normed<T>&, const T*, const NormedGradient<T>&, \
                                const NormFold<T>&, const LinkTarget<T>&, T*, bool, void*);
NASCENT_LINK(float) NASCENT_LINK(double)
#undef NASCENT_LINK

    std::size_t link_backward_workspace(const Stream& stream, const LinkShape& s, std::size_t element) {
    if (s.depthwise)
        return element == sizeof(float) ? DepthLayout<float>(stream, s, true).used
                                        : DepthLayout<double>(stream, s, true).used;
    return element == sizeof(float) ? PointLayout<float>(stream, s, true).used
                                    : PointLayout<double>(stream, s, true).used;
}

}  // namespace nascent::kernels::cpu
#endif
