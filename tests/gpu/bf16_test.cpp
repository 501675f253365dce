// Convolutions of activations stored as bf16, on the emulator in three orders of the threads.
#include "kernels/common/bf16.cuh"

#include "kernels/common/bf16_conv.cuh"
#include "tests/gpu/dense_case.h"

namespace nascent::test {
namespace {

using kernels::gpu::Stored;

float from_stored(Stored v) { return simt::from_bits(static_cast<unsigned>(v) << 16); }
float to_bf16(float v) { return from_stored(simt::to_bf16(v)); }

Guarded<Stored> stored(const Guarded<float>& v) {
    Guarded<Stored> to(v.size(), 0);
    std::transform(v.begin(), v.end(), to.begin(), simt::to_bf16);
    return to;
}
Guarded<float> floats(const Guarded<Stored>& v) {
    Guarded<float> to(v.size());
    std::transform(v.begin(), v.end(), to.begin(), from_stored);
    return to;
}

struct Bf16Outputs {
    Guarded<Stored> z, da;
    Guarded<float> dw;
    Guarded<double> sums;
};

Bf16Outputs run(const Case<float>& from) {
    Case<float> c = from;
    for (Guarded<float>* v : {&c.w, &c.scale, &c.shift, &c.dz_scale, &c.dz_slope, &c.dz_shift}) *v = at_skew(*v, true);
    const Guarded<Stored> x = stored(c.x), dy = stored(c.dy), z = stored(c.z);
    Bf16Outputs out{Guarded<Stored>(dy.size(), 0), Guarded<Stored>(x.size(), 0), Guarded<float>(c.w.size(), 0),
                    Guarded<double>(2 * static_cast<std::size_t>(c.s.c_out))};
    Workspace forward(kernels::gpu::bf16_forward_workspace(c.s)), backward(kernels::gpu::bf16_backward_workspace(c.s));
    kernels::gpu::bf16_conv_forward(kGpu, c.s, x.data(), c.prologue(), c.w.data(), out.z.data(), out.sums.data(),
                                    forward.get());
    kernels::gpu::StoredFold fold;
    if (c.fold) fold = {z.data(), c.dz_scale.data(), c.dz_slope.data(), c.dz_shift.data()};
    kernels::gpu::bf16_conv_backward(kGpu, c.s, x.data(), c.prologue(), c.w.data(), dy.data(), fold, out.da.data(),
                                     out.dw.data(), backward.get());
    CHECK((forward.intact() && backward.intact()));
    CHECK((out.z.intact() && out.da.intact() && out.dw.intact() && out.sums.intact()));
    return out;
}

/// Sums of `steps` roundings, then one to 8 bits.
void check_stored(const Guarded<float>& got, const std::vector<Bounded>& want, double steps, const char* what) {
    INFO(std::string(what));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < want.size(); i++) {
        const Real sums = steps * std::numeric_limits<float>::epsilon() * want[i].magnitude;
        wrong += !(std::fabs(got[i] - want[i].value) <= sums + 0x1p-8L * (std::fabs(want[i].value) + sums));
    }
    CHECK(wrong == 0);
}

TEST_CASE("gpu convolution of bf16 is that of the rounded factors, rounded") {
    constexpr ConvShape kShapes[] = {{1, 32, 32, 16, 16, 3, 1}, {2, 16, 16, 32, 32, 3, 1}, {2, 8, 8, 64, 64, 3, 1},
                                     {1, 16, 16, 32, 64, 3, 2}, {2, 16, 16, 16, 16, 1, 1}, {2, 8, 8, 64, 64, 1, 1},
                                     {1, 1, 1, 8, 8, 1, 1},     {2, 5, 7, 8, 24, 3, 1},    {3, 7, 5, 40, 8, 3, 2},
                                     {2, 9, 11, 16, 16, 1, 2},  {40, 2, 17, 24, 8, 3, 1},  {1, 3, 19, 72, 80, 3, 1}};
    unsigned seed = 60;
    for (const ConvShape& s : kShapes) {
        const unsigned i = seed++;
        Case<float> c(s, i, i % 2 != 0, i % 3 != 0, i % 2 == 0);
        CAPTURE(name(s));
        Numbers numbers(i + 77);
        c.x = numbers.uniform<float>(c.x.size());
        for (Guarded<float>* v : {&c.x, &c.dy, &c.z}) std::transform(v->begin(), v->end(), v->begin(), to_bf16);
        const DenseWant want = dense_reference(c, DenseFactors(c, to_bf16), false);
        const Bf16Outputs got = run(c);
        // An instruction adds 16 products and rounds once.
        check_stored(floats(got.z), want.z, s.k * s.k * ((s.c_in + 15) / 16), "z");
        check_stored(floats(got.da), want.da, s.k * s.k * ((s.c_out + 15) / 16), "da");
        check_close(got.dw, want.dw, 2.0 * s.n * s.out_h() * ((s.out_w() + 15) / 16) + 8 + 2, "dw");
        std::vector<Bounded> sums(got.sums.size());  // of the z that was stored
        for (std::size_t j = 0; j < got.z.size(); j++) {
            const std::size_t channel = j % static_cast<std::size_t>(s.c_out);
            const Real z = from_stored(got.z[j]);
            sums[channel].add(z), sums[static_cast<std::size_t>(s.c_out) + channel].add(z * z);
        }
        check_close(got.sums, sums, static_cast<double>(s.pixels()) + 1, "sums");
        in_every_order([&] {
            const Bf16Outputs again = run(c);
            CHECK(again.z.same_bits(got.z));
            CHECK(again.da.same_bits(got.da));
            CHECK(again.sums.same_bits(got.sums));
            return std::vector<Guarded<float>>{again.dw};
        });
    }
}

TEST_CASE("floats become the nearest bf16, ties to even") {
    CHECK(to_bf16(1.0f) == 1.0f);
    CHECK(to_bf16(1 + 0x1p-8f) == 1.0f);
    CHECK(to_bf16(1 + 3 * 0x1p-8f) == 1 + 0x1p-6f);
    CHECK(to_bf16(-1 - 0x1.02p-8f) == -1 - 0x1p-7f);
    CHECK(to_bf16(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
    CHECK(std::isnan(to_bf16(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace nascent::test
