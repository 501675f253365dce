// Links of a chain against loops in long double: both kinds of convolution, every other channel of a wider tensor,
// activations, strips of rows, all that goes round.
#include "kernels/chain.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/check.h"

namespace nascent::test {
namespace {

using kernels::Activation;
using kernels::LinkShape;

struct LinkCase {
    LinkShape shape;
    Activation activation;
    int step;     // of the input's channels, and of its gradient's
    bool affine;  // a norm stands before
};

const LinkCase kLinks[] = {
    {{1, 1, 1, 1, 1}, Activation::none, 1, false},
    {{2, 5, 3, 7, 5}, Activation::relu, 1, true},
    {{3, 7, 9, 33, 18}, Activation::relu6, 1, true},
    {{2, 9, 8, 16, 40}, Activation::none, 2, false},
    {{33, 3, 3, 40, 70}, Activation::relu6, 1, true},
    {{2, 5, 4, 5, 5, 3, 1, true}, Activation::relu6, 1, true},
    {{1, 7, 6, 18, 18, 5, 2, true}, Activation::relu, 1, true},
    {{2, 6, 7, 33, 33, 7, 1, true}, Activation::none, 1, true},
    {{2, 7, 7, 3, 3, 7, 2, true}, Activation::none, 2, false},
    {{1, 1, 2, 17, 17, 7, 2, true}, Activation::none, 1, false},
    {{34, 4, 3, 2, 2, 3, 2, true}, Activation::relu, 1, true},
    {{1, 90, 70, 3, 3, 5, 1, true}, Activation::relu6, 1, true},
    {{1, 131, 67, 2, 2, 3, 2, true}, Activation::none, 2, false},
    // Two and three chunks of pixels.
    {{5, 9, 9, 20, 18}, Activation::relu6, 1, true},
    {{1, 25, 25, 5, 33}, Activation::none, 2, false},
    // Rows of whole tiles, of which each number of taps has its own code; the first ones in several passes.
    {{1, 9, 14, 5, 5, 3, 1, true}, Activation::relu, 1, true},
    {{1, 4, 14, 6, 6, 3, 2, true}, Activation::relu6, 1, true},
    {{2, 3, 14, 18, 18, 5, 2, true}, Activation::none, 1, true},
    {{1, 5, 14, 4, 4, 7, 2, true}, Activation::relu, 1, true},
    {{1, 2, 27, 3, 3, 3, 2, true}, Activation::none, 2, false}};

/// Products of pixels and taps: f(input pixel, output pixel, tap).
template <class F>
void for_products(const LinkShape& s, F&& f) {
    const int pad = s.depthwise ? s.k / 2 : 0, taps = s.depthwise ? s.k : 1;
    for (int n = 0; n < s.n; n++)
        for (int y = 0; y < s.out_h(); y++)
            for (int x = 0; x < s.out_w(); x++)
                for (int i = 0; i < taps; i++)
                    for (int j = 0; j < taps; j++) {
                        const int v = y * s.stride + i - pad, u = x * s.stride + j - pad;
                        if (v < 0 || v >= s.h || u < 0 || u >= s.w) continue;
                        f(static_cast<std::size_t>((n * s.h + v) * s.w + u),
                          static_cast<std::size_t>((n * s.out_h() + y) * s.out_w() + x),
                          static_cast<std::size_t>(i * taps + j));
                    }
}
bool open(Activation activation, Real v) {
    return activation == Activation::none || (v > 0 && !(activation == Activation::relu6 && v >= 6));
}

/// What links read and what they make, in T and in long double. The input's channels lie in pixels of twice as many
/// and one more; other channels of it go round.
template <class T>
struct Link {
    LinkCase c;
    std::size_t in, out;  // pixels
    int pixel;            // elements of an input pixel
    Guarded<T> x, scale, shift, w, z, g, a, b, d, skip, round, da, dw;
    std::vector<Real> value;  // of x * scale + shift, (in, c_in)

    explicit Link(const LinkCase& link, unsigned seed) : c(link) {
        const LinkShape& s = c.shape;
        Numbers numbers(seed);
        in = s.in_pixels(), out = s.out_pixels(), pixel = 2 * s.c_in + 1;
        x = numbers.fractions<T>(in * static_cast<std::size_t>(pixel), 16, 4);
        scale = numbers.fractions<T>(static_cast<std::size_t>(s.c_in), 6, 2, 0.5);
        shift = numbers.fractions<T>(static_cast<std::size_t>(s.c_in), 8, 8);
        w = numbers.uniform<T>(static_cast<std::size_t>(s.depthwise ? s.k * s.k * s.c_in : s.c_in * s.c_out));
        z = numbers.uniform<T>(out * static_cast<std::size_t>(s.c_out)), g = numbers.uniform<T>(z.size());
        for (Guarded<T>* v : {&a, &b, &d}) *v = numbers.uniform<T>(static_cast<std::size_t>(s.c_out));
        skip = numbers.uniform<T>(in * static_cast<std::size_t>(s.c_in)), round = numbers.uniform<T>(2 * skip.size());
        da = numbers.uniform<T>(x.size()), dw = numbers.uniform<T>(w.size());
        value.resize(skip.size());
        for (std::size_t p = 0; p < in; p++)
            for (int i = 0; i < s.c_in; i++) {
                const Real v = x[at(p, i)];
                value[p * s.c_in + i] = c.affine ? v * scale[i] + shift[i] : v;
            }
    }
    /// Channel i of a pixel of x.
    std::size_t at(std::size_t p, int i) const { return p * pixel + 1 + i * c.step; }
    Real activated(std::size_t p, int i) const {
        const Real v = value[p * c.shape.c_in + i];
        return open(c.activation, v) ? v : v > 0 ? Real(6) : Real(0);
    }
    kernels::Normed<T> input() const {
        return {{x.data() + 1, pixel, c.step},
                c.affine ? scale.data() : nullptr,
                c.affine ? shift.data() : nullptr,
                c.activation};
    }
    Real dz(std::size_t o, int i) const {
        const std::size_t e = o * c.shape.c_out + i;
        return Real(g[e]) * a[i] + Real(z[e]) * b[i] + d[i];
    }
    Real dz_magnitude(std::size_t o, int i) const {
        const std::size_t e = o * c.shape.c_out + i;
        return std::fabs(Real(g[e]) * a[i]) + std::fabs(Real(z[e]) * b[i]) + std::fabs(Real(d[i]));
    }
    std::size_t weight(std::size_t tap, int i, int o) const {
        return c.shape.depthwise ? tap * c.shape.c_in + i : static_cast<std::size_t>(i * c.shape.c_out + o);
    }
    /// Channels of the output that channel i of the input meets.
    std::pair<int, int> outputs(int i) const {
        return c.shape.depthwise ? std::pair{i, i + 1} : std::pair{0, c.shape.c_out};
    }
};

}  // namespace

TEST_CASE_TEMPLATE("link_forward convolves what a norm and an activation make of its input, and sums", T, float,
                   double) {
    unsigned seed = 1;
    for (const LinkCase& c : kLinks) {
        const LinkShape& s = c.shape;
        INFO("link ", s.n, " ", s.h, " ", s.w, " ", s.c_in, " ", s.c_out, " k ", s.k, " step ", c.step);
        const Link<T> link(c, seed++);
        std::vector<Bounded> z(link.z.size());
        for_products(s, [&](std::size_t p, std::size_t o, std::size_t tap) {
            for (int i = 0; i < s.c_in; i++)
                for (auto [k, end] = link.outputs(i); k < end; k++)
                    z[o * s.c_out + k].add(link.activated(p, i) * link.w[link.weight(tap, i, k)]);
        });
        const int products = s.depthwise ? s.k * s.k : s.c_in;
        for_each_target_and_threads([&](const kernels::Stream& stream) {
            Guarded<T> got(link.z.size());
            Guarded<double> sums(2 * static_cast<std::size_t>(s.c_out));
            Workspace space(kernels::link_forward_workspace(stream, s, sizeof(T)));
            kernels::link_forward<T>(stream, s, link.input(), link.w.data(), got.data(), sums.data(), space.get());
            CHECK(space.intact());
            check_close(got, z, products + 1, "z");
            std::vector<Bounded> want(sums.size());
            for (std::size_t o = 0; o < link.out; o++)
                for (int k = 0; k < s.c_out; k++) {
                    const Real v = got[o * s.c_out + k];
                    want[k].add(v), want[s.c_out + k].add(v * v);
                }
            // In T up to a row or 64 pixels and half of that again.
            check_close(sums, want, 2 + 2 * std::max(s.w, 64), "sums", std::numeric_limits<T>::epsilon());
            Guarded<T> bare(link.z.size());
            kernels::link_forward<T>(stream, s, link.input(), link.w.data(), bare.data(), nullptr, space.get());
            CHECK(bare.same_bits(got));
            return std::vector{got};
        });
    }
}

TEST_CASE_TEMPLATE("link_backward gives both gradients, what goes round them, and sums", T, float, double) {
    unsigned seed = 50;
    for (const LinkCase& c : kLinks)
        for (int mode = 0; mode < 3; mode++) {  // between links; the first one, overwriting; adding
            const LinkShape& s = c.shape;
            if (mode == 0 && c.step == 2) continue;
            INFO("link ", s.n, " ", s.h, " ", s.w, " ", s.c_in, " ", s.c_out, " k ", s.k, " mode ", mode);
            const Link<T> link(c, seed++);
            const bool adds = mode == 2, between = mode == 0;
            std::vector<Bounded> da(link.skip.size()), dw(link.w.size());
            for_products(s, [&](std::size_t p, std::size_t o, std::size_t tap) {
                for (int i = 0; i < s.c_in; i++)
                    for (auto [k, end] = link.outputs(i); k < end; k++) {
                        const Bounded dz{link.dz(o, k), link.dz_magnitude(o, k)};
                        if (open(c.activation, link.value[p * s.c_in + i]))
                            da[p * s.c_in + i].add_product(dz, link.w[link.weight(tap, i, k)]);
                        dw[link.weight(tap, i, k)].add_product(dz, link.activated(p, i));
                    }
            });
            for (std::size_t i = 0; adds && i < dw.size(); i++) dw[i].add(link.dw[i]);
            const int products = s.depthwise ? s.k * s.k : s.c_out;
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                Guarded<T> to = link.da, got_dw = link.dw;
                Guarded<T> dense(link.skip.size());
                Guarded<double> sums(2 * static_cast<std::size_t>(s.c_in));
                kernels::LinkTarget<T> target;
                if (between) {
                    target.da = {dense.data(), s.c_in, 1};
                    target.sums = sums.data();
                } else {
                    target.da = {to.data() + 1, link.pixel, c.step};
                    target.accumulate = adds;
                    target.skip = {link.skip.data(), s.c_in, 1};
                    target.round_da = {to.data() + (c.step == 2 ? 0 : s.c_in + 1), link.pixel, c.step};
                    target.round_g = {link.round.data(), 2 * s.c_in, c.step == 2 ? 1 : 2};
                }
                Workspace space(kernels::link_backward_workspace(stream, s, sizeof(T)));
                const kernels::NormedGradient<T> g{{link.g.data(), s.c_out, 1}, link.z.data()};
                const kernels::NormFold<T> fold{nullptr, link.a.data(), link.b.data(), link.d.data()};
                kernels::link_backward<T>(stream, s, link.input(), link.w.data(), g, fold, target, got_dw.data(), adds,
                                          space.get());
                CHECK(space.intact());
                check_close(got_dw, dw, static_cast<double>(link.out) + 6, "dw");
                if (between) {
                    check_close(dense, da, products + 4, "da");
                    std::vector<Bounded> want(sums.size());
                    for (std::size_t p = 0; p < link.in; p++)
                        for (int i = 0; i < s.c_in; i++) {
                            const Real v = dense[p * s.c_in + i];
                            want[i].add(v), want[s.c_in + i].add(v * link.x[link.at(p, i)]);
                        }
                    check_close(sums, want, 2 + 2 * std::max(s.w, 64), "sums", std::numeric_limits<T>::epsilon());
                    return std::vector{dense, got_dw};
                }
                Guarded<T> mine(da.size()), others(da.size());
                std::vector<Bounded> want = da, want_others(da.size());
                for (std::size_t p = 0; p < link.in; p++)
                    for (int i = 0; i < s.c_in; i++) {
                        const std::size_t e = p * s.c_in + i,
                                          there = p * link.pixel + (c.step == 2 ? 2 * i : s.c_in + 1 + i);
                        mine[e] = to[link.at(p, i)], others[e] = to[there];
                        want[e].add(link.skip[e]);
                        want_others[e].add(link.round[p * 2 * s.c_in + (c.step == 2 ? 1 : 2) * i]);
                        if (adds) want[e].add(link.da[link.at(p, i)]), want_others[e].add(link.da[there]);
                    }
                check_close(mine, want, products + 6, "da");
                check_close(others, want_others, 1, "round");
                for (std::size_t p = 0; p < link.in; p++) {  // the one channel that is neither
                    const std::size_t rest = p * link.pixel + (c.step == 2 ? link.pixel - 1 : 0);
                    CHECK(to[rest] == link.da[rest]);
                }
                return std::vector{to, got_dw};
            });
        }
}

TEST_CASE_TEMPLATE("what is written past the caches has the same bits", T, float, double) {
    for (const LinkShape& s :
         {LinkShape{2, 400, 350, 16, 16}, LinkShape{1, 700, 401, 16, 16, 3, 1, true},
          LinkShape{1, 512, 515, 17, 17}}) {  // the last is as large, but its pixels are no whole lines
        Numbers numbers(7);
        const std::size_t in = s.in_pixels() * static_cast<std::size_t>(s.c_in),
                          out = s.out_pixels() * static_cast<std::size_t>(s.c_out);
        const auto x = numbers.uniform<T>(in),
                   w = numbers.uniform<T>(static_cast<std::size_t>(s.depthwise ? 9 * s.c_in : s.c_in * s.c_out));
        const auto g = numbers.uniform<T>(out), fold = numbers.uniform<T>(3 * static_cast<std::size_t>(s.c_out));
        // Whole lines are streamed; a buffer that begins beside one is not.
        for_each_target([&] {
            std::vector<Guarded<T>> z, da;
            std::vector<Guarded<double>> sums;
            for (std::size_t skew : {0, 1}) {
                std::vector<T> memory(std::max(in, out) + 64 / sizeof(T) + 1);
                auto address = reinterpret_cast<std::uintptr_t>(memory.data());
                T* to = memory.data() + (64 - address % 64) % 64 / sizeof(T) + skew;
                Guarded<double> z_sums(2 * static_cast<std::size_t>(s.c_out)),
                    da_sums(2 * static_cast<std::size_t>(s.c_in));
                Workspace space(kernels::link_forward_workspace({}, s, sizeof(T)));
                kernels::link_forward<T>({}, s, {{x.data(), s.c_in, 1}}, w.data(), to, z_sums.data(), space.get());
                Guarded<T> copy(out);
                std::copy_n(to, out, copy.begin());
                z.push_back(copy), sums.push_back(z_sums);
                Workspace back(kernels::link_backward_workspace({}, s, sizeof(T)));
                kernels::LinkTarget<T> target;
                target.da = {to, s.c_in, 1};
                target.sums = da_sums.data();
                kernels::link_backward<T>({}, s, {{x.data(), s.c_in, 1}}, w.data(),
                                          {{g.data(), s.c_out, 1}, copy.data()},
                                          {nullptr, fold.data(), fold.data() + s.c_out, fold.data() + 2 * s.c_out},
                                          target, nullptr, false, back.get());
                Guarded<T> gradient(in);
                std::copy_n(to, in, gradient.begin());
                da.push_back(gradient), sums.push_back(da_sums);
            }
            CHECK((z[0].same_bits(z[1]) && da[0].same_bits(da[1])));
            CHECK((sums[0].same_bits(sums[2]) && sums[1].same_bits(sums[3])));
        });
    }
}

TEST_CASE_TEMPLATE("chain_output, link_sums and link_gradient", T, float, double) {
    unsigned seed = 90;
    for (auto [pixels, c] : {std::pair{1, 1}, {70, 5}, {1000, 16}, {333, 33}})
        for (Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
            INFO("pixels ", pixels, " channels ", c);
            Numbers numbers(seed++);
            const auto size = static_cast<std::size_t>(pixels * c);
            const auto z = numbers.fractions<T>(size, 16, 4), x = numbers.fractions<T>(2 * size, 16, 4);
            const auto scale = numbers.fractions<T>(static_cast<std::size_t>(c), 6, 2, 0.5),
                       shift = numbers.fractions<T>(static_cast<std::size_t>(c), 8, 8);
            const auto g = numbers.uniform<T>(2 * size);
            std::vector<Guarded<T>> fold;
            for (int i = 0; i < 3; i++) fold.push_back(numbers.uniform<T>(static_cast<std::size_t>(c)));
            auto activated = [&](std::size_t p, int i) {
                const Real v = Real(z[p * c + i]) * scale[i] + shift[i];
                return open(activation, v) ? static_cast<T>(v) : v > 0 ? T(6) : T(0);
            };
            for_each_target_and_threads([&](const kernels::Stream& stream) {
                const kernels::ChainPart<T> part{{{z.data(), c, 1}, scale.data(), shift.data(), activation}, c};
                const kernels::ChainPart<T> even{{{x.data(), 2 * c, 2}}, c}, half{{{x.data() + c, 2 * c, 1}}, c};
                Guarded<T> one(size), two(2 * size), turns(2 * size);
                kernels::chain_output<T>(stream, pixels, part, {}, false, x.data(), one.data());
                kernels::chain_output<T>(stream, pixels, even, part, false, nullptr, two.data());
                kernels::chain_output<T>(stream, pixels, half, part, true, nullptr, turns.data());
                CHECK((one.intact() && two.intact() && turns.intact()));
                bool same = true;
                for (std::size_t p = 0; p < static_cast<std::size_t>(pixels); p++)
                    for (int i = 0; i < c; i++) {
                        const T v = activated(p, i);
                        same = same && one[p * c + i] == v + x[p * c + i] &&
                               two[p * 2 * c + i] == x[p * 2 * c + 2 * i] && two[p * 2 * c + c + i] == v &&
                               turns[p * 2 * c + 2 * i] == x[p * 2 * c + c + i] && turns[p * 2 * c + 2 * i + 1] == v;
                    }
                CHECK(same);
                const kernels::NormedGradient<T> from{
                    {g.data() + 1, 2 * c, 2}, z.data(), scale.data(), shift.data(), activation};
                Guarded<double> sums(2 * static_cast<std::size_t>(c));
                Workspace space(kernels::link_sums_workspace(stream, pixels, c));
                kernels::link_sums<T>(stream, pixels, c, from, sums.data(), space.get());
                CHECK(space.intact());
                Guarded<T> dz(size);
                kernels::link_gradient<T>(stream, pixels, c, from,
                                          {nullptr, fold[0].data(), fold[1].data(), fold[2].data()}, dz.data());
                CHECK(dz.intact());
                std::vector<Bounded> want(sums.size()), want_dz(size);
                for (std::size_t p = 0; p < static_cast<std::size_t>(pixels); p++)
                    for (int i = 0; i < c; i++) {
                        const Real v = Real(z[p * c + i]) * scale[i] + shift[i];
                        const Real masked = open(activation, v) ? Real(g[p * 2 * c + 1 + 2 * i]) : Real(0);
                        want[i].add(masked), want[c + i].add(masked * z[p * c + i]);
                        Bounded& to = want_dz[p * c + i];
                        to.add(masked * fold[0][i]), to.add(Real(z[p * c + i]) * fold[1][i]), to.add(fold[2][i]);
                    }
                check_close(sums, want, 66, "sums", std::numeric_limits<T>::epsilon());
                check_close(dz, want_dz, 3, "dz");
                return std::vector{one, two, turns, dz};
            });
        }
}

}  // namespace nascent::test
