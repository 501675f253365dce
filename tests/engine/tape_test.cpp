#include <doctest/doctest.h>

#include "engine/autograd/op.h"

using namespace nascent;

namespace {
/// y = w * x for scalars; counts what it was asked for.
Tensor scale(const Tensor& x, const Tensor& w, Tape& tape) {
    Tensor y = tape.arena().tensor({1}, DType::f64);
    y.as<double>()[0] = x.as<double>()[0] * w.as<double>()[0];
    const Tensor in[] = {x, w};
    y.id = tape.record("scale", in, y, [x, w](const Tensor& dy, std::span<Into> into) {
        const double g[] = {w.as<double>()[0] * dy.as<double>()[0], x.as<double>()[0] * dy.as<double>()[0]};
        for (int i = 0; i < 2; i++) {
            if (!into[static_cast<std::size_t>(i)]) continue;
            double* to = into[static_cast<std::size_t>(i)].as<double>();
            *to = g[i] + (into[static_cast<std::size_t>(i)].accumulate() ? *to : 0);
        }
    });
    return y;
}
Tensor number(Arena& arena, double v) {
    Tensor t = arena.tensor({1}, DType::f64);
    *t.as<double>() = v;
    return t;
}
}  // namespace

TEST_CASE("a tape writes what is wanted: parameters, watched tensors, nothing else") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 24, true);
    ParameterStore store(*device, DType::f64);
    store.begin_range("used");
    const int used = store.add("used.w", {1});
    store.begin_range("unused");
    const int unused = store.add("unused.w", {1});
    store.begin_range("half");
    const int half = store.add("half.w", {1});
    store.add("half.b", {1});
    store.allocate();
    *store.raw(used).as<double>() = 3;
    *store.raw(half).as<double>() = 2;

    Tape tape(arena, &store);
    Tensor x = number(arena, 5), constant = number(arena, 7), one = number(arena, 1);
    tape.watch(x);
    Tensor y = scale(scale(scale(x, store.read(used), tape), constant, tape), store.read(used), tape);  // 5 * 3 * 7 * 3
    CHECK(*y.as<double>() == 315);
    scale(x, store.read(used), tape);  // recorded, but not on the way to y
    tape.backward(y, one);
    CHECK(*tape.gradient(x).as<double>() == 63);
    CHECK(*tape.gradient(store.read(used)).as<double>() == 210);
    CHECK(!tape.gradient(store.read(unused)).defined());
    CHECK(!tape.gradient(constant).defined());
    REQUIRE(tape.written().size() == 1);
    CHECK(store.range(tape.written()[0].range).name == "used");

    Tape second(arena, &store);
    Tensor z = scale(number(arena, 1), store.read(half), second);
    CHECK_THROWS_AS(second.backward(z, one), Error);  // half.b has no gradient, so the range cannot be stepped
    Tape third(arena, &store);
    CHECK_THROWS_AS(third.backward(constant, one), Error);
}

TEST_CASE("a range's gradients lie as its weights do, in the arena or in the store") {
    auto device = make_device("cpu", 1);
    using enum Tape::Gradients;
    for (Tape::Gradients gradients : {reused, fixed, parameters_fixed}) {
        ParameterStore store(*device, DType::f64);
        CHECK(store.begin_range("first") == 0);
        store.add("first.w", {3});
        CHECK(store.begin_range("second") == 1);
        for (const char* name : {"a", "b", "c"}) store.add(name, {1});
        store.allocate();
        const double weights[] = {2, 3, 5};
        for (int i = 0; i < 3; i++) *store.raw(1 + i).as<double>() = weights[i];
        Arena arena(*device, std::size_t{1} << 24, true);
        const void* place = nullptr;
        for (int step = 0; step < 2; step++) {
            const ExecutionScope execution(arena);
            Tape tape(arena, &store, gradients);
            Tensor y = number(arena, 7);
            for (int i = 0; i < 3; i++) y = scale(y, store.read(1 + i), tape);
            tape.backward(y, number(arena, 1));
            REQUIRE(tape.written().size() == 1);
            CHECK(tape.written()[0].range == 1);
            const auto* all = static_cast<const double*>(tape.written()[0].grad);
            for (int i = 0; i < 3; i++) {
                CHECK(all[i] == 210 / weights[i]);
                CHECK(*tape.gradient(store.read(1 + i)).as<double>() == all[i]);
            }
            CHECK(store.range(1).gradient == (gradients == reused ? nullptr : all));
            if (step > 0 && gradients != reused) CHECK(all == place);
            place = all;
            arena.reset();
        }
    }
}

TEST_CASE("a tape walks back from several values at once") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 24, true);
    Tape tape(arena, nullptr);
    Tensor x = number(arena, 5);
    tape.watch(x);
    const Tensor three = scale(x, number(arena, 3), tape), seven = scale(x, number(arena, 7), tape);
    const Tensor one = number(arena, 1), minus = number(arena, -1);
    SUBCASE("their cotangents add up") {
        const Tape::Cotangent difference[] = {{three, one}, {seven, minus}};
        tape.backward(difference);
        CHECK(*tape.gradient(x).as<double>() == -4);
    }
    SUBCASE("each stands there once") {
        const Tape::Cotangent same[] = {{three, one}, {three, minus}};
        CHECK_THROWS_AS(tape.backward(same), Error);
    }
}

TEST_CASE("a store is built once and finds its parameters") {
    auto device = make_device("cpu", 1);
    ParameterStore store(*device, DType::f32);
    CHECK_THROWS_AS(store.add("a", {1}), Error);
    store.begin_range("r");
    CHECK(store.add("a", {2, 3}) == 0);
    CHECK_THROWS_AS(store.add("a", {1}), Error);
    store.add("b", {5});
    const int buffer = store.add_buffer("m", {4}, 1);
    store.allocate();
    CHECK_THROWS_AS(store.begin_range("late"), Error);
    CHECK(store.find("b") == 1);
    CHECK(store.find("c") == -1);
    CHECK(store.parameter_count() == 11);
    CHECK(store.raw(1).as<float>() == store.raw(0).as<float>() + 6);
    CHECK(store.buffer(buffer).span<float>()[3] == 1);
    CHECK_THROWS_AS(store.raw(0).as<double>(), Error);
    int reads = 0;
    store.set_before_read([&](std::span<const int> ranges) { reads += ranges.size() == 1 && ranges[0] == 0; });
    CHECK(store.read(1).id.parameter_index() == 1);
    CHECK(reads == 1);
}

TEST_CASE("ops outside an execution are refused, scopes name errors") {
    CHECK_THROWS_AS(current_arena(), Error);
    Scope outer("cell {}", 3);
    Scope inner("edge {}", 1);
    try {
        fail(ErrorKind::data, "bad {}", 7);
    } catch (const Error& e) {
        CHECK(std::string(e.what()) == "cell 3 / edge 1: bad 7");
    }
}
