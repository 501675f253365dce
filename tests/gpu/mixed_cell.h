// States and branches with random numbers, and what the passes of a mixed cell give for them: plain loops over long
// doubles, each result with the sum of the magnitudes that went into it.
#pragma once
#include <optional>

#include "kernels/mixed.h"
#include "tests/gpu/check.h"

namespace nascent::test {

using kernels::BranchKind;

struct StateShape {
    int h, w, c, pixel;  // elements from pixel to pixel
    bool scaled = false;
};
struct BranchShape {
    BranchKind kind;
    int source, c_out, k = 1, dilation = 1, stride = 1;
    bool pool() const { return kind == BranchKind::max_pool || kind == BranchKind::avg_pool; }
};

/// Does each launch at once and counts them.
struct Counting : simt::Stream {
    int launches = 0;
    kernels::Precision precision = kernels::Precision::float32;
    explicit Counting(kernels::Precision p = kernels::Precision::float32) : precision(p) {}
    void submit(std::function<void()> work) override {
        launches++;
        work();
    }
    kernels::Stream stream() {
        return {.where = kernels::Where::gpu, .handle = static_cast<simt::Stream*>(this), .precision = precision};
    }
};

/// How a cell is computed: strictly; in tf32, whose products are off by two parts of 2^-11 and its square; or in tf32
/// with numbers so short that nothing is rounded, which has the strict bits.
enum class Products { strict, tf32, exact };
inline double product_operations(Products p) {
    return p == Products::tf32 ? (2 * 0x1p-11 + 0x1p-22) * (1 + 0x1p-10) / std::numeric_limits<float>::epsilon() : 0;
}
inline kernels::Precision precision_of(Products p) {
    return p == Products::strict ? kernels::Precision::float32 : kernels::Precision::tf32;
}
/// To multiples of 1 / parts.
template <class T>
void shorten(std::vector<Guarded<T>>& all, T parts) {
    for (Guarded<T>& v : all)
        for (T& x : v) x = std::round(x * parts) / parts;
}

/// On two states.
inline std::vector<BranchShape> many(int count) {
    std::vector<BranchShape> all(static_cast<std::size_t>(count), BranchShape{BranchKind::pointwise, 0, 2});
    for (BranchShape& b : all) b.source = static_cast<int>(&b - all.data()) >= count / 2;
    return all;
}
inline Bounded bounded(Real v) { return {v, std::fabs(v)}; }
inline Bounded operator*(const Bounded& a, const Bounded& b) { return {a.value * b.value, a.magnitude * b.magnitude}; }
inline Bounded& operator+=(Bounded& a, const Bounded& b) {
    a.value += b.value, a.magnitude += b.magnitude;
    return a;
}
inline std::size_t size_of(int a, int b, int c = 1, int d = 1) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c) *
           static_cast<std::size_t>(d);
}
template <class T>
T* data_of(Guarded<T>& v) {
    return v.size() > 0 ? v.data() : nullptr;
}
template <class T>
const T* data_of(const Guarded<T>& v) {
    return v.size() > 0 ? v.data() : nullptr;
}

/// A branch, or a half of a reduction: one matrix from the outputs of its windows to channels [first, first + count).
template <class T>
struct Half {
    int offset, first, count;
    const Guarded<T>* point;
};

template <class T>
struct CellData {
    int n;
    std::vector<StateShape> states;
    std::vector<BranchShape> shapes;
    std::vector<Guarded<T>> x, scale, shift, depth, point, odd;

    /// Inputs are short binary fractions: a state's sign is certain; unscaled ones have zeros, and equal pixels.
    CellData(int count, std::vector<StateShape> s, std::vector<BranchShape> b, Numbers& numbers, bool aligned)
        : n(count), states(std::move(s)), shapes(std::move(b)) {
        for (const StateShape& i : states) {
            auto draw = [&](std::size_t size, int range, double denominator, double offset) {
                return at_skew(numbers.fractions<T>(size, range, denominator, offset), aligned);
            };
            const std::size_t c = static_cast<std::size_t>(i.scaled ? i.c : 0);
            x.push_back(draw(size_of(n, i.h, i.w, i.pixel), 9, 8, i.scaled ? 0.5 : 0));
            scale.push_back(draw(c, 3, 2, 0.5));  // quarters of odd numbers: a is not zero
            shift.push_back(draw(c, 4, 4, 0));
        }
        for (const BranchShape& i : shapes) {
            const int c = states[static_cast<std::size_t>(i.source)].c;
            auto draw = [&](bool has, std::size_t size) {
                return at_skew(numbers.uniform<T>(has ? size : 0), aligned);
            };
            const bool halves = i.kind == BranchKind::reduce;
            depth.push_back(draw(i.kind == BranchKind::separable, size_of(i.k, i.k, c)));
            point.push_back(draw(!i.pool(), size_of(c, halves ? i.c_out / 2 : i.c_out)));
            odd.push_back(draw(halves, size_of(c, i.c_out / 2)));
        }
    }
    const StateShape& state(std::size_t b) const { return states[static_cast<std::size_t>(shapes[b].source)]; }
    int out(std::size_t b, int size) const {
        return shapes[b].kind == BranchKind::reduce ? size / 2 : (size - 1) / shapes[b].stride + 1;
    }
    int out_h(std::size_t b) const { return out(b, state(b).h); }
    int out_w(std::size_t b) const { return out(b, state(b).w); }
    std::size_t outputs(std::size_t b) const { return size_of(n, out_h(b), out_w(b), shapes[b].c_out); }
    std::size_t at(std::size_t b, int i, int y, int xx, int c) const {
        return ((static_cast<std::size_t>(i) * out_h(b) + y) * out_w(b) + xx) * shapes[b].c_out + c;
    }
    std::size_t pixel(std::size_t s, int i, int y, int xx) const {
        return (static_cast<std::size_t>(i) * states[s].h + y) * states[s].w + xx;
    }

    kernels::Source<T> source(std::size_t s) const {
        const StateShape& i = states[s];
        return {x[s].data(), i.h, i.w, i.c, i.pixel, data_of(scale[s]), data_of(shift[s])};
    }
    kernels::Branch<T> branch(std::size_t b) const {
        const BranchShape& i = shapes[b];
        kernels::Branch<T> r{i.kind, i.source, i.c_out, i.k, i.dilation, i.stride};
        r.depth = data_of(depth[b]);
        r.point = data_of(point[b]);
        r.point_odd = data_of(odd[b]);
        return r;
    }
    std::vector<Half<T>> halves(std::size_t b) const {
        const int c = shapes[b].c_out;
        if (shapes[b].kind != BranchKind::reduce) return {{0, 0, c, &point[b]}};
        return {{0, 0, c / 2, &point[b]}, {1, c / 2, c / 2, &odd[b]}};
    }
    int stride(std::size_t b) const { return shapes[b].kind == BranchKind::reduce ? 2 : shapes[b].stride; }
    int taps(std::size_t b) const {
        return shapes[b].pool() ? 3 : shapes[b].kind == BranchKind::separable ? shapes[b].k : 1;
    }

    /// f(tap, y, x) for the pixels under the window of output (oy, ox).
    template <class F>
    void for_taps(std::size_t b, int offset, int oy, int ox, F&& f) const {
        const int k = taps(b), d = shapes[b].kind == BranchKind::separable ? shapes[b].dilation : 1;
        for (int t = 0; t < k * k; t++) {
            const int y = oy * stride(b) + offset + (t / k - k / 2) * d,
                      xx = ox * stride(b) + offset + (t % k - k / 2) * d;
            if (y >= 0 && y < state(b).h && xx >= 0 && xx < state(b).w) f(t, y, xx);
        }
    }
    /// f(n, oy, ox) for all outputs.
    template <class F>
    void for_outputs(std::size_t b, F&& f) const {
        for (int i = 0; i < n; i++)
            for (int y = 0; y < out_h(b); y++)
                for (int xx = 0; xx < out_w(b); xx++) f(i, y, xx);
    }
    /// The state behind the ReLU; as it is where `raw`.
    Bounded a(std::size_t s, int i, int y, int xx, int c, bool raw = false) const {
        Bounded v =
            bounded(x[s][pixel(s, i, y, xx) * static_cast<std::size_t>(states[s].pixel) + static_cast<std::size_t>(c)]);
        if (states[s].scaled) {
            v = v * bounded(scale[s][static_cast<std::size_t>(c)]);
            v += bounded(shift[s][static_cast<std::size_t>(c)]);
        }
        if (!raw && v.value <= 0) v.value = 0;
        return v;
    }
    Real weight(std::size_t b, int tap, int c) const {
        return depth[b].size() ? static_cast<Real>(depth[b][size_of(tap, state(b).c) + static_cast<std::size_t>(c)])
                               : 1;
    }
    /// What the depthwise convolution gives, (n, out_h, out_w, c).
    std::vector<Bounded> deep(std::size_t b, int offset) const {
        std::vector<Bounded> d;
        for_outputs(b, [&](int i, int oy, int ox) {
            for (int c = 0; c < state(b).c; c++) {
                Bounded sum;
                for_taps(b, offset, oy, ox, [&](int t, int y, int xx) {
                    sum.add_product(a(static_cast<std::size_t>(shapes[b].source), i, y, xx, c), weight(b, t, c));
                });
                d.push_back(sum);
            }
        });
        return d;
    }
    /// z, and the taps of a max pool.
    std::vector<Bounded> forward(std::size_t b, std::vector<std::uint8_t>& tap) const {
        std::vector<Bounded> z(outputs(b));
        tap.assign(shapes[b].kind == BranchKind::max_pool ? outputs(b) : 0, 0);
        if (shapes[b].pool()) {
            for_outputs(b, [&](int i, int oy, int ox) {
                for (int c = 0; c < shapes[b].c_out; c++) {
                    std::optional<Bounded> best;
                    Bounded sum;
                    int count = 0;
                    const std::size_t to = at(b, i, oy, ox, c);
                    for_taps(b, 0, oy, ox, [&](int t, int y, int xx) {
                        const Bounded v = a(static_cast<std::size_t>(shapes[b].source), i, y, xx, c, true);
                        sum += v;
                        count++;
                        if (best && !(v.value > best->value || std::isnan(v.value))) return;
                        best = v;
                        if (!tap.empty()) tap[to] = static_cast<std::uint8_t>(t);
                    });
                    z[to] = tap.empty() ? sum * bounded(Real(1) / count) : *best;
                }
            });
            return z;
        }
        for (const Half<T>& half : halves(b)) {
            const auto d = deep(b, half.offset);
            for (std::size_t p = 0; p < outputs(b) / static_cast<std::size_t>(shapes[b].c_out); p++)
                for (int c = 0; c < state(b).c; c++)
                    for (int o = 0; o < half.count; o++)
                        z[p * static_cast<std::size_t>(shapes[b].c_out) + static_cast<std::size_t>(half.first + o)]
                            .add_product(d[p * static_cast<std::size_t>(state(b).c) + static_cast<std::size_t>(c)],
                                         (*half.point)[size_of(c, half.count) + static_cast<std::size_t>(o)]);
        }
        return z;
    }
    /// Roundings on the way to an element of z, and as many of the sums of its products.
    double operations(std::size_t b) const { return 3.0 + taps(b) * taps(b) + state(b).c; }
};

/// A norm's mean, rstd, scale and shift from z, with the magnitudes that bound their roundings.
template <class T>
std::array<std::vector<Bounded>, 4> norm_of(const Guarded<T>& z, int c_out, double eps) {
    std::array<std::vector<Bounded>, 4> want;
    const std::size_t c = static_cast<std::size_t>(c_out), pixels = z.size() / c;
    for (std::size_t i = 0; i < c; i++) {
        Real sum = 0, magnitude = 0, squares = 0, about = 0;
        for (std::size_t p = 0; p < pixels; p++) {
            const Real v = z[p * c + i];
            sum += v, magnitude += std::fabs(v), squares += v * v;
        }
        const Real n = static_cast<Real>(pixels), m = sum / n;
        for (std::size_t p = 0; p < pixels; p++) about += (z[p * c + i] - m) * (z[p * c + i] - m);
        const Real r = 1 / std::sqrt(about / n + eps);
        // The variance is the mean square less the squared mean; d rstd = rstd^3 / 2 d variance.
        const Real r_magnitude = r + r * r * r / 2 * (squares / n + 2 * std::fabs(m) * magnitude / n);
        want[0].push_back({m, magnitude / n});
        want[1].push_back({r, r_magnitude});
        want[2].push_back({r, r_magnitude});
        want[3].push_back({-m * r, magnitude / n * r + std::fabs(m) * r_magnitude});
    }
    return want;
}

}  // namespace nascent::test
