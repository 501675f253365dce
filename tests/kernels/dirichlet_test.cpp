// The mathematics of Dirichlet draws: special functions, gradients against values in 60 digits, uniforms, gamma
// variables.
#include "kernels/dirichlet.h"

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/dirichlet_rows.h"

using namespace nascent::kernels;

namespace {

bool near(double got, double expected, double relative) {
    return std::abs(got - expected) <= relative * std::abs(expected);
}

}  // namespace

TEST_CASE("derivatives of log Gamma") {
    struct Row {
        double x, psi, psi1;
    };
    for (const auto& [x, psi, psi1] : {Row{0.1, -10.423754940411077, 101.43329915079276},
                                       {0.5, -1.9635100260214235, 4.9348022005446793},
                                       {1, -.57721566490153286, 1.6449340668482264},
                                       {2, .42278433509846714, .64493406684822644},
                                       {5, 1.5061176684318005, .22132295573711533},
                                       {10, 2.2517525890667211, .10516633568168575}}) {
        CAPTURE(x);
        CHECK(near(digamma(x), psi, 2e-15));
        CHECK(near(trigamma(x), psi1, 2e-15));
        CHECK(near(digamma(x + 1), psi + 1 / x, 2e-14));
    }
}

TEST_CASE("a component's speed is the derivative of the incomplete beta function over its density, to 1e-13") {
    struct Row {
        double a, b, x, g, tolerance = 1e-13;
    };
    // mpmath, 17 digits.
    for (const auto& [a, b, x, g, tolerance] : std::vector<Row>{{1, 1, 0.25, 0.46209812037329687},
                                                                {1, 1, 0.75, 0.86304621735534278},
                                                                {1, 4, 0.0009765625, 0.0057257604879993299},
                                                                {1, 4, 0.125, 0.19365057057621705},
                                                                {1, 4, 0.25, 0.28117750986413845},
                                                                {1, 4, 0.5, 0.39096859376646158},
                                                                {1, 4, 0.9375, 0.5079956876816839},
                                                                {0.5, 2, 0.0625, 0.29721976280079916},
                                                                {0.5, 2, 0.875, 1.2601571482121281},
                                                                {0.125, 0.5, 0.5, 8.8393024574276076},
                                                                {0.125, 0.5, 0.9990234375, 13.863012759980759},
                                                                {0.0625, 0.25, 0.0009765625, 0.15327958465684783},
                                                                {2, 3, 0.5, 0.2603849155132832},
                                                                {3, 0.25, 0.0625, 0.066042722670029815},
                                                                {3, 0.25, 0.9375, 0.36425730338894503},
                                                                {1.5, 5.5, 0.25, 0.18073705360064722},
                                                                {1.03125, 4.0625, 0.25, 0.27272982447412935},
                                                                {10, 20, 0.375, 0.036344086805155114},
                                                                {10, 40, 0.5, 0.03130365630647357},
                                                                {0.125, 200, 0.5, 0.064703285220228333, 1e-10},
                                                                {100, 200, 0.3125, 0.0032358452404951539, 1e-10}}) {
        CAPTURE(a);
        CAPTURE(b);
        CAPTURE(x);
        CHECK(near(dirichlet_speed(a, b, x, 1 - x), g, tolerance));
    }
    // b = 1: dx/da = -x ln x / a; a = b = 1: -x ln x / (1 - x).
    for (double x : {1e-300, 1e-9, 0.1, 0.5, 0.75, 0.999})
        for (double a : {0.05, 0.7, 1.0, 3.0, 12.0})
            CHECK(near(dirichlet_speed(a, 1, x, 1 - x) * (1 - x), -x * std::log(x) / a, 1e-13));
    // Near 1 it tends to (psi(a + b) - psi(a)) / b; y is what tells.
    for (double y : {1e-12, 1e-100, 2.3e-308})
        CHECK(near(dirichlet_speed(2, 3, 1, y), (digamma(5) - digamma(2)) / 3, 1e-11));
    // The ends of the range.
    for (double a : {1e-3, 0.05, 1.0, 12.0, 100.0})
        for (double b : {1e-3, 7e-3, 1.0, 84.0, 700.0})
            for (double x : {2.3e-308, 1e-30, 1e-3, 0.5, 0.999, 1 - 1e-6, 1 - 1e-15}) {
                const double g = dirichlet_speed(a, b, x, 1 - x);
                CHECK((std::isfinite(g) && g >= 0));
            }
}

TEST_CASE("uniforms are those of the engine's counters") {
    const DrawKey key{0x123456789abcdef0, 0xfedcba9876543210, 8, 0};
    for (std::uint32_t element : {0u, 1u, 77u, 0xffffffffu}) {
        const UniformPair u = uniforms(key, element);
        const nascent::Random r(key.seed, nascent::RandomStream{8}, key.step, element);
        CHECK(u.first == r.uniform(0));
        CHECK(u.second == r.uniform(1));
    }
}

TEST_CASE("gamma variables have the mean and the deviation of their logarithm") {
    // E ln z = psi(a), Var ln z = psi1(a); 20,000 draws, five deviations of the mean. The variance's own deviation is
    // below psi1(a) sqrt(9 / n), the kurtosis of a log-gamma variable being at most 9.
    constexpr int n = 20'000;
    for (double a : {1e-3, 0.1, 0.5, 1.0, 1.5, 7.0, 100.0}) {
        CAPTURE(a);
        double sum = 0, squares = 0;
        for (int i = 0; i < n; i++) {
            const double z = log_gamma_variable(a, {9, static_cast<std::uint64_t>(i), 8, 0}, 3);
            REQUIRE(std::isfinite(z));
            sum += z - digamma(a), squares += (z - digamma(a)) * (z - digamma(a));
        }
        CHECK(std::abs(sum / n) < 5 * std::sqrt(trigamma(a) / n));
        CHECK(near(squares / n, trigamma(a), 5 * std::sqrt(9.0 / n)));
    }
}

TEST_CASE("gamma variables are Marsaglia and Tsang's of the blocks that their element has") {
    for (double a : {0.01, 0.5, 1.0, 1.25, 7.0, 100.0}) {
        int rejected = 0;
        for (std::uint32_t element = 0; element < 4000; element++) {
            const DrawKey key{11, 12, 8, 0};
            auto uniform = [&](std::uint32_t block, int i) {
                return nascent::Random(key.seed, nascent::RandomStream{8}, key.step, element * 256 + block).uniform(i);
            };
            const double d = a + (a < 1 ? 1 : 0) - 1.0 / 3;
            double v = 0;
            for (std::uint32_t attempt = 0; v == 0; attempt++) {
                const double normal = std::sqrt(-2 * std::log(1 - uniform(1 + 2 * attempt, 0))) *
                                      std::cos(2 * 3.141592653589793 * uniform(1 + 2 * attempt, 1));
                const double cube = std::pow(1 + normal / std::sqrt(9 * d), 3), u = 1 - uniform(2 + 2 * attempt, 0);
                if (cube > 0 && std::log(u) < normal * normal / 2 + d - d * cube + d * std::log(cube)) v = cube;
                rejected += v == 0;
            }
            const double boost = a < 1 ? std::log(1 - uniform(0, 0)) / a : 0;
            const double want = std::log(d) + std::log(v) + boost;
            // A few roundings of numbers as large as the terms.
            CHECK(std::abs(log_gamma_variable(a, key, element) - want) <=
                  32 * DBL_EPSILON * (std::abs(std::log(d)) + std::abs(std::log(v)) + std::abs(boost) + 1));
        }
        CHECK(rejected > 0);  // so that there were second attempts
    }
}

TEST_CASE("each element of a draw has a variable of its own, by its number") {
    constexpr int rows = 3, columns = 4;
    const DrawKey key{3, 5, 8, 7};
    const std::vector<double> alphas = {0.5, -1, 2, 0, -3, 1, 1, -0.5, 4, 0, -2, 0.25};
    std::vector<double> drawn(3 * alphas.size());
    dirichlet_draw<double>({}, key, rows, columns, alphas.data(), drawn.data());
    for (std::size_t row = 0; row < alphas.size(); row += columns) {
        double sum = 0;
        std::array<double, columns> x = {};
        for (std::size_t i = 0; i < columns; i++) {
            const auto element = static_cast<std::uint32_t>(row + i);
            sum += x[i] = std::exp(log_gamma_variable(concentration(alphas[row + i]), key, key.first + element));
        }
        for (std::size_t i = 0; i < columns; i++) CHECK(near(drawn[row + i], x[i] / sum, 32 * DBL_EPSILON));
    }
}

TEST_CASE_TEMPLATE("draws: each row a distribution, whatever the concentrations", T, float, double) {
    constexpr int rows = 3000, columns = 5;
    // Concentrations from 1e-3 to 100, of the same mix in all rows.
    const std::array<T, columns> alphas = {T(std::log(1e-3) + 1e-6), T(-2), T(0), T(0.5), T(99)};
    for (int few : {3, columns}) {
        std::vector<T> a;
        for (int i = 0; i < rows; i++) a.insert(a.end(), alphas.begin(), alphas.begin() + few);
        const std::size_t size = a.size();
        std::vector<double> drawn(3 * size);
        dirichlet_draw<T>({}, {1, 2, 8, 0}, rows, few, a.data(), drawn.data());
        std::vector<T> weights(size);
        dirichlet_forward<T>({}, rows, few, a.data(), drawn.data(), nullptr, weights.data());
        std::vector<double> mean(static_cast<std::size_t>(few), 0.0);
        double total = 0;
        for (int i = 0; i < few; i++) total += concentration(a[static_cast<std::size_t>(i)]);
        for (std::size_t row = 0; row < size; row += static_cast<std::size_t>(few)) {
            double sum = 0;
            for (std::size_t i = row; i < row + static_cast<std::size_t>(few); i++) {
                const double x = drawn[i], y = drawn[size + i];
                REQUIRE((x >= DBL_MIN && y >= DBL_MIN));
                REQUIRE((weights[i] > 0 && weights[i] < 1));
                CHECK(std::abs(x + y - 1) < 4 * DBL_EPSILON);
                CHECK(static_cast<double>(weights[i]) ==
                      doctest::Approx(x).epsilon(sizeof(T) == 4 ? FLT_EPSILON : DBL_EPSILON));
                sum += x;
                mean[i - row] += x / rows;
            }
            CHECK(std::abs(sum - 1) < 8 * DBL_EPSILON);
        }
        for (int i = 0; i < few; i++) {
            const double m = concentration(a[static_cast<std::size_t>(i)]) / total;
            CHECK(std::abs(mean[static_cast<std::size_t>(i)] - m) < 5 * std::sqrt(m * (1 - m) / (total + 1) / rows));
        }
    }
}

TEST_CASE("concentrations so small that no number holds the gamma variables still give distributions") {
    constexpr int rows = 400, columns = 4;
    const std::vector<double> alphas(rows * columns, std::log(1e-3));
    std::vector<double> drawn(3 * alphas.size());
    dirichlet_draw<double>({}, {6, 1, 8, 0}, rows, columns, alphas.data(), drawn.data());
    for (std::size_t row = 0; row < alphas.size(); row += columns) {
        double sum = 0;
        for (std::size_t i = row; i < row + columns; i++) {
            REQUIRE((drawn[i] >= DBL_MIN && drawn[i] <= 1 && drawn[alphas.size() + i] >= DBL_MIN));
            sum += drawn[i];
        }
        CHECK(std::abs(sum - 1) < 8 * DBL_EPSILON);
    }
}

TEST_CASE("the gradient of an expectation is the expectation of the gradients") {
    // d E[x_1^2] / d concentrations of (1.25, .75, 1, 2, .5); E[x_i^2] = c_i (c_i + 1) / (c_0 (c_0 + 1)).
    constexpr int rows = 40'000, columns = 5;
    const std::array<double, columns> c = {1.25, 0.75, 1, 2, 0.5};
    std::vector<double> alphas, dweights;
    for (int i = 0; i < rows; i++)
        for (double v : c) alphas.push_back(v > 1 ? v - 1 : std::log(v));
    std::vector<double> drawn(3 * alphas.size()), gradient(alphas.size());
    dirichlet_draw<double>({}, {4, 5, 8, 0}, rows, columns, alphas.data(), drawn.data());
    dweights.assign(alphas.size(), 0.0);
    for (std::size_t i = 0; i < alphas.size(); i += columns) dweights[i] = 2 * drawn[i];
    dirichlet_backward<double>({}, rows, columns, alphas.data(), drawn.data(), nullptr, dweights.data(),
                               gradient.data(), false);
    for (std::size_t j = 0; j < columns; j++) {
        double sum = 0, squares = 0;
        for (std::size_t i = j; i < gradient.size(); i += columns) {
            const double by_c = gradient[i] / concentration_slope(alphas[j]);
            sum += by_c, squares += by_c * by_c;
        }
        const double mean = sum / rows, deviation = std::sqrt((squares / rows - mean * mean) / rows);
        CHECK(std::abs(mean - (j == 0 ? 0.0714949386 : -0.0264071593)) < 5 * deviation);
    }
}
