// NAS-Bench-201's halves of CIFAR-10 against the figures of its cifar-split.txt.
#include <algorithm>
#include <numeric>

#include "nas/data/split.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("data: the split of NAS-Bench-201") {
    const Nb201Split split = nb201_split();
    REQUIRE(split.train.size() == 25'000);
    REQUIRE(split.valid.size() == 25'000);
    CHECK(std::accumulate(split.train.begin(), split.train.end(), std::uint64_t{0}) == 623'618'849);
    CHECK(std::accumulate(split.valid.begin(), split.valid.end(), std::uint64_t{0}) == 626'356'151);
    const std::vector<std::uint32_t> train = {0, 5, 7, 11, 13, 15, 16, 17, 20, 24},
                                     valid = {1, 2, 3, 4, 6, 8, 9, 10, 12, 14};
    CHECK(std::equal(train.begin(), train.end(), split.train.begin()));
    CHECK(std::equal(valid.begin(), valid.end(), split.valid.begin()));
    CHECK(std::is_sorted(split.train.begin(), split.train.end()));
    std::vector<std::uint32_t> all = split.train;
    all.insert(all.end(), split.valid.begin(), split.valid.end());
    std::sort(all.begin(), all.end());
    for (std::uint32_t i = 0; i < 50'000; i++) REQUIRE(all[i] == i);
}

TEST_CASE("data: which split a data set gets") {
    Dataset set;
    set.name = "folder";
    const auto count_of = [&](const std::string& split, std::size_t count, int classes) {
        set.train.labels.assign(count, 0);
        set.classes = classes;
        return training_ids(split, set).size();
    };
    CHECK(count_of("auto", 50'000, 10) == 25'000);
    CHECK(count_of("auto", 50'000, 100) == 50'000);
    CHECK(count_of("auto", 49'999, 10) == 49'999);
    CHECK(count_of("all", 50'000, 10) == 50'000);
    CHECK(count_of("nb201", 50'000, 100) == 25'000);
    CHECK(contains(error_of(ErrorKind::usage, [&] { count_of("nb201", 49'999, 10); }), "has 49999; use 'all'"));
    CHECK(contains(error_of(ErrorKind::usage, [&] { count_of("nb102", 50'000, 10); }), "did you mean 'nb201'"));
}
