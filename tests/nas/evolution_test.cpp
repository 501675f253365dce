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

using namespace nascent;
using Origin = EvolutionState::Origin;

namespace {

using Score = double (*)(const Genes&);

// Three landscapes: few values and so ties everywhere; additive, where parents converge; one that wants only `none`.
double ties(const Genes& genes) {
    int s = 0;
    for (int g : genes) s = (s * 7 + g * g + 1) % 61;
    return s;
}
double smooth(const Genes& genes) {
    int s = 0;
    for (int i = 0; i < 6; ++i) s += (i + 1) * genes[static_cast<std::size_t>(i)];
    return s;
}
double few(const Genes& genes) {
    int s = 0;
    for (int g : genes) s += g;
    return -s;
}

ScoreFunction each(Score score) {
    return [score](const std::vector<Genes>& all) {
        std::vector<double> scores;
        for (const Genes& g : all) scores.push_back(score(g));
        return scores;
    };
}

std::string bytes_of(const EvolutionState& state, const std::vector<int>& list) {
    std::string bytes;
    for (int i : list) {
        for (int g : state.visited[static_cast<std::size_t>(i)].genes) bytes += static_cast<char>(g);
    }
    return bytes;
}

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

namespace {
/// Two genes of 0..2: nine candidates.
class Tiny : public GeneSpace {
  public:
    Genes random(NumpyRandom& random) const override {
        int a = random.below(3);
        return {a, random.below(3)};
    }
    Genes mutate(const Genes& parent, double, NumpyRandom& random) const override {
        return {parent[0], random.below(3)};
    }
};
}  // namespace

TEST_CASE("a space that runs dry ends the search instead of hanging it") {
    Tiny space;
    EvolutionConfig config{.population = 4, .select = 2, .top = 3, .mutation = 2, .crossover = 1, .patience = 1000};
    Evolution search(space, config, NumpyRandom(1));
    while (!search.done())
        search.step([](const std::vector<Genes>& all) {
            std::vector<double> scores;
            for (const Genes& g : all) scores.push_back(g[0]);
            return scores;
        });
    CHECK(search.state().generation < 20);
    CHECK(search.state().visited.size() == 9);
    for (const auto& v : search.state().visited) CHECK(v.scored);
    // More than there are: the first population is what there is.
    config.population = 12;
    CHECK(Evolution(space, config, NumpyRandom(1)).state().candidates.size() == 9);
}

TEST_CASE("NaN scores rank last") {
    Nb201Genes space;
    Evolution search(space, {}, NumpyRandom(5));
    search.step([](const std::vector<Genes>& all) {
        std::vector<double> scores(all.size(), std::numeric_limits<double>::quiet_NaN());
        for (std::size_t i = 0; i < 20; ++i) scores[97 - i] = static_cast<double>(i) - 30;
        return scores;
    });
    const EvolutionState& s = search.state();
    CHECK(search.best().score == -11);
    for (std::size_t i = 0; i < 30; ++i)
        CHECK(std::isnan(s.visited[static_cast<std::size_t>(s.parents[i])].score) == (i >= 20));
    CHECK(s.parents[20] == 0);  // the first of the unranked
    Evolution restored(space, {}, s);
    CHECK(restored.state() == s);
}

TEST_CASE("states and settings that make no sense are refused") {
    Nb201Genes space;
    Evolution search(space, {}, NumpyRandom(5));
    search.step(each(few));
    const EvolutionState good = search.state();
    auto refuse = [&](auto&& change) {
        EvolutionState bad = good;
        change(bad);
        CHECK_THROWS_AS(Evolution(space, {}, bad), Error);
    };
    Evolution(space, {}, good);
    refuse([](EvolutionState& s) { s.candidates[0] = -1; });
    refuse([](EvolutionState& s) { s.candidates[0] = 200; });
    refuse([](EvolutionState& s) { s.candidates[0] = 0; });  // already scored
    refuse([](EvolutionState& s) { s.parents[0] = 150; });   // not scored
    refuse([](EvolutionState& s) { s.top[0] = 1 << 30; });
    refuse([](EvolutionState& s) { s.visited[3] = s.visited[4]; });
    refuse([](EvolutionState& s) { s.visited[3].genes.clear(); });
    refuse([](EvolutionState& s) { s.visited[150].parents = {150}; });
    refuse([](EvolutionState& s) { s.random.position = 700; });
    refuse([](EvolutionState& s) { s.generation = -1; });
    CHECK_THROWS_AS(Evolution(space, {.population = 0}, NumpyRandom(1)), Error);
    CHECK_THROWS_AS(Evolution(space, {.mutation = -1}, NumpyRandom(1)), Error);
    CHECK_THROWS_AS(Evolution(space, {.mutation_probability = 1.5}, NumpyRandom(1)), Error);
    CHECK_THROWS_AS(search.step([](const std::vector<Genes>&) { return std::vector<double>(3); }), Error);
    CHECK_THROWS_AS(to_architecture(Genes{0, 1, 2}), Error);
    CHECK_THROWS_AS(to_architecture(Genes{0, 1, 2, 3, 4, 5}), Error);
    CHECK(to_genes(to_architecture(Genes{0, 1, 2, 3, 4, 0})) == Genes{0, 1, 2, 3, 4, 0});
}

TEST_CASE("a gene changes where the draw is below the probability, not where it is equal") {
    NumpyRandom random(5), again(5);
    const double first = random.random_sample();
    const Genes parent(6, 77);  // no operator's number
    CHECK(Nb201Genes().mutate(parent, first, again)[0] == 77);
    NumpyRandom third(5);
    CHECK(Nb201Genes().mutate(parent, std::nextafter(first, 2), third)[0] != 77);
}

TEST_CASE("a draw that finds nothing new is tried as often as patience says") {
    struct Same : GeneSpace {
        mutable int draws = 0;
        Genes random(NumpyRandom&) const override {
            draws++;
            return Genes(6, 0);
        }
        Genes mutate(const Genes& parent, double, NumpyRandom&) const override { return parent; }
    };
    const Same space;
    EvolutionConfig config;
    config.population = 2;
    config.batch = 1;
    config.patience = 5;
    Evolution(space, config, NumpyRandom(1));
    CHECK(space.draws == 1 + 5);
}

TEST_CASE("an evolution that is stopped within a generation has the state before it") {
    const Nb201Genes space;
    EvolutionConfig config;
    config.population = 20;
    config.select = 5;
    config.mutation = config.crossover = 8;
    config.generations = 6;
    auto score = [](const Genes& g) { return static_cast<double>(g[0] * 7 + g[3] * 3 - g[5]); };
    std::vector<EvolutionState> whole;
    const Evolution all = run_evolution(
        space, config, NumpyRandom(4), {}, score, [&](const EvolutionState& s) { whole.push_back(s); },
        [] { return false; });
    REQUIRE(whole.size() == 6);
    int asked = 0;
    run_evolution(
        space, config, NumpyRandom(4), {}, score, [](const EvolutionState&) {}, [&] { return ++asked < 0; });
    REQUIRE(asked > 100);  // within generations, too
    for (int stop_at = 1; stop_at < asked; stop_at += 17) {
        CAPTURE(stop_at);
        int now = 0;
        std::optional<EvolutionState> last;
        try {
            run_evolution(
                space, config, NumpyRandom(4), {}, score, [&](const EvolutionState& s) { last = s; },
                [&] { return ++now >= stop_at; });
            FAIL("was not stopped");
        } catch (const Error& e) {
            CHECK(e.kind() == ErrorKind::interrupted);
        }
        if (last) CHECK(*last == whole[static_cast<std::size_t>(last->generation) - 1]);
        const Evolution again = run_evolution(
            space, config, NumpyRandom(4), last, score, [](const EvolutionState&) {}, [] { return false; });
        CHECK(again.state() == all.state());
    }
}

TEST_CASE("genes of a smaller space") {
    const std::vector<std::vector<int>> few = {{0}, {0, 3}, {1, 4}, {2}, {0, 1, 3}, {0, 1, 2, 3, 4}};
    const Nb201Genes space(few);
    NumpyRandom random(2);
    std::set<int> mutated;
    for (int i = 0; i < 300; i++) {
        const Genes drawn = space.random(random), changed = space.mutate(drawn, 0.9, random);
        for (std::size_t e = 0; e < 6; e++)
            for (const Genes* g : {&drawn, &changed})
                CHECK(std::find(few[e].begin(), few[e].end(), (*g)[e]) != few[e].end());
        if (changed[4] != drawn[4]) mutated.insert(changed[4]);
    }
    CHECK(mutated == std::set<int>{1, 3});  // never to `none`
    // Of the whole space the draws are the published ones.
    NumpyRandom a(9), b(9);
    const Nb201Genes whole, listed(std::vector<std::vector<int>>(6, {0, 1, 2, 3, 4}));
    for (int i = 0; i < 20; i++)
        CHECK(whole.mutate(whole.random(a), 0.5, a) == listed.mutate(listed.random(b), 0.5, b));
}
