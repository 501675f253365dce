// Ops whose activations are stored as bf16 on the gpu, against float64 on the cpu.
#include <doctest/doctest.h>

#include <random>

#include "tests/gpu_device.h"
#include "tests/ops/compare.h"

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
            if (c.activations < 0) continue;
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
            if (op.name == std::string("mixed_cell") || op.name == std::string("weighed_cell")) {
                // Some gradients all but vanish, because a batch-norm of few pixels follows; what of them is left is
                // what the others' roundings leave. So of all together.
                Numbers all_got, all_exact;
                double squares = 0;
                for (const auto& [i, g] : exact.gradients) {
                    all_exact.insert(all_exact.end(), g.begin(), g.end());
                    all_got.insert(all_got.end(), got.gradients.at(i).begin(), got.gradients.at(i).end());
                    squares += std::pow(moved.gradients.at(i), 2);
                }
                check(all_got, all_exact, std::sqrt(squares));
                continue;
            }
            for (const auto& [i, g] : exact.gradients) {
                CAPTURE(i);
                check(got.gradients.at(i), g, moved.gradients.at(i));
            }
        }
    if (!std::getenv("NASCENT_ONLY_OP")) CHECK(cases > 40);
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
