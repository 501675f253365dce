// Convolutions side by side against one after the other; on the emulator in three orders of the threads.
#include "kernels/conv_list.h"

#include <cfloat>

#include "kernels/norm.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::ConvShape;
constexpr double kEps = 1e-5, kMomentum = 0.1;

/// One convolution with all it reads and writes; the memory is kept by vectors, which may move it.
template <class T>
struct One {
    Guarded<T> x, w, z, scale, shift, dy, dz_scale, dz_slope, dz_shift, da, dw;
    Guarded<double> mean, rstd;
    int running;         // which pair of running statistics
    std::size_t source;  // whose x and da it has

    One(const ConvShape& s, bool aligned, Numbers& numbers, int pair, std::size_t of) : running(pair), source(of) {
        const std::size_t c = static_cast<std::size_t>(s.c_out),
                          in = static_cast<std::size_t>(s.n) * s.h * s.w * s.c_in;
        auto draw = [&](std::size_t count) { return at_skew(numbers.uniform<T>(count), aligned); };
        x = draw(in), da = draw(in);
        w = draw(static_cast<std::size_t>(s.k * s.k * s.c_in) * c), dw = draw(w.size());
        z = Guarded<T>(s.pixels() * c, aligned ? 0 : 1), dy = draw(z.size());
        for (Guarded<T>* v : {&dz_scale, &dz_slope, &dz_shift}) *v = draw(c);
        for (Guarded<T>* v : {&scale, &shift}) *v = Guarded<T>(c);
        for (Guarded<double>* v : {&mean, &rstd}) *v = Guarded<double>(c);
    }
};
template <class T>
struct All {
    std::vector<One<T>> convs;
    std::vector<Guarded<T>> means, variances;  // running
};

/// `leaving` of each x.
template <class T>
All<T> draw(const ConvShape& s, bool aligned, int count, int leaving, unsigned seed) {
    Numbers numbers(seed);
    All<T> all;
    const std::size_t c = static_cast<std::size_t>(s.c_out);
    for (int i = 0; i < count; i++)
        all.convs.emplace_back(s, aligned, numbers, i % (count / 2 + 1),
                               static_cast<std::size_t>(i / leaving * leaving));
    for (int i = 0; i < count / 2 + 1; i++)
        all.means.push_back(numbers.uniform<T>(c)), all.variances.push_back(magnitudes(numbers.uniform<T>(c)));
    return all;
}

bool has_dw(std::size_t i) { return i % 3 != 1; }

template <class T>
All<T> together(const ConvShape& s, All<T> all, const kernels::Stream& stream, bool training) {
    std::vector<kernels::NormedConv<T>> convs;
    std::vector<kernels::NormedConvBackward<T>> back;
    for (std::size_t i = 0; i < all.convs.size(); i++) {
        One<T>&o = all.convs[i], &of = all.convs[o.source];
        kernels::NormedConv<T>& c = convs.emplace_back(kernels::NormedConv<T>{of.x.data(), o.w.data(), o.z.data()});
        if (training)
            c.mean = o.mean.data(), c.rstd = o.rstd.data(), c.scale = o.scale.data(), c.shift = o.shift.data();
        const auto pair = static_cast<std::size_t>(o.running);
        if (training && pair > 0)  // the first pair stands for none
            c.running_mean = all.means[pair].data(), c.running_var = all.variances[pair].data();
        back.push_back(
            {of.x.data(), o.w.data(), o.dy.data(), {}, of.da.data(), has_dw(i) ? o.dw.data() : nullptr, i % 2 == 0});
    }
    Workspace forward(kernels::normed_convs_forward_workspace(stream, s, sizeof(T), convs.size())),
        backward(kernels::normed_convs_backward_workspace(stream, s, sizeof(T), convs.size()));
    kernels::normed_convs_forward<T>(stream, s, kEps, kMomentum, convs, forward.get());
    for (std::size_t i = 0; i < back.size(); i++) {
        One<T>& o = all.convs[i];
        back[i].fold = {o.z.data(), o.dz_scale.data(), o.dz_slope.data(), o.dz_shift.data()};
    }
    kernels::normed_convs_backward<T>(stream, s, back, backward.get());
    CHECK(forward.intact());
    CHECK(backward.intact());
    return all;
}

template <class T>
All<T> one_by_one(const ConvShape& s, All<T> all, const kernels::Stream& stream, bool training) {
    Workspace workspace(std::max(kernels::conv_forward_workspace(stream, s, sizeof(T)),
                                 kernels::conv_backward_workspace(stream, s, sizeof(T))));
    std::vector<double> sums(2 * static_cast<std::size_t>(s.c_out));
    for (std::size_t i = 0; i < all.convs.size(); i++) {
        One<T>&o = all.convs[i], &of = all.convs[o.source];
        const auto pair = static_cast<std::size_t>(o.running);
        kernels::conv_forward<T>(stream, s, of.x.data(), {nullptr, nullptr, true}, o.w.data(), o.z.data(),
                                 training ? sums.data() : nullptr, workspace.get());
        if (training)
            kernels::norm_finish<T>(stream, {s.c_out, s.pixels(), kEps, kMomentum}, sums.data(), nullptr, nullptr,
                                    pair > 0 ? all.means[pair].data() : nullptr,
                                    pair > 0 ? all.variances[pair].data() : nullptr, o.mean.data(), o.rstd.data(),
                                    o.scale.data(), o.shift.data());
        kernels::conv_backward<T>(stream, s, of.x.data(), {nullptr, nullptr, true}, o.w.data(), o.dy.data(),
                                  {o.z.data(), o.dz_scale.data(), o.dz_slope.data(), o.dz_shift.data()}, of.da.data(),
                                  true, has_dw(i) ? o.dw.data() : nullptr, i % 2 == 0, workspace.get());
    }
    return all;
}

template <class T>
std::vector<Guarded<T>> outputs(All<T> all) {
    std::vector<Guarded<T>> list;
    for (One<T>& o : all.convs)
        for (const Guarded<T>& v : {o.z, o.da, o.dw, o.scale, o.shift, bits_of<T>(o.mean), bits_of<T>(o.rstd)})
            list.push_back(v);
    for (const auto* running : {&all.means, &all.variances}) list.insert(list.end(), running->begin(), running->end());
    return list;
}

template <class V>
double largest_of(const V& values) {
    double most = 0;
    for (const auto v : values) most = std::max(most, std::abs(static_cast<double>(v)));
    return most;
}
/// How far two sums of the same products for a weight's gradient are apart, whatever the order of each: n terms of at
/// most max |x| max |dz|, n epsilon of their sum each.
template <class T>
double gradient_bound(const ConvShape& s, const One<T>& o, const One<T>& of) {
    const double dz = largest_of(o.dz_scale) * largest_of(o.dy) + largest_of(o.dz_slope) * largest_of(o.z) +
                      largest_of(o.dz_shift),
                 n = static_cast<double>(s.pixels()) + 1;  // what was there too
    return 2 * n * std::numeric_limits<T>::epsilon() * (n * largest_of(of.x) * dz + 1);
}

TEST_CASE_TEMPLATE("convolutions side by side are those one after the other", T, float, double) {
    struct Sample {
        ConvShape s;
        int count;  // more than a launch takes, in one
        int leaving;
    };
    unsigned seed = 50;
    for (const Sample& sample : {Sample{{1, 1, 1, 3, 2, 3, 1}, 3, 1},
                                 {{3, 5, 4, 16, 16, 3, 1}, 4, 2},
                                 {{2, 3, 5, 5, 36, 1, 1}, 3, 3},
                                 {{2, 2, 3, 4, 4, 3, 1}, 35, 3},
                                 {{2, 17, 9, 8, 64, 3, 1}, 2, 1},
                                 {{65, 16, 5, 20, 24, 3, 1}, 3, 3},  // blocks enough with those of a source together
                                 {{3, 6, 5, 4, 8, 3, 2}, 2, 2}})
        for (bool aligned : {true, false}) {
            const ConvShape& s = sample.s;
            CAPTURE(s.c_in);
            CAPTURE(s.c_out);
            CAPTURE(aligned);
            const All<T> drawn = draw<T>(s, aligned, sample.count, sample.leaving, seed++);
            for (const kernels::Stream& stream : {kernels::Stream{}, kGpu, kTf32})
                for (bool training : {true, false}) {
                    CAPTURE(stream.where == kernels::Where::gpu);
                    CAPTURE(stream.precision == kernels::Precision::tf32);
                    CAPTURE(training);
                    const All<T> want = one_by_one(s, drawn, stream, training);
                    const All<T> got = together(s, drawn, stream, training);
                    for (std::size_t i = 0; i < got.convs.size(); i++) {
                        const One<T>&a = got.convs[i], &b = want.convs[i];
                        CHECK(a.z.same_bits(b.z));
                        CHECK(a.da.same_bits(b.da));
                        const double bound = gradient_bound(s, b, want.convs[b.source]);
                        for (std::size_t w = 0; w < a.dw.size(); w++) CHECK(std::abs(a.dw[w] - b.dw[w]) <= bound);
                        for (const Guarded<T>* v : {&a.z, &a.da, &a.dw, &a.scale, &a.shift}) CHECK(v->intact());
                        if (!training) {
                            CHECK(a.scale.same_bits(b.scale));  // not written
                            continue;
                        }
                        const double largest = largest_of(b.z);
                        // Sums of as many terms, in another order; 4: of the mean, its square and both sums.
                        const double sum = 4 * DBL_EPSILON * static_cast<double>(s.pixels());
                        for (std::size_t c = 0; c < a.mean.size(); c++) {
                            const double variance = sum * largest * largest, r = b.rstd[c];
                            CHECK(std::abs(a.mean[c] - b.mean[c]) <= sum * largest);
                            CHECK(std::abs(a.rstd[c] - r) <= r * r * r * variance);
                            CHECK(a.scale[c] == static_cast<T>(a.rstd[c]));
                            CHECK(a.shift[c] == static_cast<T>(-a.mean[c] * a.rstd[c]));
                        }
                        const auto pair = static_cast<std::size_t>(a.running);
                        const double rounding = 4 * std::numeric_limits<T>::epsilon() + sum;
                        for (std::size_t c = 0; c < a.mean.size(); c++) {
                            const double m = want.means[pair][c], v = want.variances[pair][c];
                            CHECK(std::abs(got.means[pair][c] - m) <= rounding * (1 + largest));
                            CHECK(std::abs(got.variances[pair][c] - v) <= rounding * (1 + largest * largest));
                        }
                    }
                }
            for (const kernels::Stream& stream : {kGpu, kTf32})
                in_every_order([&] { return outputs(together(s, drawn, stream, true)); });
        }
}

}  // namespace
}  // namespace nascent::test
