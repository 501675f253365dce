// CIFAR-10 and ImageNet themselves, where NASCENT_DATA_DIR has them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nas/data/dataset.h"
#include "nas/data/pack_write.h"
#include "nas/data/picture_loader.h"
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

TEST_CASE("data: the real ImageNet pictures, files against their pack") {
    const std::string path = real_data("imagenet-original/train");
    if (path.empty()) return;
    TemporaryFolder folder;
    const ClassFolders folders = list_class_folders(path);
    PackOptions pack_options;
    pack_options.settings.geometry = PackGeometry::original;
    pack_options.settings.side = 0;
    write_pack(folders, folder / "a.pack", pack_options);
    PictureLoaderOptions options;
    options.pipeline = picture_pipeline("spos");
    options.batch_size = 50;
    PictureLoader<float> files(folder_source(folders), {}, options),
        pack(pack_source(Pack::open(folder / "a.pack")), {}, options);
    Batch<float> a, b;
    double mean = 0;
    for (std::uint64_t step = 0; step < files.steps_per_epoch(); step++) {
        files.batch(step, a);
        pack.batch(step, b);
        CHECK(a.labels == b.labels);
        CHECK(a.pixels == b.pixels);
        for (float v : a.pixels) mean += v / static_cast<double>(a.pixels.size() * files.steps_per_epoch());
    }
    // ImageNet's mean over channels and pixels is 0.449 * 255 = 114.5; a picture's own mean has a deviation of about
    // 35, so that of some hundred pictures is within 5 * 35 / sqrt(250) of it.
    CHECK(std::abs(mean - 114.5) < 5 * 35 / std::sqrt(static_cast<double>(folders.files.size())));
}
