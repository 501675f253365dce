// Batch-norms of 1x1 convolutions whose results are not stored, from the products of what they read.
#include "kernels/conv_list.h"
#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using namespace kernels;

/// Sums of products of ReLU(x)'s channels and, last, of the channels: (c + 1, c).
template <class T>
std::vector<Real> moments_of(const ConvShape& s, const Guarded<T>& x) {
    std::vector<Real> all(static_cast<std::size_t>((s.c_in + 1) * s.c_in));
    for (std::size_t p = 0; p < s.pixels(); p++)
        for (int g = 0; g < s.fold; g++) {
            auto a = [&](int i) {
                return std::max<Real>(
                    0, x[p * static_cast<std::size_t>(s.in()) + static_cast<std::size_t>(i * s.fold + g)]);
            };
            for (int i = 0; i < s.c_in; i++) {
                for (int k = 0; k < s.c_in; k++) all[static_cast<std::size_t>(i * s.c_in + k)] += a(i) * a(k);
                all[static_cast<std::size_t>(s.c_in * s.c_in + i)] += a(i);
            }
        }
    return all;
}

TEST_CASE_TEMPLATE("batch-norms of 1x1s whose z are not stored, beside a 3x3 and alone", T, float, double) {
    for (const ConvShape& s : {ConvShape{2, 5, 7, 4, 4, 3, 1, 4},
                               {3, 12, 13, 3, 3, 1, 1, 2},
                               {2, 4, 4, 5, 5, 3, 1, 8},
                               {33, 3, 3, 16, 16, 3, 1, 1},
                               {2, 9, 9, 17, 17, 1, 1, 1}})
        for (const bool alike : {false, true}) {
            CAPTURE(s.c_in);
            CAPTURE(s.fold);
            CAPTURE(alike);
            Numbers numbers(static_cast<unsigned>(s.c_in));
            const auto c = static_cast<std::size_t>(s.c_in), width = static_cast<std::size_t>(s.in());
            auto x = numbers.uniform<T>(s.pixels() * width), w = numbers.uniform<T>(c * c);
            const auto other = numbers.uniform<T>(9 * c * c);
            // All channels nearly alike, and weights that nearly cancel: what the sums lose first.
            for (std::size_t p = 0; alike && p < s.pixels(); p++)
                for (std::size_t i = 0; i < width; i++)
                    x[p * width + i] =
                        T(1) + x[p * width + i % static_cast<std::size_t>(s.fold)] / 4 + x[p * width + i] / 1024;
            for (std::size_t i = 0; alike && i + 1 < c; i += 2)
                for (std::size_t o = 0; o < c; o++) w[(i + 1) * c + o] = -w[i * c + o];
            const std::vector<Real> want = moments_of(s, x);
            const Real count = static_cast<Real>(s.pixels()) * s.fold;
            // Products of 128 pixels are summed in T, none of them negative.
            const Real u = 128 * static_cast<Real>(std::numeric_limits<T>::epsilon()) / 2 + 1e-13L;
            for_each_target_and_threads([&](const Stream& stream) {
                std::vector<Guarded<T>> out{Guarded<T>(width), Guarded<T>(width), Guarded<T>(width), Guarded<T>(width),
                                            Guarded<T>(s.k == 3 ? s.pixels() * width : 0)};
                Guarded<double> mean(width), rstd(width), other_mean(width), other_rstd(width), moments((c + 1) * c);
                std::vector<NormedConv<T>> convs{{x.data(), w.data(), nullptr, mean.data(), rstd.data(), out[0].data(),
                                                  out[1].data(), nullptr, nullptr, 1, moments.data()}};
                if (s.k == 3)
                    convs.push_back({x.data(), other.data(), out[4].data(), other_mean.data(), other_rstd.data(),
                                     out[2].data(), out[3].data()});
                Workspace workspace(normed_convs_forward_workspace(stream, s, sizeof(T), convs.size()));
                normed_convs_forward<T>(stream, s, 1e-5, 0.1, convs, workspace.get());
                CHECK((workspace.intact() && mean.intact() && rstd.intact() && moments.intact()));
                for (std::size_t i = 0; i < want.size(); i++) {
                    CAPTURE(i);
                    CHECK(std::abs(moments[i] - want[i]) <= u * want[i]);
                }
                for (std::size_t o = 0; o < c; o++) {
                    Real sum = 0, squares = 0, sum_error = 0, squares_error = 0;
                    for (std::size_t i = 0; i < c; i++) {
                        const Real by = w[i * c + o];
                        sum += by * want[c * c + i], sum_error += u * std::abs(by) * want[c * c + i];
                        for (std::size_t k = 0; k < c; k++) {
                            const Real both = by * w[k * c + o];
                            squares += both * want[i * c + k], squares_error += u * std::abs(both) * want[i * c + k];
                        }
                    }
                    const Real variance = squares / count - (sum / count) * (sum / count);
                    const Real error =
                        squares_error / count + (2 * std::abs(sum) + sum_error) * sum_error / (count * count);
                    for (std::size_t at = o * static_cast<std::size_t>(s.fold);
                         at < (o + 1) * static_cast<std::size_t>(s.fold); at++) {
                        CHECK(std::abs(mean[at] - sum / count) <= sum_error / count);
                        CHECK(std::abs(1 / (static_cast<Real>(rstd[at]) * rstd[at]) - 1e-5L - variance) <= error);
                        CHECK(out[0][at] == static_cast<T>(rstd[at]));
                        CHECK(out[1][at] == static_cast<T>(-mean[at] * rstd[at]));
                    }
                }
                if (s.k == 1) out.resize(2);
                return out;
            });
        }
}

TEST_CASE_TEMPLATE("1x1s in front of another or behind it give back the same with and without a stored z", T, float,
                   double) {
    // Such short fractions that all sums are exact.
    for (const ConvShape& s : {ConvShape{2, 5, 7, 4, 4, 3, 1, 4}, {3, 4, 5, 5, 5, 3, 1, 1}, {2, 4, 4, 17, 17, 3, 1, 2}})
        for (const bool behind : {false, true})
            for (const bool one_dy : {false, true}) {
                CAPTURE(s.c_in);
                CAPTURE(s.fold);
                CAPTURE(behind);
                CAPTURE(one_dy);
                Numbers numbers(static_cast<unsigned>(s.c_in));
                const auto c = static_cast<std::size_t>(s.c_in), fold = static_cast<std::size_t>(s.fold),
                           wide = c * fold;
                auto vector = [&] {
                    const auto v = numbers.fractions<T>(c, 2, 2);
                    Guarded<T> all(wide);
                    for (std::size_t i = 0; i < wide; i++) all[i] = v[i / fold];
                    return all;
                };
                const auto x = numbers.fractions<T>(s.pixels() * wide, 4, 4), w = numbers.fractions<T>(c * c, 2, 4),
                           other = numbers.fractions<T>(9 * c * c, 2, 4), dy = numbers.fractions<T>(x.size(), 4, 4),
                           of_other = numbers.fractions<T>(x.size(), 4, 4),
                           before = numbers.fractions<T>(x.size(), 4, 4);
                const auto scale = vector(), slope = vector(), shift = vector();
                auto z = numbers.fractions<T>(x.size(), 0, 1);  // zeros
                for (std::size_t p = 0; p < s.pixels(); p++)
                    for (std::size_t o = 0; o < wide; o++)
                        for (std::size_t i = 0; i < c; i++)
                            z[p * wide + o] += std::max(T(0), x[p * wide + i * fold + o % fold]) * w[i * c + o / fold];
                auto gradients = [&](const Stream& stream, bool stored) {
                    std::vector<Guarded<T>> out{before, other};
                    NormedConvBackward<T> point{x.data(),
                                                w.data(),
                                                dy.data(),
                                                {stored ? z.data() : nullptr, scale.data(), slope.data(), shift.data()},
                                                out[0].data()};
                    point.k = 1;
                    const NormedConvBackward<T> wider{x.data(),
                                                      other.data(),
                                                      one_dy ? dy.data() : of_other.data(),
                                                      {},
                                                      out[0].data(),
                                                      out[1].data(),
                                                      false,
                                                      3};
                    const std::vector<NormedConvBackward<T>> convs =
                        behind ? std::vector{wider, point} : std::vector{point, wider};
                    Workspace workspace(normed_convs_backward_workspace(stream, s, sizeof(T), convs.size()));
                    normed_convs_backward<T>(stream, s, convs, workspace.get());
                    CHECK((workspace.intact() && out[0].intact() && out[1].intact()));
                    return out;
                };
                for_each_target_and_threads([&](const Stream& stream) {
                    const auto want = gradients(stream, true), got = gradients(stream, false);
                    for (std::size_t i = 0; i < want.size(); i++) CHECK(got[i].same_bits(want[i]));
                    return got;
                });
            }
}

}  // namespace
}  // namespace nascent::test
