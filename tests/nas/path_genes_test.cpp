// The evolution of SPOS's program, draw by draw where it draws as that does, and without rejection.
#include "nas/algo/path_genes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "engine/base/error.h"
#include "nas/algo/search_limits.h"

using namespace nascent;

namespace {

std::shared_ptr<const ConstrainedPaths> below(const chain::Space& space, std::int64_t macs, std::int64_t params = -1) {
    SposSearchOptions o;
    o.max_flops = macs;
    o.max_params = params;
    return SearchLimits::of(o, space).paths;
}

/// A score that any two candidates almost surely differ in.
double score_of(const Genes& genes) {
    double s = 0;
    for (std::size_t i = 0; i < genes.size(); i++)
        s += static_cast<double>((i * 7 + 3) % 11) * genes[i] + 1e-3 * i * genes[i];
    return s;
}

}  // namespace

TEST_CASE("an evolution in SPOS's numbers scores 50 and then 20 times 50 legal candidates, none twice") {
    const chain::Space space = chain::space("shufflenet");
    const auto limits = below(space, 330'000'000);
    for (auto draws : {PathGenes::Draws::legal, PathGenes::Draws::rejected}) {
        const PathGenes genes(space, limits, draws);
        Evolution evolution(genes, evolution_config(SposSearchOptions{}), NumpyRandom(0));
        int scored = 0;
        std::map<Genes, int> seen;
        while (!evolution.done()) {
            CHECK(evolution.state().candidates.size() == 50);
            evolution.step([&](const std::vector<Genes>& all) {
                std::vector<double> scores;
                for (const Genes& g : all) {
                    scored++;
                    CHECK(seen[g]++ == 0);
                    CHECK(limits->legal(genes.path(g)));
                    scores.push_back(score_of(g));
                }
                return scores;
            });
        }
        CHECK(scored == 1050);
        CHECK(evolution.state().parents.size() == 10);
        CHECK(evolution.state().top.size() == 50);
    }
}

TEST_CASE("random candidates are drawn as SPOS's program draws them") {
    // numpy.random.seed(0); [tuple(numpy.random.randint(4) for i in range(20)) for _ in range(2)], NumPy 1.24.2.
    const chain::Space space = chain::space("shufflenet");
    const PathGenes genes(space, nullptr, PathGenes::Draws::rejected);
    NumpyRandom random(0);
    CHECK(genes.random(random) == Genes{0, 3, 1, 0, 3, 3, 3, 3, 1, 3, 1, 2, 0, 3, 2, 0, 0, 0, 2, 1});
    CHECK(genes.random(random) == Genes{2, 3, 3, 2, 0, 1, 1, 1, 1, 0, 1, 0, 3, 0, 3, 1, 2, 3, 3, 0});
}

TEST_CASE("rare candidates are drawn at once, where rejection would need hundreds of draws") {
    // 0.3 % of MobileNet's paths have at most 475M in AngleNAS's convention.
    const chain::Space space = chain::space("mobilenet");
    const auto limits = below(space, 475'000'000);
    const PathGenes genes(space, limits);
    NumpyRandom random(1);
    std::map<Genes, int> seen;
    for (int i = 0; i < 500; i++) {
        const Genes g = genes.random(random);
        CHECK(genes.legal(g));
        seen[g]++;
    }
    CHECK(seen.size() == 500);
    // Rejection comes to the same number, in some 300 draws for each, however few tries breeding has.
    SposSearchOptions o;
    o.population = 8;
    o.mutation = o.crossover = 0;
    o.tries = 1;
    o.generations = 1;
    const PathGenes drawn(space, limits, PathGenes::Draws::rejected);
    CHECK(Evolution(drawn, evolution_config(o), NumpyRandom(4)).state().candidates.size() == 8);
    o = {};
    o.population = 20;
    o.mutation = o.crossover = 10;
    o.select = 5;
    o.generations = 4;
    Evolution evolution(genes, evolution_config(o), NumpyRandom(2));
    while (!evolution.done())
        evolution.step([](const std::vector<Genes>& all) {
            std::vector<double> scores;
            for (const Genes& g : all) scores.push_back(score_of(g));
            return scores;
        });
    CHECK(std::count_if(evolution.state().visited.begin(), evolution.state().visited.end(),
                        [](const auto& c) { return c.scored; }) == 80);
}

TEST_CASE("mutations and crossovers are drawn legal where chance practically never finds legal ones") {
    const chain::Space space = chain::space("shufflenet");
    // Paths of exactly one cost: some hundred thousand of 10^12.
    const PathCounts counts(chain::path_costs(space, chain::all_choices(space), chain::MacConvention::mac));
    std::int64_t cost = 345'000'000;
    const auto number = [&] { return counts.count({cost, cost}); };
    while (number() < 10'000 || number() > 500'000) cost = counts.nearest_above(cost).value();
    SposSearchOptions only;
    only.min_flops = only.max_flops = cost;
    const auto limits = SearchLimits::of(only, space).paths;
    const PathGenes genes(space, limits);
    const auto distance = [](const Genes& a, const Genes& b) {
        return std::inner_product(a.begin(), a.end(), b.begin(), 0, std::plus<>(), std::not_equal_to<>());
    };
    // What chance finds in the tries it has.
    NumpyRandom random(3);
    const Genes parent = genes.random(random);
    int found = 0;
    for (int i = 0; i < 250; i++) {
        const Genes child = genes.mutate(parent, 0.1, random);
        found += child != parent && genes.legal(child);
    }
    CHECK(found < 5);
    Evolution evolution(genes, evolution_config(SposSearchOptions{}), NumpyRandom(0));
    double near = 0, far = 0;
    int mutations = 0;
    for (int generation = 0; generation < 4; generation++) {
        evolution.step([](const std::vector<Genes>& all) {
            std::vector<double> scores;
            for (const Genes& g : all) scores.push_back(score_of(g));
            return scores;
        });
        std::map<EvolutionState::Origin, int> origins;
        for (int i : evolution.state().candidates) {
            const auto& c = evolution.state().visited[static_cast<std::size_t>(i)];
            CHECK(genes.legal(c.genes));
            origins[c.origin]++;
            if (c.origin != EvolutionState::Origin::mutation) continue;
            REQUIRE(c.parents.size() == 1);
            near += distance(c.genes, evolution.state().visited[static_cast<std::size_t>(c.parents[0])].genes);
            far += distance(c.genes, genes.random(random));
            mutations++;
        }
        CHECK(origins[EvolutionState::Origin::mutation] == 25);
        CHECK(origins[EvolutionState::Origin::crossover] == 25);
    }
    // Children, and no random ones.
    CHECK(near < 0.8 * far);
    CHECK(near / mutations >= 1);
    // As published nothing is drawn that way.
    const PathGenes rejected(space, limits, PathGenes::Draws::rejected);
    CHECK(!rejected.draws_legal());
    CHECK(!rejected.legal_between(parent, parent, std::vector<bool>(20, true), random));
}

TEST_CASE("between two parents every legal child is as probable as any other") {
    const chain::Space space = chain::space("shufflenet");
    for (std::int64_t params : {std::int64_t{-1}, std::int64_t{3'300'000}}) {
        CAPTURE(params);
        const auto limits = below(space, 300'000'000, params);
        const PathGenes genes(space, limits);
        NumpyRandom random(5);
        Genes a = genes.random(random), b = a;
        for (std::size_t g : {1, 4, 6, 13, 17, 19}) b[g] = (a[g] + 1 + static_cast<int>(g) % 3) % 4;
        std::vector<bool> free(20);
        free[8] = true;
        std::map<Genes, int> legal;
        for (int mask = 0; mask < 64; mask++)
            for (int op = 0; op < 4; op++) {
                Genes child = a;
                int bit = 0;
                for (std::size_t g : {1, 4, 6, 13, 17, 19})
                    if (mask >> bit++ & 1) child[g] = b[g];
                child[8] = op;
                if (genes.legal(child)) legal[child] = 0;
            }
        REQUIRE(legal.size() > 8);
        REQUIRE(legal.size() < 248);
        const int draws = 400 * static_cast<int>(legal.size());
        for (int i = 0; i < draws; i++) {
            const auto child = genes.legal_between(a, b, free, random);
            REQUIRE(child);
            REQUIRE(legal.contains(*child));
            legal[*child]++;
        }
        double chi2 = 0;
        for (const auto& [child, n] : legal) chi2 += (n - 400.0) * (n - 400.0) / 400;
        const double freedom = static_cast<double>(legal.size() - 1);
        CHECK(std::fabs(chi2 - freedom) < 5 * std::sqrt(2 * freedom));
        // Where nothing between them is legal, that is said.
        Genes dear(20, 3);
        CHECK(!genes.legal_between(dear, dear, std::vector<bool>(20), random));
    }
}

TEST_CASE("a search that has seen all legal candidates ends at once") {
    const chain::Space space = chain::space("shufflenet");
    const PathCounts counts(chain::path_costs(space, chain::all_choices(space), chain::MacConvention::mac));
    std::int64_t limit = counts.costs().low();
    while (counts.count({.high = limit}) < 60) limit = counts.nearest_above(limit).value();
    const auto limits = below(space, limit);
    const std::size_t all = static_cast<std::size_t>(limits->count().value());
    const PathGenes genes(space, limits);
    CHECK(genes.has_more_than(all - 1));
    CHECK(!genes.has_more_than(all));
    EvolutionConfig config = evolution_config(SposSearchOptions{});
    std::int64_t polls = 0;
    config.poll = [&] { polls++; };
    Evolution evolution(genes, config, NumpyRandom(0));
    while (!evolution.done())
        evolution.step([](const std::vector<Genes>& g) { return std::vector<double>(g.size(), 1); });
    CHECK(evolution.state().visited.size() == all);
    CHECK(evolution.state().generation < 21);
    CHECK(polls < 100'000);  // batches that were drawn; a million draws in vain would be that many
}

TEST_CASE("genes of channel scales stand behind those of operators") {
    chain::Config config;
    config.first_scale = 2;
    config.last_scale = 5;
    const chain::Space space = chain::space("shufflenet-channels", config);
    const PathGenes genes(space, below(space, 320'000'000, 3'400'000));
    NumpyRandom random(3);
    for (int i = 0; i < 50; i++) {
        const Genes g = genes.random(random);
        REQUIRE(g.size() == 40);
        CHECK(genes.legal(g));
        const chain::Architecture arch = genes.architecture(g);
        CHECK_NOTHROW(chain::validate(space, arch));
        CHECK(genes.genes(arch) == g);
        const Genes mutated = genes.mutate(g, 1, random);
        CHECK_NOTHROW(chain::validate(space, genes.architecture(mutated)));
        CHECK(genes.mutate(g, 0, random) == g);
    }
    CHECK_THROWS_AS(genes.architecture(Genes(20, 0)), Error);
}

TEST_CASE("limits that nothing keeps to are said with the nearest costs") {
    const chain::Space space = chain::space("shufflenet");
    SposSearchOptions o;
    o.max_flops = 270'000'000;
    CHECK_THROWS_WITH_AS(SearchLimits::of(o, space),
                         doctest::Contains("no architecture has MACs (mac) at most 270000000; the nearest that can be "
                                           "reached: 270359360 above"),
                         Error);
    o.max_flops = 275'000'000;
    o.min_params = 3'800'000;
    CHECK_THROWS_WITH_AS(SearchLimits::of(o, space), doctest::Contains("reaches from"), Error);
    CHECK(own_convention(chain::space("mobilenet")) == chain::MacConvention::thop);
    CHECK(own_convention(chain::space("shufflenet-mmrazor")) == chain::MacConvention::mmrazor);
    SposSearchOptions bad;
    bad.pictures = 100;
    CHECK_THROWS_WITH_AS(check(bad), doctest::Contains("the evaluation set is smaller than a batch"), Error);
    bad = {};
    bad.max_latency = 3;
    CHECK_THROWS_WITH_AS(check(bad), doctest::Contains("measure one: spos latency"), Error);
    bad = {};
    bad.mutation = 40;
    CHECK_THROWS_AS(check(bad), Error);
}
