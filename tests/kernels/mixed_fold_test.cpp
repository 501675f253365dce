// Branches and nodes of several pictures side by side against the same apart. Inputs are such short fractions that
// every sum and product is exact, so that the order in which pictures' parts are added changes no bit.
#include <algorithm>

#include "kernels/fold.h"
#include "kernels/mixed.h"
#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using namespace kernels;

struct Sample {
    int n, h, w, c, fold;
};

template <class T>
Guarded<T> folded(const Guarded<T>& x, const Sample& s, int pixels) {
    Guarded<T> y(x.size(), 0);
    fold_channels<T>({}, {s.n, pixels, s.c + 1, s.c, 1, s.fold}, x.data(), s.c, y.data());
    return y;
}
template <class T>
Guarded<T> unfolded(const Guarded<T>& y, const Sample& s, int pixels) {
    Guarded<T> x(y.size(), 0);
    unfold_channels<T>({}, {s.n, pixels, s.c + 1, s.c, 1, s.fold}, y.data(), x.data(), s.c);
    return x;
}
/// Each element `fold` times.
template <class T>
Guarded<T> repeated(const Guarded<T>& v, int fold) {
    Guarded<T> all(v.size() * static_cast<std::size_t>(fold), 0);
    for (std::size_t i = 0; i < all.size(); i++) all[i] = v[i / static_cast<std::size_t>(fold)];
    return all;
}
/// Vectors of c channels, each `fold` times, as vectors of one picture's; checks that they are alike.
template <class T>
Guarded<T> of_one(const Guarded<T>& v, int fold) {
    Guarded<T> one(v.size() / static_cast<std::size_t>(fold), 0);
    for (std::size_t i = 0; i < one.size(); i++) {
        one[i] = v[i * static_cast<std::size_t>(fold)];
        for (int g = 1; g < fold; g++)
            CHECK(v[i * static_cast<std::size_t>(fold) + static_cast<std::size_t>(g)] == one[i]);
    }
    return one;
}

/// What a source's branches give and give back.
template <class T>
struct Outputs {
    std::vector<Guarded<T>> exact;            // of pictures apart
    std::vector<Guarded<double>> statistics;  // mean, variance and the source's map
    std::vector<Guarded<double>> errors;      // at most so much of each is rounding of sums over pixels
};

template <class T>
std::vector<Branch<T>> kinds(const Sample& s) {
    std::vector<Branch<T>> all;
    auto add = [&](BranchKind kind, int k, int dilation) {
        Branch<T> b{kind, 0, s.c};
        b.k = k, b.dilation = dilation;
        all.push_back(b);
    };
    add(BranchKind::max_pool, 1, 1);
    add(BranchKind::avg_pool, 1, 1);
    for (int k : {1, 3, 5})
        for (int dilation : {1, 2}) add(BranchKind::separable, k, dilation);
    add(BranchKind::pointwise, 1, 1);
    if (s.h % 2 == 0 && s.w % 2 == 0 && s.c % 2 == 0) add(BranchKind::reduce, 1, 1);
    return all;
}

template <class T>
Outputs<T> run(const Stream& stream, const Sample& s, Branch<T> b, int fold) {
    Numbers numbers(static_cast<unsigned>(s.c + b.k * 10 + b.stride));
    const int oh = b.out_h(s.h), ow = b.out_w(s.w), width = s.c * fold;
    const std::size_t in = static_cast<std::size_t>(s.n) * s.h * s.w * s.c,
                      out = static_cast<std::size_t>(s.n) * oh * ow * s.c;
    const Sample apart{s.n, s.h, s.w, s.c, fold};
    const bool pool = b.kind == BranchKind::max_pool || b.kind == BranchKind::avg_pool;
    const auto x = numbers.fractions<T>(in, 4, 4), g = numbers.fractions<T>(out, 4, 4);
    const auto depth = numbers.fractions<T>(static_cast<std::size_t>(b.k) * b.k * s.c, 4, 4);
    const std::size_t halves = b.kind == BranchKind::reduce ? 2 : 1;
    const auto point = numbers.fractions<T>(static_cast<std::size_t>(s.c) * s.c / halves, 4, 4),
               odd = numbers.fractions<T>(point.size(), 4, 4);
    const auto scale = repeated(numbers.fractions<T>(s.c, 2, 2), fold),
               shift = repeated(numbers.fractions<T>(s.c, 2, 2), fold);
    const auto from = fold > 1 ? folded(x, apart, s.h * s.w) : x, back = fold > 1 ? folded(g, apart, oh * ow) : g;
    Guarded<T> z(out), norm_scale(width), norm_shift(width), da(in), ddepth(depth.size()), dpoint(point.size()),
        dodd(odd.size()), map(3 * static_cast<std::size_t>(width));
    Guarded<double> mean(width), rstd(width);
    Guarded<std::uint8_t> tap(out);
    Source<T> source{from.data(), s.h, s.w, width, width, pool ? nullptr : scale.data(), pool ? nullptr : shift.data(),
                     fold};
    b.c_out = width;
    b.depth = depth.data(), b.point = point.data(), b.point_odd = odd.data(), b.z = z.data(), b.tap = tap.data();
    b.mean = mean.data(), b.rstd = rstd.data(), b.scale = norm_scale.data(), b.shift = norm_shift.data();
    const std::span<const Source<T>> sources(&source, 1);
    const std::span<const Branch<T>> branches(&b, 1);
    {
        Workspace workspace(branches_forward_workspace<T>(stream, s.n / fold, sources, branches));
        branches_forward<T>(stream, s.n / fold, 1e-5, sources, branches, workspace.get());
        CHECK(workspace.intact());
    }
    Guarded<T> ones(width), nothing(width);
    std::fill_n(ones.data(), width, T(1)), std::fill_n(nothing.data(), width, T(0));
    const BranchGradient<T> gradient{back.data(), width, {ones.data(), nothing.data(), nothing.data()}};
    BranchBackward<T> branch{b, {&gradient, 1}};
    if (!pool) {
        if (b.kind == BranchKind::separable) branch.ddepth = ddepth.data();
        branch.dpoint = dpoint.data();
        if (halves == 2) branch.dpoint_odd = dodd.data();
    }
    SourceBackward<T> to{source, da.data(), width, {}};
    Guarded<double> some_mean(width), some_rstd(width);
    for (int c = 0; c < width; c++) some_mean[c] = 0.25 * (c / fold), some_rstd[c] = 1.5 - 0.0625 * (c / fold);
    to.mean = some_mean.data(), to.rstd = some_rstd.data();
    to.map = {map.data(), map.data() + width, map.data() + 2 * width};
    {
        Workspace workspace(branches_backward_workspace<T>(stream, s.n / fold, {&to, 1}, {&branch, 1}));
        branches_backward<T>(stream, s.n / fold, {&to, 1}, {&branch, 1}, workspace.get());
        CHECK(workspace.intact());
    }
    Outputs<T> all;
    all.exact.push_back(fold > 1 ? unfolded(z, apart, oh * ow) : z);
    all.exact.push_back(fold > 1 ? unfolded(da, apart, s.h * s.w) : da);
    if (branch.ddepth) all.exact.push_back(ddepth);
    if (branch.dpoint) all.exact.push_back(dpoint);
    if (branch.dpoint_odd) all.exact.push_back(dodd);
    for (const Guarded<T>& v : all.exact) CHECK(v.intact());
    Guarded<double> maps(map.size());
    std::copy(map.begin(), map.end(), maps.begin());
    for (double& r : rstd) r = 1 / (r * r);  // the variance, whose error is that of the sums
    all.statistics = {mean, rstd, maps};
    for (const Guarded<double>& v : all.statistics) CHECK(v.intact());
    for (Guarded<double>& v : all.statistics) v = of_one(v, fold);
    // Runs of at most 64 pixels are summed in T, in two chains, before they are added to doubles: 66 roundings of what
    // the sum has at most. Numbers themselves are exact but for squares and products; maps are rounded to T.
    const double u = 66 * static_cast<double>(std::numeric_limits<T>::epsilon()), tiny = 1e-13;
    const auto channels = static_cast<std::size_t>(s.c);
    Guarded<double> of_mean(channels), of_variance(channels), of_map(3 * channels);
    for (std::size_t c = 0; c < channels; c++) {
        const double m = all.statistics[0][c], squares = all.statistics[1][c] + m * m;  // mean of z^2, and eps
        of_mean[c] = (u + tiny) * std::sqrt(squares);
        of_variance[c] = u * squares + 2 * std::abs(m) * of_mean[c] + tiny * squares;
        double plain = 0, products = 0;
        for (std::size_t i = c; i < in; i += channels) {
            const double g_i = std::abs(static_cast<double>(all.exact[1][i]));
            plain += g_i, products += g_i * std::abs(static_cast<double>(x[i]));
        }
        const double n = static_cast<double>(in / channels), a = some_rstd[c * static_cast<std::size_t>(fold)],
                     at = std::abs(some_mean[c * static_cast<std::size_t>(fold)]);
        of_map[c] = 0;  // the given rstd
        of_map[channels + c] = (u + tiny) * a * a * a * (products + at * plain) / n;
        of_map[2 * channels + c] = (u + tiny) * a * plain / n + at * of_map[channels + c];
        for (std::size_t i : {c, channels + c, 2 * channels + c})
            of_map[i] += std::numeric_limits<T>::epsilon() * std::abs(all.statistics[2][i]);
    }
    all.errors = {of_mean, of_variance, of_map};
    return all;
}

TEST_CASE_TEMPLATE("pictures side by side give what they give apart", T, float, double) {
    const int line = static_cast<int>(64 / sizeof(T));
    for (const Sample& s : {Sample{8, 6, 4, 4, line / 4},
                            {4, 5, 7, 4, 2},
                            {2, 4, 6, line / 2, 2},
                            {16, 4, 4, 1, 8},
                            {66, 2, 2, 2, 2},
                            {8, 9, 8, 2, 4},
                            {8, 5, 6, 6, 8},
                            {4, 6, 4, 12, 4},
                            {2, 4, 4, 24, 2}})
        for (int stride : {1, 2})
            for (Branch<T> b : kinds<T>(s)) {
                if (stride == 2 && (b.kind == BranchKind::pointwise || b.kind == BranchKind::reduce)) continue;
                b.stride = stride;
                CAPTURE(static_cast<int>(b.kind));
                CAPTURE(s.c);
                CAPTURE(s.fold);
                CAPTURE(b.k);
                CAPTURE(b.dilation);
                CAPTURE(stride);
                for_each_target_and_threads([&](const Stream& stream) {
                    const Outputs<T> want = run(stream, s, b, 1);
                    Outputs<T> got = run(stream, s, b, s.fold);
                    REQUIRE(got.exact.size() == want.exact.size());
                    for (std::size_t i = 0; i < want.exact.size(); i++) {
                        CAPTURE(i);
                        CHECK(std::equal(want.exact[i].begin(), want.exact[i].end(), got.exact[i].begin()));
                    }
                    // Of sums that are rounded, in another order.
                    for (std::size_t i = 0; i < want.statistics.size(); i++)
                        for (std::size_t k = 0; k < want.statistics[i].size(); k++)
                            CHECK(std::abs(got.statistics[i][k] - want.statistics[i][k]) <=
                                  got.errors[i][k] + want.errors[i][k]);
                    return got.exact;
                });
            }
}

TEST_CASE_TEMPLATE("a node's gradients are those of pictures apart", T, float, double) {
    const int line = static_cast<int>(64 / sizeof(T));
    for (const Sample& s :
         {Sample{8, 1, 37, 4, line / 4}, {6, 1, 300, 2, 2}, {2, 1, 5, line / 2, 2}, {8, 1, 33, 6, 8}}) {
        CAPTURE(s.c);
        Numbers numbers(9);
        const std::size_t size = static_cast<std::size_t>(s.n) * s.w * s.c;
        const auto g = numbers.fractions<T>(size, 4, 4), z = numbers.fractions<T>(size, 4, 4),
                   other = numbers.fractions<T>(size, 4, 4), scale = numbers.fractions<T>(s.c, 4, 4),
                   shift = numbers.fractions<T>(s.c, 4, 4);
        Guarded<double> mean(s.c), rstd(s.c);
        for (int c = 0; c < s.c; c++) mean[c] = 0.25 * c, rstd[c] = 1.5 - 0.125 * c;
        const T weight[] = {T(0.75)};
        auto gradients = [&](const Stream& stream, int fold) {
            const Sample as{s.n, s.h, s.w, s.c, fold};
            const int width = s.c * fold;
            auto of = [&](const Guarded<T>& v) { return fold > 1 ? folded(v, as, s.w) : v; };
            const auto gg = of(g), zz = of(z), oo = of(other), ss = repeated(scale, fold), sh = repeated(shift, fold);
            const auto mm = repeated(mean, fold), rr = repeated(rstd, fold);
            Guarded<T> map(3 * static_cast<std::size_t>(width)), dweights(2);
            MixedTermGradient<T> terms[2] = {
                {{zz.data(), width, ss.data(), sh.data(), weight},
                 mm.data(),
                 rr.data(),
                 {map.data(), map.data() + width, map.data() + 2 * width},
                 dweights.data()},
                {{oo.data(), width, nullptr, nullptr, weight}, nullptr, nullptr, {}, dweights.data() + 1}};
            MixedNodeGradient<T> node{gg.data(), width, terms, fold};
            const std::size_t pixels = static_cast<std::size_t>(s.n / fold) * s.w;
            Workspace workspace(nodes_backward_workspace<T>(stream, pixels, width, {&node, 1}));
            nodes_backward<T>(stream, pixels, width, {&node, 1}, workspace.get());
            CHECK((workspace.intact() && map.intact() && dweights.intact()));
            return std::vector<Guarded<T>>{dweights, of_one(map, fold)};
        };
        for_each_target_and_threads([&](const Stream& stream) {
            const auto want = gradients(stream, 1), got = gradients(stream, s.fold);
            for (std::size_t i = 0; i < want.size(); i++)
                CHECK(std::equal(want[i].begin(), want[i].end(), got[i].begin()));
            return got;
        });
    }
}

}  // namespace
}  // namespace nascent::test
