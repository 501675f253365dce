#include "kernels/cpu/chain_plan.h"
#include "kernels/cpu/dispatch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/chain_output.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/chain_depth-inl.h"
#include "kernels/cpu/chain_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// `width` pixels of a part from `first` on to y, `pixel` apart.
template <class T>
void output_part(const ChainPart<T>& part, std::size_t first, int width, const T* skip, T* y, std::size_t pixel) {
    with_form(part.from.activation, part.from.x.step, [&]<Activation A, int Step>() HWY_ATTR {
        const auto in = static_cast<std::size_t>(part.from.x.pixel), skipped = static_cast<std::size_t>(part.c);
        for_tiles<T>(width, part.c, [&](int p, int pixels, int i, int lanes) HWY_ATTR {
            const Affine<T> affine(part.from.scale, part.from.shift, i, lanes);
            const std::size_t at = first + static_cast<std::size_t>(p);
            const T* x = part.from.x.x + at * in + static_cast<std::size_t>(i) * Step;
            const T* s = skip ? skip + at * skipped + i : nullptr;
            T* q = y + at * pixel + i;
            for (int k = 0; k < pixels; k++, x += in, q += pixel) {
                Vector<T> v = activate<A, T>(affine(load_every<Step>(x, lanes)));
                if (s) v = hn::Add(v, load_first(s, lanes)), s += skipped;
                store_first<T>(v, q, lanes);
            }
        });
    });
}

/// As output_part for two parts whose channels take turns; neither has a step.
template <class T>
void output_pairs(const ChainPart<T>& a, const ChainPart<T>& b, std::size_t first, int width, T* y) {
    constexpr int L = kLanes<T>;
    with_form(a.from.activation, 1, [&]<Activation A, int>() HWY_ATTR {
        with_form(b.from.activation, 1, [&]<Activation C, int>() HWY_ATTR {
            const auto pixel = static_cast<std::size_t>(a.c + b.c);
            for (int c = 0; c < a.c; c += L) {
                const int left = a.c - c;
                const Affine<T> of_a(a.from.scale, a.from.shift, c, left), of_b(b.from.scale, b.from.shift, c, left);
                const T* p = a.from.x.x + first * static_cast<std::size_t>(a.from.x.pixel) + c;
                const T* q = b.from.x.x + first * static_cast<std::size_t>(b.from.x.pixel) + c;
                T* to = y + first * pixel + static_cast<std::size_t>(2 * c);
                for (int i = 0; i < width; i++, p += a.from.x.pixel, q += b.from.x.pixel, to += pixel)
                    store_pairs<T>(activate<A, T>(of_a(load_first(p, left))), activate<C, T>(of_b(load_first(q, left))),
                                   to, left);
            }
        });
    });
}

template <class T>
void all_outputs(const Stream& stream, std::size_t pixels, const ChainPart<T>& a, const ChainPart<T>& b,
                 bool interleaved, const T* skip, T* y) {
    const PixelCut cut(pixels);
    parallel(stream, static_cast<int>(cut.count), [&](int chunk, int) HWY_ATTR {
        const auto pixel = static_cast<std::size_t>(a.c + b.c);
        for (std::size_t first = cut.begin(chunk); first < cut.end(chunk); first += kRun) {
            const int width = static_cast<int>(std::min<std::size_t>(kRun, cut.end(chunk) - first));
            if (interleaved) {
                output_pairs(a, b, first, width, y);
                continue;
            }
            output_part(a, first, width, skip, y, pixel);
            if (b.c > 0) output_part(b, first, width, static_cast<const T*>(nullptr), y + a.c, pixel);
        }
    });
}

/// The sums of V vectors of channels from c on over `width` pixels from `first` on, `lanes` of the last, added to
/// partial (2, channels).
template <Activation A, int Step, int V, class T>
HWY_INLINE void add_run_sums(const NormedGradient<T>& from, int channels, std::size_t first, int width, int c,
                             int lanes, double* partial) {
    constexpr int L = kLanes<T>;
    const auto pixel = static_cast<std::size_t>(from.g.pixel), z_pixel = static_cast<std::size_t>(channels);
    const T* g = from.g.x + first * pixel + static_cast<std::size_t>(c) * Step;
    const T* z = from.z + first * z_pixel + c;
    Vector<T> plain[V], products[V], scale[V], shift[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
        const Affine<T> affine(from.scale, from.shift, c + v * L, v + 1 < V ? L : lanes);
        scale[v] = affine.scale, shift[v] = affine.shift;
        plain[v] = products[v] = zero<T>();
    }
    for (int p = 0; p < width; p++, g += pixel, z += z_pixel)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int count = v + 1 < V ? L : lanes;
            const Vector<T> x = load_first(z + v * L, count);
            const Vector<T> masked =
                mask<A, T>(hn::MulAdd(x, scale[v], shift[v]), load_every<Step>(g + v * L * Step, count));
            plain[v] = hn::Add(plain[v], masked);
            products[v] = hn::MulAdd(masked, x, products[v]);
        }
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
        add_to_double<T>(plain[v], partial + c + v * L, v + 1 < V ? L : lanes);
        add_to_double<T>(products[v], partial + channels + c + v * L, v + 1 < V ? L : lanes);
    }
}

template <class T>
void all_link_sums(const Stream& stream, std::size_t pixels, int channels, const NormedGradient<T>& from, double* sums,
                   void* workspace) {
    constexpr int L = kLanes<T>;
    const PixelCut cut(pixels);
    double* partials = static_cast<double*>(workspace);
    parallel(stream, static_cast<int>(cut.count), [&](int chunk, int) HWY_ATTR {
        double* partial = partials + static_cast<std::size_t>(2 * channels) * chunk;
        std::fill_n(partial, 2 * channels, 0.0);
        with_form(from.activation, from.g.step, [&]<Activation A, int Step>() HWY_ATTR {
            for (std::size_t first = cut.begin(chunk); first < cut.end(chunk); first += kRun) {
                const int width = static_cast<int>(std::min<std::size_t>(kRun, cut.end(chunk) - first));
                int c = 0;  // lines that lie side by side are read together
                for (; c + 4 * L <= channels; c += 4 * L)
                    add_run_sums<A, Step, 4>(from, channels, first, width, c, L, partial);
                if (c + 2 * L <= channels) {
                    add_run_sums<A, Step, 2>(from, channels, first, width, c, L, partial);
                    c += 2 * L;
                }
                for (; c < channels; c += L)
                    add_run_sums<A, Step, 1>(from, channels, first, width, c, std::min(L, channels - c), partial);
            }
        });
    });
    add_link_sums(partials, static_cast<int>(cut.count), channels, channels, sums);
}

template <class T>
void all_gradients(const Stream& stream, std::size_t pixels, int channels, const NormedGradient<T>& from,
                   const NormFold<T>& fold, T* dz) {
    constexpr int L = kLanes<T>, B = kBlock<T>;
    const PixelCut cut(pixels);
    parallel(stream, static_cast<int>(cut.count), [&](int chunk, int) HWY_ATTR {
        alignas(64) T block[kRun * B];
        for (std::size_t first = cut.begin(chunk); first < cut.end(chunk); first += kRun)
            for (int c = 0; c < channels; c += B) {
                const int width = static_cast<int>(std::min<std::size_t>(kRun, cut.end(chunk) - first));
                const int count = std::min(B, channels - c);
                fill_gradient(from, fold, channels, first, width, c, count, 0, block);
                for (int i = 0; i < count; i += L)
                    for (int p = 0; p < width; p++)
                        store_first<T>(
                            load(block + p * B + i),
                            dz + (first + static_cast<std::size_t>(p)) * static_cast<std::size_t>(channels) + c + i,
                            count - i);
            }
    });
}

void chain_output_f32(const Stream& s, std::size_t pixels, const ChainPart<float>& a, const ChainPart<float>& b,
                      bool interleaved, const float* skip, float* y) {
    all_outputs(s, pixels, a, b, interleaved, skip, y);
}
void chain_output_f64(const Stream& s, std::size_t pixels, const ChainPart<double>& a, const ChainPart<double>& b,
                      bool interleaved, const double* skip, double* y) {
    all_outputs(s, pixels, a, b, interleaved, skip, y);
}
void link_sums_f32(const Stream& s, std::size_t pixels, int c, const NormedGradient<float>& gradient, double* sums,
                   void* workspace) {
    all_link_sums(s, pixels, c, gradient, sums, workspace);
}
void link_sums_f64(const Stream& s, std::size_t pixels, int c, const NormedGradient<double>& gradient, double* sums,
                   void* workspace) {
    all_link_sums(s, pixels, c, gradient, sums, workspace);
}
void link_gradient_f32(const Stream& s, std::size_t pixels, int c, const NormedGradient<float>& gradient,
                       const NormFold<float>& fold, float* dz) {
    all_gradients(s, pixels, c, gradient, fold, dz);
}
void link_gradient_f64(const Stream& s, std::size_t pixels, int c, const NormedGradient<double>& gradient,
                       const NormFold<double>& fold, double* dz) {
    all_gradients(s, pixels, c, gradient, fold, dz);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(chain_output_f32);
HWY_EXPORT(chain_output_f64);
HWY_EXPORT(link_sums_f32);
HWY_EXPORT(link_sums_f64);
HWY_EXPORT(link_gradient_f32);
HWY_EXPORT(link_gradient_f64);

template <class T>
void chain_output(const Stream& stream, std::size_t pixels, const ChainPart<T>& a, const ChainPart<T>& b,
                  bool interleaved, const T* skip, T* y) {
    NASCENT_DISPATCH(chain_output, stream, pixels, a, b, interleaved, skip, y)
}
template <class T>
void link_sums(const Stream& stream, std::size_t pixels, int c, const NormedGradient<T>& gradient, double* sums,
               void* workspace) {
    NASCENT_DISPATCH(link_sums, stream, pixels, c, gradient, sums, workspace)
}
template <class T>
void link_gradient(const Stream& stream, std::size_t pixels, int c, const NormedGradient<T>& gradient,
                   const NormFold<T>& fold,
                   T* dz){NASCENT_DISPATCH(link_gradient, stream, pixels, c, gradient, fold, dz)} std::size_t
    link_sums_workspace(const Stream&, std::size_t pixels, int c) {
    return sizeof(double) * 2 * PixelCut(pixels).count * static_cast<std::size_t>(c);
}

#define NASCENT_CHAIN(T)                                                                                             \
    template void chain_output(const Stream&, std::size_t, const ChainPart<T>&, const ChainPart<T>&, bool, const T*, \
                               T*);                                                                                  \
    template void link_sums(const Stream&, std::size_t, int, const NormedGradient<T>&, double*, void*);              \
    template void link_gradient(const Stream&, std::size_t, int, const NormedGradient<T>&, const NormFold<T>&, T*);
NASCENT_CHAIN(float)
NASCENT_CHAIN(double)
#undef NASCENT_CHAIN

}  // namespace nascent::kernels::cpu
#endif
