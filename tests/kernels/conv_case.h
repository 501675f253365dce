// A convolution's inputs and what they are worth to a plain one; shared by the tests of direct and Winograd kernels.
#pragma once
#include "kernels/conv.h"
#include "tests/kernels/check.h"

namespace nascent::test {

using kernels::ConvShape;
using kernels::NormFold;
using kernels::Prologue;

inline std::string name(const ConvShape& s) {
    std::string text;
    for (int x : {s.n, s.h, s.w, s.c_in, s.c_out, s.k, s.stride}) text += std::to_string(x) + " ";
    return text;
}

/// Inputs of one case, and what a plain convolution in long double makes of them.
template <class T>
struct Case {
    ConvShape s;
    Guarded<T> x, w, scale, shift;
    Guarded<T> dy, z, dz_scale, dz_slope, dz_shift, da, dw;  // da, dw: what is accumulated onto
    bool affine, relu, fold;

    Case(const ConvShape& shape, unsigned seed, bool with_affine, bool with_relu, bool with_fold)
        : s(shape), affine(with_affine), relu(with_relu), fold(with_fold) {
        Numbers numbers(seed);
        const std::size_t in = static_cast<std::size_t>(s.n) * s.h * s.w * s.c_in, out = s.pixels() * s.c_out;
        x = numbers.fractions<T>(in, 64, 32, affine ? 0 : 0.25);
        w = numbers.uniform<T>(static_cast<std::size_t>(s.k) * s.k * s.c_in * s.c_out);
        scale = numbers.fractions<T>(s.c_in, 3, 2);
        shift = numbers.fractions<T>(s.c_in, 32, 128, 0.5);
        dy = numbers.uniform<T>(out);
        z = numbers.uniform<T>(out);
        dz_scale = numbers.uniform<T>(s.c_out);
        dz_slope = numbers.uniform<T>(s.c_out);
        dz_shift = numbers.uniform<T>(s.c_out);
        da = numbers.uniform<T>(in);
        dw = numbers.uniform<T>(w.size());
    }
    Prologue<T> prologue() const { return {affine ? scale.data() : nullptr, affine ? shift.data() : nullptr, relu}; }
    NormFold<T> norm_fold() const {
        if (!fold) return {};
        return {z.data(), dz_scale.data(), dz_slope.data(), dz_shift.data()};
    }
    Real before_relu(std::size_t at) const {
        const std::size_t c = at % s.c_in;
        return affine ? static_cast<Real>(x[at]) * scale[c] + shift[c] : static_cast<Real>(x[at]);
    }
    Bounded a(std::size_t at) const {
        Bounded b;
        b.add(affine ? static_cast<Real>(x[at]) * scale[at % s.c_in] : static_cast<Real>(x[at]));
        if (affine) b.add(shift[at % s.c_in]);
        if (relu && b.value <= 0) b.value = 0;
        return b;
    }
    Bounded dz(std::size_t at) const {
        const std::size_t c = at % s.c_out;
        Bounded b;
        b.add(static_cast<Real>(dy[at]) * (fold ? static_cast<Real>(dz_scale[c]) : 1));
        if (fold) b.add(static_cast<Real>(z[at]) * dz_slope[c]), b.add(dz_shift[c]);
        return b;
    }
    /// f(x pixel, z pixel, tap) for every product of the convolution.
    template <class F>
    void for_each_tap(F&& f) const {
        const int oh = s.out_h(), ow = s.out_w();
        for (int n = 0; n < s.n; n++)
            for (int oy = 0; oy < oh; oy++)
                for (int ox = 0; ox < ow; ox++)
                    for (int t = 0; t < s.k * s.k; t++) {
                        const int iy = oy * s.stride + t / s.k - s.k / 2, ix = ox * s.stride + t % s.k - s.k / 2;
                        if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
                        f((static_cast<std::size_t>(n) * s.h + iy) * s.w + ix,
                          (static_cast<std::size_t>(n) * oh + oy) * ow + ox, static_cast<std::size_t>(t));
                    }
    }
};

}  // namespace nascent::test
