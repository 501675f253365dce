#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "engine/memory/arena_place.h"

using namespace nascent;

TEST_CASE("an arena bumps, resets to marks and remembers its high water") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 24, false);
    void* a = arena.allocate(10);
    const std::size_t mark = arena.mark();
    void* b = arena.allocate(100);
    CHECK(reinterpret_cast<std::uintptr_t>(a) % Arena::alignment == 0);
    CHECK(static_cast<std::byte*>(b) - static_cast<std::byte*>(a) == 64);
    arena.reset(mark);
    CHECK(arena.allocate(1) == b);
    CHECK(arena.high_water() == 64 + 128);
    std::memset(arena.allocate(std::size_t{1} << 20), 1, std::size_t{1} << 20);
    CHECK(arena.allocate(0) != nullptr);
}

TEST_CASE("a place in an arena keeps a tensor and gives back what lies behind it") {
    auto device = make_device("cpu", 1);
    for (bool checked : {false, true}) {
        Arena arena(*device, std::size_t{1} << 24, checked), other(*device, std::size_t{1} << 24, checked);
        const Tensor before = arena.tensor({100}, DType::f32);
        const std::size_t mark = arena.mark();
        ArenaPlace place(arena);
        const Tensor first = arena.tensor({7}, DType::f32), t = arena.tensor({5}, DType::f64);
        std::memset(t.data, 1, t.bytes());
        const std::size_t behind = arena.mark();
        arena.allocate(1000);
        place.keep(t);
        CHECK(arena.used() == behind);
        CHECK(t.as<double>()[4] == t.as<double>()[0]);
        arena.check_red_zones();
        place.keep(first);
        CHECK(arena.used() < behind);
        CHECK_THROWS_WITH_AS(place.keep(t), doctest::Contains("lies elsewhere"), Error);
        place.keep(before);
        CHECK(arena.used() == mark);
        // One that lies where the place began, and is whole lines.
        const Tensor here = arena.tensor({8}, DType::f64);
        const std::size_t end = arena.mark();
        arena.allocate(1000);
        place.keep(here);
        CHECK(arena.used() == end);
    }
}

TEST_CASE("an arena that is full says so") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{4} << 20, false);
    arena.allocate(std::size_t{1} << 20);
    try {
        arena.allocate(std::size_t{4} << 20);
        FAIL("no error");
    } catch (const Error& e) {
        CHECK(e.kind() == ErrorKind::device);
        CHECK(std::string(e.what()).find("full") != std::string::npos);
    }
    CHECK_THROWS_AS(arena.allocate(~std::size_t{0} - 10), Error);
}

TEST_CASE("a checked arena poisons and guards") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 24, true);
    Tensor t = arena.tensor({3}, DType::f32);
    CHECK(std::isnan(t.span<float>()[0]));
    t.span<float>()[2] = 5;
    arena.check_red_zones();
    arena.reset();
    Tensor again = arena.tensor({3}, DType::f32);
    CHECK(again.data == t.data);
    CHECK(std::isnan(again.span<float>()[2]));
#ifndef __SANITIZE_ADDRESS__
    static_cast<unsigned char*>(again.data)[64] = 0;  // the first byte behind the rounded-up allocation
    CHECK_THROWS_AS(arena.check_red_zones(), Error);
    CHECK_THROWS_AS(arena.reset(), Error);
    static_cast<unsigned char*>(again.data)[64] = 0xCB;
    const std::size_t used = arena.used();
    again.span<float>()[1] = 5;
    arena.reset();
    arena.take_to(used);  // as it is, but for what the reset filled
    CHECK(std::isnan(again.span<float>()[1]));
#endif
}

TEST_CASE("gradient slots ping-pong") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 24, false);
    GradientSlots slots(arena);
    void* dy = slots.take(1000);
    for (int layer = 0; layer < 10; layer++) {
        void* dx = slots.take(1000);
        CHECK(dx != dy);
        slots.give_back(dy);
        dy = dx;
    }
    CHECK(slots.count() == 2);
    void* big = slots.take(5000);
    CHECK(slots.count() == 3);
    slots.give_back(big);
    CHECK(slots.take(900) != big);  // the best fit, not the first
}

TEST_CASE("a slot taken again holds no gradient in a checked arena") {
    auto device = make_device("cpu", 1);
    Arena arena(*device, std::size_t{1} << 24, true);
    GradientSlots slots(arena);
    auto* first = static_cast<double*>(slots.take(16));
    first[0] = first[1] = 1;
    slots.give_back(first);
    auto* again = static_cast<double*>(slots.take(16));
    REQUIRE(again == first);
    CHECK((std::isnan(again[0]) && std::isnan(again[1])));
}

TEST_CASE("devices are named") {
    CHECK(make_device("cpu", 1)->name() == "cpu");
    try {
        make_device("tpu");
        FAIL("no error");
    } catch (const Error& e) {
        CHECK(e.exit_code() == 2);
    }
}
