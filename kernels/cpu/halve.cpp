#include <algorithm>

#include "kernels/cpu/chunks.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/partial.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/halve.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nascent {
namespace kernels {
namespace HWY_NAMESPACE {

/// The four pixels of one of the result.
struct Four {
    std::size_t at[4], half;
    Four(const Image& s, std::size_t row, int x)
        : half(row * static_cast<std::size_t>(s.w / 2) + static_cast<std::size_t>(x)) {
        at[0] = 2 * row * static_cast<std::size_t>(s.w) + 2 * static_cast<std::size_t>(x);
        at[1] = at[0] + 1, at[2] = at[0] + static_cast<std::size_t>(s.w), at[3] = at[2] + 1;
    }
};

/// f(four) for every pixel of the result.
template <class F>
void for_each_four(const Stream& stream, const Image& s, const F& f) {
    const Chunks rows(s.n * (s.h / 2));
    parallel(stream, rows.count, [&](int chunk, int) HWY_ATTR {
        for (int row = rows.begin(chunk); row < rows.end(chunk); row++)
            for (int x = 0; x < s.w / 2; x++) f(Four(s, static_cast<std::size_t>(row), x));
    });
}

template <class T>
void halve(const Stream& stream, const Image& s, const T* x, int x_pixel, T* z, std::uint8_t* tap) {
    constexpr int L = kLanes<T>;
    for_each_four(stream, s, [&](const Four& four) HWY_ATTR {
        for (int c = 0; c < s.c; c += L) {
            const int count = s.c - c;
            Vector<T> value = load_first(x + four.at[0] * x_pixel + c, count), place = zero<T>();
            for (int i = 1; i < 4; i++) {
                const Vector<T> v = load_first(x + four.at[i] * x_pixel + c, count);
                const auto larger = hn::Or(hn::Gt(v, value), hn::IsNaN(v));
                place = hn::IfThenElse(larger, set(static_cast<T>(i)), place);
                value = hn::IfThenElse(larger, v, value);
            }
            const std::size_t to = four.half * s.c + c;
            store_first<T>(value, z + to, count);
            alignas(64) T places[L];
            hn::Store(place, Tag<T>(), places);
            if (count >= L)
                for (int l = 0; l < L; l++) tap[to + l] = static_cast<std::uint8_t>(places[l]);
            else
                for (int l = 0; l < count; l++) tap[to + l] = static_cast<std::uint8_t>(places[l]);
        }
    });
}

template <class T>
void halve_gradient(const Stream& stream, const Image& s, const std::uint8_t* tap, const T* dz, T* dx, int dx_pixel) {
    constexpr int L = kLanes<T>;
    for_each_four(stream, s, [&](const Four& four) HWY_ATTR {
        for (int c = 0; c < s.c; c += L) {
            const int count = s.c - c;
            const std::size_t from = four.half * s.c + c;
            const Vector<T> g = load_first(dz + from, count);
            alignas(64) T places[L] = {};
            if (count >= L)
                for (int l = 0; l < L; l++) places[l] = static_cast<T>(tap[from + l]);
            else
                for (int l = 0; l < count; l++) places[l] = static_cast<T>(tap[from + l]);
            const Vector<T> place = hn::Load(Tag<T>(), places);
            for (int i = 0; i < 4; i++)
                store_first<T>(hn::IfThenElseZero(hn::Eq(place, set(static_cast<T>(i))), g),
                               dx + four.at[i] * dx_pixel + c, count);
        }
    });
}

#define NASCENT_HALVE(T, SUFFIX)                                                                                    \
    void halve_forward_##SUFFIX(const Stream& stream, const Image& s, const T* x, int x_pixel, T* z,                \
                                std::uint8_t* tap) {                                                                \
        halve(stream, s, x, x_pixel, z, tap);                                                                       \
    }                                                                                                               \
    void halve_backward_##SUFFIX(const Stream& stream, const Image& s, const std::uint8_t* tap, const T* dz, T* dx, \
                                 int dx_pixel) {                                                                    \
        halve_gradient(stream, s, tap, dz, dx, dx_pixel);                                                           \
    }
NASCENT_HALVE(float, f32)
NASCENT_HALVE(double, f64)
#undef NASCENT_HALVE

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace nascent
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nascent::kernels::cpu {

HWY_EXPORT(halve_forward_f32);
HWY_EXPORT(halve_forward_f64);
HWY_EXPORT(halve_backward_f32);
HWY_EXPORT(halve_backward_f64);

template <class T>
void halve_forward(const Stream& stream, const Image& s, const T* x, int x_pixel, T* z, std::uint8_t* tap) {
    NASCENT_DISPATCH(halve_forward, stream, s, x, x_pixel, z, tap)
}
template <class T>
void halve_backward(const Stream& stream, const Image& s, const std::uint8_t* tap, const T* dz, T* dx,
                    int dx_pixel){NASCENT_DISPATCH(halve_backward, stream, s, tap, dz, dx, dx_pixel)}

#define NASCENT_HALVE(T)                                                                        \
    template void halve_forward(const Stream&, const Image&, const T*, int, T*, std::uint8_t*); \
    template void halve_backward(const Stream&, const Image&, const std::uint8_t*, const T*, T*, int);
NASCENT_HALVE(float) NASCENT_HALVE(double)
#undef NASCENT_HALVE

}  // namespace nascent::kernels::cpu
#endif
