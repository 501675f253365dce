// Items that are made ahead, in parts, by several threads.
#include "nas/data/prefetch.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

TEST_CASE("prefetch: parts of an item are all made, errors leave by the first of them") {
    for (int workers : {0, 1, 4}) {
        std::atomic<bool> fail_now{false};
        Prefetch<std::vector<int>> prefetch(
            workers, 3,
            [](std::uint64_t step, std::vector<int>& item) {
                item.assign(1 + step % 7, -1);
                return static_cast<int>(item.size());
            },
            [&](std::uint64_t step, int part, int worker, std::vector<int>& item) {
                REQUIRE(worker < std::max(workers, 1));
                if (part % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
                if (fail_now && step == 13 && part >= 2) fail(ErrorKind::data, "part {}", part);
                item[static_cast<std::size_t>(part)] = static_cast<int>(step) * 100 + part;
            });
        std::vector<int> item;
        const auto check = [&](std::uint64_t step) {
            prefetch.fetch(step, item);
            REQUIRE(item.size() == 1 + step % 7);
            for (std::size_t p = 0; p < item.size(); p++) CHECK(item[p] == static_cast<int>(step * 100 + p));
        };
        for (std::uint64_t step = 0; step < 10; step++) check(step);
        for (std::uint64_t step : {50, 3, 4, 5, 1000, 1001}) check(step);
        fail_now = true;
        check(12);
        for (int again = 0; again < 2; again++) {
            CHECK(error_of(ErrorKind::data, [&] { prefetch.fetch(13, item); }) == "part 2");
        }
        check(14);
        fail_now = false;
        check(13);
        check(14);
    }
}
