#include "kernels/conv.h"

#include "kernels/conv_plain.h"
#include "tests/kernels/conv_case.h"

namespace nascent::test {
namespace {

// n, h, w, c_in, c_out, k, stride
constexpr ConvShape kShapes[] = {
    {1, 1, 1, 1, 1, 1, 1},    {1, 1, 1, 3, 2, 3, 1},    {1, 1, 1, 3, 2, 3, 2},    {1, 5, 7, 3, 16, 3, 1},
    {2, 8, 8, 16, 16, 1, 1},  {1, 9, 6, 17, 5, 3, 1},   {3, 7, 5, 5, 17, 3, 2},   {2, 8, 6, 16, 32, 3, 2},
    {2, 5, 4, 33, 40, 1, 2},  {1, 4, 4, 64, 64, 3, 1},  {33, 3, 3, 4, 6, 3, 1},   {70, 2, 3, 2, 3, 1, 1},
    {1, 3, 37, 16, 20, 3, 1}, {1, 6, 9, 8, 24, 3, 2},   {1, 16, 8, 32, 48, 1, 1}, {2, 9, 9, 24, 11, 1, 2},
    {1, 2, 2, 130, 35, 3, 2}, {1, 34, 34, 20, 9, 3, 1}, {2, 4, 5, 12, 5, 3, 1},
};

template <class T>
void check_forward(const Case<T>& test) {
    const ConvShape& s = test.s;
    std::vector<Bounded> want(s.pixels() * s.c_out);
    test.for_each_tap([&](std::size_t in, std::size_t out, std::size_t t) {
        for (int i = 0; i < s.c_in; i++) {
            const Bounded a = test.a(in * s.c_in + i);
            for (int o = 0; o < s.c_out; o++)
                want[out * s.c_out + o].add_product(a, test.w[(t * s.c_in + i) * s.c_out + o]);
        }
    });
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        Workspace workspace(kernels::conv_forward_workspace(stream, s, sizeof(T)));
        Guarded<T> z(want.size()), no_sums_z(want.size());
        Guarded<double> sums(static_cast<std::size_t>(2) * s.c_out);
        kernels::conv_forward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), z.data(), sums.data(),
                                 workspace.get());
        kernels::conv_forward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), no_sums_z.data(), nullptr,
                                 workspace.get());
        CHECK(workspace.intact());
        CHECK(z.same_bits(no_sums_z));
        CHECK(no_sums_z.intact());
        // A product and an addition per term, and two roundings in the prologue.
        check_close(z, want, 2.0 * s.k * s.k * s.c_in + 2, "z");
        std::vector<Bounded> want_sums(sums.size());  // of the z that was stored
        for (std::size_t i = 0; i < z.size(); i++) {
            want_sums[i % s.c_out].add(z[i]);
            want_sums[s.c_out + i % s.c_out].add(static_cast<Real>(z[i]) * z[i]);
        }
        // At most 64 pixels, or a longer row, are added in T, then doubles: one per row and chunk.
        check_close(sums, want_sums, std::max(64, s.out_w()) + 2.0, "sums in T",
                    static_cast<double>(std::numeric_limits<T>::epsilon()) +
                        std::numeric_limits<double>::epsilon() * (s.n * s.out_h() + 32));
        std::vector<Guarded<T>> outputs{z, Guarded<T>(0)};
        Guarded<T> as_bits(sums.size() * sizeof(double) / sizeof(T));
        std::memcpy(as_bits.data(), sums.data(), sums.size() * sizeof(double));
        outputs.push_back(as_bits);
        return outputs;
    });
}

template <class T>
void check_backward(const Case<T>& test, bool accumulate) {
    const ConvShape& s = test.s;
    std::vector<Bounded> want_da(test.x.size()), want_dw(test.w.size());
    test.for_each_tap([&](std::size_t in, std::size_t out, std::size_t t) {
        for (int o = 0; o < s.c_out; o++) {
            const Bounded dz = test.dz(out * s.c_out + o);
            for (int i = 0; i < s.c_in; i++) {
                const std::size_t at = (t * s.c_in + i) * s.c_out + o, pixel = in * s.c_in + i;
                const Bounded a = test.a(pixel);
                if (!test.relu || test.before_relu(pixel) > 0) want_da[pixel].add_product(dz, test.w[at]);
                want_dw[at].value += dz.value * a.value;
                want_dw[at].magnitude += dz.magnitude * a.magnitude;
            }
        }
    });
    for (std::size_t i = 0; accumulate && i < want_da.size(); i++) want_da[i].add(test.da[i]);
    for (std::size_t i = 0; accumulate && i < want_dw.size(); i++) want_dw[i].add(test.dw[i]);
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        Workspace workspace(kernels::conv_backward_workspace(stream, s, sizeof(T)));
        auto run = [&](bool with_da, bool with_dw, Guarded<T>& da, Guarded<T>& dw) {
            if (accumulate) da = test.da, dw = test.dw;
            kernels::conv_backward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), test.dy.data(),
                                      test.norm_fold(), with_da ? da.data() : nullptr, accumulate,
                                      with_dw ? dw.data() : nullptr, accumulate, workspace.get());
            CHECK(workspace.intact());
        };
        Guarded<T> da(want_da.size()), dw(want_dw.size()), only_da(da.size()), only_dw(dw.size()), none_da(da.size()),
            none_dw(dw.size());
        run(true, true, da, dw);
        // A product and an addition per term, at most four roundings in dz, one more for what was there before.
        check_close(da, want_da, 2.0 * s.k * s.k * s.c_out + 5, "da");
        // Also the prologue's two, and one addition per chunk.
        check_close(dw, want_dw, 2.0 * static_cast<double>(s.pixels()) + 32 + 7, "dw");
        // An unwanted gradient changes nothing in the other.
        run(true, false, only_da, none_dw);
        run(false, true, none_da, only_dw);
        CHECK(only_da.same_bits(da));
        CHECK(only_dw.same_bits(dw));
        CHECK(only_da.intact());
        CHECK(only_dw.intact());
        run(false, false, none_da, none_dw);
        return std::vector<Guarded<T>>{da, dw};
    });
}

TEST_CASE_TEMPLATE("conv_forward agrees with a plain convolution", T, float, double) {
    unsigned seed = 1;
    for (const ConvShape& s : kShapes)
        for (int mode = 0; mode < 4; mode++) {
            INFO("shape ", name(s), "mode ", mode);
            check_forward(Case<T>(s, seed++, mode & 1, mode & 2, false));
        }
}

TEST_CASE_TEMPLATE("conv_backward agrees with a plain convolution", T, float, double) {
    unsigned seed = 100;
    for (const ConvShape& s : kShapes)
        for (int mode = 0; mode < 8; mode++) {
            INFO("shape ", name(s), "mode ", mode);
            // All pairs of: affine, relu, fold, accumulate.
            check_backward(Case<T>(s, seed++, mode & 1, mode & 2, mode & 4), (mode ^ (mode >> 1) ^ (mode >> 2)) & 1);
        }
}

TEST_CASE_TEMPLATE("a not-a-number passes through the ReLU of a convolution", T, float, double) {
    const ConvShape s{1, 3, 3, 2, 3, 3, 1};
    for_each_target([&] {
        Case<T> test(s, 7, true, true, true);
        test.x[(1 * 3 + 1) * 2] = std::numeric_limits<T>::quiet_NaN();
        const kernels::Stream stream;
        Workspace workspace(std::max(kernels::conv_forward_workspace(stream, s, sizeof(T)),
                                     kernels::conv_backward_workspace(stream, s, sizeof(T))));
        Guarded<T> z(s.pixels() * s.c_out), dw(test.w.size());
        kernels::conv_forward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), z.data(), nullptr,
                                 workspace.get());
        for (T v : z) CHECK(std::isnan(v));  // every window holds the centre
        kernels::conv_backward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), test.dy.data(),
                                  test.norm_fold(), nullptr, false, dw.data(), false, workspace.get());
        for (std::size_t i = 0; i < dw.size(); i++) CHECK(std::isnan(dw[i]) == (i / s.c_out % s.c_in == 0));
    });
}

TEST_CASE_TEMPLATE("conv_plain agrees with a plain convolution", T, float, double) {
    unsigned seed = 200;
    ThreadPool pool(2);
    for (const ConvShape& s : kShapes)
        for (bool accumulate : {false, true}) {
            INFO("shape ", name(s));
            const Case<T> test(s, seed++, false, false, false);
            std::vector<Bounded> want(s.pixels() * s.c_out), want_dx(test.x.size()), want_dw(test.w.size());
            test.for_each_tap([&](std::size_t in, std::size_t out, std::size_t t) {
                for (int i = 0; i < s.c_in; i++)
                    for (int o = 0; o < s.c_out; o++) {
                        const Real x = test.x[in * s.c_in + i], g = test.dy[out * s.c_out + o];
                        const std::size_t at = (t * s.c_in + i) * s.c_out + o;
                        want[out * s.c_out + o].add(x * test.w[at]);
                        want_dx[in * s.c_in + i].add(g * test.w[at]);
                        want_dw[at].add(x * g);
                    }
            });
            Guarded<T> y(want.size()), dx(test.x.size()), dw(test.w.size());
            if (accumulate) {
                dx = test.da, dw = test.dw;
                for (std::size_t i = 0; i < want_dx.size(); i++) want_dx[i].add(dx[i]);
                for (std::size_t i = 0; i < want_dw.size(); i++) want_dw[i].add(dw[i]);
            }
            const kernels::Image image{s.n, s.h, s.w, s.c_in};
            const kernels::Window at = kernels::same_window(s.k, s.stride);
            kernels::conv_plain_forward<T>(stream_of(pool), image, at, s.c_out, test.x.data(), test.w.data(), y.data());
            kernels::conv_plain_backward<T>(stream_of(pool), image, at, s.c_out, test.x.data(), test.w.data(),
                                            test.dy.data(), dx.data(), accumulate, dw.data(), accumulate);
            kernels::conv_plain_backward<T>(stream_of(pool), image, at, s.c_out, test.x.data(), test.w.data(),
                                            test.dy.data(), nullptr, accumulate, nullptr, accumulate);
            // Sums in double; with T = float only the last rounding counts, plus a term of the double's length.
            check_close(y, want, 2.0 * s.k * s.k * s.c_in + 1, "y");
            check_close(dx, want_dx, 2.0 * s.k * s.k * s.c_out + 2, "dx");
            check_close(dw, want_dw, 2.0 * static_cast<double>(s.pixels()) + 2, "dw");
        }
}

}  // namespace
}  // namespace nascent::test
