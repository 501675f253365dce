// Random labels against those that NumPy 1.24.2 draws.
#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "nas/data/labels.h"
#include "tests/nas/digest.h"

using namespace nascent;

TEST_CASE("random labels") {
    struct Expected {
        std::uint32_t seed;
        int classes;
        std::int64_t count;
        bool one_based;
        std::vector<std::int64_t> first;
        std::int64_t sum;
        std::string crc;
    };
    // The vectors of ImageNet16-120 are of the stored labels 1..120.
    const std::vector<Expected> all = {
        {0, 10, 50000, false, {5, 0, 3, 3, 7, 9, 3, 5, 2, 4, 7, 6, 8, 8, 1, 6}, 224618, "8541e331"},
        {1, 10, 50000, false, {5, 8, 9, 5, 0, 0, 1, 7, 6, 9, 2, 4, 5, 2, 4, 2}, 225827, "0a8d5eb0"},
        {0, 100, 50000, false, {44, 47, 64, 67, 67, 9, 83, 21, 36, 87, 70, 88, 88, 12, 58, 65}, 2476919, "0381fcb2"},
        {0,
         120,
         151700,
         true,
         {45, 48, 118, 65, 68, 68, 104, 10, 84, 22, 115, 37, 88, 71, 89, 89},
         9206505,
         "bd5b279d"},
        {0,
         1000,
         1281167,
         false,
         {684, 559, 629, 192, 835, 763, 707, 359, 9, 723, 277, 754, 804, 599, 70, 472},
         640225591,
         "8b107977"},
    };
    for (const Expected& e : all) {
        CAPTURE(e.classes);
        std::vector<std::int64_t> labels = random_labels(e.seed, e.classes, e.count);
        std::string bytes;
        for (std::int64_t& label : labels) {
            CHECK((label >= 0 && label < e.classes));
            label += e.one_based;
            for (int i = 0; i < 8; ++i) bytes += static_cast<char>(static_cast<std::uint64_t>(label) >> (8 * i));
        }
        CHECK(static_cast<std::int64_t>(labels.size()) == e.count);
        CHECK(std::vector<std::int64_t>(labels.begin(), labels.begin() + 16) == e.first);
        CHECK(std::accumulate(labels.begin(), labels.end(), std::int64_t{0}) == e.sum);
        CHECK(nascent_tests::crc32(bytes) == e.crc);
    }
    CHECK(random_labels(0, 1, 5) == std::vector<std::int64_t>(5, 0));
    CHECK_THROWS_AS(random_labels(0, 0, 5), Error);
    CHECK_THROWS_AS(random_labels(0, 10, -1), Error);
}
