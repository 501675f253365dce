// The GPU's norm and node kernels against the CPU's in double, on the emulator in three orders of the threads.
#include "kernels/node.h"

#include <array>
#include <span>

#include "kernels/norm.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::Image;

constexpr Image kImages[] = {{1, 1, 1, 1}, {1, 5, 7, 3}, {2, 8, 8, 16}, {3, 2, 2, 17}, {2, 4, 4, 136}, {1, 30, 34, 4}};

TEST_CASE_TEMPLATE("gpu node_combine", T, float, double) {
    unsigned seed = 1;
    for (const Image& s : kImages)
        for (auto [norms, pools, skips] :
             {std::array<std::size_t, 3>{0, 0, 0}, {1, 0, 0}, {2, 1, 1}, {0, 2, 0}, {0, 0, 1}, {5, 6, 5}})
            for (bool aligned : {true, false}) {
                CAPTURE(s.c);
                CAPTURE(norms);
                Numbers numbers(seed++);
                std::vector<Guarded<T>> in;
                for (std::size_t i = 0; i < norms + pools + skips; i++)
                    in.push_back(at_skew(numbers.uniform<T>(s.size()), aligned));
                for (std::size_t i = 0; i < 2 * norms; i++)
                    in.push_back(at_skew(numbers.uniform<T>(static_cast<std::size_t>(s.c)), aligned));
                auto call = [&, norms = norms, pools = pools, skips = skips](const auto& data, auto& y, auto&& kernel) {
                    using U = std::remove_reference_t<decltype(y[0])>;
                    std::vector<kernels::NormTerm<U>> terms;
                    for (std::size_t i = 0; i < norms; i++)
                        terms.push_back({data[i].data(), data[norms + pools + skips + 2 * i].data(),
                                         data[norms + pools + skips + 2 * i + 1].data()});
                    const auto pooled = pointers<U>(data, norms, pools),
                               skipped = pointers<U>(data, norms + pools, skips);
                    kernel(std::span<const kernels::NormTerm<U>>(terms), std::span<const U* const>(pooled),
                           std::span<const U* const>(skipped), y.data());
                };
                const auto want = expect(in, [&](const std::vector<Guarded<double>>& data) {
                    Guarded<double> y(s.size());
                    call(data, y, [&](auto a, auto b, auto c, double* to) {
                        kernels::node_combine<double>(kernels::Stream{}, s, a, b, c, to);
                    });
                    return std::vector<Guarded<double>>{y};
                });
                in_every_order([&] {
                    Guarded<T> y(s.size(), aligned ? 0 : 1);
                    call(in, y, [&](auto a, auto b, auto c, T* to) { kernels::node_combine<T>(kGpu, s, a, b, c, to); });
                    // Roundings: two per norm, one per skip; per pool nine additions, three of its share, one product;
                    // an addition each; and as many of the reference.
                    check_close(y, want[0],
                                2 * (3.0 * static_cast<double>(norms) + 14.0 * static_cast<double>(pools) +
                                     static_cast<double>(skips) + 1),
                                "y");
                    return std::vector<Guarded<T>>{y};
                });
            }
}

TEST_CASE_TEMPLATE("gpu node_input_gradient", T, float, double) {
    unsigned seed = 90;
    for (const Image& s : kImages)
        for (int mode = 0; mode < 8; mode++) {
            const bool skip = mode & 1, pool = mode & 2, accumulate = mode & 4, aligned = mode != 7;
            CAPTURE(mode);
            Numbers numbers(seed++);
            std::vector<Guarded<T>> in;
            for (int i = 0; i < 2; i++) in.push_back(at_skew(numbers.uniform<T>(s.size()), aligned));
            const auto want = expect(in, [&](const std::vector<Guarded<double>>& data) {
                Guarded<double> dx = data[1];
                kernels::node_input_gradient<double>(kernels::Stream{}, s, data[0].data(), skip, pool, dx.data(),
                                                     accumulate);
                return std::vector<Guarded<double>>{dx};
            });
            in_every_order([&] {
                Guarded<T> dx = in[1];
                kernels::node_input_gradient<T>(kGpu, s, in[0].data(), skip, pool, dx.data(), accumulate);
                // Per neighbour two shares, their product, a fused addition of nine; skip, before; and the reference's.
                check_close(dx, want[0], 2 * (3 + 9 + 2), "dx");
                return std::vector<Guarded<T>>{dx};
            });
        }
}

TEST_CASE_TEMPLATE("gpu norm_backward_sums and channel_sums", T, float, double) {
    unsigned seed = 150;
    for (const Image& s : kImages)
        for (int terms : {0, 1, 2, 3, 4, 7}) {
            CAPTURE(s.c);
            CAPTURE(terms);
            Numbers numbers(seed++);
            const bool aligned = terms != 2;
            const Guarded<T> dy = at_skew(numbers.uniform<T>(s.size()), aligned);
            std::vector<Guarded<T>> z;
            for (int k = 0; k < terms; k++) z.push_back(at_skew(numbers.uniform<T>(s.size()), aligned));
            const std::vector<const T*> factors = pointers<T>(z, 0, z.size());
            const std::size_t c = static_cast<std::size_t>(s.c);
            std::vector<Bounded> want((1 + z.size()) * c), want_squares(2 * c);
            for (std::size_t i = 0; i < s.size(); i++) {
                want[i % c].add(dy[i]);
                want_squares[i % c].add(dy[i]);
                want_squares[c + i % c].add(static_cast<Real>(dy[i]) * dy[i]);
                for (std::size_t k = 0; k < z.size(); k++)
                    want[(1 + k) * c + i % c].add(static_cast<Real>(dy[i]) * z[k][i]);
            }
            // Runs of 64 pixels in T, then double: runs of a thread, threads, chunks.
            const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon()) +
                                   std::numeric_limits<double>::epsilon() * (static_cast<double>(s.pixels()) / 64 + 64);
            in_every_order([&] {
                Workspace workspace(kernels::norm_sums_workspace(kGpu, s, terms));
                Workspace one(kernels::norm_sums_workspace(kGpu, s, 1));
                Guarded<double> sums(want.size()), squares(want_squares.size());
                kernels::norm_backward_sums<T>(kGpu, s, dy.data(), factors, sums.data(), workspace.get());
                kernels::channel_sums<T>(kGpu, s, dy.data(), squares.data(), one.get());
                CHECK(workspace.intact());
                CHECK(one.intact());
                check_close(sums, want, 2 * 64, "norm_backward_sums", epsilon);
                check_close(squares, want_squares, 2 * 64, "channel_sums", epsilon);
                return std::vector<Guarded<T>>{bits_of<T>(sums), bits_of<T>(squares)};
            });
        }
}

TEST_CASE_TEMPLATE("gpu avg_pool_2x2 has the CPU's bits", T, float, double) {
    unsigned seed = 300;
    for (const Image& s : {Image{1, 2, 2, 1}, {1, 4, 6, 3}, {2, 8, 8, 16}, {5, 2, 4, 17}})
        for (int mode = 0; mode < 4; mode++) {
            const bool accumulate = mode & 1, aligned = mode & 2;
            CAPTURE(s.c);
            Numbers numbers(seed++);
            const auto x = at_skew(numbers.uniform<T>(s.size()), aligned),
                       before = at_skew(numbers.uniform<T>(s.size()), aligned);
            const auto dy = at_skew(numbers.uniform<T>(s.size() / 4), aligned);
            Guarded<T> y(s.size() / 4), dx = before;
            kernels::avg_pool_2x2<T>(kernels::Stream{}, s, x.data(), y.data());
            kernels::avg_pool_2x2_backward<T>(kernels::Stream{}, s, dy.data(), dx.data(), accumulate);
            in_every_order([&] {
                Guarded<T> gy(s.size() / 4, aligned ? 0 : 1), gdx = before;
                kernels::avg_pool_2x2<T>(kGpu, s, x.data(), gy.data());
                kernels::avg_pool_2x2_backward<T>(kGpu, s, dy.data(), gdx.data(), accumulate);
                CHECK(gy.same_bits(y));
                CHECK(gdx.same_bits(dx));
                CHECK(gy.intact());
                CHECK(gdx.intact());
                return std::vector<Guarded<T>>{gy, gdx};
            });
        }
}

TEST_CASE_TEMPLATE("gpu norm_finish, norm_running and norm_fold have the CPU's bits", T, float, double) {
    for (int mode = 0; mode < 8; mode++)
        for (int channels : {1, 16, 300}) {
            const bool affine = mode & 1, more = mode & 2, pooled = mode & 4;
            CAPTURE(channels);
            const std::size_t c = static_cast<std::size_t>(channels);
            const kernels::NormShape shape{channels, more ? 60u : 1u, 1e-5, 0.1, pooled};
            Numbers numbers(static_cast<unsigned>(10 * channels + mode));
            const auto gamma = numbers.uniform<T>(c), beta = numbers.uniform<T>(c);
            auto means = numbers.uniform<T>(c), variances = magnitudes(numbers.uniform<T>(c));
            auto sums = numbers.uniform<double>(2 * c);
            for (std::size_t i = 0; i < c; i++) sums[c + i] = 60 * std::fabs(sums[c + i]);
            const T *g = affine ? gamma.data() : nullptr, *b = affine ? beta.data() : nullptr;
            auto all = [&](bool on_gpu) {
                std::vector<Guarded<T>> out;
                for (int i = 0; i < 11; i++) out.emplace_back(c);
                std::vector<Guarded<double>> statistics = {Guarded<double>(c), Guarded<double>(c)};
                out[0] = means, out[1] = variances, out[5] = means, out[6] = variances;
                auto finish = kernels::norm_finish<T>;
                auto running = kernels::norm_running<T>;
                auto fold = kernels::norm_fold<T>;
                finish(where(on_gpu), shape, sums.data(), g, b, more ? out[0].data() : nullptr,
                       more ? out[1].data() : nullptr, statistics[0].data(), statistics[1].data(), out[9].data(),
                       out[10].data());
                fold(where(on_gpu), shape, sums.data(), sums.data() + c, statistics[0].data(), statistics[1].data(), g,
                     out[2].data(), out[3].data(), out[4].data(), out[5].data(), more, affine ? out[6].data() : nullptr,
                     !more);
                running(where(on_gpu), shape, g, b, means.data(), variances.data(), out[7].data(), out[8].data());
                for (const auto& v : statistics) out.push_back(bits_of<T>(v));
                return out;
            };
            const auto want = all(false);
            in_every_order([&] {
                auto got = all(true);
                for (std::size_t i = 0; i < want.size(); i++) {
                    CAPTURE(i);
                    CHECK(got[i].same_bits(want[i]));
                    CHECK(got[i].intact());
                }
                return got;
            });
        }
}

}  // namespace
}  // namespace nascent::test
