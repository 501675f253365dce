// The passes of a mixed cell against plain loops, by definition.
#include "kernels/mixed.h"

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using namespace kernels;

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

bool pools(const auto& s) { return s.b.kind == BranchKind::max_pool || s.b.kind == BranchKind::avg_pool; }

/// How many roundings are on the way to an element of z.
double steps_forward(const auto& s) { return s.b.k * s.b.k + s.c + 8; }

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

}  // namespace

TEST_CASE_TEMPLATE("branches_forward: z, taps and norms", T, float, double) {
    Numbers numbers(51);
    for (Sample<T>& s : samples<T>(numbers)) {
        INFO("kind ", static_cast<int>(s.b.kind), " image ", s.n, " ", s.h, " ", s.w, " ", s.c, " k ", s.b.k,
             " dilation ", s.b.dilation, " stride ", s.b.stride);
        std::vector<std::uint8_t> taps;
        const auto want = expected_z(s, &taps);
        const auto count = static_cast<Real>(s.pixels_out());
        for_each_target_and_threads([&](const Stream& stream) {
            Guarded<T> z(want.size()), scale(s.b.c_out), shift(s.b.c_out);
            Guarded<double> mean(s.b.c_out), rstd(s.b.c_out);
            Guarded<std::uint8_t> tap(s.b.kind == BranchKind::max_pool ? want.size() : 0);
            Branch<T> b = s.branch();
            b.z = z.data(), b.tap = tap.data(), b.mean = mean.data(), b.rstd = rstd.data(), b.scale = scale.data();
            b.shift = shift.data();
            const Source<T> source[] = {s.source()};
            const Branch<T> branch[] = {b};
            Workspace work(branches_forward_workspace<T>(stream, s.n, source, branch));
            branches_forward<T>(stream, s.n, 1e-5, source, branch, work.get());
            CHECK(work.intact());
            CHECK(tap.intact());
            check_close(z, want, steps_forward(s), "z");
            for (std::size_t i = 0; i < tap.size(); i++) CHECK(tap[i] == taps[i]);
            for (int c = 0; c < b.c_out; c++) {  // of the z that is there
                Real sum = 0, squares = 0;
                for (std::size_t o = 0; o < s.pixels_out(); o++) {
                    const Real v = z[o * b.c_out + c];
                    sum += v, squares += v * v;
                }
                const Real m = sum / count, variance = std::max<Real>(0, squares / count - m * m);
                // Sums of up to 128 values in T: m is off by as much as 128 roundings of the mean square.
                const Real off = 128 * static_cast<Real>(std::numeric_limits<T>::epsilon()) * (squares / count + 1);
                CHECK(std::fabs(mean[c] - m) <= off);
                CHECK(std::fabs(1 / (static_cast<Real>(rstd[c]) * rstd[c]) - 1e-5L - variance) <= 4 * off);
                CHECK(scale[c] == static_cast<T>(rstd[c]));
                CHECK(shift[c] == static_cast<T>(-mean[c] * rstd[c]));
            }
            return std::vector<Guarded<T>>{z, scale, shift};
        });
    }
}

TEST_CASE_TEMPLATE("branches_backward: gradients of the source and of all weights", T, float, double) {
    Numbers numbers(52);
    unsigned mode = 0;
    for (Sample<T>& s : samples<T>(numbers)) {
        const bool accumulate = ++mode % 2, wide = mode % 3 == 0, reduce = s.b.kind == BranchKind::reduce;
        INFO("kind ", static_cast<int>(s.b.kind), " image ", s.n, " ", s.h, " ", s.w, " ", s.c, " k ", s.b.k,
             " dilation ", s.b.dilation, " stride ", s.b.stride, " mode ", mode);
        std::vector<std::uint8_t> taps;
        const auto z_exact = expected_z(s, &taps);
        Guarded<T> z(z_exact.size());
        for (std::size_t i = 0; i < z.size(); i++) z[i] = static_cast<T>(z_exact[i].value);
        const int out = s.b.c_out, g_pixel = wide ? out + 3 : out, edges = !pools(s) ? 1 : s.n == 1 ? 8 : 2;
        std::vector<Guarded<T>> g, maps;
        for (int e = 0; e < edges; e++) {
            g.push_back(numbers.uniform<T>(s.pixels_out() * g_pixel));
            for (int i = 0; i < 3; i++) maps.push_back(numbers.uniform<T>(out));
        }
        std::vector<Bounded> dz(z.size());
        for (std::size_t i = 0; i < dz.size(); i++)
            for (int e = 0; e < edges; e++) {
                const std::size_t c = i % out, o = i / out;
                dz[i].add(static_cast<Real>(g[e][o * g_pixel + c]) * maps[3 * e][c]);
                dz[i].add(static_cast<Real>(z[i]) * maps[3 * e + 1][c]), dz[i].add(maps[3 * e + 2][c]);
            }
        const Guarded<T> skip = numbers.uniform<T>(s.pixels_in() * s.c), weight = numbers.uniform<T>(1),
                         depth0 = numbers.uniform<T>(s.depth.size()), point0 = numbers.uniform<T>(s.point.size()),
                         odd0 = numbers.uniform<T>(s.point.size());
        std::vector<Bounded> da(s.pixels_in() * s.c), ddepth(s.depth.size()), dpoint(s.point.size()),
            dodd(s.point.size());
        for (std::size_t i = 0; accumulate && i < ddepth.size(); i++) ddepth[i].add(depth0[i]);
        for (std::size_t i = 0; accumulate && i < dpoint.size(); i++) dpoint[i].add(point0[i]), dodd[i].add(odd0[i]);
        auto product = [](const Bounded& a, const Bounded& b) {
            return Bounded{a.value * b.value, a.magnitude * b.magnitude};
        };
        auto sum = [](Bounded& to, const Bounded& b) { to.value += b.value, to.magnitude += b.magnitude; };
        if (pools(s)) {
            std::vector<int> count(s.pixels_out(), 0);
            s.windows([&](std::size_t o, std::size_t, int) { count[o]++; });
            s.windows([&](std::size_t o, std::size_t p, int t) {
                for (int c = 0; c < s.c; c++) {
                    if (s.b.kind == BranchKind::max_pool && taps[o * s.c + c] != t) continue;
                    da[p * s.c + c].add_product(dz[o * s.c + c],
                                                s.b.kind == BranchKind::max_pool ? 1 : Real(1) / count[o]);
                }
            });
        } else {
            const auto d = s.entering();
            const int halves = reduce ? 2 : 1, half = out / halves;
            std::vector<Bounded> dd(d.size());  // of what enters the 1x1
            for (std::size_t o = 0; o < s.pixels_out(); o++)
                for (int co = 0; co < out; co++)
                    for (int i = 0; i < s.c; i++) {
                        const std::size_t at = (o * halves + co / half) * s.c + i;
                        dd[at].add_product(dz[o * out + co], s.weight(i, co));
                        sum((co < half || !reduce ? dpoint : dodd)[static_cast<std::size_t>(i) * half + co % half],
                            product(d[at], dz[o * out + co]));
                    }
            s.windows([&](std::size_t o, std::size_t p, int t) {
                for (int i = 0; i < s.c; i++) {
                    const Bounded& from = dd[(reduce ? o * 2 + t : o) * s.c + i];
                    const bool separable = s.b.kind == BranchKind::separable;
                    if (separable) ddepth[static_cast<std::size_t>(t) * s.c + i].add_product(from, s.active(p, i));
                    if (s.affine(p, i) > 0)
                        da[p * s.c + i].add_product(
                            from, separable ? s.depth[static_cast<std::size_t>(t) * s.c + i] : Real(1));
                }
            });
        }
        for (std::size_t i = 0; i < da.size(); i++) da[i].add(static_cast<Real>(skip[i]) * weight[0]);
        for_each_target_and_threads([&](const Stream& stream) {
            Guarded<T> got_da(da.size()), got_depth(s.depth.size()), got_point(s.point.size()), got_odd(s.point.size());
            if (accumulate) got_depth = depth0, got_point = point0, got_odd = odd0;
            std::vector<BranchGradient<T>> from;
            for (int e = 0; e < edges; e++)
                from.push_back({g[e].data(),
                                g_pixel,
                                {const_cast<T*>(maps[3 * e].data()), const_cast<T*>(maps[3 * e + 1].data()),
                                 const_cast<T*>(maps[3 * e + 2].data())}});
            BranchBackward<T> b{s.branch(), from};
            b.branch.z = z.data(), b.branch.tap = taps.data();
            if (s.b.kind == BranchKind::separable) b.ddepth = got_depth.data();
            if (!pools(s)) b.dpoint = got_point.data();
            if (reduce) b.dpoint_odd = got_odd.data();
            b.accumulate_depth = b.accumulate_point = b.accumulate_point_odd = accumulate;
            const Skip<T> skips[] = {{skip.data(), s.c, weight.data()}};
            SourceBackward<T> source{s.source(), got_da.data(), s.c, skips};
            Guarded<double> mean(s.c), rstd(s.c);
            Guarded<T> scale(s.c), slope(s.c), shift(s.c);
            for (int c = 0; c < s.c; c++) mean[c] = 0.25 * c, rstd[c] = 1.5;
            if (s.prologue) {
                source.mean = mean.data(), source.rstd = rstd.data();
                source.map = {scale.data(), slope.data(), shift.data()};
            }
            const SourceBackward<T> sources[] = {source};
            const BranchBackward<T> branches[] = {b};
            Workspace work(branches_backward_workspace<T>(stream, s.n, sources, branches));
            branches_backward<T>(stream, s.n, sources, branches, work.get());
            CHECK(work.intact());
            const double deep = 2.0 * s.b.k * s.b.k + 2.0 * s.c + out + 16;
            const double pixels = static_cast<double>(s.pixels_out()) + deep;
            check_close(got_da, da, deep + 7 + 3 * edges, "da");  // of each gradient its slope, its shift and itself
            if (b.ddepth) check_close(got_depth, ddepth, pixels, "ddepth");
            if (b.dpoint) check_close(got_point, dpoint, pixels, "dpoint");
            if (b.dpoint_odd) check_close(got_odd, dodd, pixels, "dpoint_odd");
            for (int c = 0; s.prologue && c < s.c; c++) {  // of the da that is there
                Bounded plain, products;
                for (std::size_t p = 0; p < s.pixels_in(); p++)
                    plain.add(got_da[p * s.c + c]),
                        products.add(static_cast<Real>(got_da[p * s.c + c]) * s.x[p * s.pixel + c]);
                const Real count = static_cast<Real>(s.pixels_in()), a = rstd[c];
                const Real b2 = -a * rstd[c] * rstd[c] * (products.value - mean[c] * plain.value) / count;
                const Real off = 128 * static_cast<Real>(std::numeric_limits<T>::epsilon()) *
                                 (products.magnitude + (1 + mean[c]) * plain.magnitude) * a * a * a * (1 + mean[c]) /
                                 count;
                CHECK(std::fabs(scale[c] - a) <= off);
                CHECK(std::fabs(slope[c] - b2) <= off);
                CHECK(std::fabs(shift[c] - (-a * plain.value / count - b2 * mean[c])) <= off);
            }
            return std::vector<Guarded<T>>{got_da, got_depth, got_point, got_odd};
        });
    }
}

TEST_CASE_TEMPLATE("branches give the same beside others of their source and of another", T, float, double) {
    // Windows of several sizes read one plane, which is padded for the largest.
    Numbers numbers(55);
    using enum BranchKind;
    std::vector<Sample<T>> all;
    for (auto [k, dilation] : {std::pair{3, 1}, {5, 2}, {5, 1}, {3, 2}})
        all.emplace_back(separable, 2, 9, 7, 20, 20, k, dilation, 1, false, true, numbers);
    all.emplace_back(pointwise, 2, 9, 7, 20, 20, 1, 1, 1, false, true, numbers);
    const std::size_t of_first = all.size();
    for (auto [k, dilation, stride] : {std::array{3, 1, 1}, {7, 1, 1}, {5, 2, 2}})
        all.emplace_back(separable, 2, 6, 8, 5, 5, k, dilation, stride, true, false, numbers);
    std::vector<Guarded<T>> g, maps;
    for (const Sample<T>& s : all) {
        g.push_back(numbers.uniform<T>(s.pixels_out() * s.b.c_out));
        for (int m = 0; m < 3; m++) maps.push_back(numbers.uniform<T>(s.b.c_out));
    }
    /// z, and the gradients of depth and point, of branches [begin, end) of `all`.
    const auto run = [&](std::size_t begin, std::size_t end) {
        std::vector<Guarded<T>> out, da;
        out.reserve(3 * (end - begin));
        std::vector<std::vector<BranchGradient<T>>> from(end - begin);
        std::vector<Source<T>> sources;
        std::vector<SourceBackward<T>> back_sources;
        for (std::size_t first : {std::size_t{0}, of_first})
            if (begin < (first ? all.size() : of_first) && end > first) {
                const Sample<T>& s = all[first];
                sources.push_back(s.source());
                da.emplace_back(s.pixels_in() * s.c);
            }
        std::vector<Branch<T>> branches;
        std::vector<BranchBackward<T>> back;
        for (std::size_t i = begin; i < end; i++) {
            const Sample<T>& s = all[i];
            Branch<T> b = s.branch();
            b.source = i >= of_first && begin < of_first ? 1 : 0;
            for (std::size_t size : {s.pixels_out() * s.b.c_out, s.depth.size(), s.point.size()})
                out.emplace_back(size);
            const std::size_t at = 3 * (i - begin);
            b.z = out[at].data();
            branches.push_back(b);
            from[i - begin].push_back({g[i].data(),
                                       s.b.c_out,
                                       {const_cast<T*>(maps[3 * i].data()), const_cast<T*>(maps[3 * i + 1].data()),
                                        const_cast<T*>(maps[3 * i + 2].data())}});
            BranchBackward<T> backward{b, from[i - begin]};
            if (s.b.kind == separable) backward.ddepth = out[at + 1].data();
            backward.dpoint = out[at + 2].data();
            back.push_back(backward);
        }
        Workspace work(branches_forward_workspace<T>({}, 2, sources, branches));
        branches_forward<T>({}, 2, 1e-5, sources, branches, work.get());
        for (std::size_t i = 0; i < sources.size(); i++)
            back_sources.push_back({sources[i], da[i].data(), sources[i].c, {}});
        Workspace back_work(branches_backward_workspace<T>({}, 2, back_sources, back));
        branches_backward<T>({}, 2, back_sources, back, back_work.get());
        CHECK((work.intact() && back_work.intact()));
        return out;
    };
    for (std::size_t i = 1; i < of_first; i++)
        all[i].x = all[0].x, all[i].scale = all[0].scale, all[i].shift = all[0].shift;
    for (std::size_t i = of_first + 1; i < all.size(); i++) all[i].x = all[of_first].x;
    for_each_target([&] {
        const auto together = run(0, all.size());
        for (std::size_t i = 0; i < all.size(); i++) {
            CAPTURE(i);
            const auto alone = run(i, i + 1);
            for (std::size_t k = 0; k < 3; k++) {
                if (k == 1 && all[i].b.kind != BranchKind::separable) continue;
                CHECK((together[3 * i + k].same_bits(alone[k]) && alone[k].intact()));
            }
        }
    });
}

TEST_CASE_TEMPLATE("nodes weigh and sum, forward and backward", T, float, double) {
    Numbers numbers(53);
    for (int channels : {1, 3, 16, 17, 40})
        for (std::size_t pixels : {std::size_t{1}, std::size_t{9}, std::size_t{300}, std::size_t{5000}})
            for (int all_terms : {6, 3, 1, 0}) {
                if (all_terms < 6 && pixels > 300) continue;
                INFO("channels ", channels, " pixels ", pixels, " terms ", all_terms);
                const auto c_count = static_cast<std::size_t>(channels);
                std::vector<Guarded<T>> z, scale, shift, weight, gamma, beta;
                std::vector<Guarded<double>> mean, rstd;
                std::vector<MixedTerm<T>> terms;
                for (int t = 0; t < all_terms; t++) {
                    const int pixel = channels + (t % 2 ? 5 : 0);
                    z.push_back(numbers.uniform<T>(pixels * static_cast<std::size_t>(pixel)));
                    scale.push_back(numbers.uniform<T>(c_count)), shift.push_back(numbers.uniform<T>(c_count));
                    weight.push_back(numbers.uniform<T>(1));
                    mean.push_back(numbers.uniform<double>(c_count)), rstd.push_back(numbers.uniform<double>(c_count));
                    const bool normed = t % 3 != 2;
                    terms.push_back({z[t].data(), pixel, normed ? scale[t].data() : nullptr,
                                     normed ? shift[t].data() : nullptr, t % 4 != 3 ? weight[t].data() : nullptr});
                    gamma.push_back(numbers.uniform<T>(c_count)), beta.push_back(numbers.uniform<T>(c_count));
                    if (t == 1 || t == 3 || t == 4) terms.back().affine = {gamma[t].data(), beta[t].data()};
                }
                const int y_pixel = channels + 2;
                const Guarded<T> g = numbers.uniform<T>(pixels * static_cast<std::size_t>(y_pixel));
                std::vector<Bounded> want(pixels * c_count);
                for (std::size_t i = 0; i < want.size(); i++)
                    for (const MixedTerm<T>& t : terms) {
                        const std::size_t p = i / c_count, c = i % c_count;
                        const Real w = t.weight ? t.weight[0] : 1, v = t.z[p * static_cast<std::size_t>(t.pixel) + c];
                        const Real by = t.affine.gamma ? w * t.affine.gamma[c] : w;
                        want[i].add(t.scale ? by * v * t.scale[c] : by * v);
                        if (t.shift) want[i].add(by * t.shift[c]);
                        if (t.affine.beta) want[i].add(w * t.affine.beta[c]);
                    }
                for_each_target_and_threads([&](const Stream& stream) {
                    Guarded<T> y(pixels * static_cast<std::size_t>(y_pixel)), dense(want.size());
                    for (T& v : y) v = T(7);
                    const MixedNode<T> node[] = {{y.data(), y_pixel, terms}};
                    nodes_forward<T>(stream, pixels, channels, node);
                    for (std::size_t i = 0; i < dense.size(); i++)
                        dense[i] = y[i / c_count * static_cast<std::size_t>(y_pixel) + i % c_count];
                    check_close(dense, want, 2 * all_terms + 6, "y");
                    for (std::size_t i = 0; i < y.size(); i++)  // channels beside the node's stay
                        if (i % static_cast<std::size_t>(y_pixel) >= c_count) CHECK(y[i] == T(7));
                    if (all_terms == 1) {
                        Guarded<T> in_place = z[0];
                        MixedTerm<T> term[] = {terms[0]};
                        term[0].z = in_place.data();
                        const MixedNode<T> only[] = {{in_place.data(), channels, term}};
                        nodes_forward<T>(stream, pixels, channels, only);
                        CHECK((in_place.same_bits(dense) && in_place.intact()));
                    }
                    std::vector<MixedTermGradient<T>> back;
                    Guarded<T> maps(3 * c_count * all_terms), dweight(all_terms), dgamma(c_count * all_terms),
                        dbeta(c_count * all_terms);
                    for (T& v : dgamma) v = T(0.5);
                    for (int t = 0; t < all_terms; t++) {
                        T* m = maps.data() + 3 * c_count * static_cast<std::size_t>(t);
                        MixedTermGradient<T> gradient{terms[t]};
                        const bool made = t == 5;  // z is what the norm made
                        if (terms[t].scale || t == 2 || made) gradient.map = {m, m + c_count, m + 2 * c_count};
                        if (made || (terms[t].scale && t != 1))
                            gradient.mean = mean[t].data(), gradient.rstd = rstd[t].data();
                        if (t != 3) gradient.dweight = dweight.data() + t;
                        const std::size_t first = c_count * static_cast<std::size_t>(t);
                        if (t != 3 && terms[t].affine.gamma)  // of 1 in evaluation
                            gradient.affine = {dgamma.data() + first, dbeta.data() + first, t == 4, false};
                        back.push_back(gradient);
                    }
                    const MixedNodeGradient<T> nodes[] = {{g.data(), y_pixel, back}};
                    Workspace work(nodes_backward_workspace<T>(stream, pixels, channels, nodes));
                    nodes_backward<T>(stream, pixels, channels, nodes, work.get());
                    CHECK(work.intact());
                    CHECK(maps.intact());
                    CHECK(dweight.intact());
                    CHECK(dgamma.intact());
                    CHECK(dbeta.intact());
                    const Real count = static_cast<Real>(pixels),
                               eps = static_cast<Real>(std::numeric_limits<T>::epsilon());
                    for (int t = 0; t < all_terms; t++) {
                        Bounded dot;
                        for (std::size_t c = 0; c < c_count; c++) {
                            Bounded s, sz;
                            for (std::size_t p = 0; p < pixels; p++) {
                                const Real v = g[p * static_cast<std::size_t>(y_pixel) + c];
                                s.add(v), sz.add(v * terms[t].z[p * static_cast<std::size_t>(terms[t].pixel) + c]);
                            }
                            const GammaBeta<T>& affine = terms[t].affine;
                            const Real own = affine.gamma ? affine.gamma[c] : Real(1);
                            dot.add_product(sz, terms[t].scale ? terms[t].scale[c] * own : own);
                            if (terms[t].shift) dot.add_product(s, terms[t].shift[c] * own);
                            if (affine.beta) dot.add_product(s, affine.beta[c]);
                            if (!back[t].map.scale) continue;
                            const Real unweighed = terms[t].weight ? terms[t].weight[0] : 1, w = unweighed * own;
                            const std::size_t at = c_count * static_cast<std::size_t>(t) + c;
                            if (const GammaBetaGradient<T>& to = back[t].affine; to.gamma) {
                                Bounded normed;
                                const Real slope = back[t].mean ? rstd[t][c] : static_cast<Real>(scale[t][c]);
                                normed.add_product(sz, unweighed * slope);
                                normed.add_product(s, unweighed * (back[t].mean ? -mean[t][c] * slope : shift[t][c]));
                                if (to.accumulate_gamma) normed.add(0.5);
                                CHECK(std::fabs(dgamma[at] - normed.value) <= 134 * eps * normed.magnitude);
                                CHECK(std::fabs(dbeta[at] - unweighed * s.value) <= 134 * eps * s.magnitude);
                            } else {
                                CHECK(dgamma[at] == T(0.5));
                            }
                            const T* m = back[t].map.scale;
                            if (!back[t].mean) {
                                CHECK(std::fabs(m[c] - w * (terms[t].scale ? terms[t].scale[c] : 1)) <= 3 * eps);
                                CHECK((m[c_count + c] == 0 && m[2 * c_count + c] == 0));
                                continue;
                            }
                            const bool made = !terms[t].scale;
                            const Real r = rstd[t][c], mu = made ? Real(0) : Real(mean[t][c]);
                            const Real slope = -w * r * (made ? 1 : r * r) * (sz.value - mu * s.value) / count;
                            const Real off = 134 * eps * (sz.magnitude + s.magnitude) / count + 4 * eps;
                            CHECK(std::fabs(m[c] - w * r) <= 4 * eps);
                            CHECK(std::fabs(m[c_count + c] - slope) <= off);
                            CHECK(std::fabs(m[2 * c_count + c] - (-w * r * s.value / count - slope * mu)) <= 2 * off);
                        }
                        if (back[t].dweight) CHECK(std::fabs(dweight[t] - dot.value) <= 134 * eps * dot.magnitude);
                    }
                    return std::vector<Guarded<T>>{y, maps, dweight, dgamma, dbeta};
                });
            }
}

TEST_CASE_TEMPLATE("a point of a node is what a term of its z is", T, float, double) {
    // Such short fractions that every sum of pixels or channels is exact, in whatever order.
    constexpr std::size_t kPixels = 300, kPoints = 2;
    struct Sample {
        int channels, fold;
    };
    for (const auto& [channels, fold] : {Sample{5, 1}, {17, 1}, {3, 2}, {4, 4}}) {
        INFO("channels ", channels, " of ", fold);
        Numbers numbers(61);
        const int width = channels * fold, y_pixel = width + 2, x_pixel = width + 5;
        const auto wide = static_cast<std::size_t>(width), of = static_cast<std::size_t>(channels),
                   side = static_cast<std::size_t>(fold), x_step = static_cast<std::size_t>(x_pixel),
                   y_step = static_cast<std::size_t>(y_pixel);
        auto folded = [&]<class N>(const Guarded<N>& v) {
            Guarded<N> all(wide);
            for (std::size_t i = 0; i < wide; i++) all[i] = v[i / side];
            return all;
        };
        const auto g = numbers.fractions<T>(kPixels * y_step, 4, 4), weight = numbers.fractions<T>(1, 0, 4, 3);
        std::vector<Guarded<T>> x, w, z, scale, shift;
        std::vector<Guarded<double>> mean, rstd, moments;
        for (std::size_t i = 0; i < kPoints; i++) {
            x.push_back(numbers.fractions<T>(kPixels * x_step, 4, 4));
            w.push_back(numbers.fractions<T>(of * of, 4, 4));
            scale.push_back(folded(numbers.fractions<T>(of, 2, 2))),
                shift.push_back(folded(numbers.fractions<T>(of, 2, 2)));
            mean.push_back(folded(numbers.fractions<double>(of, 4, 4)));
            rstd.push_back(folded(numbers.fractions<double>(of, 4, 16, 8)));
            z.push_back(numbers.fractions<T>(kPixels * wide, 0, 1));  // zeros
            moments.push_back(numbers.fractions<double>((of + 1) * of, 0, 1));
            for (std::size_t p = 0; p < kPixels; p++)
                for (std::size_t lane = 0; lane < wide; lane++) {
                    const std::size_t picture = lane % side, o = lane / side;
                    auto a = [&](std::size_t c) { return std::max(T(0), x[i][p * x_step + c * side + picture]); };
                    for (std::size_t c = 0; c < of; c++) {
                        z[i][p * wide + lane] += a(c) * w[i][c * of + o];
                        moments[i][c * of + o] += static_cast<double>(a(c) * a(o));
                    }
                    moments[i][of * of + o] += static_cast<double>(a(o));
                }
        }
        for_each_target_and_threads([&, &channels = channels, &fold = fold](const Stream& stream) {
            Guarded<T> y(g.size()), want_y(g.size()), maps(3 * kPoints * wide), want_maps(3 * kPoints * wide),
                dweight(kPoints), want_dweight(kPoints), dw(kPoints * of * of);
            for (T& v : dw) v = T(0.5);
            std::vector<MixedTerm<T>> terms;
            std::vector<MixedPoint<T>> points;
            std::vector<MixedTermGradient<T>> of_terms;
            std::vector<MixedPointGradient<T>> of_points;
            for (std::size_t i = 0; i < kPoints; i++) {
                terms.push_back({z[i].data(), width, scale[i].data(), shift[i].data(), weight.data()});
                points.push_back({x[i].data(), x_pixel, w[i].data(), scale[i].data(), shift[i].data(), weight.data()});
                auto map = [&](Guarded<T>& all) {
                    T* const at = all.data() + 3 * wide * i;
                    return NormMap<T>{at, at + wide, at + 2 * wide};
                };
                of_terms.push_back({terms[i], mean[i].data(), rstd[i].data(), map(want_maps), want_dweight.data() + i});
                of_points.push_back({points[i], mean[i].data(), rstd[i].data(), moments[i].data(), map(maps),
                                     dweight.data() + i, dw.data() + i * of * of, i == 1});
            }
            nodes_forward<T>(stream, kPixels, width, std::vector<MixedNode<T>>{{want_y.data(), y_pixel, terms}});
            nodes_forward<T>(stream, kPixels, width, std::vector<MixedNode<T>>{{y.data(), y_pixel, {}, points, fold}});
            CHECK((y.intact() && y.same_bits(want_y)));
            const MixedNodeGradient<T> both[] = {{g.data(), y_pixel, of_terms, fold, {}},
                                                 {g.data(), y_pixel, {}, fold, of_points}};
            for (const MixedNodeGradient<T>& node : both) {
                Workspace work(nodes_backward_workspace<T>(stream, kPixels, width, {&node, 1}));
                nodes_backward<T>(stream, kPixels, width, {&node, 1}, work.get());
                CHECK(work.intact());
            }
            CHECK((maps.intact() && maps.same_bits(want_maps)));
            // Maps are computed in double and rounded; so are these.
            const Real rounding = 2 * static_cast<Real>(std::numeric_limits<T>::epsilon());
            for (std::size_t i = 0; i < kPoints; i++) {
                CHECK(std::abs(dweight[i] - want_dweight[i]) <= rounding * std::abs(want_dweight[i]));
                const T* const map = want_maps.data() + 3 * wide * i;
                for (std::size_t c = 0; c < of; c++)
                    for (std::size_t o = 0; o < of; o++) {
                        Bounded want;
                        if (i == 1) want.add(0.5);
                        for (std::size_t p = 0; p < kPixels; p++)
                            for (std::size_t picture = 0; picture < side; picture++) {
                                const std::size_t lane = o * side + picture;
                                const Real a = std::max(T(0), x[i][p * x_step + c * side + picture]);
                                want.add(a * g[p * y_step + lane] * map[lane]);
                                want.add(a * z[i][p * wide + lane] * map[wide + lane]),
                                    want.add(a * map[2 * wide + lane]);
                            }
                        CHECK(std::abs(dw[(i * of + c) * of + o] - want.value) <= rounding * want.magnitude);
                    }
            }
            return std::vector<Guarded<T>>{y, maps, dweight, dw};
        });
    }
}

TEST_CASE_TEMPLATE("running statistics move and become scales", T, float, double) {
    Numbers numbers(54);
    constexpr int kChannels = 5;
    for (auto [count, fold] : {std::pair{10, 1}, {1, 1}, {6, 3}}) {
        CAPTURE(count);
        const auto wide = static_cast<std::size_t>(kChannels * fold);
        Guarded<double> mean(wide), rstd(wide);
        const Guarded<double> means = numbers.uniform<double>(kChannels);
        for (int i = 0; i < kChannels * fold; i++) mean[i] = means[i / fold], rstd[i] = 0.5 + i / fold;
        Guarded<T> running_mean = numbers.uniform<T>(kChannels), running_var(kChannels), scale(wide), shift(wide);
        for (T& v : running_var) v = T(0.75);
        const Guarded<T> before = running_mean;
        const RunningNorm<T> norms[] = {{running_mean.data(), running_var.data(), mean.data(), rstd.data(),
                                         static_cast<std::size_t>(count), kChannels, fold}};
        running_update<T>(Stream{}, 1e-5, 0.25, norms);
        const RunningScale<T> scales[] = {
            {running_mean.data(), running_var.data(), scale.data(), shift.data(), kChannels, fold}};
        running_scales<T>(Stream{}, 1e-3, scales);
        const double eps = 4 * std::numeric_limits<T>::epsilon();
        CHECK((running_mean.intact() && running_var.intact() && scale.intact() && shift.intact()));
        for (int i = 0; i < kChannels * fold; i++) {
            const int c = i / fold;
            // One pixel has no unbiased variance: its variance, 0 but for eps, is taken as it is.
            const double variance = 1 / (rstd[i] * rstd[i]) - 1e-5, unbiased = count > 1 ? count / (count - 1.0) : 1;
            CHECK(running_mean[c] == doctest::Approx(0.75 * before[c] + 0.25 * means[c]).epsilon(eps));
            CHECK(running_var[c] == doctest::Approx(0.75 * 0.75 + 0.25 * variance * unbiased).epsilon(eps));
            CHECK(scale[i] == doctest::Approx(1 / std::sqrt(running_var[c] + 1e-3)).epsilon(eps));
            CHECK(shift[i] == doctest::Approx(-running_mean[c] / std::sqrt(running_var[c] + 1e-3)).epsilon(eps));
        }
    }
}

}  // namespace nascent::test
