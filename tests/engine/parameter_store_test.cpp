// Which ranges are said to be read before they are.
#include "engine/memory/parameter_store.h"

#include <doctest/doctest.h>

#include "engine/memory/second_weights.h"
#include "engine/streams/device.h"

using namespace nascent;

TEST_CASE("parameters read ahead are their ranges, each once and in order") {
    const auto device = make_device("cpu", 1);
    ParameterStore store(*device, DType::f32);
    for (const char* range : {"a", "b", "c"}) {
        store.begin_range(range);
        for (const char* name : {".w", ".bias"}) store.add(std::string(range) + name, {4});
    }
    store.allocate();
    std::vector<std::vector<int>> calls;
    const int parameters[] = {5, -1, 0, 4, 1};
    CHECK_NOTHROW(store.read_ahead(parameters));  // where nobody asked to be told
    store.set_before_read([&](std::span<const int> ranges) { calls.emplace_back(ranges.begin(), ranges.end()); });
    store.read_ahead(parameters);
    store.read(3);
    CHECK(calls == std::vector<std::vector<int>>{{0, 2}, {1}});
    store.set_before_read(nullptr);
    store.read_ahead(parameters);
    CHECK(calls.size() == 2);
}

TEST_CASE("parameters are said to be rounded where they are, in ranges that are, and nowhere else") {
    const auto device = make_device("cpu", 1);
    ParameterStore store(*device, DType::f32);
    for (const char* range : {"a", "b"}) {
        store.begin_range(range);
        for (const char* name : {".w", ".bias"}) store.add(std::string(range) + name, {3, 5});
    }
    store.allocate();
    const int ranges[] = {1};
    auto* const place = static_cast<std::byte*>(store.rounded_place(1));
    CHECK(place != nullptr);
    CHECK(store.rounded_place(1) == place);
    CHECK(store.read(3).rounded == nullptr);
    store.set_rounded(ranges, true);
    CHECK(store.read(1).rounded == nullptr);
    CHECK(store.read(2).rounded == place);
    CHECK(store.read(3).rounded == place + 15 * 2);
    CHECK(!(store.read(3) == store.raw(3)));  // no call of an op with one may be replayed for the other
    {
        SecondWeights second(store, ranges);
        const ConstantRanges constant(store, ranges);
        const SecondWeightsScope instead(second, false);
        CHECK(store.weights_replaced());
        CHECK(store.read(3).rounded == nullptr);
    }
    CHECK(!store.weights_replaced());
    store.set_rounded(ranges, false);
    CHECK(store.read(3).rounded == nullptr);
}
