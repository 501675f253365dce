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
        for (std::size_t first = layout.cut.begin(chunk); first < layout.cut.end(chunk); first += kRun) {
            const int width = static_cast<int>(std::min<std::size_t>(kRun, layout.cut.end(chunk) - first));
            fill_gradient(call.gradient, call.fold, s.c_out, first, width, 0, s.c_out, kRunBlock<T>, dz);
            if (call.dw) {
                fill_pixels(call.input, first, width, 0, s.c_in, kRunBlock<T>, a);
                for (int c = 0; c < s.c_in; c += B)
                    weight_gradient(
                        Window<T>{a + static_cast<std::size_t>(c / B) * kRunBlock<T>, 0, dz, 0, kRunBlock<T>, 1, width},
                        std::min(B, s.c_in - c), vectors, partial + static_cast<std::size_t>(c) * layout.out_padded,
                        static_cast<std::size_t>(layout.out_padded));
            }
            if (!call.target.da.x) continue;
            if (call.target.sums) std::fill_n(run_sums, 2 * padded, T(0));
            const T* weights = packed;
            for (int c = 0; c < s.c_in; c += W, weights += static_cast<std::size_t>(s.c_out) * W) {
                const int count = std::min(W, s.c_in - c);
                panel_product(PanelInput<T>{dz, kRunBlock<T>, s.c_out, weights}, width, count, 0, StorePanel<T>{panel});
                finish_pixels(call.target, call.input, first, width, c, count, static_cast<const T*>(panel), W,
                              run_sums + c, padded);
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

/// One picture's block of channels [c, c + count).
template <class T>
struct DepthBlock {
    int n, c, count;
    T *strip, *dz, *row;  // scratch
    T* dw;                // (taps, kBlock), added to
    double* sums;         // (2, padded), added to
};

/// The rows of the target that outputs [y0, y1) stand for, from the strip of dz.
template <class T>
void depth_gradient_rows(const LinkCall<T>& call, const DepthLayout<T>& layout, const T* packed, const DepthBlock<T>& b,
                         int y0, int y1) {
    constexpr int B = kBlock<T>, L = kLanes<T>;
    const LinkShape& s = call.s;
    const int end = y1 == s.out_h() ? s.h : y1 * s.stride;
    alignas(64) T run[2 * B] = {};
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
            const T* in = b.dz +
                          static_cast<std::ptrdiff_t>(y / s.stride + v.first - y0 + layout.halo) * layout.dz_row +
                          (h.first + layout.halo) * B;
            for (int lane = 0; lane < b.count; lane += L)
                window_row<T>({in + lane, static_cast<std::size_t>(layout.dz_row), v.count, w + lane,
                               b.row + px * B + lane, static_cast<std::size_t>(s.stride) * B, false},
                              h.count, 1, 1, ceil_div(s.w - px, s.stride));
            before += taps * static_cast<std::size_t>(layout.padded);
        }
        finish_pixels(call.target, call.input, (static_cast<std::size_t>(b.n) * s.h + y) * s.w, s.w, b.c, b.count,
                      static_cast<const T*>(b.row), B, run, B);
        if (summed += s.w; call.target.sums && (summed >= kRun || y + 1 == end)) {
            flush_sums(run, B, b.count, b.sums + b.c, layout.padded);
            summed = 0;
        }
    }
}

template <class T>
void depth_block_backward(const LinkCall<T>& call, const DepthLayout<T>& layout, const T* packed,
                          const DepthBlock<T>& b) {
    constexpr int L = kLanes<T>;
    const LinkShape& s = call.s;
    const int oh = s.out_h(), ow = s.out_w();
    for (int y0 = 0; y0 < oh; y0 += layout.rows) {
        const int y1 = std::min(oh, y0 + layout.rows);
        fill_strip(y0 - layout.halo, y1 + layout.halo, oh, ow, layout.halo, layout.dz_row, b.dz,
                   [&](int y, T* to) HWY_ATTR {
                       fill_gradient(call.gradient, call.fold, s.c_out, (static_cast<std::size_t>(b.n) * oh + y) * ow,
                                     ow, b.c, b.count, 0, to);
                   });
        if (call.dw) {
            fill_strip(y0 * s.stride - layout.pad, (y1 - 1) * s.stride + s.k - layout.pad, s.h, s.w, layout.pad,
                       layout.in_row, b.strip, [&](int y, T* to) HWY_ATTR {
                           fill_pixels(call.input, (static_cast<std::size_t>(b.n) * s.h + y) * s.w, s.w, b.c, b.count,
                                       0, to);
                       });
            const T* dz = b.dz + layout.halo * (layout.dz_row + kBlock<T>);
            for (int lane = 0; lane < b.count; lane += L)
                window_gradient<T>({b.strip + lane, static_cast<std::size_t>(layout.in_row), dz + lane,
                                    static_cast<std::size_t>(layout.dz_row), y1 - y0, ow, b.dw + lane},
                                   s.k, s.stride, 1);
        }
        if (call.target.da.x) depth_gradient_rows(call, layout, packed, b, y0, y1);
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
        T* strip = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        T *dz = at_bytes<T>(strip, layout.dz), *row = at_bytes<T>(strip, layout.row);
        T* partial = partials + layout.partial_size * static_cast<std::size_t>(chunk);
        double* sums = at_bytes<double>(workspace, layout.sums) + static_cast<std::size_t>(2 * layout.padded) * chunk;
        if (call.dw) std::fill_n(partial, layout.partial_size, T(0));
        if (call.target.sums) std::fill_n(sums, 2 * layout.padded, 0.0);
        clear_sides(strip, layout.in_rows, layout.in_row, layout.pad);
        clear_sides(dz, layout.dz_rows, layout.dz_row, layout.halo);
        for (int n = layout.images.begin(chunk); n < layout.images.end(chunk); n++)
            for (int c = 0; c < s.c_in; c += B)
                depth_block_backward(call, layout, packed,
                                     DepthBlock<T>{n, c, std::min(B, s.c_in - c), strip, dz, row,
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
