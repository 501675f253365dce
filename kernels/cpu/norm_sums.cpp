#include <algorithm>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/node.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm_sums.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// Adds to `sums` those over some pixels of x (only if `first`) and of x * z_k; Square: of x * x.
template <int K, bool Square, class T>
HWY_INLINE void sums_of_run(std::size_t pixels, int channels, int c, const T* x, const T* const* z, bool first,
                            double* sums, int stride) {
    const int left = channels - c;
    Vector<T> plain = zero<T>(), products[K + 1];
#pragma GCC unroll 4
    for (int k = 0; k < K; k++) products[k] = zero<T>();
    for (std::size_t p = 0; p < pixels; p++) {
        const std::size_t at = p * channels + c;
        const Vector<T> v = load_first(x + at, left);
        plain = hn::Add(plain, v);
#pragma GCC unroll 4
        for (int k = 0; k < K; k++) products[k] = hn::MulAdd(v, Square ? v : load_first(z[k] + at, left), products[k]);
    }
    if (first) add_to_double<T>(plain, sums + c, left);
#pragma GCC unroll 4
    for (int k = 0; k < K; k++) add_to_double<T>(products[k], sums + (1 + k) * stride + c, left);
}

/// The partial sums of one chunk: runs of 64 pixels in T, then double. Up to 3 products share a read of x; more tensors
/// find it in the cache.
template <bool Square, class T>
void sums_of_chunk(std::size_t begin, std::size_t end, int channels, const T* x, std::span<const T* const> z,
                   double* sums) {
    constexpr std::size_t kRun = 64;
    for (std::size_t at = begin; at < end; at += kRun) {
        const std::size_t pixels = std::min(kRun, end - at), offset = at * channels;
        const int total = Square ? 1 : static_cast<int>(z.size());
        for (int k = 0; k == 0 || k < total; k += 3) {
            const T* terms[3] = {};
            const int count = std::min(3, total - k);
            for (int i = 0; !Square && i < count; i++) terms[i] = z[k + i] + offset;
            for (int c = 0; c < channels; c += kLanes<T>) {
                const T* from = x + offset;
                double* to = sums + static_cast<std::size_t>(k) * channels;
                const bool first = k == 0;
                // Sum 0 is that of x alone: for later terms `to` is moved so that the same indices fit.
                if (count == 0) sums_of_run<0, Square>(pixels, channels, c, from, terms, first, to, channels);
                if (count == 1) sums_of_run<1, Square>(pixels, channels, c, from, terms, first, to, channels);
                if (count == 2) sums_of_run<2, Square>(pixels, channels, c, from, terms, first, to, channels);
                if (count == 3) sums_of_run<3, Square>(pixels, channels, c, from, terms, first, to, channels);
            }
        }
    }
}

template <bool Square, class T>
void all_sums(const Stream& stream, const Image& s, const T* x, std::span<const T* const> z, double* sums,
              void* workspace) {
    const Chunks images(s.n);
    const std::size_t per_image = static_cast<std::size_t>(s.h) * s.w;
    const std::size_t count = (1 + (Square ? 1 : z.size())) * s.c;
    double* partials = static_cast<double*>(workspace);
    parallel(stream, images.count, [&](int chunk, int) HWY_ATTR {
        double* partial = partials + count * chunk;
        std::fill_n(partial, count, 0.0);
        sums_of_chunk<Square>(images.begin(chunk) * per_image, images.end(chunk) * per_image, s.c, x, z, partial);
    });
    for (std::size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int chunk = 0; chunk < images.count; chunk++) sum += partials[count * chunk + i];
        sums[i] = sum;
    }
}

void norm_backward_sums_f32(const Stream& s, const Image& i, const float* dy, std::span<const float* const> z,
                            double* sums, void* workspace) {
    all_sums<false, float>(s, i, dy, z, sums, workspace);
}
void norm_backward_sums_f64(const Stream& s, const Image& i, const double* dy, std::span<const double* const> z,
                            double* sums, void* workspace) {
    all_sums<false, double>(s, i, dy, z, sums, workspace);
}
void channel_sums_f32(const Stream& s, const Image& i, const float* x, double* sums, void* workspace) {
    all_sums<true, float>(s, i, x, {}, sums, workspace);
}
void channel_sums_f64(const Stream& s, const Image& i, const double* x, double* sums, void* workspace) {
    all_sums<true, double>(s, i, x, {}, sums, workspace);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(norm_backward_sums_f32);
HWY_EXPORT(norm_backward_sums_f64);
HWY_EXPORT(channel_sums_f32);
HWY_EXPORT(channel_sums_f64);

template <class T>
void norm_backward_sums(const Stream& stream, const Image& image, const T* dy, std::span<const T* const> z,
                        double* sums, void* workspace) {
    NASCENT_DISPATCH(norm_backward_sums, stream, image, dy, z, sums, workspace)
}
template <class T>
void channel_sums(const Stream& stream, const Image& image, const T* x, double* sums,
                  void* workspace){NASCENT_DISPATCH(channel_sums, stream, image, x, sums, workspace)}

std::size_t norm_sums_workspace(const Stream&, const Image& image, int terms) {
    return static_cast<std::size_t>(Chunks(image.n).count) * (1 + terms) * image.c * sizeof(double);
}

#define NASCENT_SUMS(T)                                                                                         \
    template void norm_backward_sums(const Stream&, const Image&, const T*, std::span<const T* const>, double*, \
                                     void*);                                                                    \
    template void channel_sums(const Stream&, const Image&, const T*, double*, void*);
NASCENT_SUMS(float)
NASCENT_SUMS(double)
#undef NASCENT_SUMS

}  // namespace nascent::kernels::cpu
#endif
