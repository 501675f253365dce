// Branches of a mixed cell that tests go through, and their z by definition.
#pragma once
#include "kernels/mixed.h"
#include "tests/kernels/check.h"

namespace nascent::test {

using kernels::Branch;
using kernels::BranchKind;
using kernels::Source;

/// One branch of a source, with what it reads and writes.
template <class T>
struct Sample {
    int n, h, w, c, pixel;
    bool prologue;
    Branch<T> b;
    int oh, ow;
    Guarded<T> x, scale, shift, depth, point, odd;

    Sample(BranchKind kind, int n_, int h_, int w_, int c_, int c_out, int k, int dilation, int stride, bool wide,
           bool prologue_, Numbers& numbers)
        : n(n_), h(h_), w(w_), c(c_), pixel(wide ? 2 * c_ + 1 : c_), prologue(prologue_) {
        b.kind = kind, b.source = 0, b.c_out = c_out, b.k = k, b.dilation = dilation, b.stride = stride;
        oh = b.out_h(h), ow = b.out_w(w);
        // Short fractions: the affine map before the ReLU is exact, so its sign is certain.
        x = numbers.fractions<T>(static_cast<std::size_t>(n) * h * w * pixel, 64, 32, 0.5);
        scale = numbers.fractions<T>(c, 8, 8, 0.25), shift = numbers.fractions<T>(c, 16, 16, 0.125);
        depth = numbers.uniform<T>(static_cast<std::size_t>(k) * k * c);
        const int half = kind == BranchKind::reduce ? c_out / 2 : c_out;
        point = numbers.uniform<T>(static_cast<std::size_t>(c) * half), odd = numbers.uniform<T>(point.size());
    }
    /// `b` with its weights; z and the rest are the caller's.
    Branch<T> branch() const {
        Branch<T> with = b;
        with.depth = depth.data(), with.point = point.data(), with.point_odd = odd.data();
        return with;
    }
    Source<T> source() const {
        return {x.data(), h, w, c, pixel, prologue ? scale.data() : nullptr, prologue ? shift.data() : nullptr};
    }
    std::size_t pixels_in() const { return static_cast<std::size_t>(n) * h * w; }
    std::size_t pixels_out() const { return static_cast<std::size_t>(n) * oh * ow; }
    Real affine(std::size_t p, int i) const {
        const Real v = x[p * pixel + i];
        return prologue ? v * scale[i] + shift[i] : v;
    }
    Real active(std::size_t p, int i) const { return std::max<Real>(0, affine(p, i)); }
    /// f(output pixel, pixel, tap) wherever a window lies on the image.
    template <class F>
    void windows(F&& f) const {
        const bool reduce = b.kind == BranchKind::reduce,
                   pool = b.kind == BranchKind::max_pool || b.kind == BranchKind::avg_pool;
        const int taps = reduce ? 2 : pool ? 9 : b.k * b.k;
        for (std::size_t o = 0; o < pixels_out(); o++)
            for (int t = 0; t < taps; t++) {
                const int at = static_cast<int>(o % (static_cast<std::size_t>(oh) * ow)), side = pool ? 3 : b.k;
                int y = at / ow, q = at % ow;
                if (reduce)
                    y = 2 * y + t, q = 2 * q + t;
                else
                    y = y * b.stride + (t / side - side / 2) * b.dilation,
                    q = q * b.stride + (t % side - side / 2) * b.dilation;
                if (y < 0 || y >= h || q < 0 || q >= w) continue;
                f(o,
                  (o / (static_cast<std::size_t>(oh) * ow) * h + static_cast<std::size_t>(y)) * w +
                      static_cast<std::size_t>(q),
                  t);
            }
    }
    /// What enters the 1x1: (output pixel, c); of a reduce (output pixel, 2, c).
    std::vector<Bounded> entering() const {
        const int halves = b.kind == BranchKind::reduce ? 2 : 1;
        std::vector<Bounded> d(pixels_out() * halves * c);
        windows([&](std::size_t o, std::size_t p, int t) {
            for (int i = 0; i < c; i++) {
                const Real a = active(p, i);
                if (halves == 2)
                    d[(o * 2 + t) * c + i].add(a);
                else if (b.kind == BranchKind::pointwise)
                    d[o * c + i].add(a);
                else
                    d[o * c + i].add(a * depth[static_cast<std::size_t>(t) * c + i]);
            }
        });
        return d;
    }
    Real weight(int i, int o) const {  // of the 1x1, for output channel o
        if (b.kind != BranchKind::reduce) return point[static_cast<std::size_t>(i) * b.c_out + o];
        const int half = b.c_out / 2;
        return (o < half ? point : odd)[static_cast<std::size_t>(i) * half + o % half];
    }
};

/// Kinds, sizes, strides and pitches that kernels get wrong.
template <class T>
std::vector<Sample<T>> samples(Numbers& numbers) {
    using enum BranchKind;
    std::vector<Sample<T>> all;
    auto add = [&](BranchKind kind, int n, int h, int w, int c, int out, int k, int dilation, int stride, bool wide,
                   bool prologue) {
        all.emplace_back(kind, n, h, w, c, out, k, dilation, stride, wide, prologue, numbers);
    };
    add(separable, 2, 5, 7, 3, 3, 3, 1, 1, true, false);
    add(separable, 1, 8, 9, 16, 16, 5, 1, 1, false, true);
    add(separable, 1, 9, 10, 5, 5, 3, 2, 1, true, true);
    add(separable, 2, 6, 7, 17, 17, 5, 2, 1, false, false);
    add(separable, 1, 5, 19, 33, 20, 7, 1, 1, false, false);
    add(separable, 1, 1, 1, 2, 2, 5, 2, 1, false, false);
    add(separable, 35, 3, 2, 4, 4, 3, 1, 1, false, false);
    add(separable, 2, 6, 8, 5, 5, 3, 1, 2, true, false);
    add(separable, 1, 7, 10, 8, 8, 5, 1, 2, false, false);
    add(separable, 1, 8, 6, 16, 16, 3, 2, 2, false, true);
    add(separable, 2, 9, 7, 3, 3, 5, 2, 2, false, false);
    add(separable, 1, 5, 4, 40, 40, 1, 1, 1, false, false);
    add(pointwise, 2, 5, 7, 20, 7, 1, 1, 1, true, false);
    add(pointwise, 1, 10, 9, 6, 32, 1, 1, 1, false, true);
    add(reduce, 2, 6, 8, 5, 6, 1, 1, 1, true, false);
    add(reduce, 1, 4, 18, 18, 34, 1, 1, 1, false, true);
    for (BranchKind pool : {max_pool, avg_pool}) {
        add(pool, 2, 5, 7, 3, 3, 1, 1, 1, true, false);
        add(pool, 1, 6, 5, 17, 17, 1, 1, 2, false, false);
        add(pool, 33, 1, 3, 4, 4, 1, 1, 1, false, false);
    }
    return all;
}

inline bool pools(const auto& s) { return s.b.kind == BranchKind::max_pool || s.b.kind == BranchKind::avg_pool; }

/// How many roundings are on the way to an element of z.
inline double steps_forward(const auto& s) { return s.b.k * s.b.k + s.c + 8; }

template <class T>
std::vector<Bounded> expected_z(const Sample<T>& s, std::vector<std::uint8_t>* taps) {
    std::vector<Bounded> z(s.pixels_out() * s.b.c_out);
    if (!pools(s)) {
        const auto d = s.entering();
        const bool reduce = s.b.kind == BranchKind::reduce;
        for (std::size_t o = 0; o < s.pixels_out(); o++)
            for (int co = 0; co < s.b.c_out; co++)
                for (int i = 0; i < s.c; i++)
                    z[o * s.b.c_out + co].add_product(d[(reduce ? o * 2 + (co >= s.b.c_out / 2 ? 1 : 0) : o) * s.c + i],
                                                      s.weight(i, co));
        return z;
    }
    std::vector<int> count(s.pixels_out(), 0);
    s.windows([&](std::size_t o, std::size_t, int) { count[o]++; });
    std::vector<bool> any(z.size(), false);
    if (taps) taps->assign(z.size(), 255);
    s.windows([&](std::size_t o, std::size_t p, int t) {
        for (int i = 0; i < s.c; i++) {
            Bounded& to = z[o * s.c + i];
            const Real v = s.x[p * s.pixel + i];
            if (s.b.kind == BranchKind::avg_pool) {
                to.add(v / count[o]);
            } else if (!any[o * s.c + i] || v > to.value) {
                to = {v, std::fabs(v)};
                if (taps) (*taps)[o * s.c + i] = static_cast<std::uint8_t>(t);
            }
            any[o * s.c + i] = true;
        }
    });
    return z;
}

}  // namespace nascent::test
