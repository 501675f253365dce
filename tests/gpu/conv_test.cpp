// The GPU's convolution against the CPU's in double, on the emulator in three orders of the threads.
#include "kernels/conv.h"

#include <algorithm>
#include <utility>

#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

using kernels::ConvShape;

// n, h, w, c_in, c_out, k, stride
constexpr ConvShape kSmall[] = {
    {1, 1, 1, 1, 1, 1, 1},   {1, 1, 1, 3, 2, 3, 1},   {2, 1, 1, 3, 5, 3, 2},  {1, 5, 7, 3, 16, 3, 1},
    {3, 7, 5, 5, 17, 3, 2},  {2, 8, 6, 16, 32, 3, 2}, {2, 5, 4, 20, 8, 1, 2}, {5, 3, 3, 4, 6, 3, 1},
    {9, 6, 6, 16, 16, 3, 1}, {2, 6, 9, 24, 4, 1, 1},  {2, 8, 8, 3, 32, 1, 1},
};
// Several tiles to a picture or pictures to a tile, ends of tiles past those of pictures, chunks of channels, parts of
// c_out, more than 16 partial sums, more than one tile to one of them.
constexpr ConvShape kLarge[] = {
    {3, 32, 32, 16, 16, 1, 1}, {1, 32, 32, 16, 16, 3, 1}, {1, 16, 16, 32, 32, 3, 1}, {3, 8, 8, 64, 64, 3, 1},
    {1, 16, 16, 32, 64, 3, 2}, {2, 32, 32, 3, 16, 3, 1},  {30, 1, 17, 64, 64, 1, 1}, {70, 2, 17, 9, 36, 3, 1},
    {2, 19, 18, 16, 32, 3, 2}, {1, 2, 2, 130, 35, 3, 2},  {2, 33, 35, 16, 16, 1, 2}, {90, 2, 2, 4, 4, 3, 2},
};

struct Mode {
    bool affine, relu, fold, accumulate;
};

enum Input { kX, kW, kScale, kShift, kDy, kZ, kDzScale, kDzSlope, kDzShift, kDa, kDw, kInputs };
template <class T>
using Inputs = std::vector<Guarded<T>>;

template <class T>
Inputs<T> draw(const ConvShape& s, const Mode& mode, unsigned seed) {
    Numbers numbers(seed);
    const std::size_t c_in = static_cast<std::size_t>(s.c_in), c_out = static_cast<std::size_t>(s.c_out);
    const std::size_t in = static_cast<std::size_t>(s.n) * s.h * s.w * c_in, out = s.pixels() * c_out;
    Inputs<T> v(kInputs);
    // So that the sign before the ReLU is certain.
    v[kX] = numbers.fractions<T>(in, 64, 32, mode.affine ? 0 : 0.25);
    v[kScale] = numbers.fractions<T>(c_in, 3, 2);
    v[kShift] = numbers.fractions<T>(c_in, 32, 128, 0.5);
    v[kW] = numbers.uniform<T>(static_cast<std::size_t>(s.k * s.k) * c_in * c_out);
    v[kDw] = numbers.uniform<T>(v[kW].size());
    v[kDa] = numbers.uniform<T>(in);
    for (int i : {kDy, kZ}) v[static_cast<std::size_t>(i)] = numbers.uniform<T>(out);
    for (int i : {kDzScale, kDzSlope, kDzShift}) v[static_cast<std::size_t>(i)] = numbers.uniform<T>(c_out);
    return v;
}
template <class T>
kernels::Prologue<T> prologue(const Inputs<T>& v, const Mode& mode) {
    if (!mode.affine) return {nullptr, nullptr, mode.relu};
    return {v[kScale].data(), v[kShift].data(), mode.relu};
}
template <class T>
kernels::NormFold<T> fold(const Inputs<T>& v, const Mode& mode) {
    if (!mode.fold) return {};
    return {v[kZ].data(), v[kDzScale].data(), v[kDzSlope].data(), v[kDzShift].data()};
}

/// With every buffer at a multiple of 16 bytes, or one element off (the guards are 32 elements).
template <class T, class U>
Guarded<T> moved(const Guarded<U>& v, bool aligned = true, bool magnitudes = false) {
    Guarded<T> to(v.size(), aligned ? 0 : 1);
    for (std::size_t i = 0; i < v.size(); i++) to[i] = static_cast<T>(magnitudes ? std::fabs(v[i]) : v[i]);
    return to;
}
template <class T, class U>
Inputs<T> moved(const Inputs<U>& v, bool aligned = true, bool magnitudes = false) {
    Inputs<T> to;
    for (const Guarded<U>& x : v) to.push_back(moved<T>(x, aligned, magnitudes));
    return to;
}

template <class T>
struct Outputs {
    Guarded<T> z, da, dw;
};

/// What the CPU gives in double.
Outputs<double> on_cpu(const ConvShape& s, const Mode& mode, const Inputs<double>& v) {
    Workspace workspace(std::max(kernels::conv_forward_workspace({}, s, sizeof(double)),
                                 kernels::conv_backward_workspace({}, s, sizeof(double))));
    Outputs<double> out{Guarded<double>(v[kDy].size()), v[kDa], v[kDw]};
    kernels::conv_forward<double>({}, s, v[kX].data(), prologue(v, mode), v[kW].data(), out.z.data(), nullptr,
                                  workspace.get());
    kernels::conv_backward<double>({}, s, v[kX].data(), prologue(v, mode), v[kW].data(), v[kDy].data(), fold(v, mode),
                                   out.da.data(), mode.accumulate, out.dw.data(), mode.accumulate, workspace.get());
    return out;
}

/// The GPU's gradients; one that is not wanted is empty. The skews are those of da and dw.
template <class T>
Outputs<T> backward(const ConvShape& s, const Mode& mode, const Inputs<T>& v, bool with_da, bool with_dw,
                    std::size_t da_skew = 0, std::size_t dw_skew = 0) {
    Workspace workspace(kernels::conv_backward_workspace(kGpu, s, sizeof(T)));
    Outputs<T> out{Guarded<T>(0), Guarded<T>(with_da ? v[kDa].size() : 0, da_skew),
                   Guarded<T>(with_dw ? v[kDw].size() : 0, dw_skew)};
    if (mode.accumulate) {
        std::copy_n(v[kDa].begin(), out.da.size(), out.da.begin());
        std::copy_n(v[kDw].begin(), out.dw.size(), out.dw.begin());
    }
    kernels::conv_backward<T>(kGpu, s, v[kX].data(), prologue(v, mode), v[kW].data(), v[kDy].data(), fold(v, mode),
                              with_da ? out.da.data() : nullptr, mode.accumulate, with_dw ? out.dw.data() : nullptr,
                              mode.accumulate, workspace.get());
    CHECK(workspace.intact());
    CHECK(out.da.intact());
    CHECK(out.dw.intact());
    return out;
}

std::vector<Bounded> bounded(const Guarded<double>& value, const Guarded<double>& magnitude) {
    std::vector<Bounded> want(value.size());
    for (std::size_t i = 0; i < want.size(); i++) want[i] = {value[i], magnitude[i]};
    return want;
}

/// The sums of z and z^2 as the kernel leaves them; z itself goes to `z`.
template <class T>
Guarded<double> forward(const ConvShape& s, const Mode& mode, const Inputs<T>& v, Guarded<T>& z) {
    Workspace workspace(kernels::conv_forward_workspace(kGpu, s, sizeof(T)));
    Guarded<double> sums(2 * static_cast<std::size_t>(s.c_out));
    kernels::conv_forward<T>(kGpu, s, v[kX].data(), prologue(v, mode), v[kW].data(), z.data(), sums.data(),
                             workspace.get());
    CHECK(workspace.intact());
    CHECK(sums.intact());
    CHECK(z.intact());
    return sums;
}

template <class T>
void check(const ConvShape& s, const Mode& mode, unsigned seed) {
    INFO("shape ", s.n, " ", s.h, " ", s.w, " ", s.c_in, " ", s.c_out, " ", s.k, " ", s.stride, " affine ", mode.affine,
         " relu ", mode.relu, " fold ", mode.fold, " accumulate ", mode.accumulate);
    const Inputs<T> in = draw<T>(s, mode, seed);
    const Outputs<double> value = on_cpu(s, mode, moved<double>(in)),
                          most = on_cpu(s, mode, moved<double>(in, true, true));
    const auto want_z = bounded(value.z, most.z), want_da = bounded(value.da, most.da),
               want_dw = bounded(value.dw, most.dw);
    const double taps = s.k * s.k, pixels = static_cast<double>(s.pixels());
    Guarded<T> z(value.z.size()), da(value.da.size()), dw(value.dw.size());
    Guarded<double> sums(0);
    bool is_first = true;
    for (bool aligned : {true, false})
        for (auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
            if (!aligned && order != simt::Order::reverse) continue;
            INFO("aligned ", aligned, " order ", static_cast<int>(order));
            simt::set_order(order, seed);
            const Inputs<T> v = moved<T>(in, aligned);
            Guarded<T> got(value.z.size(), aligned ? 0 : 1);
            const Guarded<double> got_sums = forward(s, mode, v, got);
            const Outputs<T> back = backward(s, mode, v, true, true, aligned ? 0 : 1, aligned ? 0 : 1);
            simt::set_order(simt::Order::forward);
            if (std::exchange(is_first, false)) {
                // A fused step per term and the prologue's one; the reference's take two each.
                check_close(got, want_z, 2 * (taps * s.c_in + 1), "z");
                // Two fused steps make dz, one adds to what was there.
                check_close(back.da, want_da, 2 * (taps * s.c_out + 3), "da");
                // Per pixel one, then at most 12 groups of a block and as many chunks as tiles, of at least a pixel
                // each.
                check_close(back.dw, want_dw, 2 * (2 * pixels + 12 + 4), "dw");
                std::vector<Bounded> want_sums(got_sums.size());  // of the z that was stored
                for (std::size_t i = 0; i < got.size(); i++) {
                    const std::size_t c = i % static_cast<std::size_t>(s.c_out);
                    want_sums[c].add(got[i]);
                    want_sums[static_cast<std::size_t>(s.c_out) + c].add(static_cast<Real>(got[i]) * got[i]);
                }
                check_close(got_sums, want_sums, pixels + 1, "sums");
                z = got, da = back.da, dw = back.dw, sums = got_sums;
            }
            CHECK(got.same_bits(z));
            CHECK(got_sums.same_bits(sums));
            CHECK(back.da.same_bits(da));
            CHECK(back.dw.same_bits(dw));
        }
    // Without sums, and with one gradient or none.
    const Inputs<T> v = moved<T>(in);
    Guarded<T> alone(z.size(), 0);
    kernels::conv_forward<T>(kGpu, s, v[kX].data(), prologue(v, mode), v[kW].data(), alone.data(), nullptr, nullptr);
    CHECK(alone.intact());
    CHECK(alone.same_bits(z));
    CHECK(backward(s, mode, v, true, false).da.same_bits(da));
    CHECK(backward(s, mode, v, false, true).dw.same_bits(dw));
    backward(s, mode, v, false, false);
}

TEST_CASE_TEMPLATE("gpu convolution of small pictures agrees with the CPU's", T, float, double) {
    unsigned seed = 1;
    for (const ConvShape& s : kSmall)
        for (int i = 0; i < 16; i++) check<T>(s, {(i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i & 8) != 0}, seed++);
}

TEST_CASE_TEMPLATE("gpu convolution of many tiles agrees with the CPU's", T, float, double) {
    unsigned seed = 500;
    for (const ConvShape& s : kLarge) {
        const bool odd = seed % 2 != 0;
        check<T>(s, {odd, true, true, !odd}, seed++);
    }
}

TEST_CASE_TEMPLATE("not-a-number, infinity and zero reach what the CPU lets them reach on the GPU", T, float, double) {
    unsigned seed = 900;
    for (const ConvShape& s :
         {ConvShape{2, 5, 17, 5, 3, 3, 1}, {1, 4, 19, 4, 8, 3, 2}, {1, 3, 17, 4, 4, 1, 1}, {1, 19, 16, 4, 4, 3, 1}})
        for (int i = 0; i < 4; i++) {
            const Mode mode{(i & 1) != 0, true, (i & 2) != 0, false};
            const Inputs<T> in = draw<T>(s, mode, seed++);
            // At the ends of rows, tiles and pictures, and somewhere.
            for (int pixel : {0, s.w / 2, s.w - 1, s.w, s.h * s.w - 1})
                for (T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(), T(0)}) {
                    INFO("width ", s.w, " mode ", i, " pixel ", pixel);
                    Inputs<T> v = moved<T>(in);
                    v[kX][static_cast<std::size_t>(pixel * s.c_in)] = bad;
                    v[kDy][static_cast<std::size_t>(pixel % static_cast<int>(s.pixels()) * s.c_out)] = bad;
                    const Outputs<double> want = on_cpu(s, mode, moved<double>(v));
                    Outputs<T> got = backward(s, mode, v, true, true);
                    got.z = Guarded<T>(want.z.size());
                    forward(s, mode, v, got.z);
                    auto same = [](const Guarded<T>& a, const Guarded<double>& b) {
                        return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](T p, double q) {
                            return std::isnan(p) == std::isnan(q) && std::isinf(p) == std::isinf(q);
                        });
                    };
                    CHECK(same(got.z, want.z));
                    CHECK(same(got.da, want.da));
                    CHECK(same(got.dw, want.dw));
                    for (std::size_t j = 0; j < got.da.size(); j++)  // masked or not
                        if ((got.da[j] == 0) != (want.da[j] == 0)) FAIL_CHECK("element ", j, " of da is ", got.da[j]);
                }
        }
}

TEST_CASE_TEMPLATE("gpu convolution reads and writes at any address", T, float, double) {
    const ConvShape s{1, 6, 5, 8, 12, 3, 1};
    const Mode mode{true, true, true, true};
    const Inputs<T> in = moved<T>(draw<T>(s, mode, 1000));
    Guarded<T> z(in[kDy].size(), 0);
    const Guarded<double> sums = forward(s, mode, in, z);
    const Outputs<T> want = backward(s, mode, in, true, true);
    for (std::size_t off = 0; off < kInputs + 3; off++) {  // one buffer off 16 bytes: an input, z, da, dw
        INFO("buffer ", off);
        Inputs<T> v = in;
        if (off < kInputs) v[off] = moved<T>(in[off], false);
        Guarded<T> got(z.size(), off == kInputs ? 1 : 0);
        CHECK(forward(s, mode, v, got).same_bits(sums));
        CHECK(got.same_bits(z));
        const Outputs<T> back =
            backward(s, mode, v, true, true, off == kInputs + 1 ? 1 : 0, off == kInputs + 2 ? 1 : 0);
        CHECK(back.da.same_bits(want.da));
        CHECK(back.dw.same_bits(want.dw));
    }
}

TEST_CASE("gpu convolution takes one launch forward and three backward") {
    struct Counting final : simt::Stream {
        int count = 0;
        void submit(std::function<void()> work) override {
            count++;
            work();
        }
    } launches;
    const ConvShape s{2, 8, 8, 16, 16, 3, 2};
    const Mode mode{true, true, true, false};
    const Inputs<float> v = draw<float>(s, mode, 1);
    kernels::Stream stream = kGpu;
    stream.handle = static_cast<simt::stream_t>(&launches);
    Workspace workspace(std::max(kernels::conv_forward_workspace(stream, s, sizeof(float)),
                                 kernels::conv_backward_workspace(stream, s, sizeof(float))));
    Guarded<float> z(v[kDy].size()), da(v[kDa].size()), dw(v[kDw].size());
    Guarded<double> sums(2 * static_cast<std::size_t>(s.c_out));
    auto count = [&](auto&& f) {
        launches.count = 0;
        f();
        return launches.count;
    };
    auto run_forward = [&](double* to) {
        kernels::conv_forward<float>(stream, s, v[kX].data(), prologue(v, mode), v[kW].data(), z.data(), to,
                                     workspace.get());
    };
    auto run_backward = [&](float* to_da, float* to_dw) {
        kernels::conv_backward<float>(stream, s, v[kX].data(), prologue(v, mode), v[kW].data(), v[kDy].data(),
                                      fold(v, mode), to_da, false, to_dw, false, workspace.get());
    };
    CHECK(count([&] { run_forward(sums.data()); }) == 1);
    CHECK(count([&] { run_forward(nullptr); }) == 1);
    CHECK(count([&] { run_backward(da.data(), dw.data()); }) == 3);
    CHECK(count([&] { run_backward(da.data(), nullptr); }) == 1);
    CHECK(count([&] { run_backward(nullptr, dw.data()); }) == 2);
    CHECK(count([&] { run_backward(nullptr, nullptr); }) == 0);
}

}  // namespace
}  // namespace nascent::test
