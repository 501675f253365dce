// Draws as an op: gradients by the alphas against values in 60 digits, on both devices.
#include "ops/dirichlet.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/autograd/execution.h"
#include "ops/constants.h"
#include "tests/gpu_device.h"

using namespace nascent;

namespace {

using Numbers = std::vector<double>;

Numbers alphas_of(const Numbers& concentrations) {
    Numbers a;
    for (double c : concentrations) a.push_back(c > 1 ? c - 1 : std::log(c));
    return a;
}
/// d concentration / d alpha.
double slope(double alpha) { return alpha > 0 ? 1 : std::exp(alpha); }

void on_devices(const std::function<void(Device&)>& f) {
    for (bool gpu : {false, true}) {
        std::unique_ptr<Device> device = gpu ? testing::gpu_device() : make_device("cpu", 2);
        CAPTURE(gpu);
        if (device) f(*device);
    }
}

}  // namespace

TEST_CASE("Dirichlet gradients by the alphas are exact to 1e-13 in float64 and to rounding in float32") {
    struct Row {
        Numbers c, x, v, dl;
    };
    const std::vector<Row> rows{
        {{1, 1, 1, 1, 1},
         {.125, .25, .0625, .5, .0625},
         {.5, -1, 2, .25, -.75},
         {.0937994951228551, -.285570908455766, .253946793637292, .0916332641640144, -.097979471560845}},
        {{1.25, .75, 1, 2, .5},
         {.25, .125, .03125, .5, .09375},
         {.5, -1, 2, .25, -.75},
         {.0884225800550982, -.252761549445038, .14813482026876, .0327420356111968, -.226636413675089}},
        {{.125, .25, 3, .5, 1.125},
         {.0009765625, .0615234375, .75, .125, .0625},
         {1, 0, 0, 0, 0},
         {.0395065780886817, -.000373172010242036, -.000247503541787712, -.000312767900554987, -.00011447028329716}},
        {{.0625, .125, 4, 8, .5, 1, 1.5},
         {1.0 / 8192, .0155029296875, .234375, .5, .125, .0625, .0625},
         {1, -2, 3, -4, 5, -6, 7},
         {.0187624077709147, -.262222758913338, .240653638092727, -.224888166730693, .941463162302774,
          -.411794073272315, .449878734132117}}};
    on_devices([&](Device& device) {
        for (DType dtype : {DType::f64, DType::f32})
            for (const Row& row : rows) {
                Arena arena(device);
                ExecutionScope execution(arena);
                Tape tape(arena, nullptr);
                TapeScope recording(&tape);
                const auto n = static_cast<std::int64_t>(row.c.size());
                const Numbers alphas = alphas_of(row.c);
                Tensor a = constants({1, n}, dtype, alphas);
                tape.watch(a);
                Numbers drawn = row.x;
                for (double x : row.x) drawn.push_back(1 - x);
                drawn.insert(drawn.end(), row.c.begin(), row.c.end());
                const Tensor w = dirichlet(a, constants({3, 1, n}, DType::f64, drawn));
                tape.backward(w, constants({1, n}, dtype, row.v));
                const Numbers got = numbers_of(tape.gradient(a));
                for (std::size_t i = 0; i < got.size(); i++) {
                    // The values have 15 digits. In float32 alpha is rounded, and the result.
                    const double want = row.dl[i] * slope(alphas[i]), relative = dtype == DType::f64 ? 1e-13 : 1e-6;
                    CAPTURE(i);
                    CHECK(std::abs(got[i] - want) <= relative * std::abs(want));
                }
            }
    });
}

TEST_CASE(
    "of a draw's components some are kept: they are divided by their sum, and the others' gradients are exact zeros") {
    // mpmath; the kept ones of concentrations c at x, kept 1, 3 and 4.
    const Numbers c{1.25, .75, 1, 2, .5}, x{.25, .125, .03125, .5, .09375}, v{.5, -1, 2, .25, -.75},
        mask{1, 0, 1, 1, 0}, y{.32, 0, .04, .64, 0}, dl{.029565623502505, 0, .16113134574495, -.047333427481222, 0};
    on_devices([&](Device& device) {
        for (DType dtype : {DType::f64, DType::f32}) {
            Arena arena(device);
            ExecutionScope execution(arena);
            Tape tape(arena, nullptr);
            TapeScope recording(&tape);
            const Numbers alphas = alphas_of(c);
            Tensor a = constants({1, 5}, dtype, alphas);
            tape.watch(a);
            Numbers drawn = x;
            for (double one : x) drawn.push_back(1 - one);
            // Those of the alphas as they are stored: the draw is theirs.
            for (double alpha : numbers_of(a)) drawn.push_back(concentration(alpha));
            const Tensor w = dirichlet(a, constants({3, 1, 5}, DType::f64, drawn), constants({1, 5}, DType::f64, mask));
            const Numbers got = numbers_of(w);
            tape.backward(w, constants({1, 5}, dtype, v));
            const Numbers g = numbers_of(tape.gradient(a));
            const double rounding = dtype == DType::f64 ? 1e-13 : 1e-6;
            for (std::size_t i = 0; i < 5; i++) {
                CAPTURE(i);
                if (mask[i] == 0) {
                    CHECK((got[i] == 0 && g[i] == 0));
                    continue;
                }
                CHECK(std::abs(got[i] - y[i]) <= rounding * y[i]);
                CHECK(std::abs(g[i] - dl[i] * slope(alphas[i])) <= 1.5 * rounding * std::abs(dl[i]));
            }
        }
    });
}

TEST_CASE("kept components of small concentrations stay finite, and one alone is 1") {
    auto device = make_device("cpu", 1);
    for (DType dtype : {DType::f64, DType::f32}) {
        Arena arena(*device);
        ExecutionScope execution(arena);
        Tape tape(arena, nullptr);
        TapeScope recording(&tape);
        constexpr std::size_t rows = 300;
        Numbers alphas, some, one;
        for (std::size_t i = 0; i < rows; i++) {
            for (double v : {std::log(1e-3) + 1e-5, std::log(1e-3) + 1e-5, 0.0}) alphas.push_back(v);
            for (double v : {1, 1, 0}) some.push_back(v);
            for (double v : {0, 1, 0}) one.push_back(v);
        }
        Tensor a = constants({rows, 3}, dtype, alphas);
        tape.watch(a);
        const Tensor drawn = dirichlet_draw(a, {1, 2, 3, 0});
        const Tensor w = dirichlet(a, drawn, constants({rows, 3}, DType::f64, some));
        const Numbers kept = numbers_of(w),
                      alone = numbers_of(dirichlet(a, drawn, constants({rows, 3}, DType::f64, one)));
        Numbers v;
        for (std::size_t i = 0; i < rows; i++) v.insert(v.end(), {100, -100, 5});
        tape.backward(w, constants({rows, 3}, dtype, v));
        for (double g : numbers_of(tape.gradient(a))) REQUIRE(std::isfinite(g));
        for (std::size_t i = 0; i < kept.size(); i += 3) {
            CHECK(std::abs(kept[i] + kept[i + 1] - 1) < (dtype == DType::f64 ? 1e-15 : 1e-6));
            CHECK((kept[i + 2] == 0 && alone[i] == 0 && alone[i + 1] == 1 && alone[i + 2] == 0));
        }
        const Tensor single = constants({4, 1}, dtype, Numbers(4, 0.25));
        CHECK(numbers_of(dirichlet(single, dirichlet_draw(single, {1, 2, 3, 0}))) == Numbers(4, 1));
    }
}

TEST_CASE("the divergence from the uniform distribution, and its gradient") {
    struct Row {
        Numbers c;
        double kl;
        Numbers gradient;
    };
    const std::vector<Row> rows{
        {{1, 1, 1, 1, 1}, 0, {0, 0, 0, 0, 0}},
        {{1.25, .75, 1, 2, .5},
         .9159806897574434,
         {.199661095131964, -.735141105412715, -.0996711934948138, .545262873353413, -2.56707229376715}},
        {{.125, .25, 3, .5, 1.125},
         8.776353509101257,
         {-57.2146167643645, -12.8979968658803, .789868133696453, -2.46740110027234, .173516680623504}},
        {Numbers(5, .5), .9114709921681398, Numbers(5, -1.24150671002175)},
        {Numbers(8, 2), .8282780769435314, Numbers(8, .128983799622312)}};
    on_devices([&](Device& device) {
        for (const Row& row : rows) {
            Arena arena(device);
            ExecutionScope execution(arena);
            Tape tape(arena, nullptr);
            TapeScope recording(&tape);
            const Numbers alphas = alphas_of(row.c);
            Tensor a = constants({1, static_cast<std::int64_t>(alphas.size())}, DType::f64, alphas);
            tape.watch(a);
            const Tensor y = dirichlet_kl(a, 0.25);
            // Terms of size one cancel; the gradient has 15 digits.
            CHECK(std::abs(numbers_of(y)[0] - 0.25 * row.kl) < 1e-14 * (1 + row.kl));
            tape.backward(y, constants({1}, DType::f64, 2.0));
            const Numbers got = numbers_of(tape.gradient(a));
            for (std::size_t i = 0; i < got.size(); i++)
                CHECK(std::abs(got[i] - 0.5 * row.gradient[i] * slope(alphas[i])) <=
                      2e-14 * (1 + std::abs(row.gradient[i])));
        }
    });
}

TEST_CASE("a draw is a function of its key, and the gpu's is the cpu's") {
    Numbers alphas(60);
    for (std::size_t i = 0; i < alphas.size(); i++) alphas[i] = std::sin(static_cast<double>(i)) * 2;
    std::vector<Numbers> by_device;
    on_devices([&](Device& device) {
        Arena arena(device);
        ExecutionScope execution(arena);
        const Tensor a = constants({12, 5}, DType::f64, alphas);
        auto draw = [&](const DrawKey& key) { return numbers_of(dirichlet_draw(a, key)); };
        const Numbers one = draw({1, 2, 3, 4});
        CHECK(draw({1, 2, 3, 4}) == one);
        for (const DrawKey& key :
             {DrawKey{2, 2, 3, 4}, {1, 3, 3, 4}, {1, 2, 4, 4}, {1, 2, 3, 64}, {1, 2ull << 32, 3, 4}}) {
            const Numbers other = draw(key);
            for (std::size_t i = 0; i < 120; i++) CHECK(other[i] != one[i]);
        }
        // A row's draw is the same whatever rows there are besides it.
        const Tensor part = constants({1, 5}, DType::f64, std::span(alphas).subspan(10, 5));
        const Numbers alone = numbers_of(dirichlet_draw(part, {1, 2, 3, 14}));
        for (std::size_t i = 0; i < 5; i++) CHECK(alone[i] == one[10 + i]);
        by_device.push_back(one);
    });
    // A gpu's exponentials and logarithms may be off by units in the last place.
    for (const Numbers& other : by_device)
        for (std::size_t i = 0; i < other.size(); i++)
            CHECK(std::abs(other[i] - by_device[0][i]) <= 1e-13 * std::abs(by_device[0][i]));
}

TEST_CASE("what is no draw of these alphas is refused") {
    auto device = make_device("cpu", 1);
    Arena arena(*device);
    ExecutionScope execution(arena);
    const Tensor a = constants({2, 3}, DType::f32, 0.0), vector = constants({3}, DType::f32, 0.0);
    CHECK_THROWS_AS(dirichlet(a, constants({3, 3, 2}, DType::f64, 0.5)), Error);
    CHECK_THROWS_AS(dirichlet(a, constants({3, 2, 3}, DType::f32, 0.5)), Error);
    CHECK_THROWS_AS(dirichlet(a, dirichlet_draw(a, {}), constants({2, 2}, DType::f64, 1.0)), Error);
    CHECK_THROWS_AS(dirichlet_draw(vector, {}), Error);
    CHECK_THROWS_AS(dirichlet_kl(vector, 1), Error);
}
