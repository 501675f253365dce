// What is computed of whole ranges of parameters, against plain loops in double.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>

#include "ops/angle_sums.h"
#include "ops/copy_tensors.h"
#include "ops/optim/combine.h"
#include "tests/ops/optimizer_bench.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("combinations of ranges are their terms' sums, with factors of the host or of the device") {
    for (DType dtype : {DType::f64, DType::f32}) {
        CAPTURE(name_of(dtype));
        const double epsilon = dtype == DType::f64 ? DBL_EPSILON : FLT_EPSILON;
        Bench b(3, dtype);
        Arena& arena = b.arena;
        std::vector<Tensor> terms[3], to;
        for (int k = 0; k < 3; k++)
            for (int r = 0; r < 3; r++) {
                terms[k].push_back(arena.tensor({Bench::length}, dtype));
                from_host(terms[k].back(), random_numbers(Bench::length, static_cast<std::uint32_t>(10 * k + r)));
            }
        for (int r = 0; r < 3; r++) to.push_back(arena.tensor({Bench::length}, dtype));
        auto of = [&](int k) { return [&, k](int range) { return terms[k][static_cast<std::size_t>(range)].data; }; };
        auto place = [&](int range) { return to[static_cast<std::size_t>(range)].data; };
        const Tensor at = arena.tensor({3}, DType::f64);
        from_host(at, {0.5, -3, 0.25});
        const int ranges[] = {2, 0};
        struct Call {
            double factors[3];
            std::array<CombineTerm, 3> terms;
            const double* at;
        };
        for (const Call& call : {Call{{0.75, -2, 1.5}, {{{0.75, of(0)}, {-2, of(1)}, {1.5, of(2)}}}, nullptr},
                                 Call{{1, 0, 3}, {{{1, of(0)}, {}, {3, of(2)}}}, nullptr},
                                 Call{{0.5, 0, 0.25}, {{{0, of(0)}, {}, {0, of(2)}}}, at.as<double>()}}) {
            for (const Tensor& t : to) from_host(t, Numbers(Bench::length, 7));
            combine(b.store, ranges, place, call.terms, call.at);
            CHECK(to_host(to[1]) == Numbers(Bench::length, 7));  // not asked for
            for (int r : ranges) {
                const Numbers y = to_host(to[static_cast<std::size_t>(r)]);
                for (std::size_t i = 0; i < y.size(); i++) {
                    double sum = 0, magnitude = 0;
                    for (int k = 0; k < 3; k++) {
                        const double term = call.factors[k] * to_host(terms[k][static_cast<std::size_t>(r)])[i];
                        sum += term, magnitude += std::abs(term);
                    }
                    // Two sums and products in double at most, and one rounding to the type.
                    CHECK(std::abs(y[i] - sum) <= 5 * DBL_EPSILON * magnitude + epsilon * std::abs(sum));
                }
            }
        }
    }
}

TEST_CASE("tensors copied at once are copies, each of its size") {
    auto device = make_device("cpu", 2);
    Arena arena(*device, std::size_t{1} << 20, true);
    ExecutionScope execution(arena);
    std::vector<Tensor> from, to;
    copy_tensors(from, to);  // of none
    for (const auto& [shape, dtype] : {std::pair{Shape{5}, DType::f64}, std::pair{Shape{2, 3}, DType::f32},
                                       std::pair{Shape{1}, DType::f64}, std::pair{Shape{33, 7}, DType::f64}}) {
        from.push_back(arena.tensor(shape, dtype));
        from_host(from.back(), random_numbers(shape.size(), static_cast<std::uint32_t>(from.size())));
        to.push_back(arena.tensor(shape, dtype));
        copy_tensors(from, to);
        for (std::size_t i = 0; i < to.size(); i++) {
            CHECK(to_host(to[i]) == to_host(from[i]));
            from_host(to[i], Numbers(to[i].size(), 0));
        }
    }
    arena.check_red_zones();
}

namespace {

/// Of parameters that coast with this momentum and weight decay.
void check_angle_sums(DType dtype, double momentum, double weight_decay) {
    Bench b(6, dtype);
    ParameterStore old(*b.device, dtype);
    for (int r = 0; r < 6; r++) {
        old.begin_range("r" + std::to_string(r));
        old.add("w" + std::to_string(r), {Bench::length});
    }
    old.allocate();
    for (int r = 0; r < 6; r++) from_host(old.raw(r), to_host(b.store.raw(r)));
    Sgd sgd(b.store, {momentum, weight_decay, true, 0, SgdOptions::Inactive::coast}, rate);
    for (int s = 0; s < 9; s++) {
        std::vector<int> on{s % 4};  // the others coast; 4 and 5 never begin
        b.step(sgd, on);
    }
    std::vector<Numbers> stored;
    for (int r = 0; r < 6; r++) stored.push_back(to_host(b.store.raw(r)));
    const auto plain = angle_sums(old, b.store), peeked = angle_sums(old, b.store, &sgd);
    REQUIRE(plain.size() == 6);
    REQUIRE(peeked.size() == 6);
    bool differ = false;
    for (int r = 0; r < 6; r++) {
        CAPTURE(r);
        const auto at = static_cast<std::size_t>(r);
        CHECK(to_host(b.store.raw(r)) == stored[at]);  // looking changes nothing
        std::vector<std::byte> bytes(Bench::length * size_of(dtype));
        sgd.peek(r, bytes.data());
        Tensor peek = b.arena.tensor({Bench::length}, dtype);
        b.device->copy_in(peek.data, bytes.data(), bytes.size());
        const Numbers w = to_host(old.raw(r));
        for (const auto& [now, sums] : {std::pair{stored[at], plain[at]}, std::pair{to_host(peek), peeked[at]}}) {
            double product = 0, mine = 0, other = 0;
            for (std::size_t i = 0; i < w.size(); i++)
                product += w[i] * now[i], mine += w[i] * w[i], other += now[i] * now[i];
            // Two orders of a sum; and where a product and a sum are not rounded as one, weights that have coasted
            // through 9 steps of at most 4 roundings each.
            const double coasted = dtype == DType::f32 ? 9 * 4 * FLT_EPSILON : 9 * 4 * DBL_EPSILON;
            const double tolerance = (2 * Bench::length * DBL_EPSILON + coasted) * (mine + other);
            CHECK(std::abs(sums[0] - product) <= tolerance);
            CHECK(std::abs(sums[1] - mine) <= tolerance);
            CHECK(std::abs(sums[2] - other) <= tolerance);
        }
        differ = differ || plain[at] != peeked[at];
    }
    CHECK(differ);
}

}  // namespace

TEST_CASE("sums for angles are those of the weights as they would be read") {
    for (DType dtype : {DType::f64, DType::f32})
        for (const auto& [momentum, decay] : {std::pair{0.9, 5e-2}, std::pair{0.9, 0.0}, std::pair{0.0, 5e-2}}) {
            CAPTURE(name_of(dtype));
            CAPTURE(momentum);
            CAPTURE(decay);
            check_angle_sums(dtype, momentum, decay);
        }
}

TEST_CASE("the factors of an unrolled step's difference quotient") {
    Bench b(1, DType::f32);
    const Tensor squares = b.arena.tensor({1}, DType::f64), lr = b.arena.tensor({1}, DType::f64),
                 factors = b.arena.tensor({9}, DType::f64);
    from_host(squares, {6.25});  // e = 0.01 / 2.5
    from_host(lr, {0.5});
    for (bool twin : {false, true}) {
        quotient_factors(b.store, squares.as<double>(), lr.as<double>(), twin, factors.as<double>());
        const Numbers expected{1, 0.004, 0, 1, -0.004, 0, 1, -62.5, twin ? 0 : 62.5}, got = to_host(factors);
        for (std::size_t i = 0; i < 9; i++) CHECK(std::abs(got[i] - expected[i]) <= 4 * DBL_EPSILON * 62.5);
    }
}
