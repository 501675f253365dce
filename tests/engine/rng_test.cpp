#include "engine/base/rng.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using nascent::Random;
using nascent::RandomStream;
using nascent::shuffled;

TEST_CASE("rng: Philox4x32-10 gives the published known answers") {
    // Random123's kat_vectors: counter words (element, stream, step low, step high), key words (seed low, seed high).
    auto check = [](std::uint64_t seed, std::uint32_t stream, std::uint64_t step, std::uint32_t element,
                    std::array<std::uint32_t, 4> expected) {
        const Random r(seed, static_cast<RandomStream>(stream), step, element);
        for (int i = 0; i < 4; i++) CHECK(r.word(i) == expected[static_cast<std::size_t>(i)]);
    };
    check(0, 0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check(~0ull, ~0u, ~0ull, ~0u, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check(0x299f31d0'a4093822, 0x85a308d3, 0x03707344'13198a2e, 0x243f6a88,
          {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("rng: pairs of words, the first in the high half") {
    const Random r(0, RandomStream::init, 0, 0);
    CHECK(r.uniform(0) == static_cast<double>(0x6627e8d5'e169c58d >> 11) / 0x1p53);
    CHECK(r.uniform(1) == static_cast<double>(0xbc57ac4c'9b00dbd8 >> 11) / 0x1p53);
    // floor(pair * n / 2^64); the second n is so large that the low half counts.
    CHECK(r.below(0, 10) == 3);
    CHECK(r.below(1, 0xfffffff1) ==
          static_cast<std::uint32_t>((static_cast<unsigned __int128>(0xbc57ac4c'9b00dbd8) * 0xfffffff1) >> 64));
}

TEST_CASE("rng: the purposes' numbers are part of the file formats") {
    // A new purpose goes to the end; moving one would change every run.
    CHECK(static_cast<int>(RandomStream::init) == 0);
    CHECK(static_cast<int>(RandomStream::path) == 1);
    CHECK(static_cast<int>(RandomStream::order) == 2);
    CHECK(static_cast<int>(RandomStream::augment) == 3);
    CHECK(static_cast<int>(RandomStream::labels) == 4);
    CHECK(static_cast<int>(RandomStream::synthetic) == 5);
    CHECK(static_cast<int>(RandomStream::search) == 6);
    CHECK(static_cast<int>(RandomStream::test) == 7);
}

TEST_CASE("rng: uniforms are at least 0, below 1 and have the moments of a uniform") {
    const int n = 100'000;
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        const Random r(7, RandomStream::test, 3, static_cast<std::uint32_t>(i));
        for (int k = 0; k < 2; k++) {
            const double u = r.uniform(k);
            REQUIRE(u >= 0);
            REQUIRE(u < 1);
            sum += u, squares += u * u;
        }
    }
    // Six standard deviations: var(u) = 1/12, var(u^2) = 1/5 - 1/9 = 4/45.
    CHECK(std::abs(sum / (2 * n) - 0.5) < 6 * std::sqrt(1.0 / 12 / (2 * n)));
    CHECK(std::abs(squares / (2 * n) - 1.0 / 3) < 6 * std::sqrt(4.0 / 45 / (2 * n)));
}

TEST_CASE("rng: below(n) hits every value equally often") {
    for (std::uint32_t n : {1u, 2u, 5u, 8u, 1000u}) {
        std::vector<int> count(n);
        const int draws = 100'000;
        for (int i = 0; i < draws; i++) {
            const std::uint32_t value =
                Random(11, RandomStream::path, static_cast<std::uint64_t>(i), 0).below(i % 2, n);
            REQUIRE(value < n);
            count[value]++;
        }
        double chi2 = 0;
        const double expected = static_cast<double>(draws) / n;
        for (int c : count) chi2 += (c - expected) * (c - expected) / expected;
        CHECK(chi2 <= (n - 1) + 6 * std::sqrt(2.0 * (n - 1)));  // chi-square: mean n - 1, variance 2 (n - 1)
    }
    CHECK(Random(1, RandomStream::path, 0, 0).below(0, 1) == 0);
}

TEST_CASE("rng: a shuffle is a permutation") {
    for (std::uint64_t n : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4097, 50'000}) {
        std::vector<char> seen(n);
        std::uint64_t fixed = 0;
        for (std::uint64_t i = 0; i < n; i++) {
            const std::uint64_t at = shuffled(5, RandomStream::order, 2, n, i);
            REQUIRE(at < n);
            REQUIRE(seen[at] == 0);
            seen[at] = 1;
            fixed += at == i ? 1 : 0;
        }
        if (n >= 1000) CHECK(fixed < 10);  // expected 1, Poisson
    }
}

TEST_CASE("rng: shuffles by an independent program") {
    // Philox and the network written again in Python; a shuffle that changes, changes every run.
    const int of16[] = {9, 0, 15, 2, 8, 6, 11, 3, 1, 13, 5, 10, 7, 12, 4, 14}, of10[] = {9, 0, 4, 2, 8, 6, 5, 3, 1, 7};
    for (std::uint64_t i = 0; i < 16; i++) CHECK(shuffled(3, RandomStream::order, 5, 16, i) == of16[i]);
    for (std::uint64_t i = 0; i < 10; i++) CHECK(shuffled(3, RandomStream::order, 5, 10, i) == of10[i]);
}

TEST_CASE("rng: a shuffle depends on seed, purpose and step, and spreads evenly") {
    int differ[3] = {0, 0, 0};
    for (std::uint64_t i = 0; i < 1000; i++) {
        const std::uint64_t base = shuffled(1, RandomStream::order, 0, 1000, i);
        differ[0] += shuffled(2, RandomStream::order, 0, 1000, i) != base ? 1 : 0;
        differ[1] += shuffled(1, RandomStream::test, 0, 1000, i) != base ? 1 : 0;
        differ[2] += shuffled(1, RandomStream::order, 1, 1000, i) != base ? 1 : 0;
    }
    for (int d : differ) CHECK(d > 980);
    // Where element 0 and the last go, over many steps: a chi-square for each.
    const std::uint64_t n = 50;
    const int steps = 20'000;
    for (std::uint64_t element : {std::uint64_t{0}, n - 1}) {
        std::vector<int> count(n);
        for (int step = 0; step < steps; step++)
            count[shuffled(3, RandomStream::order, static_cast<std::uint64_t>(step), n, element)]++;
        double chi2 = 0;
        const double expected = static_cast<double>(steps) / static_cast<double>(n);
        for (int c : count) chi2 += (c - expected) * (c - expected) / expected;
        CHECK(chi2 <= 49 + 6 * std::sqrt(2.0 * 49));
    }
}
