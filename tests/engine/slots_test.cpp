// Fixed places for blocks of a network.
#include "engine/memory/slots.h"

#include <doctest/doctest.h>

#include "engine/autograd/execution.h"

using namespace nascent;

TEST_CASE("what a block allocates begins at one address, whatever the others take") {
    const auto device = make_device("cpu", 1);
    Slots slots(*device, std::size_t{1} << 24);
    Arena main(*device, std::size_t{1} << 20, false);
    ExecutionScope execution(main);
    const auto take = [&](std::size_t block, std::size_t bytes) {
        BlockScope scope(block);
        return current_arena().allocate(bytes);
    };
    CHECK_NOTHROW(take(3, 8));  // no slots are set: the current arena's
    CHECK(main.used() > 0);
    const std::size_t used = main.used();
    CapturedScope captured(nullptr, &slots);
    const void *second = take(2, 100), *first = take(0, 10);
    CHECK(second != first);
    CHECK(&slots.at(2) != &slots.at(0));
    CHECK(main.used() == used);
    CHECK(&current_arena() == &main);
    slots.reset();
    CHECK(take(0, 5000) == first);
    CHECK(take(2, 10) == second);
    CHECK(take(1, 300) != first);
    const std::size_t sum = slots.at(0).high_water() + slots.at(1).high_water() + slots.at(2).high_water();
    CHECK(slots.high_water() == sum);
    CHECK(sum >= 5000 + 100 + 300);
    CHECK(sum < 3 * 5000);
}
