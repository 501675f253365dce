// Convolutions of several pictures side by side against the same apart. Inputs are such short fractions that every sum
// and product is exact, so that the order in which pictures' parts are added changes no bit.
#include <algorithm>

#include "kernels/conv_list.h"
#include "kernels/fold.h"
#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using namespace kernels;

template <class T>
Guarded<T> folded(const Guarded<T>& x, int n, int pixels, int c, int fold) {
    Guarded<T> y(x.size(), 0);
    fold_channels<T>({}, {n, pixels, c + 1, c, 1, fold}, x.data(), c, y.data());
    return fold > 1 ? y : x;
}
template <class T>
Guarded<T> unfolded(const Guarded<T>& y, int n, int pixels, int c, int fold) {
    Guarded<T> x(y.size(), 0);
    unfold_channels<T>({}, {n, pixels, c + 1, c, 1, fold}, y.data(), x.data(), c);
    return fold > 1 ? x : y;
}
template <class T>
Guarded<T> repeated(const Guarded<T>& v, int fold) {
    Guarded<T> all(v.size() * static_cast<std::size_t>(fold), 0);
    for (std::size_t i = 0; i < all.size(); i++) all[i] = v[i / static_cast<std::size_t>(fold)];
    return all;
}

/// s: of pictures apart.
template <class T>
std::vector<Guarded<T>> run(const Stream& stream, const ConvShape& s, int fold, bool accumulate) {
    Numbers numbers(static_cast<unsigned>(s.c_in + 10 * s.k + s.c_out));
    ConvShape shape = s;
    shape.n /= fold, shape.fold = fold;
    const int in_pixels = s.h * s.w, out_pixels = s.out_h() * s.out_w();
    const std::size_t in = static_cast<std::size_t>(s.n) * in_pixels * s.c_in, out = s.pixels() * s.c_out;
    auto vector = [&](int c) { return repeated(numbers.fractions<T>(static_cast<std::size_t>(c), 2, 2), fold); };
    const auto x = folded(numbers.fractions<T>(in, 4, 4), s.n, in_pixels, s.c_in, fold);
    const auto w = numbers.fractions<T>(static_cast<std::size_t>(s.k) * s.k * s.c_in * s.c_out, 4, 4);
    const auto dy = folded(numbers.fractions<T>(out, 4, 4), s.n, out_pixels, s.c_out, fold);
    const auto scale = vector(s.c_in), shift = vector(s.c_in);
    const auto dz_scale = vector(s.c_out), dz_slope = vector(s.c_out), dz_shift = vector(s.c_out);
    const Prologue<T> prologue{scale.data(), shift.data(), true};
    Guarded<T> z(out), da = folded(numbers.fractions<T>(in, 4, 4), s.n, in_pixels, s.c_in, fold),
                       dw = numbers.fractions<T>(w.size(), 4, 4), sums_of_z(static_cast<std::size_t>(s.c_out));
    Guarded<double> sums(2 * static_cast<std::size_t>(s.c_out));
    {
        Workspace workspace(conv_forward_workspace(stream, shape, sizeof(T)));
        conv_forward<T>(stream, shape, x.data(), prologue, w.data(), z.data(), sums.data(), workspace.get());
        CHECK((workspace.intact() && z.intact() && sums.intact()));
    }
    {
        Workspace workspace(conv_backward_workspace(stream, shape, sizeof(T)));
        conv_backward<T>(stream, shape, x.data(), prologue, w.data(), dy.data(),
                         {z.data(), dz_scale.data(), dz_slope.data(), dz_shift.data()}, da.data(), accumulate,
                         dw.data(), accumulate, workspace.get());
        CHECK((workspace.intact() && da.intact() && dw.intact()));
    }
    for (std::size_t c = 0; c < sums_of_z.size(); c++) sums_of_z[c] = static_cast<T>(sums[c]);
    return {unfolded(z, s.n, out_pixels, s.c_out, fold), unfolded(da, s.n, in_pixels, s.c_in, fold), dw, sums_of_z};
}

TEST_CASE_TEMPLATE("convolutions of pictures side by side give what they give apart", T, float, double) {
    struct Sample {
        ConvShape s;
        int fold;
    };
    for (const auto& [s, fold] : {Sample{{8, 5, 4, 4, 4, 3, 1}, 4},
                                  {{64, 2, 2, 4, 4, 1, 1}, 4},
                                  {{4, 6, 7, 8, 8, 3, 1}, 2},
                                  {{8, 3, 19, 6, 6, 3, 1}, 8},
                                  {{8, 4, 4, 6, 12, 1, 1}, 8},
                                  {{8, 4, 5, 12, 6, 3, 2}, 4},
                                  {{2, 4, 3, 24, 24, 3, 1}, 2},
                                  {{8, 3, 3, 1, 2, 3, 1}, 8},
                                  {{2, 3, 4, 9, 3, 3, 1}, 2},
                                  // So wide that the weights' gradient takes some rows at a time.
                                  {{2, 7, 40, 8, 8, 3, 1}, 2},
                                  {{2, 9, 65, 16, 12, 3, 2}, 2}})
        for (bool accumulate : {false, true}) {
            INFO(s.n, " ", s.h, " ", s.w, " ", s.c_in, " ", s.c_out, " ", s.k, " ", s.stride, ", ", fold, " together");
            for_each_target_and_threads([&, &s = s, &fold = fold](const Stream& stream) {
                const auto want = run<T>(stream, s, 1, accumulate), got = run<T>(stream, s, fold, accumulate);
                for (std::size_t i = 0; i < want.size(); i++) {
                    CAPTURE(i);
                    CHECK(std::equal(want[i].begin(), want[i].end(), got[i].begin()));
                }
                return got;
            });
        }
}

TEST_CASE_TEMPLATE("batch-norm of convolutions side by side is each picture's", T, float, double) {
    const ConvShape s{2, 4, 5, 4, 4, 3, 1, 4};
    Numbers numbers(3);
    const auto x = numbers.uniform<T>(s.pixels() * 16), w = numbers.uniform<T>(9 * 16);
    for_each_target_and_threads([&](const Stream& stream) {
        std::vector<Guarded<T>> out{Guarded<T>(x.size()), Guarded<T>(16), Guarded<T>(16)};
        Guarded<double> mean(16), rstd(16);
        const NormedConv<T> conv[] = {
            {x.data(), w.data(), out[0].data(), mean.data(), rstd.data(), out[1].data(), out[2].data()}};
        Workspace workspace(normed_convs_forward_workspace(stream, s, sizeof(T), 1));
        normed_convs_forward<T>(stream, s, 1e-5, 0.1, conv, workspace.get());
        CHECK((workspace.intact() && mean.intact() && rstd.intact() && out[1].intact() && out[2].intact()));
        for (int c = 0; c < 4; c++) {
            Real sum = 0, squares = 0, size = 0;
            for (std::size_t p = 0; p < s.pixels(); p++)
                for (int g = 0; g < 4; g++) {
                    const Real v = out[0][p * 16 + static_cast<std::size_t>(c * 4 + g)];
                    sum += v, squares += v * v, size += std::abs(v);
                }
            const Real count = 4 * static_cast<Real>(s.pixels());
            // An image's 20 pixels are summed in T: 20 roundings, and one of the square.
            const Real u = 21 * static_cast<Real>(std::numeric_limits<T>::epsilon()) + 1e-13L;
            const Real want = sum / count, error = u * size / count;
            const Real variance = squares / count - want * want,
                       of_variance = u * squares / count + 2 * std::abs(want) * error;
            for (std::size_t at = static_cast<std::size_t>(4 * c); at < static_cast<std::size_t>(4 * c) + 4; at++) {
                CHECK(std::abs(mean[at] - want) <= error);
                CHECK(std::abs(1 / (static_cast<Real>(rstd[at]) * rstd[at]) - 1e-5L - variance) <= of_variance);
                CHECK(out[1][at] == static_cast<T>(rstd[at]));
                CHECK(out[2][at] == static_cast<T>(-mean[at] * rstd[at]));
            }
        }
        return out;
    });
}

TEST_CASE_TEMPLATE("convolutions of one x go together as they go alone", T, float, double) {
    // 1x1s among 3x3s; the second x begins anew. Sums are exact, see above.
    constexpr int kernels_of[] = {3, 1, 3, 1, 3}, second = 3, count = 5;
    for (const ConvShape& s :
         {ConvShape{3, 5, 6, 4, 4, 3, 1, 4}, {2, 9, 4, 8, 8, 3, 1, 2}, {33, 3, 5, 5, 19, 3, 1, 1}}) {
        CAPTURE(s.c_in);
        Numbers numbers(8);
        const auto in = s.pixels() * static_cast<std::size_t>(s.in()),
                   out = s.pixels() * static_cast<std::size_t>(s.out());
        const auto channels = static_cast<std::size_t>(s.out());
        const Guarded<T> x[] = {numbers.fractions<T>(in, 4, 4), numbers.fractions<T>(in, 4, 4)};
        std::vector<Guarded<T>> w, dy;
        for (int k : kernels_of)
            w.push_back(numbers.fractions<T>(static_cast<std::size_t>(k * k * s.c_in * s.c_out), 2, 4)),
                dy.push_back(numbers.fractions<T>(out, 4, 4));
        const auto scale = repeated(numbers.fractions<T>(static_cast<std::size_t>(s.c_out), 2, 2), s.fold),
                   slope = repeated(numbers.fractions<T>(static_cast<std::size_t>(s.c_out), 2, 2), s.fold),
                   shift = repeated(numbers.fractions<T>(static_cast<std::size_t>(s.c_out), 2, 2), s.fold);
        auto outputs = [&](const Stream& stream, bool together) {
            std::vector<Guarded<T>> z, dw, norms, da;
            std::vector<Guarded<double>> moments;
            for (int i = 0; i < count; i++) {
                z.emplace_back(out), dw.push_back(w[static_cast<std::size_t>(i)]);  // added to, where it is
                for (int j = 0; j < 2; j++) norms.emplace_back(channels), moments.emplace_back(channels);
            }
            for (const Guarded<T>& v : x) da.push_back(v);  // added to
            std::vector<NormedConv<T>> convs;
            std::vector<NormedConvBackward<T>> back;
            for (std::size_t i = 0; i < count; i++) {
                const std::size_t of = i >= second;
                convs.push_back({x[of].data(), w[i].data(), z[i].data(), moments[2 * i].data(),
                                 moments[2 * i + 1].data(), norms[2 * i].data(), norms[2 * i + 1].data()});
                convs.back().k = kernels_of[i];
                back.push_back({x[of].data(),
                                w[i].data(),
                                dy[i].data(),
                                {z[i].data(), scale.data(), slope.data(), shift.data()},
                                da[of].data(),
                                i == 1 ? nullptr : dw[i].data(),
                                i % 2 == 0,
                                kernels_of[i]});
            }
            Workspace forward(normed_convs_forward_workspace(stream, s, sizeof(T), count)),
                backward(normed_convs_backward_workspace(stream, s, sizeof(T), count));
            for (std::size_t i = 0; i < (together ? 1 : count); i++) {
                normed_convs_forward<T>(stream, s, 1e-5, 0.1, std::span(convs).subspan(i, together ? count : 1),
                                        forward.get());
                normed_convs_backward<T>(stream, s, std::span(back).subspan(i, together ? count : 1), backward.get());
            }
            CHECK((forward.intact() && backward.intact()));
            std::vector<Guarded<T>> all;
            for (auto* list : {&z, &dw, &norms, &da})
                for (Guarded<T>& v : *list) {
                    CHECK(v.intact());
                    all.push_back(v);
                }
            return all;
        };
        for_each_target_and_threads([&](const Stream& stream) {
            const auto want = outputs(stream, false), got = outputs(stream, true);
            for (std::size_t i = 0; i < want.size(); i++) {
                CAPTURE(i);
                CHECK(got[i].same_bits(want[i]));
            }
            return got;
        });
    }
}

}  // namespace
}  // namespace nascent::test
