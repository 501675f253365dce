#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/chain_forward.cpp"
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

/// As StoreZ, past the caches: channels are whole lines.
template <class T>
struct StreamZ {
    StoreZ<T> to;
    template <int P, int V>
    HWY_INLINE void operator()(const Vector<T> (&acc)[P][V], int x, int vector) const {
        constexpr int L = kLanes<T>;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int c = (vector + v) * L;
            T* q = to.z + static_cast<std::ptrdiff_t>(x) * to.pixel + c;
            // The order of StoreZ.
            Vector<T> sum[2] = {zero<T>(), zero<T>()}, square[2] = {zero<T>(), zero<T>()};
            if (to.sums) sum[0] = load(to.sums + c), square[0] = load(to.sums + to.padded + c);
#pragma GCC unroll 32
            for (int p = 0; p < P; p++) {
                hn::Stream(acc[p][v], Tag<T>(), q + static_cast<std::ptrdiff_t>(p) * to.pixel);
                sum[p % 2] = hn::Add(sum[p % 2], acc[p][v]);
                square[p % 2] = hn::MulAdd(acc[p][v], acc[p][v], square[p % 2]);
            }
            if (!to.sums) continue;
            store<T>(hn::Add(sum[0], sum[1]), to.sums + c);
            store<T>(hn::Add(square[0], square[1]), to.sums + to.padded + c);
        }
    }
};

template <class T>
void point_link_forward(const Stream& stream, const LinkShape& s, const Normed<T>& input, const T* w, T* z,
                        double* sums, void* workspace) {
    const PointLayout<T> layout(stream, s, false);
    T* packed = at_bytes<T>(workspace, layout.weights);
    pack_panels(w, s.c_in, s.c_out, false, packed);
    const int padded = layout.summed_padded(s.c_out);
    const bool stream_z = streams(z, s.out_pixels(), s.c_out);
    parallel(stream, static_cast<int>(layout.cut.count), [&](int chunk, int worker) HWY_ATTR {
        T* a = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        T* run_sums = sums ? at_bytes<T>(a, layout.run_sums) : nullptr;
        double* partial = at_bytes<double>(workspace, layout.sums) + static_cast<std::size_t>(2 * padded) * chunk;
        if (sums) std::fill_n(partial, 2 * padded, 0.0);
        for (std::size_t first = layout.cut.begin(chunk); first < layout.cut.end(chunk); first += layout.run) {
            const int width = static_cast<int>(std::min<std::size_t>(layout.run, layout.cut.end(chunk) - first));
            fill_pixels(input, first, width, 0, s.c_in, layout.run_block, a);
            if (sums) std::fill_n(run_sums, 2 * padded, T(0));
            const StoreZ<T> store{z + first * static_cast<std::size_t>(s.c_out), s.c_out, s.c_out, run_sums,
                                  static_cast<std::size_t>(padded)};
            const T* panel = packed;
            Ahead ahead;
            const std::size_t next = first + static_cast<std::size_t>(width);
            ahead.add(input.x, next, std::min<std::size_t>(layout.run, layout.cut.pixels - next), 0, s.c_in);
            const int tiles = ceil_div(width, kPanelPixels) * ceil_div(s.c_out, kPanel<T>) * layout.in_blocks;
            const int lines = ceil_div(static_cast<int>(ahead.lines()), tiles);
            for (int c = 0; c < s.c_out; c += kPanel<T>, panel += static_cast<std::size_t>(s.c_in) * kPanel<T>) {
                const PanelInput<T> in{a, layout.run_block, s.c_in, panel, &ahead, lines};
                const int columns = std::min(kPanel<T>, s.c_out - c);
                if (stream_z)
                    panel_product(in, width, columns, c, StreamZ<T>{store});
                else
                    panel_product(in, width, columns, c, store);
            }
            if (sums)
                for (int c = 0; c < 2 * padded; c++) partial[c] += static_cast<double>(run_sums[c]);
        }
        if (stream_z) hwy::FlushStream();
    });
    if (sums)
        add_link_sums(at_bytes<double>(workspace, layout.sums), static_cast<int>(layout.cut.count), padded, s.c_out,
                      sums);
}

/// `width` pixels of a made row, blocks of channels `block` apart, to z; sums are added to run[0..) and run[stride..).
template <bool Stream, class T>
HWY_NOINLINE void store_row(const T* row, std::size_t block, int width, int count, std::size_t pixel, T* z, T* run,
                            int stride) {
    constexpr int B = kBlock<T>;
    for_tiles<T>(width, count, [&](int p, int pixels, int i, int lanes) HWY_ATTR {
        Vector<T> sum = load(run + i), squares = load(run + stride + i);
        const T* from = row + i / B * block + (p * B + i % B);
        T* q = z + static_cast<std::size_t>(p) * pixel + i;
        for (int k = 0; k < pixels; k++, from += B, q += pixel) {
            const Vector<T> v = load(from);
            put_first<T>(v, q, lanes, Stream);
            sum = hn::Add(sum, v);
            squares = hn::MulAdd(v, v, squares);
        }
        store<T>(sum, run + i);
        store<T>(squares, run + stride + i);
    });
}

template <class T>
void depth_link_forward(const Stream& stream, const LinkShape& s, const Normed<T>& input, const T* w, T* z,
                        double* sums, void* workspace) {
    constexpr int B = kBlock<T>, L = kLanes<T>;
    const DepthLayout<T> layout(stream, s, false);
    T* packed = at_bytes<T>(workspace, layout.weights);
    pack_taps(w, layout.taps, s.c_in, packed);
    const int oh = s.out_h(), ow = s.out_w();
    const bool stream_z = streams(z, s.out_pixels(), s.c_out);
    parallel(stream, layout.images.count, [&](int chunk, int worker) HWY_ATTR {
        T* scratch = at_bytes<T>(workspace, layout.scratch + layout.worker * static_cast<std::size_t>(worker));
        const Strip<T> strip{scratch, layout.in_rows, layout.in_row, layout.pad, layout.in_block};
        T* row = at_bytes<T>(scratch, layout.row);
        double* partial =
            at_bytes<double>(workspace, layout.sums) + static_cast<std::size_t>(2 * layout.padded) * chunk;
        if (sums) std::fill_n(partial, 2 * layout.padded, 0.0);
        clear_sides(strip, layout.group);
        const int wide = layout.group * B;
        for (int n = layout.images.begin(chunk); n < layout.images.end(chunk); n++)
            for (int c = 0; c < s.c_in; c += wide) {
                const int count = std::min(wide, s.c_in - c);
                const T* weights = packed + static_cast<std::size_t>(c) * layout.taps;
                for (int y0 = 0; y0 < oh; y0 += layout.rows) {
                    const int y1 = std::min(oh, y0 + layout.rows);
                    fill_strip(strip, ceil_div(count, B), y0 * s.stride - layout.pad,
                               (y1 - 1) * s.stride + s.k - layout.pad, s.h, s.w, y0 > 0 ? s.k - s.stride : 0,
                               layout.rows * s.stride, [&](int y, T* to) HWY_ATTR {
                                   fill_pixels(input, (static_cast<std::size_t>(n) * s.h + y) * s.w, s.w, c, count,
                                               layout.in_block, to, layout.ahead);
                               });
                    Ahead ahead;
                    const NextStrip next(layout, s, wide, n, c, y0);
                    if (layout.ahead == 0)
                        next.add(ahead, input.x, next.y0 * s.stride - layout.pad,
                                 (next.y1 - 1) * s.stride + s.k - layout.pad, s.k - s.stride, s.h, s.w,
                                 std::min(wide, s.c_in - next.c));
                    const int lines =
                        ceil_div(static_cast<int>(ahead.lines()), (y1 - y0) * ceil_div(count, L) * ceil_div(ow, 7));
                    alignas(64) T run[2 * kGroup * B] = {};
                    int summed = 0;
                    for (int y = y0; y < y1; y++) {
                        for (int lane = 0; lane < count; lane += L) {
                            const std::size_t block = static_cast<std::size_t>(lane / B);
                            link_row<T>({strip.at + block * strip.block +
                                             static_cast<std::ptrdiff_t>(y - y0) * s.stride * layout.in_row + lane % B,
                                         static_cast<std::size_t>(layout.in_row), s.k,
                                         weights + block * B * layout.taps + lane % B,
                                         row + block * layout.row_block + lane % B, B, false},
                                        s.k, s.stride, ow, ahead, lines);
                        }
                        T* to = z + (static_cast<std::size_t>(n) * oh + y) * ow * s.c_in + c;
                        if (stream_z)
                            store_row<true>(row, layout.row_block, ow, count, static_cast<std::size_t>(s.c_in), to, run,
                                            kGroup * B);
                        else
                            store_row<false>(row, layout.row_block, ow, count, static_cast<std::size_t>(s.c_in), to,
                                             run, kGroup * B);
                        if (summed += ow; sums && (summed >= kRun || y + 1 == y1)) {
                            flush_sums(run, kGroup * B, count, partial + c, layout.padded);
                            summed = 0;
                        }
                    }
                }
            }
        if (stream_z) hwy::FlushStream();
    });
    if (sums) add_link_sums(at_bytes<double>(workspace, layout.sums), layout.images.count, layout.padded, s.c_in, sums);
}

void link_forward_f32(const Stream& stream, const LinkShape& s, const Normed<float>& input, const float* w, float* z,
                      double* sums, void* workspace) {
    if (s.depthwise) return depth_link_forward(stream, s, input, w, z, sums, workspace);
    point_link_forward(stream, s, input, w, z, sums, workspace);
}
void link_forward_f64(const Stream& stream, const LinkShape& s, const Normed<double>& input, const double* w, double* z,
                      double* sums, void* workspace) {
    if (s.depthwise) return depth_link_forward(stream, s, input, w, z, sums, workspace);
    point_link_forward(stream, s, input, w, z, sums, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(link_forward_f32);
HWY_EXPORT(link_forward_f64);

template <class T>
void link_forward(const Stream& stream, const LinkShape& shape, const Normed<T>& input, const T* w, T* z, double* sums,
                  void* workspace) {
    NASCENT_DISPATCH(link_forward, stream, shape, input, w, z, sums, workspace)
}
template void link_forward(const Stream&, const LinkShape&, const Normed<float>&, const float*, float*, double*, void*);
template void link_forward(const Stream&, const LinkShape&, const Normed<double>&, const double*, double*, double*,
                           void*);

std::size_t link_forward_workspace(const Stream& stream, const LinkShape& s, std::size_t element) {
    if (s.depthwise)
        return element == sizeof(float) ? DepthLayout<float>(stream, s, false).used
                                        : DepthLayout<double>(stream, s, false).used;
    return element == sizeof(float) ? PointLayout<float>(stream, s, false).used
                                    : PointLayout<double>(stream, s, false).used;
}

}  // namespace nascent::kernels::cpu
#endif
