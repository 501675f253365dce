// Which gradients sum_of_squares reads where squares of others are known. All numbers are integers, so sums are exact.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/autograd/op.h"
#include "ops/optim/clip.h"

using namespace nascent;

namespace {

/// A value that passes gradients on to `x`, and of which that of parameter p is 1, 2, 3, ...
Tensor counted(const Tensor& x, const Tensor& w, Tape& tape) {
    Tensor y = tape.arena().tensor({1}, DType::f64);
    *y.as<double>() = 0;
    const Tensor in[] = {x, w};
    y.id = tape.record("counted", in, y, [](const Tensor&, std::span<Into> into) {
        if (into[0]) *into[0].as<double>() = 1;
        const auto to = into[1].grad.span<double>();
        for (std::size_t i = 0; i < to.size(); i++)
            to[i] = static_cast<double>(i + 1) + (into[1].accumulate() ? to[i] : 0);
    });
    return y;
}

double squares_of(std::size_t count, double times = 1) {
    double sum = 0;
    for (std::size_t i = 1; i <= count; i++) sum += times * times * static_cast<double>(i * i);
    return sum;
}

/// Ranges of parameters of 3, 5 and 2 numbers, of 4, and of 8.
struct Network {
    std::unique_ptr<Device> device = make_device("cpu", 1);
    Arena arena{*device};
    ParameterStore store{*device, DType::f64};
    std::vector<int> parameters;
    Network() {
        const std::vector<std::vector<std::int64_t>> ranges{{3, 5, 2}, {4}, {8}};
        for (const auto& range : ranges) {
            store.begin_range(std::to_string(parameters.size()));
            for (std::int64_t count : range)
                parameters.push_back(store.add(std::to_string(parameters.size()) + ".w", {count}));
        }
        store.allocate();
    }
    /// Runs a tape back that writes each parameter once, and those of `again` twice.
    void backward(Tape& tape, const std::vector<int>& again = {}) {
        Tensor x = arena.tensor({1}, DType::f64), one = arena.tensor({1}, DType::f64);
        *x.as<double>() = 0, *one.as<double>() = 1;
        for (int p : parameters) x = counted(x, store.read(p), tape);
        for (int p : again) x = counted(x, store.read(parameters[static_cast<std::size_t>(p)]), tape);
        tape.backward(x, one);
    }
    const double* gradient(const Tape& tape, int p) {
        return tape.gradient(store.read(parameters[static_cast<std::size_t>(p)])).as<double>();
    }
};

}  // namespace

TEST_CASE("known squares stand for gradients that were written once, and the others are read") {
    Network net;
    Tape tape(net.arena, &net.store, Tape::Gradients::parameters_fixed);
    net.backward(tape, {0, 2});
    for (int p : {0, 1, 2}) CHECK(tape.writes(net.parameters[static_cast<std::size_t>(p)]) == (p == 1 ? 1 : 2));
    const double all = 4 * squares_of(3) + squares_of(5) + 4 * squares_of(2) + squares_of(4) + squares_of(8);
    CHECK(*sum_of_squares(tape, net.store) == all);

    // Powers of two, which say in the sum what was added; some follow each other.
    const double nan = std::nan(""), squares[] = {0x1p20, 0x1p21, nan, 0x1p22, nan, 0x1p23, 0x1p24, nan, nan};
    const double *const one = net.gradient(tape, 1), *const four = net.gradient(tape, 4);
    const double elsewhere[16] = {};
    tape.keep_squares({{four + 4, 2, squares + 5, 2},
                       {four, 2, squares + 3, 1},
                       {one, 5, squares + 1, 1},
                       {net.gradient(tape, 3), 4, squares, 1},
                       {net.gradient(tape, 0), 3, squares + 2, 1},  // written twice
                       {net.gradient(tape, 2), 2, squares + 2, 1},
                       {four + 7, 2, squares + 7, 1},  // more than the range has
                       {elsewhere, 16, squares + 8, 1}});
    // Of the last range elements 2, 3, 6, 7 are read: 3, 4, 7, 8.
    const double read = 4 * squares_of(3) + 4 * squares_of(2) + 9 + 16 + 49 + 64;
    CHECK(*sum_of_squares(tape, net.store) == read + 0x1p20 + 0x1p21 + 0x1p22 + 0x1p23 + 0x1p24);
    double sum = 0;
    CHECK(sum_of_squares(
              tape, net.store, [](int range) { return range == 2; }, &sum) == &sum);
    CHECK(sum == 9 + 16 + 49 + 64 + 0x1p22 + 0x1p23 + 0x1p24);

    // Squares of all that there is: nothing is read.
    Tape other(net.arena, &net.store, Tape::Gradients::parameters_fixed);
    net.backward(other);
    other.keep_squares({{net.gradient(other, 3), 4, squares + 3, 1}});
    CHECK(*sum_of_squares(other, net.store, [](int range) { return range == 1; }) == 0x1p22);
}

TEST_CASE("squares need gradients that have places of their own") {
    Network net;
    Tape reused(net.arena, &net.store);
    CHECK_THROWS_AS(SquaresScope(reused, net.store, true), Error);
    CHECK_NOTHROW(SquaresScope(reused, net.store, false));
    for (const auto gradients : {Tape::Gradients::fixed, Tape::Gradients::parameters_fixed}) {
        Tape tape(net.arena, &net.store, gradients);
        CHECK_NOTHROW(SquaresScope(tape, net.store, true));
        CHECK(tape.squares().empty());
    }
}
