#include "engine/memory/second_weights.h"

#include <doctest/doctest.h>

#include "engine/autograd/tape.h"

using namespace nascent;

namespace {

struct Fixture {
    std::unique_ptr<Device> device = make_device("cpu", 1);
    ParameterStore store{*device, DType::f64};
    int a, b, buffer;
    Fixture() {
        store.begin_range("first");
        a = store.add("first.w", {2});
        store.begin_range("second");
        b = store.add("second.w", {1});
        buffer = store.add_buffer("first.mean", {2}, 5);
        store.allocate();
        store.raw(a).as<double>()[1] = 3;
        store.raw(b).as<double>()[0] = 4;
    }
};

}  // namespace

TEST_CASE("ranges are constants while a scope lives") {
    Fixture f;
    CHECK(f.store.read(f.a).id.wanted());
    {
        const int ranges[] = {0};
        ConstantRanges scope(f.store, ranges);
        CHECK(!f.store.read(f.a).id.wanted());
        CHECK(f.store.read(f.a).as<double>()[1] == 3);
        CHECK(f.store.read(f.b).id.parameter_index() == f.b);
        CHECK_THROWS_AS(ConstantRanges(f.store, ranges), Error);
    }
    CHECK(f.store.read(f.a).id.parameter_index() == f.a);
}

TEST_CASE("second weights stand in for a store's own, with gradients under the same parameters") {
    Fixture f;
    const int ranges[] = {0};
    SecondWeights second(f.store, ranges);
    REQUIRE(second.weights(0));
    CHECK(!second.weights(1));
    static_cast<double*>(second.weights(0))[1] = 30;
    const double* const mean = f.store.buffer(f.buffer).as<double>();
    {
        SecondWeightsScope scope(second, false);
        CHECK(f.store.read(f.a).as<double>()[1] == 30);
        CHECK(f.store.read(f.a).id.parameter_index() == f.a);
        CHECK(f.store.read(f.b).as<double>()[0] == 4);  // has no second
        CHECK(f.store.raw(f.a).as<double>()[1] == 3);   // as checkpoints and optimizers see it
        CHECK(f.store.buffer(f.buffer).as<double>() == mean);
        CHECK_THROWS_AS(SecondWeightsScope(second, true), Error);
    }
    {
        SecondWeightsScope scope(second, true);
        const Tensor other = f.store.buffer(f.buffer);
        CHECK(other.shape == Shape({2}));
        REQUIRE(other.as<double>() != mean);
        other.as<double>()[0] = 9;
        CHECK(f.store.buffers()[0].tensor.as<double>()[0] == 5);
    }
    CHECK(f.store.read(f.a).as<double>()[1] == 3);
    CHECK(f.store.buffer(f.buffer).as<double>() == mean);
}

TEST_CASE("two copies of the weights are read side by side, constants alone") {
    Fixture f;
    const int ranges[] = {0};
    SecondWeights second(f.store, ranges);
    static_cast<double*>(second.weights(0))[1] = 30;
    static_cast<double*>(f.store.gradient_place(0))[1] = 300;
    CHECK(f.store.copies() == 1);
    {
        TwinWeightsScope twin(second);
        CHECK(f.store.copies() == 2);
        {
            CopyScope copy(f.store, 1);
            CHECK_THROWS_AS(f.store.read(f.a), Error);  // a gradient would lie where the weights do
        }
        ConstantRanges constant(f.store, ranges);
        for (int k : {0, 1}) {
            CopyScope copy(f.store, k);
            CHECK(f.store.read(f.a).as<double>()[1] == (k == 0 ? 30 : 300));
            CHECK(!f.store.read(f.a).id.wanted());
            CHECK(f.store.read(f.b).as<double>()[0] == 4);
            CHECK_THROWS_AS(CopyScope(f.store, 0), Error);
        }
        CHECK_THROWS_AS(f.store.read(f.a), Error);  // of which copy?
        CHECK(f.store.read(f.b).id.parameter_index() == f.b);
        CHECK_THROWS_AS(CopyScope(f.store, 2), Error);
        CHECK_THROWS_AS(SecondWeightsScope(second, false), Error);
        CHECK_THROWS_AS(TwinWeightsScope{second}, Error);
    }
    CHECK(f.store.copies() == 1);
    CHECK(f.store.read(f.a).as<double>()[1] == 3);
    CopyScope copy(f.store, 0);
    CHECK(f.store.read(f.a).id.parameter_index() == f.a);
}
