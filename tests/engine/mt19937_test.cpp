// Draws against values printed by NumPy 1.24.2 and CPython 3.11.2.
#include "engine/base/mt19937.h"

#include <doctest/doctest.h>

#include <numeric>

#include "engine/base/error.h"

using namespace nascent;

TEST_CASE("NumPy's legacy generator") {
    NumpyRandom r(123);
    for (int expected : {2, 4, 2}) CHECK(r.below(5) == expected);
    CHECK(r.random_sample() == 0x1.1a45edee068f0p-1);
    CHECK(r.choice(10, 4) == std::vector<int>{4, 9, 2, 8});
    CHECK(r.randint(7, 8) == 7);  // takes nothing
    CHECK(r.randint(0, std::int64_t{1} << 32) == 3131244655);
    CHECK(r.randint(-5, 1000) == 404);

    NumpyRandom s(5489);
    for (std::int64_t expected : {3499211612, std::int64_t{581869302}, 3890346734})
        CHECK(s.randint(0, std::int64_t{1} << 32) == expected);
    CHECK(s.state().position == 3);
    CHECK_THROWS_AS(s.randint(3, 3), Error);
    CHECK_THROWS_AS(s.randint(0, (std::int64_t{1} << 32) + 1), Error);
    CHECK_THROWS_AS(s.choice(3, 4), Error);
}

TEST_CASE("CPython's random") {
    struct Expected {
        std::uint64_t seed;
        std::uint64_t a, b, five, thirty_three, sixty_four, below_ten, of_three;
        double uniform;
        std::vector<int> shuffled;
    };
    const std::vector<Expected> all = {
        {0,
         3626764237,
         1654615998,
         24,
         3823568514,
         4776171008201404212u,
         8,
         1,
         0x1.9ea70df588b3cp-2,
         {2, 0, 3, 8, 6, 1, 9, 5, 7, 4}},
        {1,
         577090037,
         2444712010,
         27,
         7740669488,
         4705193143269049553u,
         1,
         1,
         0x1.859cde9cc4762p-1,
         {2, 4, 1, 5, 8, 9, 0, 3, 6, 7}},
        {88,
         1707201716,
         4182107318,
         6,
         5724367034,
         11539127711123040087u,
         0,
         2,
         0x1.89710f2c972b9p-1,
         {3, 4, 2, 8, 9, 6, 1, 7, 5, 0}},
        {4294967301,
         675479763,
         2085189291,
         9,
         8117169770,
         267910309641445477u,
         5,
         2,
         0x1.5edc98c711088p-3,
         {0, 6, 9, 4, 1, 8, 2, 3, 5, 7}},
        {9223372036854775819u,
         1560446067,
         2675119618,
         29,
         5434321802,
         11150306410972028430u,
         7,
         1,
         0x1.2d16b120493f0p-3,
         {3, 0, 7, 9, 2, 8, 4, 6, 1, 5}},
    };
    const std::vector<std::uint64_t> three = {0, 1, 2};
    for (const Expected& e : all) {
        CAPTURE(e.seed);
        PythonRandom r(e.seed);
        CHECK(r.getrandbits(32) == e.a);
        CHECK(r.getrandbits(32) == e.b);
        CHECK(r.getrandbits(5) == e.five);
        CHECK(r.getrandbits(33) == e.thirty_three);
        CHECK(r.getrandbits(64) == e.sixty_four);
        CHECK(r.below(10) == e.below_ten);
        CHECK(r.choice(three) == e.of_three);
        CHECK(r.random() == e.uniform);
        std::vector<int> list(10);
        std::iota(list.begin(), list.end(), 0);
        r.shuffle(list);
        CHECK(list == e.shuffled);
    }
    CHECK_THROWS_AS(PythonRandom(0).below(0), Error);
    CHECK_THROWS_AS(PythonRandom(0).getrandbits(65), Error);
}

TEST_CASE("a saved generator goes on with the same numbers") {
    PythonRandom r(0);
    for (int i = 0; i < 1000; ++i) r.random();
    PythonRandom again(r.state());
    CHECK(r.getrandbits(32) == 4065999976);
    CHECK(r.state().position == 129);
    CHECK(again.getrandbits(32) == 4065999976);
    CHECK(again.state() == r.state());
    for (int i = 0; i < 2000; ++i) CHECK(again.getrandbits(32) == r.getrandbits(32));

    Mt19937State bad = r.state();
    bad.position = 625;
    CHECK_THROWS_AS(PythonRandom{bad}, Error);
    bad.position = -1;
    CHECK_THROWS_AS(NumpyRandom{bad}, Error);
    CHECK_THROWS_AS(NumpyRandom{Mt19937State{}}, Error);
}

TEST_CASE("the CIFAR-10 split of the benchmark comes out of CPython's shuffle") {
    std::vector<std::int64_t> list(50000);
    std::iota(list.begin(), list.end(), 0);
    PythonRandom(1021).shuffle(list);
    CHECK(std::accumulate(list.begin(), list.begin() + 25000, std::int64_t{0}) == 623618849);
}
