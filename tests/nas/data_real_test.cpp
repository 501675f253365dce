// CIFAR-10 itself, where NASCENT_DATA_DIR has it: as binary files and as a folder of pictures.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nas/data/dataset.h"
#include "tests/nas/data_testing.h"
#include "tests/real_data.h"

using namespace nascent;
using namespace nascent::testing;
using namespace nascent::test;

namespace {
std::vector<int> per_class(const Pictures& pictures) {
    std::vector<int> counts(10);
    for (int label : pictures.labels) counts.at(static_cast<std::size_t>(label))++;
    return counts;
}
}  // namespace

TEST_CASE("data: the real CIFAR-10, binary") {
    const std::string path = real_data("cifar-10-batches-bin");
    if (path.empty()) return;
    const Dataset set = load_dataset("cifar10:" + path);
    CHECK(set.train.count() == 50'000);
    CHECK(set.test.count() == 10'000);
    CHECK(per_class(set.train) == std::vector<int>(10, 5000));
    CHECK(per_class(set.test) == std::vector<int>(10, 1000));
    CHECK(set.class_names[0] == "airplane");
    // The published mean over the training set, 125.3, 123.0, 113.9 (NAS-Bench-201's constants, one decimal).
    double mean[3] = {};
    for (std::size_t i = 0; i < set.train.pixels.size(); i++) mean[i % 3] += set.train.pixels[i];
    const double published[3] = {125.3, 123.0, 113.9};
    for (int c = 0; c < 3; c++) CHECK(std::abs(mean[c] / (50'000.0 * 1024) - published[c]) <= 0.1);
}

TEST_CASE("data: the real CIFAR-10 as a folder has the pictures of the binary files") {
    const std::string folder = real_data("cifar10"), binary = real_data("cifar-10-batches-bin");
    if (folder.empty() || binary.empty()) return;
    const auto begin = std::chrono::steady_clock::now();
    const Dataset a = load_dataset("folder:" + folder);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    MESSAGE("60,000 JPEG files in " << seconds << " s");
    const Dataset b = load_dataset("cifar10:" + binary);
    CHECK(a.class_names == b.class_names);
    for (const auto& [x, y] : {std::pair(&a.train, &b.train), std::pair(&a.test, &b.test)}) {
        REQUIRE(x->count() == y->count());
        REQUIRE(x->picture_bytes() == y->picture_bytes());
        // Sorted by (class, bytes), the two lists must be the same one.
        const auto sorted = [](const Pictures& p) {
            std::vector<std::string> all;
            for (std::size_t i = 0; i < p.count(); i++) {
                all.push_back(static_cast<char>(p.labels[i]) +
                              std::string(reinterpret_cast<const char*>(p.picture(i)), p.picture_bytes()));
            }
            std::sort(all.begin(), all.end());
            return all;
        };
        const std::vector<std::string> left = sorted(*x), right = sorted(*y);
        std::size_t different = 0;
        for (std::size_t i = 0; i < left.size(); i++) different += left[i] != right[i];
        CHECK(different == 0);
    }
}
