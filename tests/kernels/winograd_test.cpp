// Convolutions by Winograd's algorithm against plain ones. What rounding may do is bounded by the algorithm with all
// its matrices and inputs replaced by their magnitudes.
#include "kernels/cpu/winograd.h"

#include "kernels/cpu/winograd_plan.h"
#include "tests/kernels/conv_case.h"
#include "tests/kernels/winograd_magnitudes.h"

namespace nascent::test {
namespace {

using kernels::WinogradPlan;

// n, h, w, c_in, c_out, k, stride
constexpr ConvShape kShapes[] = {
    {1, 1, 1, 1, 1, 3, 1},    {1, 4, 4, 3, 2, 3, 1},  {2, 5, 7, 3, 16, 3, 1},    {9, 8, 8, 16, 16, 3, 1},
    {1, 9, 6, 17, 5, 3, 1},   {35, 8, 8, 4, 6, 3, 1}, {1, 16, 20, 32, 48, 3, 1}, {2, 3, 70, 16, 20, 3, 1},
    {1, 34, 34, 9, 20, 3, 1}, {34, 2, 2, 5, 3, 3, 1}, {2, 8, 8, 64, 64, 3, 1},   {2, 5, 8, 9, 4, 3, 1},
    {1, 8, 5, 4, 10, 3, 1},
};

/// What a Winograd kernel should give.
template <class T>
struct Want {
    std::vector<Bounded> z, da, dw;
    Want(const Case<T>& test, bool accumulate) {
        const ConvShape& s = test.s;
        z.resize(s.pixels() * s.c_out), da.resize(test.x.size()), dw.resize(test.w.size());
        Picture a{s, s.c_in, std::vector<Real>(test.x.size())}, dz{s, s.c_out, std::vector<Real>(z.size())};
        for (std::size_t i = 0; i < a.values.size(); i++) a.values[i] = test.a(i).magnitude;
        for (std::size_t i = 0; i < dz.values.size(); i++) dz.values[i] = test.dz(i).magnitude;
        test.for_each_tap([&](std::size_t in, std::size_t out, std::size_t t) {
            for (int i = 0; i < s.c_in; i++)
                for (int o = 0; o < s.c_out; o++) {
                    const std::size_t at = (t * s.c_in + i) * s.c_out + o, pixel = in * s.c_in + i;
                    const Real value_a = test.a(pixel).value, value_dz = test.dz(out * s.c_out + o).value;
                    z[out * s.c_out + o].value += value_a * test.w[at];
                    if (!test.relu || test.before_relu(pixel) > 0) da[pixel].value += value_dz * test.w[at];
                    dw[at].value += value_a * value_dz;
                }
        });
        auto w = [&](std::size_t t, int i, int o) -> Real { return std::fabs(test.w[(t * s.c_in + i) * s.c_out + o]); };
        auto take = [](std::vector<Bounded>& to, const std::vector<Real>& magnitudes) {
            for (std::size_t i = 0; i < to.size(); i++) to[i].magnitude = magnitudes[i];
        };
        take(z, output_magnitudes(s, a, s.c_out, w));
        take(da, output_magnitudes(s, dz, s.c_in, [&](std::size_t t, int o, int i) { return w(8 - t, i, o); }));
        take(dw, weight_magnitudes(s, a, dz));
        for (std::size_t i = 0; accumulate && i < da.size(); i++) da[i].add(test.da[i]);
        for (std::size_t i = 0; accumulate && i < dw.size(); i++) dw[i].add(test.dw[i]);
    }
};

/// Two dimensions of a transform: a constant's rounding, a product and a sum, twice over.
constexpr double kTransform = 2 * 6;

template <class T>
void check(const Case<T>& test, bool accumulate) {
    const ConvShape& s = test.s;
    const Want<T> want(test, accumulate);
    for_each_target_and_threads([&](const kernels::Stream& stream) {
        const WinogradPlan plan(s, sizeof(T));
        Workspace forward(kernels::WinogradForwardLayout(plan, sizeof(T), stream.workers).used),
            backward(kernels::WinogradBackwardLayout(plan, sizeof(T), stream.workers).used);
        Guarded<T> z(want.z.size()), no_sums_z(want.z.size());
        Guarded<double> sums(static_cast<std::size_t>(2) * s.c_out);
        kernels::winograd_forward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), z.data(), sums.data(),
                                     forward.get());
        kernels::winograd_forward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), no_sums_z.data(),
                                     nullptr, forward.get());
        CHECK(forward.intact());
        CHECK(z.same_bits(no_sums_z));
        // Three transforms, a product and an addition per channel, two roundings in the prologue.
        check_close(z, want.z, 3 * kTransform + 2.0 * s.c_in + 2, "z");
        std::vector<Bounded> want_sums(sums.size());  // of the z that was stored
        for (std::size_t i = 0; i < z.size(); i++) {
            want_sums[i % s.c_out].add(z[i]);
            want_sums[s.c_out + i % s.c_out].add(static_cast<Real>(z[i]) * z[i]);
        }
        // In T a tile's pixels (16) and the group's tiles; then doubles, one per group and chunk.
        check_close(sums, want_sums, 16.0 + plan.group_tiles + 4, "sums in T",
                    static_cast<double>(std::numeric_limits<T>::epsilon()) +
                        std::numeric_limits<double>::epsilon() * (s.n * plan.tiles_y + 32));

        auto run = [&](bool with_da, bool with_dw, Guarded<T>& da, Guarded<T>& dw) {
            if (accumulate) da = test.da, dw = test.dw;
            kernels::winograd_backward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), test.dy.data(),
                                          test.norm_fold(), with_da ? da.data() : nullptr, accumulate,
                                          with_dw ? dw.data() : nullptr, accumulate, backward.get());
            CHECK(backward.intact());
        };
        Guarded<T> da(want.da.size()), dw(want.dw.size()), only_da(da.size()), only_dw(dw.size()), none_da(da.size()),
            none_dw(dw.size());
        run(true, true, da, dw);
        // Also four roundings in dz and one for what was there before.
        check_close(da, want.da, 3 * kTransform + 2.0 * s.c_out + 5, "da");
        // A product and an addition per tile, one addition per group (no more than tiles) and chunk.
        const double tiles = static_cast<double>(s.n) * plan.tiles_y * plan.tiles_x;
        check_close(dw, want.dw, 3 * kTransform + 3 * tiles + 32 + 7, "dw");
        run(true, false, only_da, none_dw);
        run(false, true, none_da, only_dw);
        CHECK(only_da.same_bits(da));
        CHECK(only_dw.same_bits(dw));
        CHECK(only_da.intact());
        CHECK(only_dw.intact());
        Guarded<T> as_bits(sums.size() * sizeof(double) / sizeof(T));
        std::memcpy(as_bits.data(), sums.data(), sums.size() * sizeof(double));
        return std::vector<Guarded<T>>{z, as_bits, da, dw};
    });
}

TEST_CASE_TEMPLATE("Winograd's convolution agrees with a plain one", T, float, double) {
    unsigned seed = 300;
    for (const ConvShape& s : kShapes)
        for (int mode = 0; mode < 4; mode++) {
            INFO("shape ", name(s), "mode ", mode);
            // Pairs of: affine, relu, fold, accumulate.
            check(Case<T>(s, seed++, mode & 1, mode & 2, mode == 0 || mode == 3), mode == 1 || mode == 3);
        }
}

/// Largest error in units of the direct convolution's bound, and the root of the mean square of errors by that of
/// values.
struct Errors {
    double of_bound = 0, relative = 0;
    Errors(const Guarded<float>& got, const Guarded<double>& want, const Guarded<double>& magnitude,
           double operations) {
        double squares = 0, values = 0;
        for (std::size_t i = 0; i < got.size(); i++) {
            const double error = std::fabs(got[i] - want[i]);
            const double part = error / (operations * std::numeric_limits<float>::epsilon() * magnitude[i] +
                                         std::numeric_limits<float>::min());
            if (!(part <= of_bound)) of_bound = part;
            squares += error * error, values += want[i] * want[i];
        }
        relative = std::sqrt(squares / values);
    }
};

TEST_CASE("in float, Winograd's errors on a network's numbers keep the direct convolution's bound") {
    for (const ConvShape& s :
         {ConvShape{2, 32, 32, 16, 16, 3, 1}, ConvShape{4, 16, 16, 32, 32, 3, 1}, ConvShape{8, 8, 8, 64, 64, 3, 1}}) {
        INFO("shape ", name(s));
        std::mt19937 engine(5);
        std::normal_distribution<float> normal;
        // What batch-norm leaves, gradients, and weights of He's initialisation.
        const std::size_t pixels = s.pixels() * s.c_in, weights = std::size_t{9} * s.c_in * s.c_out;
        Guarded<float> a(pixels), dz(pixels), w(weights), z(pixels), da(pixels), dw(weights);
        for (float& v : a) v = std::max(0.0F, normal(engine));
        for (float& v : dz) v = 1e-3F * normal(engine);
        for (float& v : w) v = std::sqrt(2.0F / static_cast<float>(9 * s.c_in)) * normal(engine);
        const kernels::Stream stream;
        auto wide = [&](bool magnitude, Guarded<double>& z64, Guarded<double>& da64, Guarded<double>& dw64) {
            auto copy = [&](const Guarded<float>& from) {
                Guarded<double> to(from.size());
                for (std::size_t i = 0; i < to.size(); i++) to[i] = magnitude ? std::fabs(from[i]) : from[i];
                return to;
            };
            const Guarded<double> a64 = copy(a), dz64 = copy(dz), w64 = copy(w);
            z64 = da64 = Guarded<double>(pixels), dw64 = Guarded<double>(weights);
            Workspace workspace(std::max(kernels::conv_forward_workspace(stream, s, sizeof(double)),
                                         kernels::conv_backward_workspace(stream, s, sizeof(double))));
            kernels::conv_forward<double>(stream, s, a64.data(), {}, w64.data(), z64.data(), nullptr, workspace.get());
            kernels::conv_backward<double>(stream, s, a64.data(), {}, w64.data(), dz64.data(), {}, da64.data(), false,
                                           dw64.data(), false, workspace.get());
        };
        Guarded<double> want_z, want_da, want_dw, z_magnitude, da_magnitude, dw_magnitude;
        wide(false, want_z, want_da, want_dw);
        wide(true, z_magnitude, da_magnitude, dw_magnitude);
        double direct[3] = {};
        for (bool winograd : {false, true}) {
            kernels::Stream narrow;
            narrow.winograd = winograd;
            Workspace workspace(std::max(kernels::conv_forward_workspace(narrow, s, sizeof(float)),
                                         kernels::conv_backward_workspace(narrow, s, sizeof(float))));
            kernels::conv_forward<float>(narrow, s, a.data(), {}, w.data(), z.data(), nullptr, workspace.get());
            kernels::conv_backward<float>(narrow, s, a.data(), {}, w.data(), dz.data(), {}, da.data(), false, dw.data(),
                                          false, workspace.get());
            // As in the direct kernels' test.
            const Errors errors[] = {{z, want_z, z_magnitude, 2.0 * 9 * s.c_in + 2},
                                     {da, want_da, da_magnitude, 2.0 * 9 * s.c_out + 5},
                                     {dw, want_dw, dw_magnitude, 2.0 * static_cast<double>(s.pixels()) + 32 + 7}};
            for (int i = 0; i < 3; i++) {
                INFO("output ", i, winograd ? " winograd" : " direct");
                CHECK(errors[i].of_bound < 1);
                if (winograd)
                    MESSAGE("root mean square error ", errors[i].relative, ", direct ", direct[i], ", ratio ",
                            errors[i].relative / direct[i]);
                direct[i] = errors[i].relative;
            }
        }
    }
}

TEST_CASE("a stream that allows Winograd's algorithm takes it where it pays, the direct way elsewhere") {
    const std::pair<ConvShape, bool> all[] = {{{3, 9, 7, 8, 8, 3, 1}, true},   {{3, 9, 7, 17, 8, 3, 1}, true},
                                              {{3, 9, 7, 7, 16, 3, 1}, false}, {{3, 9, 7, 16, 7, 3, 1}, false},
                                              {{3, 9, 7, 8, 8, 1, 1}, false},  {{3, 9, 7, 8, 8, 3, 2}, false}};
    for (const auto& [s, applies] : all) {
        INFO("shape ", name(s));
        const Case<float> test(s, 9, true, true, true);
        kernels::Stream stream[2];
        stream[1].winograd = true;
        std::vector<Guarded<float>> out[2];
        for (int i = 0; i < 2; i++) {
            Workspace forward(kernels::conv_forward_workspace(stream[i], s, sizeof(float))),
                backward(kernels::conv_backward_workspace(stream[i], s, sizeof(float)));
            Guarded<float> z(s.pixels() * s.c_out), da(test.x.size()), dw(test.w.size());
            kernels::conv_forward<float>(stream[i], s, test.x.data(), test.prologue(), test.w.data(), z.data(), nullptr,
                                         forward.get());
            kernels::conv_backward<float>(stream[i], s, test.x.data(), test.prologue(), test.w.data(), test.dy.data(),
                                          test.norm_fold(), da.data(), false, dw.data(), false, backward.get());
            CHECK(forward.intact());
            CHECK(backward.intact());
            out[i] = {z, da, dw};
        }
        for (int i = 0; i < 3; i++) CHECK(out[0][i].same_bits(out[1][i]) != applies);
        if (!applies) continue;
        const WinogradPlan plan(s, sizeof(float));
        Workspace forward(kernels::WinogradForwardLayout(plan, sizeof(float), 1).used);
        Guarded<float> z(out[1][0].size());
        kernels::winograd_forward<float>(stream[1], s, test.x.data(), test.prologue(), test.w.data(), z.data(), nullptr,
                                         forward.get());
        CHECK(z.same_bits(out[1][0]));
    }
}

TEST_CASE_TEMPLATE("a not-a-number passes through the ReLU of Winograd's convolution", T, float, double) {
    const ConvShape s{1, 8, 8, 2, 3, 3, 1};
    for_each_target([&] {
        Case<T> test(s, 7, true, true, true);
        test.x[(1 * 8 + 1) * 2] = std::numeric_limits<T>::quiet_NaN();
        const kernels::Stream stream;
        const WinogradPlan plan(s, sizeof(T));
        Workspace workspace(std::max(kernels::WinogradForwardLayout(plan, sizeof(T), 1).used,
                                     kernels::WinogradBackwardLayout(plan, sizeof(T), 1).used));
        Guarded<T> z(s.pixels() * s.c_out), dw(test.w.size());
        kernels::winograd_forward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), z.data(), nullptr,
                                     workspace.get());
        // Every pixel of the tile that holds it, none of a tile that does not see it.
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 8; x++)
                for (int o = 0; o < 3; o++) CHECK(std::isnan(z[(y * 8 + x) * 3 + o]) == (y < 4 && x < 4));
        kernels::winograd_backward<T>(stream, s, test.x.data(), test.prologue(), test.w.data(), test.dy.data(),
                                      test.norm_fold(), nullptr, false, dw.data(), false, workspace.get());
        for (std::size_t i = 0; i < dw.size(); i++) CHECK(std::isnan(dw[i]) == (i / s.c_out % s.c_in == 0));
    });
}

}  // namespace
}  // namespace nascent::test
