// Squares that the kernels which end gradients leave for their norm.
#include <numeric>

#include "kernels/clip.h"
#include "kernels/conv.h"
#include "kernels/node_list.h"
#include "tests/gpu/check.h"

namespace nascent::test {
namespace {

/// Partial sums that one thread, some and many threads add; numbers of less than a warp, and of no whole warps.
constexpr kernels::ConvShape kShapes[] = {{1, 4, 4, 16, 16, 3, 1},
                                          {2, 8, 8, 16, 32, 1, 1},
                                          {64, 8, 8, 32, 16, 3, 1},
                                          {200, 16, 16, 4, 4, 1, 1},
                                          {33, 4, 4, 8, 24, 3, 1}};

template <class T>
struct Conv {
    kernels::ConvShape shape;
    std::size_t pixels = static_cast<std::size_t>(shape.n) * shape.h * shape.w,
                weights = static_cast<std::size_t>(shape.k * shape.k) * shape.c_in * shape.c_out;
    Numbers numbers{static_cast<unsigned>(shape.c_in + shape.n)};
    Guarded<T> x = numbers.uniform<T>(pixels * shape.c_in), dy = numbers.uniform<T>(pixels * shape.c_out),
               w = numbers.uniform<T>(weights), map = numbers.uniform<T>(static_cast<std::size_t>(shape.c_out)),
               dw{weights};
    Workspace workspace{kernels::conv_backward_workspace(kGpu, shape, sizeof(T))};
    explicit Conv(const kernels::ConvShape& s) : shape(s) {}
    void backward(Guarded<T>& to, bool accumulate = false) {
        kernels::conv_backward<T>(kGpu, shape, x.data(), {nullptr, nullptr, true}, w.data(), dy.data(),
                                  {dy.data(), map.data(), map.data(), map.data()}, nullptr, false, to.data(),
                                  accumulate, workspace.get());
    }
    Guarded<double> slots() const { return Guarded<double>(kernels::squares_slots(kGpu, weights, 1)); }
};

template <class T>
std::vector<kernels::LeftSquares<T>> taken() {
    std::vector<kernels::LeftSquares<T>> left;
    kernels::take_squares(kGpu, left);
    return left;
}

}  // namespace

TEST_CASE_TEMPLATE("squares are left of the gradients that are stored", T, float, double) {
    for (const kernels::ConvShape& shape : kShapes)
        for (bool together : {false, true}) {  // the second stage in a launch of its own, or of several
            CAPTURE(shape.c_in);
            CAPTURE(together);
            Conv<T> conv(shape);
            Guarded<T> want(conv.weights);
            conv.backward(want);
            Bounded exact;
            for (T g : want) exact.add(static_cast<Real>(g) * g);
            in_every_order([&] {
                Guarded<double> slots = conv.slots();
                kernels::hold_squares<T>(kGpu, {slots.data(), slots.size()});
                if (together) kernels::hold_gradients<T>(kGpu);
                conv.backward(conv.dw);
                if (together) kernels::add_gradients<T>(kGpu);
                CHECK(conv.dw.same_bits(want));
                const auto left = taken<T>();
                REQUIRE(left.size() == 1);
                CHECK(left[0].g == conv.dw.data());
                CHECK(left[0].count == conv.weights);
                REQUIRE(left[0].squares == slots.data());
                REQUIRE(left[0].sums <= slots.size());
                CHECK(slots.intact());
                for (std::size_t i = 0; i < slots.size(); i++) CHECK(std::isnan(slots[i]) == (i >= left[0].sums));

                Guarded<double> sum(1);
                const kernels::GradientRange<T> ranges[] = {{nullptr, left[0].sums, left[0].squares}};
                Workspace space(kernels::sum_of_squares_workspace<T>(kGpu, ranges));
                kernels::sum_of_squares<T>(kGpu, ranges, sum.data(), space.get());
                CHECK(space.intact());
                // Five levels of a warp; a thread's share of a block, eight levels of a tree, and again of the blocks.
                check_close(sum, {exact}, 2 * (5 + 8 + 8 + 8 + 8), "sum");
                return std::vector<Guarded<double>>{sum};
            });
        }
}

TEST_CASE_TEMPLATE("no squares are left of what is added to, and none where there is no room", T, float, double) {
    for (bool together : {false, true}) {
        CAPTURE(together);
        Conv<T> conv(kShapes[0]);
        Guarded<T> other(conv.weights);
        Guarded<double> slots(4 * kernels::squares_slots(kGpu, conv.weights, 1));
        auto run = [&](std::size_t room, auto&& work) {
            kernels::hold_squares<T>(kGpu, {slots.data(), room});
            if (together) kernels::hold_gradients<T>(kGpu);
            work();
            if (together) kernels::add_gradients<T>(kGpu);
            return taken<T>();
        };
        auto left = run(slots.size(), [&] {
            conv.backward(conv.dw);
            conv.backward(other);
            conv.backward(conv.dw, true);
        });
        REQUIRE(left.size() == 1);
        CHECK(left[0].g == other.data());
        const std::size_t sums = left[0].sums;
        left = run(slots.size(), [&] {  // written over: what was left last is right
            conv.backward(conv.dw);
            conv.backward(conv.dw);
        });
        REQUIRE(left.size() == 1);
        CHECK(left[0].squares == slots.data() + sums);
        slots = Guarded<double>(sums);
        CHECK(run(sums - 1, [&] { conv.backward(conv.dw); }).empty());
        for (double s : slots) CHECK(std::isnan(s));
        CHECK(run(sums, [&] { conv.backward(conv.dw); }).size() == 1);
        conv.backward(conv.dw);  // after it nothing is left
        CHECK(taken<T>().empty());
    }
}

TEST_CASE_TEMPLATE("gpu sum_of_squares of gradients and of squares", T, float, double) {
    Numbers numbers(3);
    const Guarded<T> g = numbers.uniform<T>(4099);
    for (std::size_t count : {1, 33, 5000}) {
        const Guarded<double> squares = magnitudes(numbers.uniform<double>(count));
        Bounded want;
        for (T x : g) want.add(static_cast<Real>(x) * x);
        for (double s : squares) want.add(static_cast<Real>(s));
        const kernels::GradientRange<T> ranges[] = {
            {nullptr, 7}, {nullptr, count, squares.data()}, {g.data(), g.size()}, {nullptr, 0, squares.data()}};
        for (const kernels::Stream& stream : {kGpu, kernels::Stream{}}) {
            Guarded<double> sum(1);
            Workspace space(kernels::sum_of_squares_workspace<T>(stream, ranges));
            kernels::sum_of_squares<T>(stream, ranges, sum.data(), space.get());
            CHECK(space.intact());
            check_close(sum, {want}, static_cast<int>(2 * (8 + 8 + 8 + 8) + 5000), "sum");
        }
    }
}

}  // namespace nascent::test
