// Rank correlations and top-k figures.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "nas/metric/correlation.h"
#include "nas/metric/table.h"
#include "tests/real_data.h"

using namespace nascent;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// Numbers 0..distinct-1, so that lists longer than that have ties.
std::vector<double> random_list(std::size_t n, std::uint32_t distinct, std::uint64_t seed) {
    std::vector<double> list(n);
    for (std::size_t i = 0; i < n; ++i) {
        list[i] = Random(seed, RandomStream::test, distinct, static_cast<std::uint32_t>(i)).below(0, distinct);
    }
    return list;
}

struct Counts {
    std::int64_t concordant = 0, discordant = 0, tied_a = 0, tied_b = 0, tied_both = 0, all = 0;
};
Counts count_pairs(const std::vector<double>& a, const std::vector<double>& b) {
    Counts c;
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            bool ta = a[i] == a[j], tb = b[i] == b[j];
            c.tied_a += ta;
            c.tied_b += tb;
            c.tied_both += ta && tb;
            if (!ta && !tb) ++((a[i] < a[j]) == (b[i] < b[j]) ? c.concordant : c.discordant);
            ++c.all;
        }
    }
    return c;
}

/// Rank of each element by counting who is before it: bigger, or equal and earlier.
std::vector<double> ordinal_by_counting(const std::vector<double>& v) {
    std::vector<double> ranks(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) {
        for (std::size_t j = 0; j < v.size(); ++j) ranks[i] += v[j] > v[i] || (v[j] == v[i] && j < i);
    }
    return ranks;
}
std::vector<double> average_by_counting(const std::vector<double>& v) {
    std::vector<double> ranks(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) {
        for (std::size_t j = 0; j < v.size(); ++j) ranks[i] += v[j] > v[i] ? 1 : v[j] == v[i] ? 0.5 : 0;
    }
    return ranks;
}
double pearson(const std::vector<double>& a, const std::vector<double>& b) {
    auto n = static_cast<double>(a.size());
    double ma = std::accumulate(a.begin(), a.end(), 0.0) / n, mb = std::accumulate(b.begin(), b.end(), 0.0) / n;
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / std::sqrt(aa) / std::sqrt(bb);
}

}  // namespace

TEST_CASE("rank correlations against counting all pairs") {
    for (std::size_t n : {2u, 3u, 5u, 17u, 64u, 257u, 500u}) {
        for (std::uint32_t distinct : {2u, 3u, 10u, 1000000u}) {
            CAPTURE(n);
            CAPTURE(distinct);
            std::vector<double> a = random_list(n, distinct, 1), b = random_list(n, distinct, 2);
            Counts c = count_pairs(a, b);
            Counts o = count_pairs(ordinal_by_counting(a), ordinal_by_counting(b));
            CHECK((o.tied_a == 0 && o.tied_b == 0));
            auto all = static_cast<double>(c.all);
            Correlation ordinal = kendall_tau_ordinal(a, b);
            CHECK(ordinal.value ==
                  static_cast<double>(o.concordant - o.discordant) / all);  // both exact up to the division
            CHECK(ordinal.used == static_cast<std::int64_t>(n));
            CHECK(ordinal.dropped == 0);

            Correlation tau_b = kendall_tau_b(a, b);
            Correlation rho = spearman_rho(a, b);
            if (c.tied_a == c.all || c.tied_b == c.all) {
                CHECK(std::isnan(tau_b.value));
                CHECK(std::isnan(rho.value));
                continue;
            }
            double expected = static_cast<double>(c.concordant - c.discordant) /
                              std::sqrt(static_cast<double>(c.all - c.tied_a) * static_cast<double>(c.all - c.tied_b));
            CHECK(std::abs(tau_b.value - expected) <= 6 * kEpsilon);  // six roundings of a value of at most 1
            // Three sums of n products and as many roundings around them.
            CHECK(std::abs(rho.value - pearson(average_by_counting(a), average_by_counting(b))) <=
                  (6.0 * static_cast<double>(n) + 20) * kEpsilon);
        }
    }
}

TEST_CASE("rank correlations by hand") {
    const std::vector<double> up = {1, 2, 3, 4, 5}, down = {5, 4, 3, 2, 1};
    CHECK(kendall_tau_ordinal(up, up).value == 1);
    CHECK(kendall_tau_ordinal(up, down).value == -1);
    CHECK(kendall_tau_b(up, down).value == doctest::Approx(-1));
    CHECK(spearman_rho(up, down).value == doctest::Approx(-1));
    // 12 2 1 12 2 against 1 4 7 1 0: the example of SciPy's kendalltau, -0.47140452079103173.
    const std::vector<double> x = {12, 2, 1, 12, 2}, y = {1, 4, 7, 1, 0};
    CHECK(kendall_tau_b(x, y).value == doctest::Approx(-0.47140452079103173).epsilon(1e-15));
    // Ranks of x: 1 3 5 2 4, of y: 3 2 1 4 5. Of ten pairs, four agree.
    CHECK(kendall_tau_ordinal(x, y).value == doctest::Approx(-0.2).epsilon(1e-15));
    // Two constant lists: all ties are broken alike.
    const std::vector<double> flat(4, 7.0);
    CHECK(kendall_tau_ordinal(flat, flat).value == 1);
    CHECK(std::isnan(kendall_tau_b(flat, std::vector<double>{1, 2, 3, 4}).value));
    CHECK(std::isnan(spearman_rho(std::vector<double>{1, 2, 3, 4}, flat).value));
}

TEST_CASE("NaN scores are dropped and counted, other nonsense refused") {
    const std::vector<double> truth = {9, 1, 5, 3, 7}, score = {5, kNaN, 4, 1, kNaN};
    for (auto f : {kendall_tau_ordinal, kendall_tau_b, spearman_rho}) {
        Correlation c = f(truth, score);
        CHECK(c.value == doctest::Approx(1));
        CHECK(c.used == 3);
        CHECK(c.dropped == 2);
        CHECK(std::isnan(f({}, {}).value));
        CHECK(std::isnan(f(std::vector<double>{1}, std::vector<double>{1}).value));
        CHECK_THROWS_AS(f(truth, std::vector<double>{1}), Error);
        CHECK_THROWS_AS(f(score, truth), Error);
    }
    CHECK(rank_descending(std::vector<double>{kNaN, 1, 3, kNaN, 3, -1}) == std::vector<int>{2, 4, 1, 5, 0, 3});
}

TEST_CASE("regret and overlap of the best scored") {
    const std::vector<double> truth = {10, 90, 80, 70, 60, 95}, score = {6, 5, 4, 3, 2, kNaN};
    TopK one = top_k(truth, score, 1);
    CHECK(one.regret == 80);  // the 95 has no score and is out of the game
    CHECK(one.overlap == 0);
    CHECK(one.dropped == 1);
    TopK three = top_k(truth, score, 3);
    CHECK(three.regret == 0);
    CHECK(three.overlap == 2);
    CHECK(three.precision == doctest::Approx(2.0 / 3));
    TopK all = top_k(truth, score, 100);
    CHECK(all.k == 5);
    CHECK(all.precision == 1);
    // The third of one order is among the first two of the other.
    TopK two = top_k(std::vector<double>{5, 3, 4, 2, 1}, std::vector<double>{9, 10, 8, 1, 0}, 2);
    CHECK(two.overlap == 1);
    CHECK(two.regret == 0);
    CHECK_THROWS_AS(top_k(truth, score, 0), Error);
    CHECK_THROWS_AS(top_k(std::vector<double>{1}, std::vector<double>{kNaN}, 1), Error);
}

TEST_CASE("correlation of the benchmark's own columns") {
    const std::string path = test::real_data("nasbench201.csv");
    if (path.empty()) return;
    BenchmarkTable table = BenchmarkTable::read(path);
    // On real values, ties and all, against counting the 122 million pairs.
    std::vector<double> a = table.accuracy("cifar10_test_200"), b = table.accuracy("cifar100_test_200");
    Counts c = count_pairs(a, b);
    double expected = static_cast<double>(c.concordant - c.discordant) /
                      std::sqrt(static_cast<double>(c.all - c.tied_a) * static_cast<double>(c.all - c.tied_b));
    CHECK(c.tied_a > 0);
    CHECK(std::abs(kendall_tau_b(a, b).value - expected) <= 6 * kEpsilon);
}
