// A convolution whose factors are rounded to tf32, and what it is worth in long double: with the factors as they were
// and as they are rounded.
#pragma once
#include "tests/gpu/check.h"
#include "tests/kernels/conv_case.h"

namespace nascent::test {

constexpr double kTf32Roundoff = 0x1p-11;  // 10 bits of fraction, nearest

inline float to_tf32(float v) { return simt::from_bits(simt::to_tf32(v)); }

/// What is multiplied, made of floats by the operations that a kernel does: exactly that.
struct DenseFactors {
    std::vector<float> a, w, dz;

    template <class Round>
    DenseFactors(const Case<float>& c, Round round) {
        const std::size_t c_in = static_cast<std::size_t>(c.s.c_in), c_out = static_cast<std::size_t>(c.s.c_out);
        for (std::size_t i = 0; i < c.x.size(); i++) {
            float v = c.x[i];
            if (c.affine) v = std::fma(v, c.scale[i % c_in], c.shift[i % c_in]);
            a.push_back(round(c.relu && v < 0 ? 0 : v));
        }
        for (float v : c.w) w.push_back(round(v));
        for (std::size_t i = 0; i < c.dy.size(); i++) {
            const std::size_t o = i % c_out;
            dz.push_back(round(c.fold ? std::fma(c.dy[i], c.dz_scale[o], std::fma(c.z[i], c.dz_slope[o], c.dz_shift[o]))
                                      : c.dy[i]));
        }
    }
};

struct DenseWant {
    std::vector<Bounded> z, da, dw;
};

/// da is masked and, like dw, added to what was there if asked for.
inline DenseWant dense_reference(const Case<float>& c, const DenseFactors& f, bool accumulate) {
    const std::size_t c_in = static_cast<std::size_t>(c.s.c_in), c_out = static_cast<std::size_t>(c.s.c_out);
    DenseWant want{std::vector<Bounded>(f.dz.size()), std::vector<Bounded>(f.a.size()),
                   std::vector<Bounded>(f.w.size())};
    c.for_each_tap([&](std::size_t in, std::size_t out, std::size_t tap) {
        for (std::size_t i = 0; i < c_in; i++)
            for (std::size_t o = 0; o < c_out; o++) {
                const std::size_t at = (tap * c_in + i) * c_out + o;
                want.z[out * c_out + o].add(static_cast<Real>(f.a[in * c_in + i]) * f.w[at]);
                want.da[in * c_in + i].add(static_cast<Real>(f.dz[out * c_out + o]) * f.w[at]);
                want.dw[at].add(static_cast<Real>(f.a[in * c_in + i]) * f.dz[out * c_out + o]);
            }
    });
    for (std::size_t i = 0; i < want.da.size(); i++) {
        float v = c.x[i];
        if (c.affine) v = std::fma(v, c.scale[i % c_in], c.shift[i % c_in]);
        if (c.relu && v <= 0) want.da[i] = {};
        if (accumulate) want.da[i].add(c.da[i]);
    }
    if (accumulate)
        for (std::size_t i = 0; i < want.dw.size(); i++) want.dw[i].add(c.dw[i]);
    return want;
}

struct DenseOutputs {
    Guarded<float> z, da, dw;
    Guarded<double> sums;
    bool same_bits(const DenseOutputs& other) const {
        return z.same_bits(other.z) && da.same_bits(other.da) && dw.same_bits(other.dw) && sums.same_bits(other.sums);
    }
};

/// With every buffer at a multiple of 16 bytes, or one element off.
inline DenseOutputs run_dense(const kernels::Stream& stream, const Case<float>& from, bool accumulate,
                              bool aligned = true) {
    Case<float> c = from;
    for (Guarded<float>* v :
         {&c.x, &c.w, &c.scale, &c.shift, &c.dy, &c.z, &c.dz_scale, &c.dz_slope, &c.dz_shift, &c.da, &c.dw})
        *v = at_skew(*v, aligned);
    DenseOutputs out{Guarded<float>(c.dy.size(), aligned ? 0 : 1), Guarded<float>(c.da.size(), aligned ? 0 : 1),
                     Guarded<float>(c.dw.size(), aligned ? 0 : 1),
                     Guarded<double>(2 * static_cast<std::size_t>(c.s.c_out))};
    if (accumulate) out.da = c.da, out.dw = c.dw;
    Workspace forward(kernels::conv_forward_workspace(stream, c.s, sizeof(float))),
        backward(kernels::conv_backward_workspace(stream, c.s, sizeof(float)));
    kernels::conv_forward<float>(stream, c.s, c.x.data(), c.prologue(), c.w.data(), out.z.data(), out.sums.data(),
                                 forward.get());
    kernels::conv_backward<float>(stream, c.s, c.x.data(), c.prologue(), c.w.data(), c.dy.data(), c.norm_fold(),
                                  out.da.data(), accumulate, out.dw.data(), accumulate, backward.get());
    CHECK((forward.intact() && backward.intact()));
    CHECK((out.z.intact() && out.da.intact() && out.dw.intact() && out.sums.intact()));
    return out;
}

}  // namespace nascent::test
