// Where an evolution ends, stops or is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "engine/base/error.h"
#include "nas/algo/gene_spaces.h"
#include "tests/nas/gene_landscapes.h"

using namespace nascent;
using namespace nascent::test;
using Origin = EvolutionState::Origin;

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
    // The other spaces too.
    const ChainTable table{{}, 0, {{{7, {}, 0}}, {{7, {}, 0}}}};
    const ChainGenes chain(table, -1);
    const DartsGenes darts(DartsGenes::imagenet(), {});
    const Genes codes(28, 0);
    NumpyRandom at(5), above(5), darts_at(5), darts_above(5);
    CHECK(chain.mutate({0, 0}, first, at)[0] == 0);
    CHECK(chain.mutate({0, 0}, std::nextafter(first, 2), above)[0] == 7);
    CHECK(darts.mutate(codes, first, darts_at)[0] == 0);
    CHECK(darts.mutate(codes, std::nextafter(first, 2), darts_above)[0] != 0);
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

TEST_CASE("where chance finds none, genes are freed one after the other until all are") {
    struct Probe : GeneSpace {
        mutable int next = 0;
        mutable std::vector<std::vector<bool>> masks;
        Genes random(NumpyRandom&) const override { return {next++, 0, 0, 0, 0}; }
        Genes mutate(const Genes& parent, double, NumpyRandom&) const override { return parent; }
        Genes crossover(const Genes& a, const Genes&, NumpyRandom&) const override { return a; }
        bool draws_legal() const override { return true; }
        std::optional<Genes> legal_between(const Genes&, const Genes&, const std::vector<bool>& free,
                                           NumpyRandom&) const override {
            masks.push_back(free);
            return std::nullopt;
        }
    };
    const Probe space;
    EvolutionConfig config;
    config.population = config.select = 2;
    config.mutation = 300;
    config.crossover = 40;
    config.mutation_probability = 0.4;
    config.tries = 1;
    Evolution search(space, config, NumpyRandom(6));
    search.step([](const std::vector<Genes>& all) { return std::vector<double>(all.size(), 0.0); });
    std::vector<std::vector<bool>> first;
    auto count = [](const std::vector<bool>& mask) { return std::count(mask.begin(), mask.end(), true); };
    for (std::size_t i = 0; i < space.masks.size(); ++i) {
        const std::vector<bool>& mask = space.masks[i];
        REQUIRE(mask.size() == 5);
        if (i == 0 || count(space.masks[i - 1]) == 5) {
            first.push_back(mask);
            continue;
        }
        REQUIRE(count(mask) == count(space.masks[i - 1]) + 1);
        for (std::size_t g = 0; g < 5; ++g) CHECK((mask[g] || !space.masks[i - 1][g]));
    }
    CHECK(count(space.masks.back()) == 5);
    REQUIRE(first.size() == 340);
    // 120 of the 300 mutations begin with a gene free, deviation 8.5; crossovers with none.
    std::vector<int> free(5);
    for (std::size_t i = 0; i < first.size(); ++i)
        for (std::size_t g = 0; g < 5; ++g) {
            if (i < 300) free[g] += first[i][g];
            if (i >= 300) CHECK_FALSE(first[i][g]);
        }
    for (int n : free) CHECK(std::abs(n - 120) < 6 * 8.5);
}

TEST_CASE("illegal candidates are remembered as drawn and as repaired, or not at all") {
    struct Even : GeneSpace {
        mutable int next = 5;
        Genes random(NumpyRandom&) const override { return {next--}; }
        Genes mutate(const Genes& parent, double, NumpyRandom&) const override { return parent; }
        Genes repair(const Genes& drawn, NumpyRandom&) const override { return {drawn[0] / 2 * 2}; }
        bool legal(const Genes& genes) const override { return genes[0] != 4; }
    };
    EvolutionConfig config;
    config.population = 1;
    config.batch = 1;
    const Even space, other;
    const EvolutionState drawn = Evolution(space, config, NumpyRandom(1)).state();
    CHECK(drawn.visited.at(0).genes == Genes{2});
    CHECK(drawn.dropped == std::vector<Genes>{{3}, {4}, {5}});
    config.duplicates = EvolutionConfig::Duplicates::repaired;
    const EvolutionState repaired = Evolution(other, config, NumpyRandom(1)).state();
    CHECK(repaired.visited.at(0).genes == Genes{2});
    CHECK(repaired.dropped.empty());
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
