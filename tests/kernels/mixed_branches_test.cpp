// The branches of a mixed cell against plain loops, by definition.
#include "tests/kernels/mixed_branches.h"

namespace nascent::test {

using namespace kernels;

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

}  // namespace nascent::test
