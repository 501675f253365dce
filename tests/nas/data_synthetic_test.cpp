// The built-in pictures: the same bits always, and a label that can be learnt, but not from the colour.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "nas/data/dataset.h"
#include "tests/nas/data_testing.h"

using namespace nascent;
using namespace nascent::testing;

namespace {
using Features = std::vector<std::vector<double>>;

/// Per lag 1..8, horizontally and vertically: the correlation of the brightness with itself moved by the lag.
std::vector<double> correlations(const std::uint8_t* picture, int side) {
    std::vector<double> grey(static_cast<std::size_t>(side * side));
    for (std::size_t i = 0; i < grey.size(); i++) grey[i] = picture[3 * i] + picture[3 * i + 1] + picture[3 * i + 2];
    const double mean = std::accumulate(grey.begin(), grey.end(), 0.0) / static_cast<double>(grey.size());
    double power = 0;
    for (double& g : grey) {
        g -= mean;
        power += g * g;
    }
    std::vector<double> out;
    for (int lag = 1; lag <= 8; lag++) {
        double across = 0, down = 0;
        for (int y = 0; y < side; y++) {
            for (int x = 0; x < side; x++) {
                const auto at = static_cast<std::size_t>(y * side + x);
                if (x + lag < side) across += grey[at] * grey[at + static_cast<std::size_t>(lag)];
                if (y + lag < side) down += grey[at] * grey[at + static_cast<std::size_t>(lag * side)];
            }
        }
        out.push_back(across / power);
        out.push_back(down / power);
    }
    return out;
}

std::vector<double> mean_colour(const std::uint8_t* picture, int side) {
    std::vector<double> out(3);
    for (int i = 0; i < side * side * 3; i++)
        out[static_cast<std::size_t>(i % 3)] += picture[i] / 255.0 / (side * side);
    return out;
}

/// Accuracy on the test split of a softmax regression on standardised features, trained by plain gradient descent.
template <class F>
double regression_accuracy(const Dataset& set, F&& feature) {
    const auto features = [&](const Pictures& p) {
        Features all;
        for (std::size_t i = 0; i < p.count(); i++) all.push_back(feature(p.picture(i), p.width));
        return all;
    };
    Features train = features(set.train), test = features(set.test);
    const std::size_t d = train[0].size(), k = static_cast<std::size_t>(set.classes), n = train.size();
    for (std::size_t j = 0; j < d; j++) {
        double mean = 0, square = 0;
        for (const auto& f : train) mean += f[j] / static_cast<double>(n);
        for (const auto& f : train) square += (f[j] - mean) * (f[j] - mean) / static_cast<double>(n);
        for (Features* all : {&train, &test}) {
            for (auto& f : *all) f[j] = (f[j] - mean) / std::sqrt(square);
        }
    }
    Features w(k, std::vector<double>(d + 1));
    const auto probabilities = [&](const std::vector<double>& f) {
        std::vector<double> p(k);
        double total = 0;
        for (std::size_t c = 0; c < k; c++) {
            p[c] = std::exp(std::inner_product(f.begin(), f.end(), w[c].begin(), w[c][d]));
            total += p[c];
        }
        for (double& v : p) v /= total;
        return p;
    };
    for (int step = 0; step < 200; step++) {
        Features gradient(k, std::vector<double>(d + 1));
        for (std::size_t i = 0; i < n; i++) {
            const std::vector<double> p = probabilities(train[i]);
            for (std::size_t c = 0; c < k; c++) {
                const double g = p[c] - (set.train.labels[i] == static_cast<int>(c));
                for (std::size_t j = 0; j < d; j++) gradient[c][j] += g * train[i][j];
                gradient[c][d] += g;
            }
        }
        for (std::size_t c = 0; c < k; c++) {
            for (std::size_t j = 0; j <= d; j++) w[c][j] -= 0.5 / static_cast<double>(n) * gradient[c][j];
        }
    }
    int right = 0;
    for (std::size_t i = 0; i < test.size(); i++) {
        const std::vector<double> p = probabilities(test[i]);
        right += std::max_element(p.begin(), p.end()) - p.begin() == set.test.labels[i];
    }
    return static_cast<double>(right) / static_cast<double>(test.size());
}

std::uint64_t checksum(const std::vector<std::uint8_t>& bytes) {  // FNV-1a
    std::uint64_t h = 0xcbf29ce484222325;
    for (std::uint8_t b : bytes) h = (h ^ b) * 0x100000001b3;
    return h;
}

Dataset made(std::size_t train, std::size_t test, std::uint64_t seed = 0, int threads = 1, int side = 32,
             int classes = 10) {
    DatasetOptions options;
    options.train_count = train;
    options.test_count = test;
    options.seed = seed;
    options.threads = threads;
    options.size = side;
    options.classes = classes;
    return load_dataset("synthetic", options);
}
}  // namespace

TEST_CASE("data: a synthetic picture depends on the seed and its place alone") {
    const Dataset a = made(600, 300), b = made(1000, 20, 0, 3), c = made(600, 300, 1);
    CHECK(std::equal(a.train.pixels.begin(), a.train.pixels.end(), b.train.pixels.begin()));
    CHECK(std::equal(b.test.pixels.begin(), b.test.pixels.end(), a.test.pixels.begin()));
    CHECK(a.train.pixels != c.train.pixels);
    CHECK(!std::equal(a.test.pixels.begin(), a.test.pixels.end(), a.train.pixels.begin()));
    std::vector<int> counts(10);
    for (int label : a.train.labels) counts[static_cast<std::size_t>(label)]++;
    CHECK(counts == std::vector<int>(10, 60));
    // The bits themselves, so that a change of them is seen.
    CHECK(checksum(made(10, 10).train.pixels) == 2037911826882395183ull);
}

TEST_CASE("data: synthetic sizes and counts") {
    const Dataset set = made(30, 7, 5, 2, 16, 25);
    CHECK(set.classes == 25);
    CHECK(set.train.height == 16);
    CHECK(set.train.pixels.size() == 30 * 768);
    CHECK(set.test.count() == 7);
    CHECK(set.train.labels[26] == 1);
    CHECK(contains(error_of(ErrorKind::usage, [] { made(0, 1); }), "0 pictures"));
    CHECK(contains(error_of(ErrorKind::usage, [] { made(1, 1, 0, 1, 4); }), "size 4"));
    CHECK(contains(error_of(ErrorKind::usage, [] { made(1, 1, 0, 1, 32, 1001); }), "1001 classes"));
}

TEST_CASE("data: the synthetic label is in the texture, not in the colour") {
    const Dataset set = made(2000, 1000);
    const double texture = regression_accuracy(set, correlations);
    const double colour = regression_accuracy(set, mean_colour);
    MESSAGE("softmax regression: correlations " << texture << ", mean colour " << colour);
    CHECK(texture > 0.6);
    // Chance is 0.1 with a standard deviation of sqrt(0.1 * 0.9 / 1000) = 0.0095; five of them and a little colour.
    CHECK(colour < 0.16);
}
