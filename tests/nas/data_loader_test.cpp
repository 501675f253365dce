// The loader: what a batch holds is a function of the step alone.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "engine/base/rng.h"
#include "nas/data/augment.h"
#include "nas/data/loader.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
/// Picture i of n, 16 x 8, carries i in its first two bytes; the rest differs from picture to picture.
Pictures numbered(std::size_t n) {
    Pictures p{16, 8, {}, {}};
    for (std::size_t i = 0; i < n; i++) {
        for (std::size_t b = 0; b < p.picture_bytes(); b++)
            p.pixels.push_back(static_cast<std::uint8_t>(i * 13 + b * 7));
        p.pixels[i * p.picture_bytes()] = static_cast<std::uint8_t>(i);
        p.pixels[i * p.picture_bytes() + 1] = static_cast<std::uint8_t>(i >> 8);
        p.labels.push_back(static_cast<int>(i % 10));
    }
    return p;
}

/// Turns bytes into themselves.
const Normalisation bytes_kept{"bytes", {0, 0, 0}, {1.0 / 255, 1.0 / 255, 1.0 / 255}};
const Normalisation half{"half", {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};

template <class T>
std::size_t id_of(const Batch<T>& batch, int i, std::size_t picture_bytes) {
    const T* p = &batch.pixels[static_cast<std::size_t>(i) * picture_bytes];
    return static_cast<std::size_t>(p[0] + 0.5) + 256 * static_cast<std::size_t>(p[1] + 0.5);
}

template <class T>
bool same(const Batch<T>& a, const Batch<T>& b) {
    return a.n == b.n && a.labels == b.labels && a.pixels == b.pixels;
}

LoaderOptions options_of(int workers, int batch_size = 16) {
    LoaderOptions options;
    options.seed = 11;
    options.workers = workers;
    options.batch_size = batch_size;
    return options;
}
}  // namespace

TEST_CASE("data: an epoch visits every picture of the split once, the last batch partial") {
    const Pictures pictures = numbered(500);
    std::vector<std::uint32_t> ids;
    for (std::uint32_t i = 3; i < 500; i += 2) ids.push_back(i);  // 249
    LoaderOptions options = options_of(2);
    options.augment = false;
    Loader<float> loader(pictures, ids, 10, bytes_kept, options);
    CHECK(loader.steps_per_epoch() == 16);
    Batch<float> batch;
    std::vector<std::vector<std::size_t>> orders;
    for (std::uint64_t epoch = 0; epoch < 3; epoch++) {
        std::vector<std::size_t> seen;
        for (std::uint64_t s = 0; s < 16; s++) {
            loader.batch(epoch * 16 + s, batch);
            REQUIRE(batch.n == (s == 15 ? 9 : 16));
            CHECK(loader.batch_count(epoch * 16 + s) == batch.n);
            CHECK(reinterpret_cast<std::uintptr_t>(batch.pixels.data()) % 64 == 0);
            REQUIRE(batch.pixels.size() == static_cast<std::size_t>(batch.n) * pictures.picture_bytes());
            for (int i = 0; i < batch.n; i++) {
                const std::size_t id = id_of(batch, i, pictures.picture_bytes());
                seen.push_back(id);
                REQUIRE(id < 500);
                CHECK(batch.labels[static_cast<std::size_t>(i)] == pictures.labels[id]);
            }
        }
        orders.push_back(seen);
        std::sort(seen.begin(), seen.end());
        CHECK(std::equal(seen.begin(), seen.end(), ids.begin(), ids.end()));
    }
    CHECK(orders[0] != orders[1]);
    CHECK(orders[1] != orders[2]);
    CHECK(!std::is_sorted(orders[0].begin(), orders[0].end()));
}

TEST_CASE("data: NAS-Bench-201's epoch has 391 steps") {
    Pictures pictures{8, 8, std::vector<std::uint8_t>(25'000 * 192), std::vector<int>(25'000)};
    Loader<float> loader(pictures, {}, 10, half, options_of(0, 64));
    CHECK(loader.steps_per_epoch() == 391);
    CHECK(loader.batch_count(390) == 40);
    CHECK(loader.batch_count(391) == 64);
}

TEST_CASE("data: a batch does not depend on workers, ahead or what was asked for before") {
    const Pictures pictures = numbered(150);
    std::vector<Batch<double>> expected;
    LoaderOptions options = options_of(0);
    options.labels = LabelPolicy::per_access;
    Loader<double> alone(pictures, {}, 10, half, options);
    for (std::uint64_t s = 0; s < 25; s++) alone.batch(s, expected.emplace_back());
    CHECK(!same(expected[0], expected[10]));  // one epoch later
    for (int workers : {0, 1, 3}) {
        for (int ahead : {1, 4}) {
            options.workers = workers;
            options.ahead = ahead;
            Loader<double> loader(pictures, {}, 10, half, options);
            Loader<float> single(pictures, {}, 10, half, options);
            Batch<double> batch;
            Batch<float> narrow;
            for (std::uint64_t s = 0; s < 25; s++) {
                loader.batch(s, batch);
                CHECK(same(batch, expected[s]));
                single.batch(s, narrow);
                CHECK(std::equal(narrow.pixels.begin(), narrow.pixels.end(), batch.pixels.begin(), batch.pixels.end(),
                                 [](float a, double b) { return a == static_cast<float>(b); }));
            }
            // Anywhere, in any order, and the same twice.
            for (std::uint32_t k = 0; k < 60; k++) {
                const std::uint32_t s = Random(1, RandomStream::test, 0, k / 2).below(k % 3 ? 0 : 1, 25);
                loader.batch(s, batch);
                CHECK(same(batch, expected[s]));
            }
            loader.batch(1'000'000'000'000, batch);  // resuming costs no more than one batch
            CHECK(batch.n == 16);
        }
    }
}

TEST_CASE("data: a training picture is the drawn mirror and crop of its source") {
    const Pictures pictures = numbered(40);
    LoaderOptions plain = options_of(1);
    plain.augment = false;
    Loader<float> sources(pictures, {}, 10, bytes_kept, plain);
    Loader<float> loader(pictures, {}, 10, bytes_kept, options_of(1));
    Batch<float> source, batch;
    std::vector<std::uint8_t> expected(pictures.picture_bytes());
    for (std::uint64_t s = 0; s < 9; s++) {
        sources.batch(s, source);
        loader.batch(s, batch);
        REQUIRE(batch.n == source.n);
        CHECK(batch.labels == source.labels);
        for (int i = 0; i < batch.n; i++) {
            augment(pictures.picture(id_of(source, i, pictures.picture_bytes())), 16, 8,
                    draw_augmentation(11, s, static_cast<std::uint32_t>(i), 16, 8), expected.data());
            const float* got = &batch.pixels[static_cast<std::size_t>(i) * pictures.picture_bytes()];
            // v / 255 * 255 may be off by one rounding.
            CHECK(std::equal(expected.begin(), expected.end(), got,
                             [](std::uint8_t a, float b) { return std::abs(a - b) < 1e-4f; }));
        }
    }
}

TEST_CASE("data: label policies") {
    const Pictures pictures = numbered(100);
    LoaderOptions options = options_of(1);
    options.augment = false;
    options.labels = LabelPolicy::fixed;
    for (int i = 0; i < 100; i++) options.fixed_labels.push_back((i * 7 + 3) % 10);
    Batch<float> batch;
    Loader<float> fixed(pictures, {}, 10, bytes_kept, options);
    for (std::uint64_t s = 0; s < 14; s++) {
        fixed.batch(s, batch);
        for (int i = 0; i < batch.n; i++) {
            CHECK(batch.labels[static_cast<std::size_t>(i)] ==
                  static_cast<int>(id_of(batch, i, pictures.picture_bytes()) * 7 + 3) % 10);
        }
    }
    options.fixed_labels.clear();
    options.labels = LabelPolicy::per_access;
    Loader<float> fresh(pictures, {}, 10, bytes_kept, options);
    std::vector<int> counts(10);
    for (std::uint64_t s = 0; s < 700; s++) {
        fresh.batch(s, batch);
        for (int label : batch.labels) counts.at(static_cast<std::size_t>(label))++;
    }
    // 10,000 draws: a count is 1000 with standard deviation 30.
    for (int count : counts) CHECK(std::abs(count - 1000) <= 150);
    CHECK(label_policy("true") == LabelPolicy::truth);
    CHECK(label_policy("fixed-random") == LabelPolicy::fixed);
    CHECK(label_policy("per-access-random") == LabelPolicy::per_access);
    CHECK(contains(error_of(ErrorKind::usage, [] { label_policy("fixed-randon"); }), "did you mean 'fixed-random'"));
}

TEST_CASE("data: an exception in a worker reaches whoever asks for that batch") {
    const Pictures pictures = numbered(100);
    for (int workers : {0, 1, 3}) {
        LoaderOptions options = options_of(workers);
        std::atomic<bool> broken{true};
        options.transform = [&](std::uint64_t step, int position, std::uint8_t* picture) {
            if (step == 3 && position == 5 && broken) fail(ErrorKind::data, "step 3 is broken");
            if (step == 4) std::fill_n(picture, 384, static_cast<std::uint8_t>(200));
        };
        Loader<float> loader(pictures, {}, 10, bytes_kept, options);
        Batch<float> batch;
        for (std::uint64_t s = 0; s < 3; s++) loader.batch(s, batch);
        for (int again = 0; again < 2; again++) {
            CHECK(contains(error_of(ErrorKind::data, [&] { loader.batch(3, batch); }), "step 3 is broken"));
        }
        broken = false;
        loader.batch(3, batch);
        CHECK(batch.n == 16);
        loader.batch(4, batch);
        CHECK(std::all_of(batch.pixels.begin(), batch.pixels.end(), [](float v) { return std::abs(v - 200) < 1e-4f; }));
    }
}

TEST_CASE("data: a loader ends cleanly whenever it is destroyed") {
    const Pictures pictures = numbered(64);
    for (int round = 0; round < 40; round++) {
        LoaderOptions options = options_of(1 + round % 3);
        options.ahead = 1 + round % 5;
        options.transform = [&](std::uint64_t step, int position, std::uint8_t*) {
            if (position == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
            if (round % 4 == 3 && step == 2) fail(ErrorKind::data, "nobody asks for it");
        };
        Loader<float> loader(pictures, {}, 10, half, options);
        Batch<float> batch;
        for (int s = 0; s < round % 3 - 1; s++) loader.batch(static_cast<std::uint64_t>(s), batch);
        if (round % 7 == 0) loader.batch(1000, batch);
    }
}

TEST_CASE("data: buffers go round, and waiting is counted") {
    const Pictures pictures = numbered(64);
    LoaderOptions options = options_of(2);
    options.transform = [](std::uint64_t, int position, std::uint8_t*) {
        if (position == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    };
    for (int workers : {0, 2}) {
        options.workers = workers;
        const auto begin = std::chrono::steady_clock::now();
        Loader<float> loader(pictures, {}, 10, half, options);
        CHECK(loader.wait_seconds() == 0);
        Batch<float> batch;
        std::set<const float*> buffers;
        double before = 0;
        for (std::uint64_t s = 0; s < 40; s++) {
            loader.batch(s, batch);
            buffers.insert(batch.pixels.data());
            CHECK(loader.wait_seconds() >= before);
            before = loader.wait_seconds();
        }
        const double total = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        CHECK(loader.wait_seconds() <= total);
        // 40 batches of at least 2 ms; two workers do two at a time and the consumer does nothing else.
        CHECK(loader.wait_seconds() >= 40 * 0.002 / std::max(1, workers) * 0.9);
        CHECK(buffers.size() <= (workers == 0 ? 1u : 5u));  // the ring of 4 and the consumer's own
    }
}

TEST_CASE("data: evaluation goes through a split in order, unchanged") {
    const Pictures pictures = numbered(50);
    Batch<float> batch;
    std::vector<std::size_t> seen;
    for (std::size_t index = 0; index < 4; index++) {
        evaluation_batch<float>(pictures, {}, bytes_kept, index, 16, batch);
        CHECK(batch.n == (index < 3 ? 16 : 2));
        for (int i = 0; i < batch.n; i++) {
            seen.push_back(id_of(batch, i, pictures.picture_bytes()));
            CHECK(batch.labels[static_cast<std::size_t>(i)] == pictures.labels[seen.back()]);
        }
    }
    for (std::size_t i = 0; i < 50; i++) CHECK(seen[i] == i);
    evaluation_batch<float>(pictures, {}, bytes_kept, 4, 16, batch);
    CHECK(batch.n == 0);
    const std::vector<std::uint32_t> ids = {7, 3, 49};
    evaluation_batch<float>(pictures, ids, bytes_kept, 1, 2, batch);
    REQUIRE(batch.n == 1);
    CHECK(id_of(batch, 0, pictures.picture_bytes()) == 49);
}

TEST_CASE("data: loader options out of range") {
    const Pictures pictures = numbered(10);
    const auto usage = [&](auto&& change, std::vector<std::uint32_t> ids = {}, int classes = 10) {
        LoaderOptions options = options_of(1);
        change(options);
        return error_of(ErrorKind::usage, [&] { Loader<float>(pictures, ids, classes, half, options); });
    };
    const auto nothing = [](LoaderOptions&) {};
    CHECK(usage(nothing) == "");
    CHECK(contains(usage([](LoaderOptions& o) { o.batch_size = 0; }), "batch size 0"));
    CHECK(contains(usage([](LoaderOptions& o) { o.workers = -1; }), "-1 loader threads"));
    CHECK(contains(usage([](LoaderOptions& o) { o.ahead = 0; }), "0 batches ahead"));
    CHECK(contains(usage(nothing, {10}), "picture 10 is asked for"));
    CHECK(contains(usage(nothing, {}, 9), "label 9, expected 0..8"));
    CHECK(contains(usage([](LoaderOptions& o) { o.labels = LabelPolicy::fixed; }), "0 fixed labels, expected 10"));
    CHECK(contains(usage([](LoaderOptions& o) { o.fixed_labels = {1}; }), "1 fixed labels, expected 0"));
}
