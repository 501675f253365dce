// The GPU's links against the CPU's in double; on the emulator in three orders of the threads.
#include "kernels/chain.h"

#include <algorithm>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::Activation;
using kernels::LinkShape;

struct LinkCase {
    LinkShape shape;
    Activation activation;
    int step;
    int modes = 4;
};

const LinkCase kLinks[] = {{{2, 5, 3, 7, 5}, Activation::relu, 1},
                           {{3, 5, 4, 36, 20}, Activation::relu6, 1},
                           {{2, 9, 8, 16, 40}, Activation::none, 2},
                           {{2, 5, 4, 5, 5, 3, 1, true}, Activation::relu6, 1},
                           {{1, 7, 11, 20, 20, 5, 2, true}, Activation::relu, 1},
                           {{2, 9, 10, 16, 16, 7, 1, true}, Activation::relu, 1},
                           {{1, 18, 17, 3, 3, 7, 2, true}, Activation::none, 2},
                           {{3, 12, 9, 4, 4, 3, 2, true}, Activation::none, 2},
                           // So many tiles that blocks of the weights' gradient go through several.
                           {{27, 3, 3, 160, 160, 3, 1, true}, Activation::relu, 1, 1}};

/// Of inputs x, scale, shift, w, z, g, three of the fold, skip, round: z, its sums, da with what goes round it, dw;
/// then da, its sums (between links), the output and dz. All in T but the sums, which are cut to it.
template <class T>
std::vector<Guarded<T>> run(const LinkCase& c, const std::vector<Guarded<T>>& in, bool masked, bool adds,
                            const kernels::Stream& stream) {
    const LinkShape& s = c.shape;
    const Activation activation = masked ? c.activation : Activation::none;
    const std::size_t in_size = s.in_pixels() * static_cast<std::size_t>(s.c_in),
                      out_size = s.out_pixels() * static_cast<std::size_t>(s.c_out);
    const int pixel = 2 * s.c_in;
    std::vector<Guarded<T>> out;
    auto sums_to = [&](const Guarded<double>& sums) {
        Guarded<T> to(sums.size());
        std::copy(sums.begin(), sums.end(), to.begin());
        CHECK(sums.intact());
        out.push_back(to);
    };
    const int first = c.step == 2 ? 1 : s.c_in;  // of the branch's channels
    const kernels::Normed<T> input{{in[0].data() + first, pixel, c.step}, in[1].data(), in[2].data(), activation};
    Guarded<T> z(out_size, reinterpret_cast<std::uintptr_t>(in[0].data()) % 16 == 0 ? 0 : 1);
    Guarded<double> sums(2 * static_cast<std::size_t>(s.c_out)), da_sums(2 * static_cast<std::size_t>(s.c_in));
    Workspace forward(kernels::link_forward_workspace(stream, s, sizeof(T)));
    kernels::link_forward<T>(stream, s, input, in[3].data(), z.data(), sums.data(), forward.get());
    CHECK(forward.intact());
    out.push_back(z);
    sums_to(sums);
    const kernels::NormedGradient<T> g{{in[5].data(), s.c_out, 1}, in[4].data()};
    const kernels::NormFold<T> fold{nullptr, in[6].data(), in[7].data(), in[8].data()};
    Workspace backward(kernels::link_backward_workspace(stream, s, sizeof(T)));
    Guarded<T> da = in[0], dw = in[3];
    kernels::LinkTarget<T> target;
    target.da = {da.data() + first, pixel, c.step};
    target.accumulate = adds;
    target.skip = {in[9].data(), s.c_in, 1};
    target.round_da = {da.data(), pixel, c.step};
    target.round_g = {in[10].data(), pixel, c.step == 2 ? 1 : 2};
    kernels::link_backward<T>(stream, s, input, in[3].data(), g, fold, target, dw.data(), adds, backward.get());
    out.push_back(da), out.push_back(dw);
    if (c.step == 1) {  // between links, x is dense
        Guarded<T> dense(in_size), x(in_size);
        std::copy_n(in[0].begin(), in_size, x.begin());
        kernels::LinkTarget<T> inner;
        inner.da = {dense.data(), s.c_in, 1};
        inner.sums = da_sums.data();
        kernels::link_backward<T>(stream, s, {{x.data(), s.c_in, 1}, in[1].data(), in[2].data(), activation},
                                  in[3].data(), g, fold, inner, nullptr, false, backward.get());
        out.push_back(dense);
        sums_to(da_sums);
    }
    CHECK(backward.intact());
    Guarded<T> y(2 * in_size), dz(out_size);
    const kernels::ChainPart<T> part{input, s.c_in}, other{{{in[0].data(), pixel, 1}}, s.c_in};
    kernels::chain_output<T>(stream, s.in_pixels(), other, part, c.step == 1, nullptr, y.data());
    kernels::link_gradient<T>(stream, s.out_pixels(), s.c_out, g, fold, dz.data());
    out.push_back(y), out.push_back(dz);
    return out;
}

}  // namespace

TEST_CASE_TEMPLATE("gpu links of a chain", T, float, double) {
    unsigned seed = 1;
    for (const LinkCase& c : kLinks)
        for (int mode = 0; mode < c.modes; mode++) {
            const bool adds = mode & 1, aligned = mode & 2;
            const LinkShape& s = c.shape;
            INFO("link ", s.c_in, " ", s.c_out, " k ", s.k, " step ", c.step, " mode ", mode);
            Numbers numbers(seed++);
            const std::size_t in = s.in_pixels() * static_cast<std::size_t>(s.c_in),
                              out = s.out_pixels() * static_cast<std::size_t>(s.c_out),
                              ci = static_cast<std::size_t>(s.c_in), co = static_cast<std::size_t>(s.c_out);
            std::vector<Guarded<T>> inputs;
            // Short fractions, so that what is masked is the same in T and in double.
            inputs.push_back(at_skew(numbers.fractions<T>(2 * in, 16, 4), aligned));
            inputs.push_back(at_skew(numbers.fractions<T>(ci, 6, 2, 0.5), aligned));
            inputs.push_back(at_skew(numbers.fractions<T>(ci, 8, 8), aligned));
            for (std::size_t size : {static_cast<std::size_t>(s.depthwise ? s.k * s.k * s.c_in : s.c_in * s.c_out), out,
                                     out, co, co, co, in, 2 * in})
                inputs.push_back(at_skew(numbers.uniform<T>(size), aligned));
            std::vector<Guarded<double>> values, positive;
            for (const Guarded<T>& v : inputs) values.push_back(wide(v)), positive.push_back(magnitudes(wide(v)));
            const auto want = run<double>(c, values, true, adds, {}), most = run<double>(c, positive, false, adds, {});
            // The longest sum: products of a pixel, of all pixels, and of both for the sums of z.
            const double length = static_cast<double>(s.out_pixels() + s.in_pixels()) + 49 + s.c_in + s.c_out + 16;
            in_every_order([&] {
                auto got = run<T>(c, inputs, true, adds, kGpu);
                for (std::size_t i = 0; i < want.size(); i++) {
                    std::vector<Bounded> bounds;
                    for (std::size_t j = 0; j < want[i].size(); j++) bounds.push_back({want[i][j], most[i][j]});
                    CAPTURE(i);
                    check_close(got[i], bounds, length, "output");
                }
                return got;
            });
        }
}

/// Links on tensor cores; more pixels than a block's and more channels than one's, and both of few.
const LinkCase kDenseLinks[] = {{{2, 9, 8, 16, 40}, Activation::none, 2}, {{3, 5, 4, 36, 20}, Activation::relu6, 1},
                                {{1, 1, 1, 4, 4}, Activation::relu, 1},   {{1, 17, 16, 8, 80}, Activation::relu, 1},
                                {{2, 6, 6, 72, 16}, Activation::relu, 2}, {{5, 8, 8, 64, 64}, Activation::relu6, 1}};

std::vector<Guarded<float>> dense_inputs(const LinkCase& c, unsigned seed, bool exact, bool aligned) {
    const LinkShape& s = c.shape;
    Numbers numbers(seed);
    const std::size_t in = s.in_pixels() * static_cast<std::size_t>(s.c_in),
                      out = s.out_pixels() * static_cast<std::size_t>(s.c_out), ci = static_cast<std::size_t>(s.c_in),
                      co = static_cast<std::size_t>(s.c_out);
    std::vector<Guarded<float>> v;
    auto add = [&](std::size_t count, int range, double denominator) {
        v.push_back(at_skew(exact ? numbers.fractions<float>(count, range, denominator) : numbers.uniform<float>(count),
                            aligned));
    };
    // Affine maps of so short fractions have ten bits, products and sums of them 24.
    add(2 * in, 8, 4), add(ci, 2, 2), add(ci, 4, 4), add(ci * co, 4, 4), add(out, 4, 4), add(out, 4, 4);
    for (int i = 0; i < 3; i++) add(co, 2, 2);
    add(in, 4, 4), add(2 * in, 4, 4);
    return v;
}

TEST_CASE("gpu links in tf32 have the strict bits where nothing is rounded") {
    unsigned seed = 300;
    for (const LinkCase& c : kDenseLinks)
        for (bool adds : {false, true}) {
            INFO("link ", c.shape.c_in, " ", c.shape.c_out, " step ", c.step, " adds ", adds);
            const auto inputs = dense_inputs(c, seed++, true, true);
            const auto want = run<float>(c, inputs, true, adds, kGpu);
            in_every_order([&] {
                auto got = run<float>(c, inputs, true, adds, kTf32);
                for (std::size_t i = 0; i < want.size(); i++) {
                    CAPTURE(i);
                    CHECK(got[i].same_bits(want[i]));
                }
                return got;
            });
        }
}

TEST_CASE("gpu links in tf32 round their factors, and no others do") {
    unsigned seed = 400;
    for (const LinkCase& c : kDenseLinks) {
        INFO("link ", c.shape.c_in, " ", c.shape.c_out, " step ", c.step);
        const auto inputs = dense_inputs(c, seed++, false, true);
        std::vector<Guarded<double>> positive;
        for (const Guarded<float>& v : inputs) positive.push_back(magnitudes(wide(v)));
        const auto most = run<double>(c, positive, false, false, {});
        const auto strict = run<float>(c, inputs, true, false, kGpu), got = run<float>(c, inputs, true, false, kTf32);
        // A product is off by 2 parts of 2^-11, its square by 4; then the roundings of both kernels.
        const double length =
            static_cast<double>(c.shape.out_pixels() + c.shape.in_pixels()) + c.shape.c_in + c.shape.c_out + 65;
        const double roundings = (4 * 0x1p-11 + 0x1p-19) / std::numeric_limits<float>::epsilon() + 2 * length;
        for (std::size_t i = 0; i < got.size(); i++) {
            std::vector<Bounded> bounds;
            for (std::size_t j = 0; j < got[i].size(); j++) bounds.push_back({strict[i][j], most[i][j]});
            CAPTURE(i);
            check_close(got[i], bounds, roundings, "output");
        }
        for (std::size_t i : {0u, 1u, 2u, 3u}) CHECK_FALSE(got[i].same_bits(strict[i]));
        for (std::size_t i : {1u, 2u}) CHECK(got[got.size() - i].same_bits(strict[got.size() - i]));
        const auto skewed = dense_inputs(c, seed, false, false);
        const auto strict_skewed = run<float>(c, skewed, true, false, kGpu),
                   got_skewed = run<float>(c, skewed, true, false, kTf32);
        if (c.step == 1)  // x is read by fours
            for (std::size_t i = 0; i < got.size(); i++) CHECK(got_skewed[i].same_bits(strict_skewed[i]));
    }
}

}  // namespace nascent::test
