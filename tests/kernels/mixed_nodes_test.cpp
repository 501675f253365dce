// The nodes of a mixed cell against plain loops, by definition.
#include "kernels/mixed.h"
#include "tests/kernels/check.h"

namespace nascent::test {

using namespace kernels;

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

}  // namespace nascent::test
