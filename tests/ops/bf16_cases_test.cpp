// Ops whose activations are stored as bf16 on the gpu, against float64 on the cpu.
#include <doctest/doctest.h>

#include <random>

#include "tests/gpu_device.h"
#include "tests/ops/compare.h"
#include "tests/ops/rounded.h"

using namespace nascent;
using namespace nascent::testing;

namespace {

std::vector<Numbers> stored_inputs(const Case& c, std::vector<Numbers> x) {
    for (std::size_t i = 0; i < x.size(); i++) x[i] = stored(x[i], input_type(c, i, DType::bf16));
    return x;
}
double length(const Numbers& x) {
    double sum = 0;
    for (double v : x) sum += v * v;
    return std::sqrt(sum);
}
double apart(const Numbers& a, const Numbers& b) {
    Numbers d(a.size());
    for (std::size_t i = 0; i < a.size(); i++) d[i] = a[i] - b[i];
    return a.size() == b.size() ? length(d) : NAN;
}

constexpr double kRoundoff = 0x1p-8;  // 7 bits of fraction, nearest
constexpr int kDraws = 16;

/// How far float64's results move when every number that goes in is off by at most kRoundoff, evenly: the root mean
/// square of the distances.
struct Response {
    double value = 0;
    std::map<std::size_t, double> gradients;
};
Response response(const Case& c, Arena& cpu, const std::vector<Numbers>& inputs, const Numbers& cotangent,
                  const Result& exact) {
    Response sum;
    std::mt19937 random(17);
    std::uniform_real_distribution<double> error(-kRoundoff, kRoundoff);
    auto off = [&](Numbers x) {
        for (double& v : x) v *= 1 + error(random);
        return x;
    };
    for (int draw = 0; draw < kDraws; draw++) {
        std::vector<Numbers> in;
        for (const Numbers& x : inputs) in.push_back(off(x));
        const Numbers dy = off(cotangent);
        const Result r = run_case(c, cpu, {.inputs = &in, .cotangent = &dy});
        sum.value += std::pow(apart(r.value, exact.value), 2) / kDraws;
        for (const auto& [i, g] : r.gradients)
            sum.gradients[i] += std::pow(apart(g, exact.gradients.at(i)), 2) / kDraws;
    }
    sum.value = std::sqrt(sum.value);
    for (auto& [i, g] : sum.gradients) g = std::sqrt(g);
    return sum;
}

/// Ops whose references say where bf16 rounds; but not cases that compute something beside them.
bool is_modelled(const OpEntry& op, const Case& c) {
    const std::string name = op.name;
    for (const char* of : {"mixed_cell", "weighed_cell", "conv_norm", "residual_block"})
        if (name == of) return c.what.find("used") == std::string::npos;
    return false;
}

}  // namespace

// Between an op's inputs and its results at most kPlaces tensors are rounded one after the other: forward the factors
// of a product, what is stored of it and the result; backward the same of the gradients, of each of two convolutions
// and a sum. Each rounding moves the results as a disturbance of all inputs does, or less. What a result is rounded to
// itself, once each time that it is added to, is beside it. Independent ones add up in squares, and three times the
// root of that is beyond what chance does to a vector.
TEST_CASE("ops in bf16 on the gpu are as far from float64's as their roundings make them") {
    constexpr double kPlaces = 12, kStores = 4;
    const auto gpu = gpu_device(), cpu = make_device("cpu", 1);
    if (!gpu) return;
    set_precision(*gpu, DType::bf16);
    Arena gpu_step(*gpu, std::size_t{1} << 30, true), cpu_step(*cpu, std::size_t{1} << 30, true);
    int cases = 0;
    for (const OpEntry& op : ops_asked_for())
        for (const Case& c : op.cases()) {
            if (c.activations < 0 || is_modelled(op, c)) continue;
            cases++;
            CAPTURE(std::string(op.name));
            CAPTURE(c.what);
            const std::vector<Numbers> inputs = stored_inputs(c, random_inputs(c));
            const std::size_t size = run_case(c, cpu_step, {}).value.size();
            const Numbers cotangent = stored(random_numbers(size, 1000), DType::bf16);
            const Result exact = run_case(c, cpu_step, {.inputs = &inputs, .cotangent = &cotangent});
            const Result got =
                run_case(c, gpu_step, {.dtype = DType::bf16, .inputs = &inputs, .cotangent = &cotangent});
            const Response moved = response(c, cpu_step, inputs, cotangent, exact);
            auto check = [&](const Numbers& a, const Numbers& b, double rms) {
                const double stored = kRoundoff / std::sqrt(3.0) * length(b), error = apart(a, b),
                             bound = 3 * std::sqrt(kPlaces * rms * rms + kStores * stored * stored);
                CAPTURE(length(b));
                CHECK(error <= bound);
            };
            check(got.value, exact.value, moved.value);
            REQUIRE(got.gradients.size() == exact.gradients.size());
            for (const auto& [i, g] : exact.gradients) {
                CAPTURE(i);
                check(got.gradients.at(i), g, moved.gradients.at(i));
            }
        }
    if (!std::getenv("NASCENT_ONLY_OP")) CHECK(cases > 30);
}

// Where the gpu rounds to bf16, the model does; between those places float64 computes and not float32. What that may
// change is measured: each number of the model off by a part of 2^-19, which is 32 roundings of floats, more than sums
// of the cases' lengths make, and 16 times less than a factor's of tf32. What is so near the middle between two bf16s
// that it is rounded to the other one comes with it.
TEST_CASE("ops in bf16 on the gpu are the model that rounds where they store, input by input") {
    constexpr double kFloats = 0x1p-19;
    constexpr int kModels = 8;
    const auto gpu = gpu_device(), cpu = make_device("cpu", 1);
    if (!gpu) return;
    set_precision(*gpu, DType::bf16);
    Arena gpu_step(*gpu, std::size_t{1} << 30, true), cpu_step(*cpu, std::size_t{1} << 30, true);
    int cases = 0, checks = 0, told = 0;
    for (const OpEntry& op : ops_asked_for())
        for (const Case& c : op.cases()) {
            if (c.activations < 0 || !is_modelled(op, c)) continue;
            cases++;
            CAPTURE(std::string(op.name));
            CAPTURE(c.what);
            const std::vector<Numbers> inputs = stored_inputs(c, random_inputs(c));
            const std::size_t size = run_case(c, cpu_step, {}).value.size();
            const Numbers cotangent = stored(random_numbers(size, 1000), DType::bf16);
            const Result got =
                run_case(c, gpu_step, {.dtype = DType::bf16, .inputs = &inputs, .cotangent = &cotangent});
            const Result exact = run_case(c, cpu_step, {.inputs = &inputs, .cotangent = &cotangent});
            auto model = [&](double disturbed, unsigned seed) {
                RoundedModel rounding(disturbed, seed);
                RoundingScope scope(rounding);
                std::mt19937 random(seed);
                std::uniform_real_distribution<double> error(-disturbed, disturbed);
                std::vector<Numbers> in = inputs;
                for (std::size_t i = static_cast<std::size_t>(c.activations); i < in.size(); i++)
                    for (double& v : in[i]) v *= 1 + error(random);
                return run_case(c, cpu_step, {.reference = true, .inputs = &in, .cotangent = &cotangent});
            };
            const Result want = model(0, 0);
            // Of one cell the forward's products of tf32 are the backward's of float32.
            const bool differ = c.what.starts_with("affine path, reduction");
            std::vector<Result> off;
            for (unsigned i = 1; i <= kModels; i++) off.push_back(model(differ ? 0x1p-11 : kFloats, i));
            auto check = [&](const Numbers& a, const Numbers& b, const Numbers& unrounded, auto&& of) {
                double squares = 0;
                for (const Result& r : off) squares += std::pow(apart(of(r), b), 2) / kModels;
                const double error = apart(a, b), bound = 3 * std::sqrt(squares), rounding = apart(unrounded, b);
                CAPTURE(length(b));
                CAPTURE(rounding);
                CHECK(error <= bound);
                checks++, told += rounding > bound;
            };
            if (differ) {
                // What its forward rounds is known. A number comes out as another bf16 where one of the roundings on
                // its way, ten at most, is of a number that float's sums put on the other side of a middle: 2^-8 apart.
                const double others_expected = 10 * static_cast<double>(size) * 2 * kFloats / 0x1p-8;
                std::size_t others = 0;
                for (std::size_t i = 0; i < size; i++) others += got.value[i] != want.value[i];
                CHECK(static_cast<double>(others) <= others_expected);
            }
            check(got.value, want.value, exact.value, [](const Result& r) { return r.value; });
            for (const auto& [i, g] : got.gradients) {
                CAPTURE(i);
                if (!want.gradients.contains(i))  // nothing reads it
                    CHECK(length(g) == 0);
                else
                    check(g, want.gradients.at(i), exact.gradients.at(i),
                          [i = i](const Result& r) { return r.gradients.at(i); });
            }
            CHECK(got.gradients.size() >= want.gradients.size());
        }
    MESSAGE(checks, " checks, of which ", told, " tell float64 that does not round");
    if (std::getenv("NASCENT_ONLY_OP")) return;
    CHECK(cases > 90);
    CHECK(told > checks * 2 / 3);
}

TEST_CASE("ops in bf16 on the gpu have float32's numbers, rounded once, where nothing is rounded on the way") {
    const auto gpu = gpu_device();
    if (!gpu) return;
    Arena step(*gpu, std::size_t{1} << 30, true);
    std::mt19937 random(3);
    int cases = 0;
    for (const OpEntry& op : ops_asked_for()) {
        const std::string name = op.name;
        if (name != "conv_norm" && name != "sum_node") continue;
        for (const Case& c : op.cases()) {
            if (c.activations < 0 || c.what.find("used") != std::string::npos) continue;
            cases++;
            CAPTURE(name);
            CAPTURE(c.what);
            std::vector<Numbers> inputs = random_inputs(c);
            for (Numbers& x : inputs)
                for (double& v : x) v = static_cast<int>(random() % 3) - 1;  // z is a small integer
            set_precision(*gpu, DType::f32);
            const Result want = run_case(c, step, {.dtype = DType::f32, .inputs = &inputs});
            set_precision(*gpu, DType::bf16);
            const Result got = run_case(c, step, {.dtype = DType::bf16, .inputs = &inputs});
            CHECK(got.value == stored(want.value, DType::bf16));
        }
    }
    if (!std::getenv("NASCENT_ONLY_OP")) CHECK(cases > 20);
}

TEST_CASE("bf16 is of the gpu alone") {
    const auto cpu = make_device("cpu", 1);
    Arena step(*cpu, std::size_t{1} << 26, true);
    for (const OpEntry& op : ops_asked_for()) {
        if (op.name != std::string("add")) continue;
        CHECK_THROWS(run_case(op.cases()[0], step, {.dtype = DType::bf16}));
    }
}
