// Candidates of what is left of a space.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "engine/base/error.h"
#include "nas/algo/path_genes.h"
#include "nas/algo/search_limits.h"

using namespace nascent;

TEST_CASE("a shrunk space is all that candidates are drawn from, mutated and crossed in") {
    chain::Config scaled;
    scaled.first_scale = 2;
    scaled.last_scale = 5;
    for (const auto& [name, config] :
         {std::pair("shufflenet", chain::Config{}), {"mobilenet", chain::Config{}}, {"shufflenet-channels", scaled}}) {
        CAPTURE(name);
        const chain::Space space = chain::space(name, config);
        // One, two or three operators of each block, never its first one.
        std::vector<std::vector<int>> left;
        double count = 1;
        for (const chain::Block& b : space.blocks) {
            const std::size_t most = std::min(b.ops.size() - 1, left.size() % 3 + 1);
            left.emplace_back(b.ops.begin() + 1, b.ops.begin() + 1 + static_cast<std::ptrdiff_t>(most));
            count *= static_cast<double>(most);
        }
        const auto within = [&](const Genes& g) {
            for (std::size_t b = 0; b < left.size(); b++)
                if (std::find(left[b].begin(), left[b].end(), g[b]) == left[b].end()) return false;
            return true;
        };
        SposSearchOptions o;
        o.min_flops = 0;  // everything is legal, and counted
        const SearchLimits limits = SearchLimits::of(o, space, left);
        if (!space.channels) CHECK(static_cast<double>(*limits.paths->count()) == count);
        for (const auto draws : {PathGenes::Draws::legal, PathGenes::Draws::rejected}) {
            const PathGenes genes(space, limits.paths, draws, left), whole(space, nullptr);
            NumpyRandom random(5);
            std::map<std::pair<std::size_t, int>, int> drawn, mutated;
            for (int i = 0; i < 300; i++) {
                const Genes g = genes.random(random), m = genes.mutate(g, 0.5, random);
                REQUIRE(within(g));
                REQUIRE(within(m));
                REQUIRE(within(genes.crossover(g, m, random)));
                CHECK(genes.legal(m));
                CHECK(genes.genes(genes.architecture(g)) == g);
                CHECK(genes.path(g).size() == left.size());
                for (std::size_t b = 0; b < left.size(); b++) {
                    drawn[{b, g[b]}]++;
                    if (m[b] != g[b]) mutated[{b, m[b]}]++;
                }
            }
            // All that is left turns up: of three operators each is missed by 300 draws with a chance of (2/3)^300.
            for (std::size_t b = 0; b < left.size(); b++)
                for (int op : left[b]) {
                    CHECK(drawn[{b, op}] > 0);
                    CHECK((mutated[{b, op}] > 0) == (left[b].size() > 1));
                }
            Genes outside = genes.random(random);
            outside[0] = space.blocks[0].ops[0];
            CHECK_NOTHROW(whole.path(outside));
            CHECK_THROWS_AS(genes.path(outside), Error);
        }
        // Constraints over the whole space are over other choices.
        CHECK_THROWS_WITH_AS(PathGenes(space, SearchLimits::of(o, space).paths, PathGenes::Draws::legal, left),
                             doctest::Contains("constraints on"), Error);
        CHECK_THROWS_AS(PathGenes(space, nullptr, PathGenes::Draws::legal, {{0}}), Error);
    }
}

TEST_CASE("genes are drawn, changed and inherited as their own, those of scales too") {
    chain::Config config;
    config.first_scale = 2;
    config.last_scale = 5;
    const chain::Space space = chain::space("shufflenet-channels", config);
    const std::size_t blocks = space.blocks.size();
    const PathGenes any(space, nullptr);
    NumpyRandom random(5);
    std::map<int, int> drawn, mutated;
    constexpr int draws = 1000;
    const Genes start = any.random(random);
    for (int i = 0; i < draws; i++) {
        const Genes g = any.random(random), m = any.mutate(start, 1, random);
        for (std::size_t b = blocks; b < 2 * blocks; b++) drawn[g[b]]++, mutated[m[b]]++;
    }
    // Of 20 000 a quarter each, deviation 61.
    for (const auto& seen : {drawn, mutated}) {
        CHECK(seen.size() == 4);
        for (int scale = 2; scale <= 5; scale++) CHECK(std::abs(seen.at(scale) - draws * 5) < 6 * 61);
    }
    // Children have each gene of one of the two, or any where it is free.
    SposSearchOptions o;
    o.min_flops = 0;  // everything is legal
    const PathGenes limited(space, SearchLimits::of(o, space).paths);
    const Genes a = limited.random(random);
    Genes b = a;
    b[1] = (a[1] + 1) % 4;
    for (std::size_t g : {blocks, blocks + 3, blocks + 19}) b[g] = 2 + (a[g] - 1) % 4;
    std::vector<bool> free(2 * blocks);
    free[4] = free[blocks + 7] = true;
    std::vector<std::set<int>> seen(2 * blocks);
    for (int i = 0; i < 200; i++) {
        const auto child = limited.legal_between(a, b, free, random);
        REQUIRE(child);
        for (std::size_t g = 0; g < seen.size(); g++) seen[g].insert((*child)[g]);
    }
    for (std::size_t g = 0; g < seen.size(); g++) {
        CAPTURE(g);
        if (free[g])
            CHECK(seen[g] == (g < blocks ? std::set<int>{0, 1, 2, 3} : std::set<int>{2, 3, 4, 5}));
        else
            CHECK(seen[g] == std::set<int>{a[g], b[g]});
    }
    // A gene changes where the draw is below the probability.
    NumpyRandom at(7), above(7), same(7);
    const double first = same.random_sample();
    CHECK(any.mutate(Genes(2 * blocks, 77), first, at)[0] == 77);
    CHECK(any.mutate(Genes(2 * blocks, 77), std::nextafter(first, 2), above)[0] != 77);
    // How many there are is known without limits.
    const PathGenes whole(chain::space("shufflenet"), nullptr);
    CHECK(whole.has_more_than((std::size_t{1} << 40) - 1));
    CHECK_FALSE(whole.has_more_than(std::size_t{1} << 40));
}

TEST_CASE("a limit that a shrunk space cannot meet is said with the nearest cost that is left") {
    const chain::Space space = chain::space("shufflenet");
    SposSearchOptions o;
    o.max_flops = 330'000'000;
    CHECK_NOTHROW(SearchLimits::of(o, space));
    const std::vector<std::vector<int>> dearest(20, {2});
    const std::int64_t macs =
        chain::cost_of(chain::subnet(space, {std::vector<int>(20, 2), {}}).layers).macs(chain::MacConvention::mac);
    o.max_flops = macs - 1;
    CHECK_THROWS_WITH_AS(
        SearchLimits::of(o, space, dearest),
        doctest::Contains(fmt::format("no architecture has MACs (mac) at most {}; the nearest that can "
                                      "be reached: {} above",
                                      macs - 1, macs)
                              .c_str()),
        Error);
    o.max_flops = macs;
    const SearchLimits one = SearchLimits::of(o, space, dearest);
    CHECK(*one.paths->count() == 1);
    const PathGenes genes(space, one.paths, PathGenes::Draws::legal, dearest);
    // Evolution ends when there is nothing new.
    Evolution evolution(genes, evolution_config(SposSearchOptions{}), NumpyRandom(0));
    int scored = 0;
    while (!evolution.done())
        evolution.step([&](const std::vector<Genes>& all) {
            scored += static_cast<int>(all.size());
            return std::vector<double>(all.size(), 1);
        });
    CHECK(scored == 1);
}
