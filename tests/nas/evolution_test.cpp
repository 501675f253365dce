#include "nas/algo/evolution.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "tests/nas/digest.h"
#include "tests/nas/gene_landscapes.h"

using namespace nascent;
using namespace nascent::test;
using Origin = EvolutionState::Origin;

namespace {

std::string visited_bytes(const EvolutionState& state) {
    std::string bytes;
    for (const auto& v : state.visited) {
        for (int g : v.genes) bytes += static_cast<char>(g);
    }
    return bytes;
}

}  // namespace

TEST_CASE("the search visits what the original visits, in its order") {
    // From the search class of megvii-model/RLNAS (6a6d838), run under NumPy 1.24.2 with the angle replaced by the
    // three functions above after `seed(seed); randint(0 or 1, classes (+ 1), samples)`: the CRC-32 of all keys of its
    // visited table, of its lists of 30 and 50, and the next 32-bit draw afterwards.
    struct Expected {
        Score score;
        std::uint32_t seed;
        int classes;
        const char *visited, *kept;
        std::int64_t next;
    };
    const Expected all[] = {
        {ties, 0, 10, "0db982ec", "e01c0a76", 3799456720},    {ties, 0, 100, "938aa57c", "a8839d38", 414068971},
        {ties, 3, 120, "9193e1d8", "1f2903e1", 2582513050},   {ties, 7, 10, "be0a953f", "5ad90731", 3728123022},
        {smooth, 0, 10, "ecb375a8", "e6b40b0a", 2216574900},  {smooth, 0, 100, "6872b4bf", "6cbda108", 2964231201},
        {smooth, 3, 120, "b6792d1a", "672b748e", 2595842685}, {smooth, 7, 10, "06fdd04c", "78f4664d", 1228141680},
        {few, 0, 10, "5f0e011e", "91097c3a", 1297427393},     {few, 0, 100, "f4e057a0", "44df47c9", 3560125587},
        {few, 3, 120, "5104f1ad", "7f52f9d2", 3589393362},    {few, 7, 10, "23546969", "afe01711", 825277639},
    };
    Nb201Genes space;
    bool crossover_gave_up = false;
    for (const Expected& e : all) {
        CAPTURE(e.visited);
        Evolution search(space, {}, rlnas_nb201_search_random(e.seed, e.classes));
        while (!search.done()) {
            search.step(each(e.score));
            int random = 0;
            for (int i : search.state().candidates) {
                random += search.state().visited[static_cast<std::size_t>(i)].origin == Origin::random;
            }
            crossover_gave_up |= random > 0;
        }
        const EvolutionState& s = search.state();
        CHECK(s.generation == 20);
        CHECK(s.visited.size() == 2100);
        CHECK(nascent_tests::crc32(visited_bytes(s)) == e.visited);
        CHECK(nascent_tests::crc32(bytes_of(s, s.parents) + bytes_of(s, s.top)) == e.kept);
        CHECK(NumpyRandom(s.random).randint(0, std::int64_t{1} << 32) == e.next);
    }
    CHECK(crossover_gave_up);  // the sequences above include the give-up rule
}

TEST_CASE("first candidates after the label draw") {
    Nb201Genes space;
    auto first = [&](int classes, std::size_t i) {
        return Evolution(space, {}, rlnas_nb201_search_random(0, classes)).state().visited[i].genes;
    };
    CHECK(first(10, 0) == Genes{1, 0, 4, 4, 2, 2});
    CHECK(first(10, 1) == Genes{1, 1, 1, 1, 3, 1});
    CHECK(first(10, 2) == Genes{4, 2, 4, 2, 4, 4});
    CHECK(first(10, 3) == Genes{1, 4, 2, 1, 3, 0});
    CHECK(first(100, 0) == Genes{1, 0, 1, 2, 1, 4});
    CHECK(first(100, 1) == Genes{0, 2, 0, 0, 1, 1});
    CHECK(first(120, 0) == Genes{3, 1, 4, 0, 2, 2});
    CHECK(first(120, 1) == Genes{4, 2, 3, 3, 3, 4});
    CHECK_THROWS_AS(rlnas_nb201_search_random(0, 11), Error);
}

TEST_CASE("a search restored after any generation ends in the same bits") {
    Nb201Genes space;
    Evolution whole(space, {}, rlnas_nb201_search_random(0, 10));
    Evolution broken(space, {}, rlnas_nb201_search_random(0, 10));
    while (!whole.done()) {
        EvolutionState saved = broken.state();
        Evolution restored(space, {}, saved);
        whole.step(each(ties));
        broken.step(each(ties));
        restored.step(each(ties));
        CHECK(restored.state() == whole.state());
        CHECK_FALSE(saved == whole.state());
    }
    CHECK(broken.state() == whole.state());
    CHECK(whole.best().score == 60);
    CHECK(whole.best().genes == Genes{2, 2, 1, 3, 0, 3});
    CHECK_THROWS_AS(whole.step(each(ties)), Error);
}

TEST_CASE("the journal of origins and parents holds") {
    Nb201Genes space;
    Evolution search(space, {}, rlnas_nb201_search_random(0, 10));
    CHECK_THROWS_AS(search.best(), Error);
    while (!search.done()) search.step(each(smooth));
    std::set<Genes> seen;
    int counts[3] = {};
    for (const auto& v : search.state().visited) {
        CHECK(seen.insert(v.genes).second);
        CHECK(v.scored == (v.generation < 20));
        ++counts[static_cast<int>(v.origin)];
        CHECK(v.parents.size() == static_cast<std::size_t>(v.origin));
        if (v.origin == Origin::random) continue;
        const auto& a = search.state().visited[static_cast<std::size_t>(v.parents.front())];
        const auto& b = search.state().visited[static_cast<std::size_t>(v.parents.back())];
        CHECK((a.scored && a.generation < v.generation && b.generation < v.generation));
        for (std::size_t i = 0; i < 6; ++i) {
            if (v.origin == Origin::crossover)
                CHECK((v.genes[i] == a.genes[i] || v.genes[i] == b.genes[i]));
            else
                CHECK((v.genes[i] == a.genes[i] || v.genes[i] != 0));
        }
    }
    CHECK(counts[1] == 20 * 50);
    CHECK(counts[2] > 0);
    // The lists are the best of all scored, best first.
    std::vector<double> scores;
    for (const auto& v : search.state().visited) {
        if (v.scored) scores.push_back(v.score);
    }
    std::sort(scores.rbegin(), scores.rend());
    for (std::size_t i = 0; i < 50; ++i) {
        CHECK(search.state().visited[static_cast<std::size_t>(search.state().top[i])].score == scores[i]);
        if (i < 30)
            CHECK(search.state().visited[static_cast<std::size_t>(search.state().parents[i])].score == scores[i]);
    }
}
