// The classifier's products on tensor cores, on the emulator in three orders of the threads.
#include <functional>

#include "kernels/head.h"
#include "tests/gpu/dense_case.h"

namespace nascent::test {
namespace {

struct Linear {
    int n, in, out;
};
/// One picture, odd numbers of everything, ends within a tile and within 64 of depth; each a million products at least.
constexpr Linear kLinear[] = {{1, 1056, 1000}, {37, 132, 220}, {130, 100, 84}, {64, 256, 64}};

struct LinearOutputs {
    Guarded<float> y, dx, dw, dbias;
};

LinearOutputs run(const kernels::Stream& stream, const Linear& s, std::vector<Guarded<float>> in, bool accumulate,
                  bool aligned = true) {
    for (Guarded<float>& v : in) v = at_skew(v, aligned);
    LinearOutputs out{Guarded<float>(in[4].size(), aligned ? 0 : 1), in[0], in[1], in[2]};
    if (!accumulate)
        for (Guarded<float>* v : {&out.dx, &out.dw, &out.dbias}) *v = Guarded<float>(v->size(), aligned ? 0 : 1);
    kernels::linear_forward<float>(stream, s.n, s.in, s.out, in[0].data(), in[1].data(), in[2].data(), out.y.data());
    kernels::linear_backward<float>(stream, s.n, s.in, s.out, in[0].data(), in[1].data(), in[4].data(), out.dx.data(),
                                    accumulate, out.dw.data(), accumulate, out.dbias.data(), accumulate);
    for (const Guarded<float>* v : {&out.y, &out.dx, &out.dw, &out.dbias}) CHECK(v->intact());
    return out;
}
std::vector<Guarded<float>> all(const LinearOutputs& o) { return {o.y, o.dx, o.dw, o.dbias}; }

/// x, w, bias, nothing, dy. With `round`, which factors go through before they are multiplied.
template <class Round>
std::vector<std::vector<Bounded>> reference(const Linear& s, const std::vector<Guarded<float>>& in, bool accumulate,
                                            Round round) {
    const auto n = static_cast<std::size_t>(s.n), i = static_cast<std::size_t>(s.in),
               o = static_cast<std::size_t>(s.out);
    std::vector<std::vector<float>> f;
    for (std::size_t k : {0, 1, 4}) {
        f.emplace_back();
        for (float v : in[k]) f.back().push_back(round(v));
    }
    std::vector<Bounded> y(n * o), dx(n * i), dw(o * i);
    for (std::size_t r = 0; r < n; r++)
        for (std::size_t c = 0; c < o; c++) {
            for (std::size_t k = 0; k < i; k++) {
                const Real x = f[0][r * i + k], w = f[1][c * i + k], g = f[2][r * o + c];
                y[r * o + c].add(x * w);
                dx[r * i + k].add(g * w);
                dw[c * i + k].add(g * x);
            }
            y[r * o + c].add(in[2][c]);
        }
    if (accumulate) {
        for (std::size_t k = 0; k < dx.size(); k++) dx[k].add(in[0][k]);
        for (std::size_t k = 0; k < dw.size(); k++) dw[k].add(in[1][k]);
    }
    return {y, dx, dw};
}

std::vector<Guarded<float>> inputs(const Linear& s, const std::function<Guarded<float>(std::size_t)>& make) {
    auto size = [](int a, int b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); };
    return {make(size(s.n, s.in)), make(size(s.out, s.in)), make(size(s.out, 1)), Guarded<float>(0),
            make(size(s.n, s.out))};
}

}  // namespace

TEST_CASE("a classifier on tensor cores is the sum of rounded factors' products") {
    for (const Linear& s : kLinear)
        for (bool accumulate : {false, true}) {
            CAPTURE(s.n);
            CAPTURE(s.in);
            CAPTURE(accumulate);
            Numbers numbers(static_cast<unsigned>(s.in));
            const auto in = inputs(s, [&](std::size_t size) { return numbers.uniform<float>(size); });
            const auto want = reference(s, in, accumulate, to_tf32);
            in_every_order([&] {
                const LinearOutputs got = run(kTf32, s, in, accumulate);
                // Eight products are added and rounded at once; then what was there, or the bias.
                auto steps = [](int depth) { return (depth + 7) / 8 + 1; };
                check_close(got.y, want[0], steps(s.in), "y");
                check_close(got.dx, want[1], steps(s.out), "dx");
                check_close(got.dw, want[2], steps(s.n), "dw");
                CHECK(got.dbias.same_bits(run(kGpu, s, in, accumulate).dbias));
                return all(got);
            });
        }
}

TEST_CASE("with numbers so short that nothing is rounded it has the strict kernel's bits") {
    for (const Linear& s : kLinear)
        for (bool accumulate : {false, true}) {
            Numbers numbers(static_cast<unsigned>(s.n));
            const auto in = inputs(s, [&](std::size_t size) { return numbers.fractions<float>(size, 8, 4); });
            const auto got = all(run(kTf32, s, in, accumulate)), want = all(run(kGpu, s, in, accumulate));
            for (std::size_t i = 0; i < want.size(); i++) CHECK(got[i].same_bits(want[i]));
        }
}

TEST_CASE("what is not aligned, not in fours or small is as in strict float32") {
    const Linear small{64, 64, 100}, odd{64, 255, 65}, ten{2048, 64, 10};
    for (const auto& [s, aligned] :
         {std::pair{kLinear[1], false}, std::pair{small, true}, std::pair{odd, true}, std::pair{ten, true}}) {
        Numbers numbers(3);
        const auto in = inputs(s, [&](std::size_t size) { return numbers.uniform<float>(size); });
        const auto got = all(run(kTf32, s, in, true, aligned)), want = all(run(kGpu, s, in, true, aligned));
        for (std::size_t i = 0; i < want.size(); i++) CHECK(got[i].same_bits(want[i]));
    }
}

}  // namespace nascent::test
